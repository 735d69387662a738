/* kernels/cuda/math.cuh: exp, tanh, log, sin and cos of docs/numerics.md on a GPU.
 *
 * The operations of kernels/math.h and kernels/cpu/exp.inc.h in their order, so the bits are those
 * of the CPU; there is where the coefficients come from. log, sin and cos are float64 rounded
 * once, as there.
 */
#pragma once
#include "kernels/cuda/gpu.cuh"

#include <math.h>

static __device__ inline float gpu_exp(float x)
{
    const float lowest = -87.33f, highest = 88.72f, whole = 0x1.8p23f;
    const float above = x > lowest ? x : lowest;
    const float inside = above < highest ? above : highest;

    const float steps = fmaf(inside, 0x1.715476p0f, whole);
    const float minus_n = whole - steps;
    const float r = fmaf(minus_n, -0x1.05c61p-29f, fmaf(minus_n, 0x1.62e43p-1f, inside));

    float p = 0x1.6d1116p-10f;
    p = fmaf(p, r, 0x1.120b7cp-7f);
    p = fmaf(p, r, 0x1.55551ap-5f);
    p = fmaf(p, r, 0x1.5554dcp-3f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    p = gpu_bits_f32(gpu_f32_bits(p) + (gpu_f32_bits(steps) << 23));

    p = x < lowest ? 0.0f : p;
    p = highest < x ? INFINITY : p;
    return x != x ? x : p;
}

static __device__ inline float gpu_tanh(float x)
{
    const float size = x > 0.0f - x ? x : 0.0f - x;
    float far = 1.0f - 2.0f / (gpu_exp(size + size) + 1.0f);
    far = x < 0.0f ? 0.0f - far : far;

    const float z = x * x;
    float q = 0x1.2c83cp-9f;
    q = fmaf(q, z, -0x1.116a16p-7f);
    q = fmaf(q, z, 0x1.64a976p-6f);
    q = fmaf(q, z, -0x1.ba08c4p-5f);
    q = fmaf(q, z, 0x1.1110eap-3f);
    q = fmaf(q, z, -0x1.555556p-2f);
    const float cube = x * z;
    const float near = 0.0f < size ? fmaf(cube, q, x) : cube; /* -0 stays -0 */
    return size < 0.625f ? near : far;
}

static __device__ inline float gpu_log(float x)
{
    if (!(x > 0.0f))
        return x < 0.0f ? gpu_bits_f32(0x7fc00000u) : x == 0.0f ? -INFINITY : x;
    if (x == INFINITY)
        return x;
    const int32_t root_half = 0x3f3504f3;
    int32_t bits = (int32_t)gpu_f32_bits(x);
    const int32_t n = (bits - root_half) >> 23;
    bits -= (int32_t)((uint32_t)n << 23);
    const double m = (double)gpu_bits_f32((uint32_t)bits);

    const double s = (m - 1.0) / (m + 1.0), s2 = s * s;
    double p = 1.0 / 11;
    p = p * s2 + 1.0 / 9;
    p = p * s2 + 1.0 / 7;
    p = p * s2 + 1.0 / 5;
    p = p * s2 + 1.0 / 3;
    p = p * s2 + 1.0;
    return (float)(n * 0x1.62e42fefa39efp-1 + 2.0 * s * p);
}

static __device__ inline void gpu_sincos(float x, float *sin, float *cos)
{
    const double whole = 0x1.8p52;
    const double steps = (double)x * 0x1.45f306dc9c883p-1 + whole;
    const double n = steps - whole;
    const double r = ((double)x - n * 0x1.921fb54p+0) - n * 0x1.10b4611a62633p-30;
    const double r2 = r * r;

    double s = -1.0 / 39916800;
    s = s * r2 + 1.0 / 362880;
    s = s * r2 - 1.0 / 5040;
    s = s * r2 + 1.0 / 120;
    s = s * r2 - 1.0 / 6;
    s = r + r * r2 * s;
    double c = -1.0 / 3628800;
    c = c * r2 + 1.0 / 40320;
    c = c * r2 - 1.0 / 720;
    c = c * r2 + 1.0 / 24;
    c = c * r2 - 1.0 / 2;
    c = 1.0 + r2 * c;

    uint64_t quadrant; /* the low bits of n, also of a negative one */
    memcpy(&quadrant, &steps, sizeof quadrant);
    const double by_sin = quadrant & 1 ? c : s, by_cos = quadrant & 1 ? s : c;
    *sin = (float)(quadrant & 2 ? -by_sin : by_sin);
    *cos = (float)((quadrant + 1) & 2 ? -by_cos : by_cos);
}
