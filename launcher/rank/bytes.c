#include "launcher/rank/bytes.h"

#include "base/memory.h"
#include "base/team.h"
#include "kernels/device.h"
#include "launcher/rank/compute.h"
#include "launcher/rank/gpu_memory.h"
#include "launcher/rank/models.h"
#include "runtime/forward/forward.h"
#include "runtime/model/model.h"

#include <stdio.h>

static void count_model(struct rank_bytes *out, const struct model *model)
{
    out->mapped += (int64_t)model->mapped_bytes;
    out->copied += (int64_t)model->copied_bytes;
}

static void count_forward(struct rank_bytes *out, const struct forward *forward)
{
    const struct forward_bytes held = forward_bytes(forward);
    out->kv += (int64_t)held.kv;
    out->activations += (int64_t)held.activations;
}

/* `tables` is what is left: so nothing that was allocated is left out. Pinned memory is the
 * device's to count. */
struct rank_bytes rank_bytes_now(const struct rank_models *models,
                                 const struct rank_compute *compute, int64_t communication,
                                 int64_t shared)
{
    const struct memory_account account = memory_account();
    const struct device *host = compute->host;
    struct rank_bytes out = {.communication = communication};
    for (int i = 0; i < PLAN_MODELS; i++) {
        if (models->model[i] != NULL)
            count_model(&out, models->model[i]);
        if (models->plan.forward[i] != NULL && !models->on_gpu)
            count_forward(&out, models->plan.forward[i]);
    }
    out.gpu = gpu_bytes_of(models, models->plan.ranks[PLAN_TARGET]);
    out.pinned = gpu_pinned_bytes(models);
    out.threads = team_size(host->team) * (int64_t)host->scratch_bytes;
    out.tables = account.allocated + account.mapped + shared + out.mapped + out.pinned -
                 rank_bytes_total(&out);
    return out;
}

int64_t rank_bytes_weights(const struct rank_bytes *bytes) { return bytes->mapped + bytes->copied; }

int64_t rank_bytes_total(const struct rank_bytes *bytes)
{
    return rank_bytes_weights(bytes) + bytes->kv + bytes->activations + bytes->communication +
           bytes->threads + bytes->pinned + bytes->tables;
}

int64_t gpu_bytes_total(const struct gpu_bytes *bytes)
{
    return bytes->weights + bytes->kv + bytes->activations + bytes->workspace +
           bytes->communication;
}
