/* 16 lanes in one register: 8 tokens x 32 outputs are 16 chains of FMA, the even ones of a block
 * of K and then the odd ones, and 16 finished sums beside them. */
#include "kernels/cpu/vec_avx512.inc.h"

enum { LANE_VECS = 2, LANE_TOKENS = 8 };

static inline struct vec load_f16(const void *p)
{
    return (struct vec){_mm512_cvtph_ps(_mm256_loadu_si256(p))};
}

/* As vec_transpose(), but the first step takes its operands from memory: gcc 12 writes an array of
 * 16 registers to the stack first. */
static inline void load_transposed(struct vec m[16], const char *const row[16], size_t at)
{
    __m512 a[16], b[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        const __m512 x = _mm512_loadu_ps(row[i] + at), y = _mm512_loadu_ps(row[i + 1] + at);
        a[i] = _mm512_unpacklo_ps(x, y);
        a[i + 1] = _mm512_unpackhi_ps(x, y);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            const __m512d x = _mm512_castps_pd(a[i + j]), y = _mm512_castps_pd(a[i + j + 2]);
            b[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            b[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    for (int j = 0; j < 4; j++) {
        a[j] = _mm512_shuffle_f32x4(b[j], b[j + 4], 0x88);
        a[j + 4] = _mm512_shuffle_f32x4(b[j], b[j + 4], 0xdd);
        a[j + 8] = _mm512_shuffle_f32x4(b[j + 8], b[j + 12], 0x88);
        a[j + 12] = _mm512_shuffle_f32x4(b[j + 8], b[j + 12], 0xdd);
    }
    for (int j = 0; j < 8; j++) {
        m[j].v = _mm512_shuffle_f32x4(a[j], a[j + 8], 0x88);
        m[j + 8].v = _mm512_shuffle_f32x4(a[j], a[j + 8], 0xdd);
    }
}

#include "kernels/cpu/matmul.inc.h"
