#include "tests/unit/runtime_forward/gpu_setup.h"

#include "base/team.h"
#include "parallel/ranks.h"
#include "runtime/model/device_weights.h"

bool gpu_setup_open(struct device **out, const struct gpu_setup *gpu, struct ranks *ranks,
                    size_t most_floats, struct error *err)
{
    return gpu->open(out, gpu, ranks->world_rank, err) &&
           ranks_use_gpu(ranks,
                         &(struct ranks_gpu){.device = *out,
                                             .open = gpu->open_comm,
                                             .most_floats = most_floats,
                                             .exact = !gpu->fast},
                         err);
}

bool gpu_setup_load(struct model *model, struct device *device, struct error *err)
{
    struct team *readers;
    if (!team_create(&readers, 1, 0, NULL, err))
        return false;
    const bool good =
        model_to_device(model, &(struct device_loading){.device = device, .readers = readers}, err);
    team_destroy(readers);
    return good;
}
