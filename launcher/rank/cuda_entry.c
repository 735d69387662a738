/* Inside the module phalanx-cuda.so: its only export. */
#include "launcher/rank/cuda_entry.h"

#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "launcher/rank/build_id.h"
#include "parallel/comm_nccl.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <nccl.h>
#include <stdio.h>

static void look_at(struct cuda_gpu *out, int index)
{
    struct cudaDeviceProp properties = {0};
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess)
        return;
    snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof out->name - 1, properties.name);
    out->architecture = 10 * properties.major + properties.minor;
    out->memory_bytes = (int64_t)properties.totalGlobalMem;
}

static bool about(struct cuda_about *out, struct error *err)
{
    *out = (struct cuda_about){.cublaslt = (int64_t)cublasLtGetVersion()};
    (void)cudaRuntimeGetVersion(&out->runtime); /* what is not told stays 0 */
    (void)cudaDriverGetVersion(&out->driver);
    (void)ncclGetVersion(&out->nccl);
    if (!cuda_count_devices(&out->n_gpus, err))
        return false;
    if (out->n_gpus > CUDA_MAX_GPUS)
        out->n_gpus = CUDA_MAX_GPUS;
    for (int i = 0; i < out->n_gpus; i++)
        look_at(&out->gpu[i], i);
    return true;
}

extern const struct cuda_entry phalanx_cuda_entry;
__attribute__((visibility("default"))) const struct cuda_entry phalanx_cuda_entry = {
    .build_id = build_id,
    .count_devices = cuda_count_devices,
    .open_device = device_open_cuda,
    .device_name = cuda_name,
    .open_comm = comm_open_nccl,
    .about = about,
};
