/* The row kernels of this level. */
#include "kernels/cpu/vec_scalar.inc.h"

#include "kernels/cpu/activations.inc.h"
#include "kernels/cpu/rope_store.inc.h"
#include "kernels/cpu/rows.inc.h"
