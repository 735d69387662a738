/* What the next kernel tells is kept in the device until it is started. */
#include "kernels/cuda/progress.h"

#include "kernels/cuda/cuda_state.h"

void cuda_progress_next(struct device *device, struct progress progress)
{
    cuda_of(device)->progress = progress;
}

struct progress cuda_progress_take(struct device *device)
{
    const struct progress progress = cuda_of(device)->progress;
    cuda_of(device)->progress = (struct progress){0};
    return progress;
}
