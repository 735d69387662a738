#include "tests/unit/cuda_emulator/gpu_array.h"

#include "tests/test.h"

#include <cuda_runtime_api.h>

void *gpu_bytes(size_t n_bytes)
{
    void *p;
    CHECK_EQ(cudaMalloc(&p, n_bytes), cudaSuccess);
    return p;
}

void *gpu_copy_of(const void *host, size_t n_bytes)
{
    void *p = gpu_bytes(n_bytes);
    CHECK_EQ(cudaMemcpy(p, host, n_bytes, cudaMemcpyHostToDevice), cudaSuccess);
    return p;
}

void gpu_read(void *host, const void *device, size_t n_bytes)
{
    CHECK_EQ(cudaMemcpy(host, device, n_bytes, cudaMemcpyDeviceToHost), cudaSuccess);
}

void gpu_take_home(void *host, void *device, size_t n_bytes)
{
    gpu_read(host, device, n_bytes);
    CHECK_EQ(cudaFree(device), cudaSuccess);
}
