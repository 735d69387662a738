/* 16 lanes in two registers: 6 tokens x 16 outputs are 12 chains of FMA, two registers of weights
 * and one of x; that is all there are. */
#include "kernels/cpu/vec_avx2.inc.h"

enum { LANE_VECS = 1, LANE_TOKENS = 6 };

static inline struct vec load_f16(const void *p)
{
    const __m128i *half = p;
    return (struct vec){_mm256_cvtph_ps(_mm_loadu_si128(half)),
                        _mm256_cvtph_ps(_mm_loadu_si128(half + 1))};
}

#include "kernels/cpu/matmul.inc.h"
