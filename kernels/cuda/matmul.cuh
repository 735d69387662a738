/* kernels/cuda/matmul.cuh: what the kernels of the matmul share. */
#pragma once
#include "kernels/cuda/gpu.cuh"
#include "kernels/cuda/matmul.h"

/* Number i of an array in any format of a weight. */
static __device__ inline float number_of(const void *data, enum dtype dtype, int64_t i)
{
    if (dtype == DTYPE_BF16)
        return gpu_bf16_f32(static_cast<const uint16_t *>(data)[i]);
    if (dtype == DTYPE_F16)
        return gpu_f16_f32(static_cast<const uint16_t *>(data)[i]);
    return static_cast<const float *>(data)[i];
}

static __device__ inline float bias_of(const struct matmul_job &job, int o)
{
    return number_of(job.bias, job.bias_dtype, o);
}

static __device__ inline float *out_at(const struct matmul_job &job, int part, int t, int o)
{
    return job.out + ((int64_t)part * job.n_tokens + t) * job.out_stride + o;
}

/* A product over a block of 32 elements of K, the two links of the order in matmul.h:
 * d += A[16 outputs] B[8 tokens]. low and high are the 16 bytes of this lane of rows g and g + 8 of
 * A, x those of column g of B. */
struct weight_block {
    uint32_t link[2][4];
};

static __device__ inline struct weight_block weight_block_of(const uint4 &low, const uint4 &high,
                                                             uint32_t zero)
{
    const uint32_t words[2][4] = {{low.x, high.x, low.y, high.y}, {low.z, high.z, low.w, high.w}};
    struct weight_block block;
#pragma unroll
    for (int i = 0; i < 8; i++)
        block.link[i / 4][i % 4] = gpu_computed(words[i / 4][i % 4], zero);
    return block;
}

template <class Format>
static __device__ inline void multiply_link(float d[4], const struct weight_block &block,
                                            const uint4 &x, int s)
{
    const uint32_t b[2][2] = {{x.x, x.y}, {x.z, x.w}};
    gpu_mma(Format(), d, block.link[s], b[s]);
}
