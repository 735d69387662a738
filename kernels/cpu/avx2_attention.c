/* Attention of this level. */
#include "kernels/cpu/vec_avx2.inc.h"

#include "kernels/cpu/attention_share.inc.h"
