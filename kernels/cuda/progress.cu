/* One thread that writes one number. */
#include "kernels/cuda/progress.cuh"

extern "C" {
#include "kernels/cuda/cuda_state.h"
}

namespace
{

__global__ void progress_alone(struct progress progress)
{
    gpu_begin();
    progress_tell(progress);
}

} // namespace

void cuda_progress(struct device *device, struct progress progress)
{
    gpu_launch(device, "progress", progress_alone, dim3(1), dim3(1), 0, progress);
}

void cuda_progress_next(struct device *device, struct progress progress)
{
    cuda_of(device)->progress = progress;
}

struct progress cuda_progress_take(struct device *device)
{
    const struct progress progress = cuda_of(device)->progress;
    cuda_of(device)->progress = {};
    return progress;
}
