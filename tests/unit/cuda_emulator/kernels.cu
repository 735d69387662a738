#include "kernels/cuda/gpu.cuh"
#include "tests/unit/cuda_emulator/kernels.h"

__global__ void reverse(struct reverse_args a)
{
    gpu_begin();
    SHARED(int, row, 256);
    row[threadIdx.x] = (int)threadIdx.x + (int)blockIdx.x;
    if (a.with_barrier)
        __syncthreads();
    a.out[blockIdx.x * blockDim.x + threadIdx.x] = row[blockDim.x - 1 - threadIdx.x];
}
extern "C" void start_reverse(const struct reverse_args *args, int n_blocks, int n_threads)
{
    emulated_launch("reverse", reverse, n_blocks, n_threads, 0, nullptr, *args);
}

__global__ void mma_many(struct mma_args a)
{
    gpu_begin();
    float d[4] = {0, 0, 0, 0};
    for (int i = 0; i < a.n; i++) {
        uint32_t x[4] = {gpu_bf16::pack(1.0f, 2.0f), 0x3f803f80u, 0x3f803f80u, 0x3f803f80u},
                 y[2] = {0x3f803f80u, 0x3f803f80u};
        gpu_mma(gpu_bf16(), d, x, y);
    }
    a.out[threadIdx.x] = gpu_warp_sum(d[0]);
}
extern "C" void start_mma(const struct mma_args *args, int n_blocks, int n_threads)
{
    emulated_launch("mma_many", mma_many, n_blocks, n_threads, 0, nullptr, *args);
}
