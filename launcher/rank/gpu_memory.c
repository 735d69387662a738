#include "launcher/rank/gpu_memory.h"

#include "kernels/cuda_bytes.h"
#include "kernels/device.h"
#include "launcher/rank/compute.h"
#include "launcher/rank/models.h"
#include "parallel/comm_nccl.h"
#include "runtime/forward/forward.h"
#include "runtime/model/model.h"
#include "runtime/schedule/scheduler.h"

int64_t gpu_most_floats(const struct rank_models *m)
{
    int64_t most = 0;
    for (int i = 0; i < PLAN_MODELS; i++)
        if (m->folder[i] != NULL && m->config[i].hidden > most)
            most = m->config[i].hidden;
    return most * m->plan.limits[PLAN_TARGET].max_tokens;
}

/* The draft model is on the first stage. */
static int n_models_here(const struct rank_models *m, const struct ranks *ranks)
{
    return m->model[PLAN_DRAFT] != NULL && ranks->pp_stage == 0 ? PLAN_MODELS : 1;
}

static void limits_of(struct plan_limits out[PLAN_MODELS], const struct rank_models *m)
{
    out[PLAN_TARGET] = m->plan.limits[PLAN_TARGET];
    out[PLAN_DRAFT] = scheduler_draft_limits(&out[PLAN_TARGET]);
}

/* Sums gather their parts where they are exact; the stages of a pipeline make a second group. */
static int64_t communication_bytes(const struct rank_models *m, const struct ranks *ranks)
{
    const size_t most = (size_t)gpu_most_floats(m);
    size_t n_bytes = 0;
    if (ranks->tp_size > 1)
        n_bytes += comm_nccl_bytes(ranks->tp_size, !m->one_leaf, most);
    if (ranks->pp_stages > 1)
        n_bytes += comm_nccl_bytes(ranks->world_size, !m->one_leaf, most);
    return (int64_t)n_bytes;
}

struct gpu_bytes gpu_bytes_of(const struct rank_models *m, const struct ranks *ranks)
{
    struct plan_limits limits[PLAN_MODELS];
    struct gpu_bytes out = {0};
    if (!m->on_gpu)
        return out;
    limits_of(limits, m);
    for (int i = 0; i < n_models_here(m, ranks); i++) {
        const struct model *model = m->model[i];
        const struct step_needs needs = forward_needs(model, &limits[i]);
        const int64_t workspace = (int64_t)cuda_workspace_bytes(&needs);
        out.weights += (int64_t)model->device_bytes;
        out.activations += (int64_t)forward_activation_bytes(model, m->plan.ranks[i], &limits[i]);
        out.workspace = workspace > out.workspace ? workspace : out.workspace;
        if (m->plan.forward[i] != NULL)
            out.kv += (int64_t)forward_bytes(m->plan.forward[i]).kv;
    }
    out.communication = communication_bytes(m, ranks);
    return out;
}

int64_t gpu_pinned_bytes(const struct rank_models *m)
{
    struct plan_limits limits[PLAN_MODELS];
    int64_t n_bytes = 0;
    limits_of(limits, m);
    for (int i = 0; m->on_gpu && i < n_models_here(m, m->plan.ranks[PLAN_TARGET]); i++)
        n_bytes += (int64_t)forward_pinned_bytes(m->model[i], m->plan.ranks[i], &limits[i]);
    return n_bytes;
}

int64_t gpu_reserve_bytes(int64_t gpu_bytes)
{
    const int64_t most = 256 << 20, part = gpu_bytes / 64;
    return part < most ? part : most;
}

/* What is there already counts as it is: the weights, NCCL, and what other processes have. */
struct kv_room rank_kv_room(const struct rank_models *m, const struct options *options,
                            const struct rank_compute *compute, const struct ranks *ranks)
{
    size_t n_free, n_all;
    if (!m->on_gpu)
        return rank_kv_room_cpu(options, ranks->local_size);
    const struct gpu_bytes held = gpu_bytes_of(m, ranks);
    device_memory(compute->device, &n_free, &n_all);
    return rank_kv_room_gpu(options, (int64_t)n_all,
                            (int64_t)(n_all - n_free) + held.activations + held.workspace +
                                gpu_reserve_bytes((int64_t)n_all));
}
