/* kernels/cpu/vec_avx512.inc.h: 16 float32 in one register. The contract of each operation is in
 * vec_scalar.inc.h. Only for files compiled with AVX-512 F, BW, DQ and VL. */
#pragma once
#include "kernels/dtype.h"

#include <immintrin.h>
#include <math.h>

#define LEVEL(name) avx512_##name
#define WITH_FMA_IF_THERE
#define VEC_LANES 16
enum { TILE_ROWS = 6, TILE_VECS = 2 }; /* 24 chains, 2 operands, 1 spare */

struct vec {
    __m512 v;
};

#define V(x) ((struct vec){x})

static inline struct vec vec_set(float x) { return V(_mm512_set1_ps(x)); }
static inline struct vec vec_load(const void *p) { return V(_mm512_loadu_ps(p)); }
static inline void vec_store(void *p, struct vec a) { _mm512_storeu_ps(p, a.v); }
static inline float vec_first(struct vec a) { return _mm512_cvtss_f32(a.v); }
static inline struct vec vec_add(struct vec a, struct vec b) { return V(_mm512_add_ps(a.v, b.v)); }
static inline struct vec vec_sub(struct vec a, struct vec b) { return V(_mm512_sub_ps(a.v, b.v)); }
static inline struct vec vec_mul(struct vec a, struct vec b) { return V(_mm512_mul_ps(a.v, b.v)); }
static inline struct vec vec_div(struct vec a, struct vec b) { return V(_mm512_div_ps(a.v, b.v)); }
static inline struct vec vec_max(struct vec a, struct vec b) { return V(_mm512_max_ps(a.v, b.v)); }
static inline struct vec vec_min(struct vec a, struct vec b) { return V(_mm512_min_ps(a.v, b.v)); }

static inline struct vec vec_fma(struct vec a, struct vec b, struct vec c)
{
    return V(_mm512_fmadd_ps(a.v, b.v, c.v));
}

static inline struct vec vec_if_less(struct vec a, struct vec b, struct vec yes, struct vec no)
{
    return V(_mm512_mask_mov_ps(no.v, _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), yes.v));
}

static inline struct vec vec_if_nan(struct vec x, struct vec yes, struct vec no)
{
    return V(_mm512_mask_mov_ps(no.v, _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q), yes.v));
}

static inline struct vec vec_keep(struct vec a, int first, int end, struct vec other)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 keep = _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(first)) &
                           _mm512_cmplt_epi32_mask(lane, _mm512_set1_epi32(end));
    return V(_mm512_mask_mov_ps(other.v, keep, a.v));
}

static inline struct vec vec_add_exponent(struct vec a, struct vec steps)
{
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(steps.v), 23);
    return V(_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), n)));
}

static inline float vec_sum(struct vec a)
{
    const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float vec_largest(struct vec a)
{
    const __m256 s8 = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* As bf16_from_f32(), before the shift: the result is in the upper half of each lane. */
static inline __m512i vec_bf16_bits(struct vec a)
{
    const __m512i bits = _mm512_castps_si512(a.v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
}

static inline struct vec vec_odd(struct vec pairs)
{
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    return V(_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pairs.v), upper)));
}

static inline struct vec vec_even(struct vec pairs)
{
    return V(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs.v), 16)));
}

static inline struct vec vec_round_bf16(struct vec a)
{
    return vec_odd(V(_mm512_castsi512_ps(vec_bf16_bits(a))));
}

static inline void vec_store_bf16(bf16 *p, struct vec a)
{
    const __m512i upper = _mm512_srli_epi32(vec_bf16_bits(a), 16);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(upper));
}

static inline struct vec vec_load_bf16(const bf16 *p)
{
    const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return V(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16)));
}

static inline struct vec vec_top_byte(struct vec bytes)
{
    return V(_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_castps_si512(bytes.v), 24)));
}

static inline struct vec vec_next_byte(struct vec bytes)
{
    return V(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(bytes.v), 8)));
}

static inline struct vec vec_pairs(struct vec even, struct vec odd)
{
    const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(even.v), 16);
    return V(_mm512_castsi512_ps(_mm512_or_si512(low, _mm512_castps_si512(odd.v))));
}

static inline void vec_store_bytes(int8_t *p, struct vec a)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_castps_si512(a.v)));
}

/* The last three of four steps: pairs of pairs, and twice quarters of a register. */
static inline void vec_transpose_pairs(struct vec m[16], __m512 a[16])
{
    __m512 b[16];
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

static inline void vec_transpose(struct vec m[16])
{
    __m512 a[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(m[i].v, m[i + 1].v);
        a[i + 1] = _mm512_unpackhi_ps(m[i].v, m[i + 1].v);
    }
    vec_transpose_pairs(m, a);
}

/* Without an array of what was loaded: gcc 12 would write that to the stack first. */
static inline void vec_load_transposed(struct vec m[16], const char *const row[16], size_t at)
{
    __m512 a[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        const __m512 x = _mm512_loadu_ps(row[i] + at), y = _mm512_loadu_ps(row[i + 1] + at);
        a[i] = _mm512_unpacklo_ps(x, y);
        a[i + 1] = _mm512_unpackhi_ps(x, y);
    }
    vec_transpose_pairs(m, a);
}

#undef V
