/* kernels/cpu/vec_avx2.inc.h: 16 float32 in two registers. The contract of each operation is in
 * vec_scalar.inc.h. Only for files compiled with AVX2 and FMA. */
#pragma once
#include "kernels/dtype.h"

#include <immintrin.h>
#include <math.h>

#define LEVEL(name) avx2_##name
#define WITH_FMA_IF_THERE
#define VEC_LANES 16
enum { TILE_ROWS = 3, TILE_VECS = 1 }; /* 12 registers of chains, 2 of operands, 1 spare */

struct vec {
    __m256 low, high; /* lanes 0..7, 8..15 */
};

#define V(x, y) ((struct vec){x, y})

static inline struct vec vec_set(float x) { return V(_mm256_set1_ps(x), _mm256_set1_ps(x)); }

static inline struct vec vec_load(const void *p)
{
    const __m256_u *half = p;
    return V(half[0], half[1]);
}

static inline void vec_store(void *p, struct vec a)
{
    __m256_u *half = p;
    half[0] = a.low;
    half[1] = a.high;
}

static inline float vec_first(struct vec a) { return _mm256_cvtss_f32(a.low); }

static inline struct vec vec_add(struct vec a, struct vec b)
{
    return V(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high));
}

static inline struct vec vec_sub(struct vec a, struct vec b)
{
    return V(_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high));
}

static inline struct vec vec_mul(struct vec a, struct vec b)
{
    return V(_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high));
}

static inline struct vec vec_div(struct vec a, struct vec b)
{
    return V(_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high));
}

static inline struct vec vec_fma(struct vec a, struct vec b, struct vec c)
{
    return V(_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high));
}

static inline struct vec vec_max(struct vec a, struct vec b)
{
    return V(_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high));
}

static inline struct vec vec_min(struct vec a, struct vec b)
{
    return V(_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high));
}

static inline struct vec vec_if_less(struct vec a, struct vec b, struct vec yes, struct vec no)
{
    return V(_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
             _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)));
}

static inline struct vec vec_if_nan(struct vec x, struct vec yes, struct vec no)
{
    return V(_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(x.low, x.low, _CMP_UNORD_Q)),
             _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(x.high, x.high, _CMP_UNORD_Q)));
}

static inline __m256 vec_keep_8(__m256 a, __m256i lane, int first, int end, __m256 other)
{
    const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(first), lane);
    const __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane);
    return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(_mm256_andnot_si256(before, inside)));
}

static inline struct vec vec_keep(struct vec a, int first, int end, struct vec other)
{
    const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
    return V(vec_keep_8(a.low, low, first, end, other.low),
             vec_keep_8(a.high, high, first, end, other.high));
}

static inline __m256 vec_add_exponent_8(__m256 a, __m256 steps)
{
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(steps), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), n));
}

static inline struct vec vec_add_exponent(struct vec a, struct vec steps)
{
    return V(vec_add_exponent_8(a.low, steps.low), vec_add_exponent_8(a.high, steps.high));
}

static inline float vec_sum(struct vec a)
{
    const __m256 s8 = _mm256_add_ps(a.low, a.high);
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float vec_largest(struct vec a)
{
    const __m256 s8 = _mm256_max_ps(a.low, a.high);
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* As bf16_from_f32(), before the shift: the result is in the upper half of each lane. */
static inline __m256i vec_bf16_bits_8(__m256 a)
{
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, nan);
}

static inline struct vec vec_odd(struct vec pairs)
{
    const __m256 upper = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u));
    return V(_mm256_and_ps(pairs.low, upper), _mm256_and_ps(pairs.high, upper));
}

static inline struct vec vec_even(struct vec pairs)
{
    return V(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pairs.low), 16)),
             _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pairs.high), 16)));
}

static inline struct vec vec_round_bf16(struct vec a)
{
    return vec_odd(V(_mm256_castsi256_ps(vec_bf16_bits_8(a.low)),
                     _mm256_castsi256_ps(vec_bf16_bits_8(a.high))));
}

static inline void vec_store_bf16(bf16 *p, struct vec a)
{
    const __m256i low = _mm256_srli_epi32(vec_bf16_bits_8(a.low), 16);
    const __m256i high = _mm256_srli_epi32(vec_bf16_bits_8(a.high), 16);
    /* The pack works within halves of 128 bits: put its quarters in order. */
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)p, packed);
}

static inline __m256 vec_load_bf16_8(const bf16 *p)
{
    const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

static inline struct vec vec_load_bf16(const bf16 *p)
{
    return V(vec_load_bf16_8(p), vec_load_bf16_8(p + 8));
}

static inline __m256 vec_top_byte_8(__m256 bytes)
{
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_castps_si256(bytes), 24));
}

static inline struct vec vec_top_byte(struct vec bytes)
{
    return V(vec_top_byte_8(bytes.low), vec_top_byte_8(bytes.high));
}

static inline struct vec vec_next_byte(struct vec bytes)
{
    return V(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(bytes.low), 8)),
             _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(bytes.high), 8)));
}

static inline __m256 vec_pairs_8(__m256 even, __m256 odd)
{
    const __m256i low = _mm256_srli_epi32(_mm256_castps_si256(even), 16);
    return _mm256_castsi256_ps(_mm256_or_si256(low, _mm256_castps_si256(odd)));
}

static inline struct vec vec_pairs(struct vec even, struct vec odd)
{
    return V(vec_pairs_8(even.low, odd.low), vec_pairs_8(even.high, odd.high));
}

static inline void vec_store_bytes(int8_t *p, struct vec a)
{
    const __m256i byte = _mm256_set1_epi32(0xff);
    const __m256i low = _mm256_and_si256(_mm256_castps_si256(a.low), byte);
    const __m256i high = _mm256_and_si256(_mm256_castps_si256(a.high), byte);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    const __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)p, bytes);
}

/* 8 x 8: pairs of lanes, pairs of pairs, then halves. */
static inline void vec_transpose_8(__m256 m[8])
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(m[i], m[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(m[i], m[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            const __m256d x = _mm256_castps_pd(a[i + j]), y = _mm256_castps_pd(a[i + j + 2]);
            b[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(x, y));
            b[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(x, y));
        }
    for (int j = 0; j < 4; j++) {
        m[j] = _mm256_permute2f128_ps(b[j], b[j + 4], 0x20);
        m[j + 4] = _mm256_permute2f128_ps(b[j], b[j + 4], 0x31);
    }
}

/* Four quarters, each transposed; the off-diagonal ones change places. */
static inline void vec_transpose(struct vec m[16])
{
    __m256 quarter[4][8];
    for (int i = 0; i < 8; i++) {
        quarter[0][i] = m[i].low;
        quarter[1][i] = m[i].high;
        quarter[2][i] = m[i + 8].low;
        quarter[3][i] = m[i + 8].high;
    }
    for (int q = 0; q < 4; q++)
        vec_transpose_8(quarter[q]);
    for (int i = 0; i < 8; i++) {
        m[i] = V(quarter[0][i], quarter[2][i]);
        m[i + 8] = V(quarter[1][i], quarter[3][i]);
    }
}

static inline void vec_load_transposed(struct vec m[16], const char *const row[16], size_t at)
{
    for (int i = 0; i < 16; i++)
        m[i] = vec_load(row[i] + at);
    vec_transpose(m);
}

#undef V
