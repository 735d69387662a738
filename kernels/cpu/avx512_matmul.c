/* 16 lanes in one register: 8 tokens x 32 outputs are 16 chains of FMA, the even ones of a block
 * of K and then the odd ones, and 16 finished sums beside them. */
#include "kernels/cpu/vec_avx512.inc.h"

enum { LANE_VECS = 2, LANE_TOKENS = 8 };

static inline struct vec load_f16(const void *p)
{
    return (struct vec){_mm512_cvtph_ps(_mm256_loadu_si256(p))};
}

#include "kernels/cpu/matmul.inc.h"
