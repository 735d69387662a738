/* tests/unit/runtime_forward/gpu_setup.h: what makes the ranks of a test have a GPU each. Whoever
 * links GPUs brings it: tests/unit/runtime_forward_cuda/gpus.h.
 */
#pragma once
#include "parallel/comm.h"

#include <stdbool.h>
#include <stddef.h>

struct device;
struct error;
struct model;
struct ranks;

struct gpu_setup {
    bool (*open)(struct device **out, const struct gpu_setup *gpu, int index, struct error *err);
    comm_open_gpu_fn *open_comm;
    bool fast, eager; /* --numerics fast, --enforce-eager */
};

/* The GPU of this rank, and its groups over it. most_floats: of a sum. */
bool gpu_setup_open(struct device **out, const struct gpu_setup *gpu, struct ranks *ranks,
                    size_t most_floats, struct error *err);
/* The weights of a model that was opened as one of a GPU. */
bool gpu_setup_load(struct model *model, struct device *device, struct error *err);
