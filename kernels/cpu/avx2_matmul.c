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

static inline void load_transposed(struct vec m[16], const char *const row[16], size_t at)
{
    for (int i = 0; i < 16; i++)
        m[i] = vec_load(row[i] + at);
    vec_transpose(m);
}

#include "kernels/cpu/matmul.inc.h"
