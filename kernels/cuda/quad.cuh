/* kernels/cuda/quad.cuh: four neighbours of a row at a time, in any format.
 *
 * `at` is a multiple of 4, `n` the elements of the row. What lies behind its end is neither read
 * nor written. `aligned`: rows begin at multiples of four elements in memory, and four of them are
 * one access; else they are four. Rows of weights always do (kernels/tensor.h).
 */
#pragma once
#include "kernels/cuda/gpu.cuh"

extern "C" {
#include "kernels/tensor.h"
}

enum { QUAD = 4 };

struct quad {
    float v[QUAD];
};

static __device__ inline struct quad quad_of(float x) { return {{x, x, x, x}}; }

/* `missing` stands behind the end. */
static __device__ inline struct quad quad_load(const float *row, int at, int n, bool aligned,
                                               float missing = 0.0f)
{
    if (aligned && at + QUAD <= n) {
        const float4 four = *reinterpret_cast<const float4 *>(row + at);
        return {{four.x, four.y, four.z, four.w}};
    }
    struct quad q;
    for (int e = 0; e < QUAD; e++)
        q.v[e] = at + e < n ? row[at + e] : missing;
    return q;
}

static __device__ inline void quad_store(float *row, int at, int n, bool aligned, struct quad q)
{
    if (aligned && at + QUAD <= n) {
        *reinterpret_cast<float4 *>(row + at) = make_float4(q.v[0], q.v[1], q.v[2], q.v[3]);
        return;
    }
    for (int e = 0; e < QUAD && at + e < n; e++)
        row[at + e] = q.v[e];
}

static __device__ inline float widen_16(uint32_t bits, enum dtype dtype)
{
    const uint16_t half = (uint16_t)bits;
    return dtype == DTYPE_BF16 ? gpu_bf16_f32(half) : gpu_f16_f32(half);
}

/* Of a row of a weight that begins at element `first` of it; zeros behind the end. */
static __device__ inline struct quad quad_load_weight(const struct weight &w, int64_t first, int at,
                                                      int n)
{
    if (w.dtype == DTYPE_F32)
        return quad_load(static_cast<const float *>(w.data) + first, at, n, true);
    const uint16_t *row = static_cast<const uint16_t *>(w.data) + first;
    struct quad q;
    if (at + QUAD <= n) {
        const uint2 bits = *reinterpret_cast<const uint2 *>(row + at);
        q.v[0] = widen_16(bits.x, w.dtype);
        q.v[1] = widen_16(bits.x >> 16, w.dtype);
        q.v[2] = widen_16(bits.y, w.dtype);
        q.v[3] = widen_16(bits.y >> 16, w.dtype);
        return q;
    }
    for (int e = 0; e < QUAD; e++)
        q.v[e] = at + e < n ? widen_16(row[at + e], w.dtype) : 0.0f;
    return q;
}

/* Rounded to F32, BF16 or F16. */
static __device__ inline void quad_store_as(void *data, enum dtype dtype, int64_t first, int at,
                                            int n, bool aligned, struct quad q)
{
    if (dtype == DTYPE_F32) {
        quad_store(static_cast<float *>(data) + first, at, n, aligned, q);
        return;
    }
    uint16_t *row = static_cast<uint16_t *>(data) + first;
    const bool bf16_wanted = dtype == DTYPE_BF16;
    const uint32_t low =
        bf16_wanted ? gpu_bf16::pack(q.v[0], q.v[1]) : gpu_f16::pack(q.v[0], q.v[1]);
    const uint32_t high =
        bf16_wanted ? gpu_bf16::pack(q.v[2], q.v[3]) : gpu_f16::pack(q.v[2], q.v[3]);
    if (aligned && at + QUAD <= n) {
        *reinterpret_cast<uint2 *>(row + at) = make_uint2(low, high);
        return;
    }
    const uint16_t bits[QUAD] = {(uint16_t)low, (uint16_t)(low >> 16), (uint16_t)high,
                                 (uint16_t)(high >> 16)};
    for (int e = 0; e < QUAD && at + e < n; e++)
        row[at + e] = bits[e];
}

/* ---- of the host, for its `aligned` ---- */

/* Rows of float32 at `row_stride` elements from each other. */
static inline bool quad_rows_aligned(const void *first, int64_t row_stride)
{
    return (uintptr_t)first % (QUAD * sizeof(float)) == 0 && row_stride % QUAD == 0;
}

static inline unsigned divide_up(int64_t n, int64_t by) { return (unsigned)((n + by - 1) / by); }
