/* The row kernels of this level, and the writing of the cache. */
#include "kernels/cpu/vec_avx512.inc.h"

#include "kernels/cpu/rows.inc.h"
#include "kernels/cpu/store.inc.h"
