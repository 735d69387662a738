#include "tests/unit/runtime_forward_cuda/gpus.h"

#include "kernels/cuda/cuda_device.h"
#include "parallel/comm_nccl.h"

#include <stdlib.h>

__attribute__((constructor)) static void have_gpus(void) { setenv("EMULATOR_DEVICES", "8", 0); }

static bool open_gpu(struct device **out, const struct gpu_setup *gpu, int index, struct error *err)
{
    return device_open_cuda(
        out, &(struct cuda_settings){.index = index, .exact = !gpu->fast, .graphs = !gpu->eager},
        err);
}

const struct gpu_setup exact_gpus = {.open = open_gpu, .open_comm = comm_open_nccl};
const struct gpu_setup eager_gpus = {.open = open_gpu, .open_comm = comm_open_nccl, .eager = true};
const struct gpu_setup fast_gpus = {.open = open_gpu, .open_comm = comm_open_nccl, .fast = true};
