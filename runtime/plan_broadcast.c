#include "runtime/plan_broadcast.h"

#include "base/error.h"
#include "parallel/ranks.h"
#include "runtime/step_plan.h"

bool plan_broadcast(const struct ranks *ranks, struct step_plan *plan, struct error *err)
{
    struct comm *world = ranks->world;
    if (ranks->world_size == 1)
        return true;
    return world->ops->broadcast(world, plan, sizeof *plan, 0, true, err) &&
           world->ops->broadcast(world, plan + 1, plan->n_bytes - sizeof *plan, 0, false, err);
}

bool plan_receive(const struct ranks *ranks, struct step_plan *memory, size_t max_bytes,
                  struct error *err)
{
    struct comm *world = ranks->world;
    if (!world->ops->broadcast(world, memory, sizeof *memory, 0, true, err))
        return false;
    if (memory->n_bytes < sizeof *memory || memory->n_bytes > max_bytes)
        return error_set(err, ERROR_PEER, "step plan: %u bytes, want %zu to %zu",
                         (unsigned)memory->n_bytes, sizeof *memory, max_bytes);
    return world->ops->broadcast(world, memory + 1, memory->n_bytes - sizeof *memory, 0, false,
                                 err);
}
