/* kernels/cuda/pick_noise.cuh: Gumbel noise, a pure function of seed, position and token.
 *
 * runtime/sample/philox.c and pick.c have the same operations and say where they come from; the
 * bits are theirs.
 */
#pragma once
#include "kernels/cuda/math.cuh"

struct noise_key {
    uint32_t seed[2], position;
};

/* Philox 4x32-10: the random bits of the four tokens group * 4 .. */
static __device__ inline void noise_bits(uint32_t out[4], struct noise_key key, uint32_t group)
{
    uint32_t x0 = key.position, x1 = group, x2 = 0, x3 = 0; /* x2: the tag of a pick */
    uint32_t k0 = key.seed[0], k1 = key.seed[1];
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t product_0 = (uint64_t)0xD2511F53u * x0;
        const uint64_t product_1 = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(product_1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)product_1;
        x2 = (uint32_t)(product_0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)product_0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

/* -log(1 - w) for 0 < w <= 1/4 */
static __device__ inline float minus_log_one_minus(float w)
{
    float sum = 1.0f / 13;
#pragma unroll
    for (int n = 12; n >= 1; n--)
        sum = sum * w + 1.0f / (float)n;
    return sum * w;
}

static __device__ inline float gumbel(uint32_t bits)
{
    const float below = ((float)bits + 0.5f) * 0x1p-32f;
    const float above = ((float)~bits + 0.5f) * 0x1p-32f;
    const float exponential = above <= 0.25f ? minus_log_one_minus(above) : -gpu_log(below);
    return -gpu_log(exponential);
}

/* At least gumbel(bits), from the leading zeros of the complement alone; and at least any. */
static __device__ inline float gumbel_bound(uint32_t bits)
{
    return (float)(__clz((int)~bits) + 1) * 0x1.62e43p-1f + 0x1p-10f;
}

static __device__ inline float gumbel_most() { return gumbel_bound(0xffffffffu); }
