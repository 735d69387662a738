/* kernels/cpu/row_parts.inc.h: what the kernels of rows share. Include one of vec_*.inc.h first.
 *
 * Operands are written in groups of 16 tokens, because a cache line of theirs holds a pair of
 * each: one item is one group, unless there are fewer groups than threads (decoding), where it is
 * one token. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/operand.inc.h"
#include "kernels/device.h"

static inline int min_of(int a, int b) { return a < b ? a : b; }

/* The first n of 16 lanes; zeros in the others, whose memory is not read. */
static inline struct vec load_part(const float *p, int n)
{
    if (n >= VEC_LANES)
        return vec_load(p);
    float part[VEC_LANES] = {0};
    memcpy(part, p, (size_t)n * sizeof *p);
    return vec_load(part);
}

static inline void store_part(float *p, struct vec a, int n)
{
    if (n >= VEC_LANES) {
        vec_store(p, a);
        return;
    }
    float part[VEC_LANES];
    vec_store(part, a);
    memcpy(p, part, (size_t)n * sizeof *p);
}

/* The first n lanes to elements at, at + 1, ... of `p`. */
static inline void store_as(void *p, enum dtype dtype, size_t at, struct vec a, int n)
{
    if (dtype == DTYPE_F32) {
        store_part((float *)p + at, a, n);
        return;
    }
    bf16 rounded[VEC_LANES];
    vec_store_bf16(rounded, a);
    memcpy((bf16 *)p + at, rounded, (size_t)min_of(n, VEC_LANES) * sizeof *rounded);
}

/* Elements at .. at + n - 1 as float32; exact. */
static inline void widen(float *out, const struct weight *w, int64_t at, int n)
{
    int i = 0;
    switch (w->dtype) {
    case DTYPE_BF16:
        for (const bf16 *p = (const bf16 *)w->data + at; i + VEC_LANES <= n; i += VEC_LANES)
            vec_store(out + i, vec_load_bf16(p + i));
        for (const bf16 *p = (const bf16 *)w->data + at; i < n; i++)
            out[i] = bf16_to_f32(p[i]);
        break;
    case DTYPE_F16:
        for (const uint16_t *p = (const uint16_t *)w->data + at; i < n; i++)
            out[i] = f16_to_f32(p[i]);
        break;
    case DTYPE_F32:
    default:
        memcpy(out, (const float *)w->data + at, (size_t)n * sizeof *out);
    }
}

/* Up to 16 elements from `at` on, of which n are left; zeros in the other lanes. */
static inline struct vec widen_part(const struct weight *w, int64_t at, int n)
{
    float part[VEC_LANES] = {0};
    widen(part, w, at, min_of(n, VEC_LANES));
    return vec_load(part);
}

/* 1 / sqrt(mean + eps) of n numbers, from the 16 lanes of the sum of their squares */
static inline float rms_of(struct vec squares, int n, float eps)
{
    return 1.0f / sqrtf(vec_sum(squares) / (float)n + eps);
}

/* ---- work on groups of tokens ---- */

struct groups {
    const void *args;
    int n_tokens, tokens_per_item, items; /* items over the tokens */
};

static inline struct groups groups_make(const struct device *device, const void *args, int n_tokens)
{
    const int n_groups = (n_tokens + TOKEN_GROUP - 1) / TOKEN_GROUP;
    const int per_item = n_groups < team_size(device->team) ? 1 : TOKEN_GROUP;
    return (struct groups){.args = args,
                           .n_tokens = n_tokens,
                           .tokens_per_item = per_item,
                           .items = (n_tokens + per_item - 1) / per_item};
}
