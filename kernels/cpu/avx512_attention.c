/* Attention of this level. */
#include "kernels/cpu/vec_avx512.inc.h"

#include "kernels/cpu/attention_share.inc.h"
