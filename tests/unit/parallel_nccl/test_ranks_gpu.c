/* The groups of ranks with GPUs, in every layout, as threads. */
#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "parallel/comm_nccl.h"
#include "parallel/ranks.h"
#include "tests/test.h"
#include "tests/unit/parallel/comm_cases.h"
#include "tests/unit/parallel/threads.h"

#include <string.h>
#include <sys/mman.h>

struct layout {
    void *memory;
    struct ranks_settings settings;
};

static bool is_over(const struct comm *comm, const char *name, struct error *err)
{
    return strcmp(comm->ops->name, name) == 0 ||
           error_set(err, ERROR_INPUT, "over %s, want %s", comm->ops->name, name);
}

/* Adds up 1 + the world rank in each stage, hands it from stage to stage, and compares. */
static bool sum_and_pass_on(const struct ranks *ranks, struct device *device, struct error *err)
{
    void *x;
    float host[8], got[8];
    const int tp = ranks->tp_size;
    for (int i = 0; i < 8; i++)
        host[i] = (float)(1 + ranks->world_rank);
    if (!device_alloc(device, &x, sizeof host, err))
        return false;
    device_upload(device, x, host, sizeof host);
    bool good = comm_tree_reduce(ranks->tp, device, x, x, tp, 8, err);
    if (good && ranks->pp_stage > 0)
        good = comm_receive(ranks->world, device, x, sizeof host, ranks_in_previous_stage(ranks),
                            false, err);
    if (good && ranks->pp_stage < ranks->pp_stages - 1)
        good = comm_send(ranks->world, device, x, sizeof host, ranks_in_next_stage(ranks), err);
    device_download(device, got, x, sizeof got);
    good = good && device_sync(device, err);
    device_free(device, x, sizeof host);
    const float want = (float)(tp * (tp + 1) / 2); /* of the first stage */
    return good && (got[7] == want ||
                    error_set(err, ERROR_INPUT, "%g, want %g", (double)got[7], (double)want));
}

static bool use_gpu(struct ranks *ranks, struct device *device, struct error *err)
{
    const struct ranks_gpu gpu = {
        .device = device, .open = comm_open_nccl, .most_floats = 100, .exact = true};
    if (!ranks_use_gpu(ranks, &gpu, err) ||
        !is_over(ranks->tp, ranks->tp_size > 1 ? "nccl" : "self", err) ||
        (ranks->pp_stages > 1 && !is_over(ranks->world, "nccl", err)))
        return false;
    for (int i = 0; i < 3; i++)
        if (!sum_and_pass_on(ranks, device, err))
            return false;
    return case_mixture(ranks->world, err) && case_mixture(ranks->tp, err);
}

static bool layout_rank(void *context, int rank, struct error *err)
{
    const struct layout *layout = context;
    const struct cuda_settings settings = {.index = rank, .exact = true};
    struct ranks ranks;
    struct device *device = NULL;
    if (!ranks_open_threads(&ranks, layout->memory, rank, &layout->settings, err))
        return false;
    const char *before = ranks.tp->ops->name;
    bool good = device_open_cuda(&device, &settings, err) && use_gpu(&ranks, device, err);
    ranks_leave_gpu(&ranks);
    device_close(device);
    good = good && is_over(ranks.tp, before, err) && case_mixture(ranks.world, err);
    ranks_close(&ranks, !good);
    return good;
}

static void check_layout(int tp_size, int pp_stages)
{
    const size_t n_bytes = ranks_threads_bytes(tp_size, pp_stages);
    struct layout layout = {
        .memory = shared_memory_map(n_bytes),
        .settings = {.tp_size = tp_size,
                     .pp_stages = pp_stages,
                     .comm = "auto",
                     .gpus = true,
                     .settings = {.deadline_ns = (int64_t)60 * 1000 * 1000 * 1000}},
    };
    check_ranks(tp_size * pp_stages, layout_rank, &layout);
    munmap(layout.memory, n_bytes);
}

TEST(a_gpu_alone_needs_no_nccl) { check_layout(1, 1); }
TEST(gpus_of_a_stage_sum_over_nccl) { check_layout(3, 1); }
TEST(stages_of_one_gpu_pass_on_over_nccl) { check_layout(1, 3); }
TEST(stages_of_gpus_sum_and_pass_on_over_nccl) { check_layout(2, 2); }
