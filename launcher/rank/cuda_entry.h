/* launcher/rank/cuda_entry.h: what the module of CUDA is asked by: one struct of functions.
 *
 * phalanx-cuda.so holds kernels/cuda, the communicator over NCCL and the libraries of NVIDIA. It
 * takes everything else from the program that loads it, so both must be of the same sources.
 */
#pragma once
#include "kernels/cuda/cuda_settings.h"
#include "parallel/comm.h"

#include <stddef.h>
#include <stdint.h>

struct device;

enum { CUDA_MAX_GPUS = 64, CUDA_NAME_BYTES = 64, CUDA_OLDEST_GPU = 80 };

struct cuda_gpu {
    char name[CUDA_NAME_BYTES]; /* "NVIDIA H100 80GB HBM3" */
    int architecture;           /* 90 is sm_90 */
    int64_t memory_bytes;
};

/* Versions as the libraries tell them: 13000 is CUDA 13.0, 22703 NCCL 2.27.3. */
struct cuda_about {
    int driver; /* the newest CUDA that it can run */
    int runtime, nccl;
    int64_t cublaslt;
    struct cuda_gpu gpu[CUDA_MAX_GPUS];
    int n_gpus;
};

struct cuda_entry {
    const char *build_id; /* build_id.h: compared before anything is called */
    /* cuda_settings.h */
    bool (*count_devices)(int *n, struct error *err);
    bool (*open_device)(struct device **out, const struct cuda_settings *settings,
                        struct error *err);
    const char *(*device_name)(const struct device *device); /* "NVIDIA H100 80GB HBM3" */
    /* comm_open_nccl() */
    comm_open_gpu_fn *open_comm;
    /* Of all GPUs that this process can use. ERROR_UNSUPPORTED as count_devices(). */
    bool (*about)(struct cuda_about *out, struct error *err);
};

/* The one symbol that the module exports, a const struct cuda_entry. */
#define CUDA_ENTRY_NAME "phalanx_cuda_entry"
