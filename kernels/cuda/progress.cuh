/* kernels/cuda/progress.cuh: for kernels that take progress on their way (progress.h). */
#pragma once
#include "kernels/cuda/gpu.cuh"
#include "kernels/cuda/progress.h"

/* After gpu_begin(), by all threads. */
static __device__ inline void progress_tell(const struct progress &progress)
{
    if (progress.reached != nullptr && blockIdx.x == 0 && threadIdx.x == 0)
        gpu_store_host(progress.reached, progress.value);
}
