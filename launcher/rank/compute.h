/* launcher/rank/compute.h: what a rank computes with: the threads of its CPUs, and with --device
 * cuda one GPU, that of its number on this host.
 *
 * The threads are there in both cases: they pick tokens, pool hidden states and read files.
 */
#pragma once
#include "kernels/cuda/cuda_settings.h"

#include <stdbool.h>
#include <stdint.h>

struct cuda_entry;
struct device;
struct error;
struct options;
struct ranks;
struct ranks_settings;

enum { COMPUTE_NAME_BYTES = 64 };

struct rank_compute {              /* all zero: nothing is open */
    const struct cuda_entry *gpu;  /* how to use one; NULL: this rank computes on CPUs */
    bool wants_gpu;                /* --device cuda, also where there is none */
    int n_gpus;                    /* that this process could use */
    bool exact;                    /* numerics; a CPU's always are */
    char name[COMPUTE_NAME_BYTES]; /* of the GPU; "": none */
    int64_t gpu_bytes;             /* all its memory; 0: none */
    char *algorithms;              /* file of the choices of cuBLASLt; NULL: none */
    struct device *host;
    struct device *device; /* where the model is: `host`, or a GPU */
};

/* What it is going to be, before the ranks find each other. With --device auto a GPU where one can
 * be used, else CPUs; what was chosen is a line of the log. ERROR_UNSUPPORTED: --device cuda, and
 * no GPU can be used, in words for users. */
bool rank_compute_choose(struct rank_compute *out, const struct options *options,
                         struct error *err);
/* ERROR_INPUT: this host has fewer GPUs than ranks (says both); as device_open_cpu() and
 * device_open_cuda(). */
bool rank_compute_open(struct rank_compute *compute, const struct options *options,
                       const struct ranks *ranks, int n_threads, int64_t spin_ns,
                       struct error *err);
/* Groups of ranks that have GPUs talk between those (ranks_use_gpu()); on CPUs nothing happens.
 * most_floats: of the largest sum. Collective; may fail on some ranks only. */
bool rank_compute_connect(const struct rank_compute *compute, struct ranks *ranks,
                          int64_t most_floats, struct error *err);
void rank_compute_close(struct rank_compute *compute);
