/* kernels/cpu/part.inc.h: 16 lanes where fewer numbers are left. Include one of vec_*.inc.h first.
 */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "kernels/tensor.h"

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
