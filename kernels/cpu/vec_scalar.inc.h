/* kernels/cpu/vec_scalar.inc.h: 16 float32 side by side, in plain C.
 *
 * The row kernels and attention are written once, over `struct vec`; a file per instruction set
 * includes one of vec_{scalar,avx2,avx512}.inc.h and then those kernels. Every operation here
 * works lane by lane and is exactly rounded, so the three give the same bits: this file is also
 * the definition of what the other two do.
 *
 * math.c sets VEC_LANES to 1 for the same functions on one number.
 */
#pragma once
#include "kernels/dtype.h"
#include "kernels/fma.h"

#include <math.h>

#define LEVEL(name) scalar_##name
#ifndef VEC_LANES
#define VEC_LANES 16
#endif
enum { TILE_ROWS = 1, TILE_VECS = 1 }; /* attention: what a register file holds */

struct vec {
    float lane[VEC_LANES];
};

#define EACH_LANE for (int i = 0; i < VEC_LANES; i++)

static inline struct vec vec_set(float x)
{
    struct vec r;
    EACH_LANE r.lane[i] = x;
    return r;
}

/* 16 times 32 bits, at any address */
static inline struct vec vec_load(const void *p)
{
    struct vec r;
    memcpy(&r, p, sizeof r);
    return r;
}

static inline void vec_store(void *p, struct vec a) { memcpy(p, &a, sizeof a); }

static inline float vec_first(struct vec a) { return a.lane[0]; }

static inline struct vec vec_add(struct vec a, struct vec b)
{
    EACH_LANE a.lane[i] = a.lane[i] + b.lane[i];
    return a;
}

static inline struct vec vec_sub(struct vec a, struct vec b)
{
    EACH_LANE a.lane[i] = a.lane[i] - b.lane[i];
    return a;
}

static inline struct vec vec_mul(struct vec a, struct vec b)
{
    EACH_LANE a.lane[i] = a.lane[i] * b.lane[i];
    return a;
}

static inline struct vec vec_div(struct vec a, struct vec b)
{
    EACH_LANE a.lane[i] = a.lane[i] / b.lane[i];
    return a;
}

/* a * b + c, rounded once */
static inline struct vec vec_fma(struct vec a, struct vec b, struct vec c)
{
    EACH_LANE c.lane[i] = fmaf(a.lane[i], b.lane[i], c.lane[i]);
    return c;
}

/* a > b ? a : b, so b where one is NaN (as MAXPS) */
static inline struct vec vec_max(struct vec a, struct vec b)
{
    EACH_LANE b.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    return b;
}

/* a < b ? a : b */
static inline struct vec vec_min(struct vec a, struct vec b)
{
    EACH_LANE b.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
    return b;
}

/* a < b ? yes : no; no where one is NaN */
static inline struct vec vec_if_less(struct vec a, struct vec b, struct vec yes, struct vec no)
{
    EACH_LANE no.lane[i] = a.lane[i] < b.lane[i] ? yes.lane[i] : no.lane[i];
    return no;
}

/* x is NaN ? yes : no */
static inline struct vec vec_if_nan(struct vec x, struct vec yes, struct vec no)
{
    EACH_LANE no.lane[i] = x.lane[i] != x.lane[i] ? yes.lane[i] : no.lane[i];
    return no;
}

/* lane i of a for first <= i < end, of `other` elsewhere */
static inline struct vec vec_keep(struct vec a, int first, int end, struct vec other)
{
    EACH_LANE a.lane[i] = i >= first && i < end ? a.lane[i] : other.lane[i];
    return a;
}

/* Adds the low bits of `steps` to the exponent of a: a * 2^n for steps = 2^23 * 1.5 + n. */
static inline struct vec vec_add_exponent(struct vec a, struct vec steps)
{
    for (int i = 0; i < VEC_LANES; i++) {
        uint32_t bits, n;
        memcpy(&bits, &a.lane[i], sizeof bits);
        memcpy(&n, &steps.lane[i], sizeof n);
        bits += n << 23;
        memcpy(&a.lane[i], &bits, sizeof bits);
    }
    return a;
}

/* Lanes j + 8, + 4, + 2, + 1 onto lane j; lane 0 is the result. */
static inline float vec_sum(struct vec a)
{
    for (int half = VEC_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            a.lane[i] += a.lane[i + half];
    return a.lane[0];
}

/* Order-free for numbers. */
static inline float vec_largest(struct vec a)
{
    for (int half = VEC_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    return a.lane[0];
}

/* Rounded to BF16 and back. */
static inline struct vec vec_round_bf16(struct vec a)
{
    EACH_LANE a.lane[i] = bf16_to_f32(bf16_from_f32(a.lane[i]));
    return a;
}

static inline void vec_store_bf16(bf16 *p, struct vec a)
{
    EACH_LANE p[i] = bf16_from_f32(a.lane[i]);
}

static inline struct vec vec_load_bf16(const bf16 *p)
{
    struct vec r;
    EACH_LANE r.lane[i] = bf16_to_f32(p[i]);
    return r;
}

/* A lane as two BF16 beside each other: the first (at the lower address) and the second, widened.
 */
static inline struct vec vec_even(struct vec pairs)
{
    struct vec r;
    for (int i = 0; i < VEC_LANES; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)&pairs + i * 4, sizeof bits);
        bits <<= 16;
        memcpy((char *)&r + i * 4, &bits, sizeof bits);
    }
    return r;
}

static inline struct vec vec_odd(struct vec pairs)
{
    struct vec r;
    for (int i = 0; i < VEC_LANES; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)&pairs + i * 4, sizeof bits);
        bits &= 0xffff0000u;
        memcpy((char *)&r + i * 4, &bits, sizeof bits);
    }
    return r;
}

/* The upper byte of every lane, a signed number, as float32. */
static inline struct vec vec_top_byte(struct vec bytes)
{
    struct vec r;
    for (int i = 0; i < VEC_LANES; i++) {
        int8_t top;
        memcpy(&top, (const char *)&bytes + i * 4 + 3, sizeof top);
        r.lane[i] = top;
    }
    return r;
}

/* Every byte of a lane takes the place of the one above it. */
static inline struct vec vec_next_byte(struct vec bytes)
{
    struct vec r;
    for (int i = 0; i < VEC_LANES; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)&bytes + i * 4, sizeof bits);
        bits <<= 8;
        memcpy((char *)&r + i * 4, &bits, sizeof bits);
    }
    return r;
}

/* Numbers that BF16 holds exactly, two in a lane: the other way from vec_even() and vec_odd(). */
static inline struct vec vec_pairs(struct vec even, struct vec odd)
{
    for (int i = 0; i < VEC_LANES; i++) {
        const bf16 pair[2] = {bf16_from_f32(even.lane[i]), bf16_from_f32(odd.lane[i])};
        memcpy((char *)&even + i * 4, pair, sizeof pair);
    }
    return even;
}

/* The lower byte of the bits of every lane. */
static inline void vec_store_bytes(int8_t *p, struct vec a)
{
    for (int i = 0; i < VEC_LANES; i++)
        memcpy(p + i, (const char *)&a + i * 4, 1);
}

/* Lane j of m[i] and lane i of m[j] change places; the bits are not touched. */
static inline void vec_transpose(struct vec m[VEC_LANES])
{
    for (int i = 0; i < VEC_LANES; i++)
        for (int j = 0; j < i; j++) {
            uint32_t a, b;
            memcpy(&a, &m[i].lane[j], sizeof a);
            memcpy(&b, &m[j].lane[i], sizeof b);
            memcpy(&m[i].lane[j], &b, sizeof b);
            memcpy(&m[j].lane[i], &a, sizeof a);
        }
}

/* Lane j of m[i] = the 32 bits of index i from row[j] + at on. */
static inline void vec_load_transposed(struct vec m[VEC_LANES], const char *const row[VEC_LANES],
                                       size_t at)
{
    for (int i = 0; i < VEC_LANES; i++)
        m[i] = vec_load(row[i] + at);
    vec_transpose(m);
}

#undef EACH_LANE
