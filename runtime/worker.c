#include "runtime/worker.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/forward/forward.h"
#include "runtime/plan_broadcast.h"
#include "runtime/plan_run.h"

/* One step; *stop when the plan says so. */
static bool worker_step(const struct ranks *ranks, const struct plan_models *models,
                        struct step_plan *plan, size_t max_bytes, uint64_t step, bool *stop,
                        struct error *err)
{
    struct step_view view;
    struct step_result result; /* rank 0 has them */
    if (!plan_receive(ranks, plan, max_bytes, err) ||
        !plan_models_check(models, plan, plan->n_bytes, &view, err))
        return false;
    if (plan->step != step)
        return error_set(err, ERROR_PEER, "step plan: of step %llu, want %llu",
                         (unsigned long long)plan->step, (unsigned long long)step);
    *stop = view.stop;
    return view.stop || plan_models_run(models, plan, &view, &result, err);
}

bool worker_run(const struct ranks *ranks, const struct plan_models *models, struct error *err)
{
    const size_t max_bytes = plan_models_max_bytes(models);
    struct step_plan *plan = memory_alloc(1, max_bytes);
    bool good = true, stop = false;
    for (uint64_t step = 1; good && !stop; step++)
        good = worker_step(ranks, models, plan, max_bytes, step, &stop, err) ||
               error_in(err, "step %llu", (unsigned long long)step);
    memory_free(plan);
    return good;
}
