/* Attention of this level. */
#include "kernels/cpu/vec_scalar.inc.h"

#include "kernels/cpu/attention_share.inc.h"
