#include "runtime/plan_broadcast.h"

#include "base/error.h"
#include "parallel/ranks.h"
#include "runtime/step_plan.h"

bool plan_broadcast(const struct ranks *ranks, struct step_plan *plan, struct error *err)
{
    struct comm *tp = ranks->tp;
    if (ranks->tp_size == 1)
        return true;
    return comm_broadcast(tp, plan, sizeof *plan, 0, true, err) &&
           comm_broadcast(tp, plan + 1, plan->n_bytes - sizeof *plan, 0, false, err);
}

bool plan_pass_on(const struct ranks *ranks, const struct step_plan *plan, struct error *err)
{
    struct comm *world = ranks->world;
    const int to = ranks_in_next_stage(ranks);
    if (ranks->pp_stage + 1 >= ranks->pp_stages)
        return true;
    return (comm_send(world, NULL, plan, sizeof *plan, to, err) &&
            comm_send(world, NULL, plan + 1, plan->n_bytes - sizeof *plan, to, err)) ||
           error_in(err, "a plan for stage %d", ranks->pp_stage + 1);
}

/* The header, or the rest: from rank 0 of the first stage, later from the stage before. */
static bool receive(const struct ranks *ranks, void *bytes, size_t n_bytes, bool idle,
                    struct error *err)
{
    struct comm *world = ranks->world, *tp = ranks->tp;
    if (ranks->pp_stage == 0)
        return comm_broadcast(tp, bytes, n_bytes, 0, idle, err);
    return comm_receive(world, NULL, bytes, n_bytes, ranks_in_previous_stage(ranks), idle, err);
}

bool plan_receive(const struct ranks *ranks, struct step_plan *memory, size_t max_bytes,
                  struct error *err)
{
    if (!receive(ranks, memory, sizeof *memory, true, err))
        return false;
    if (memory->n_bytes < sizeof *memory || memory->n_bytes > max_bytes)
        return error_set(err, ERROR_PEER, "step plan: %u bytes, want %zu to %zu",
                         (unsigned)memory->n_bytes, sizeof *memory, max_bytes);
    return receive(ranks, memory + 1, memory->n_bytes - sizeof *memory, false, err);
}
