#include "runtime/worker.h"

#include "base/error.h"
#include "base/memory.h"
#include "parallel/ranks.h"
#include "runtime/forward/forward.h"
#include "runtime/plan_broadcast.h"
#include "runtime/plan_run.h"
#include "runtime/rest.h"
#include "runtime/result_sender.h"

struct worker {
    const struct plan_models *models;
    const struct ranks *ranks;
    struct result_sender *sender; /* NULL: others have the rows */
    struct step_plan *plan;
    size_t max_bytes;
    uint64_t step; /* of the last plan */
    int n_carried; /* rows of it that the next one may refer to */
};

/* The first stage sees every plan; the others not those of the draft model. */
static bool check_step(const struct worker *w, struct error *err)
{
    const bool sees_all = w->ranks->pp_stage == 0;
    const uint64_t step = w->plan->step, next = w->step + 1;
    if (sees_all ? step == next : step >= next)
        return true;
    return error_set(err, ERROR_PEER, "step plan: of step %llu, want %llu%s",
                     (unsigned long long)step, (unsigned long long)next,
                     sees_all ? "" : " or a later one");
}

/* *stop when the plan says so. */
static bool run_plan(struct worker *w, bool *stop, struct error *err)
{
    struct step_view view;
    struct step_result result;
    const struct step_plan *plan = w->plan;
    if (!plan_models_check(w->models, plan, plan->n_bytes, w->n_carried, &view, err) ||
        !check_step(w, err))
        return false;
    w->n_carried = w->ranks->pp_stages == 1 ? plan_n_carried(plan, &view) : 0;
    *stop = view.stop;
    const bool has_rows = view_has_rows(&view);
    return (!has_rows || plan_models_run(w->models, plan, &view, err)) &&
           plan_models_pass_on(w->models, plan, &view, err) &&
           (view.rest == NULL || rest_run(w->models, (enum plan_rest) * view.rest, err)) &&
           (!has_rows || w->sender == NULL ||
            (plan_models_collect(w->models, PLAN_TARGET, &result, err) &&
             result_sender_run(w->sender, plan, &view, &result, err)));
}

static bool worker_step(struct worker *w, bool *stop, struct error *err)
{
    if (!plan_receive(w->ranks, w->plan, w->max_bytes, err))
        return error_in(err, "after step %llu", (unsigned long long)w->step);
    if (!run_plan(w, stop, err))
        return error_in(err, "step %llu", (unsigned long long)w->plan->step);
    w->step = w->plan->step;
    return true;
}

static bool sends_results(const struct ranks *ranks)
{
    return ranks->pp_stages > 1 && ranks->pp_stage == ranks->pp_stages - 1 && ranks->tp_rank == 0;
}

void worker_create(struct worker **out, const struct worker_settings *settings)
{
    const struct plan_models *models = settings->models;
    const struct row_picker_settings picker = {.device = settings->device,
                                               .limits = &models->limits[PLAN_TARGET],
                                               .processed_logprobs = settings->processed_logprobs};
    struct worker *w = memory_alloc(1, sizeof *w);
    *w = (struct worker){.models = models,
                         .ranks = models->ranks[PLAN_TARGET],
                         .max_bytes = plan_models_max_bytes(models)};
    if (sends_results(w->ranks))
        result_sender_create(&w->sender, w->ranks, &picker);
    w->plan = memory_alloc(1, w->max_bytes);
    *out = w;
}

void worker_destroy(struct worker *w)
{
    if (w == NULL)
        return;
    result_sender_destroy(w->sender);
    memory_free(w->plan);
    memory_free(w);
}

bool worker_run(struct worker *w, struct error *err)
{
    bool good = true, stop = false;
    while (good && !stop)
        good = worker_step(w, &stop, err);
    return good;
}
