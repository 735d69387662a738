#include "launcher/rank/bytes.h"

#include "base/memory.h"
#include "base/team.h"
#include "kernels/device.h"
#include "launcher/rank/models.h"
#include "runtime/forward/forward.h"
#include "runtime/model/model.h"

#include <stdio.h>

/* `tables` is what is left: so nothing that was allocated is left out. */
struct rank_bytes rank_bytes_now(const struct rank_models *models, const struct device *device,
                                 int64_t communication, int64_t shared)
{
    const struct memory_account account = memory_account();
    struct rank_bytes out = {.communication = communication};
    for (int i = 0; i < PLAN_MODELS; i++) {
        if (models->model[i] != NULL) {
            out.mapped += (int64_t)models->model[i]->mapped_bytes;
            out.copied += (int64_t)models->model[i]->copied_bytes;
        }
        if (models->plan.forward[i] != NULL) {
            const struct forward_bytes held = forward_bytes(models->plan.forward[i]);
            out.kv += (int64_t)held.kv;
            out.activations += (int64_t)held.activations;
        }
    }
    out.threads = team_size(device->team) * (int64_t)device->scratch_bytes;
    out.tables = account.allocated + account.mapped + shared + out.mapped - rank_bytes_total(&out);
    return out;
}

int64_t rank_bytes_weights(const struct rank_bytes *bytes) { return bytes->mapped + bytes->copied; }

int64_t rank_bytes_total(const struct rank_bytes *bytes)
{
    return rank_bytes_weights(bytes) + bytes->kv + bytes->activations + bytes->communication +
           bytes->threads + bytes->tables;
}

const char *bytes_text(char text[BYTES_TEXT], int64_t n_bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)n_bytes;
    int unit = 0;
    for (; value >= 999.5; unit++)
        value /= 1000;
    const int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    if (n_bytes == 0)
        snprintf(text, BYTES_TEXT, "0");
    else
        snprintf(text, BYTES_TEXT, "%.*f %s", digits, value, units[unit]);
    return text;
}
