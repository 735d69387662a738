#include "runtime/worker.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/forward/forward.h"
#include "runtime/plan_broadcast.h"

/* One step; *stop when the plan says so. */
static bool worker_step(const struct ranks *ranks, struct forward *forward,
                        const struct plan_limits *limits, struct step_plan *plan, uint64_t step,
                        bool *stop, struct error *err)
{
    struct step_view view;
    struct step_result result; /* rank 0 has them */
    if (!plan_receive(ranks, plan, plan_max_bytes(limits), err) ||
        !plan_check(plan, plan->n_bytes, limits, &view, err))
        return false;
    if (plan->step != step)
        return error_set(err, ERROR_PEER, "step plan: of step %llu, want %llu",
                         (unsigned long long)plan->step, (unsigned long long)step);
    *stop = view.stop;
    return view.stop || forward_run(forward, plan, &view, &result, err);
}

bool worker_run(const struct ranks *ranks, struct forward *forward,
                const struct plan_limits *limits, struct error *err)
{
    struct step_plan *plan = memory_alloc(1, plan_max_bytes(limits));
    bool good = true, stop = false;
    for (uint64_t step = 1; good && !stop; step++)
        good = worker_step(ranks, forward, limits, plan, step, &stop, err) ||
               error_in(err, "step %llu", (unsigned long long)step);
    memory_free(plan);
    return good;
}
