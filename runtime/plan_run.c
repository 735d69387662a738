#include "runtime/plan_run.h"

#include "base/error.h"
#include "base/system.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/forward/forward.h"
#include "runtime/plan_broadcast.h"

size_t plan_models_max_bytes(const struct plan_models *models)
{
    size_t most = 0;
    for (int m = 0; m < PLAN_MODELS; m++) {
        const size_t n_bytes =
            models->limits[m].max_tokens ? plan_max_bytes(&models->limits[m]) : 0;
        most = n_bytes > most ? n_bytes : most;
    }
    return most;
}

bool plan_models_check(const struct plan_models *models, const struct step_plan *plan,
                       size_t n_bytes, int n_carried, struct step_view *view, struct error *err)
{
    /* The limits are chosen by a field that the check itself has not looked at yet. */
    const bool has_model = n_bytes >= sizeof *plan && plan->model > 0 && plan->model < PLAN_MODELS;
    const int model = has_model ? plan->model : PLAN_TARGET;
    if (models->limits[model].max_tokens == 0)
        return error_set(err, ERROR_PEER, "step plan: for model %d, which is not loaded", model);
    return plan_check(plan, n_bytes, &models->limits[model], n_carried, view, err);
}

static int64_t waited_ns(const struct ranks *ranks)
{
    return ranks->tp->spent.ns + ranks->world->spent.ns;
}

bool plan_models_run(const struct plan_models *models, const struct step_plan *plan,
                     const struct step_view *view, struct error *err)
{
    const struct ranks *ranks = models->ranks[plan->model];
    const int64_t begin_ns = clock_now_ns() - waited_ns(ranks);
    const bool good = forward_run(models->forward[plan->model], plan, view, err);
    if (plan->model == PLAN_TARGET)
        watchdog_set_work(ranks->watchdog, clock_now_ns() - waited_ns(ranks) - begin_ns);
    return good;
}

bool plan_models_collect(const struct plan_models *models, enum plan_model model,
                         struct step_result *result, struct error *err)
{
    return forward_collect(models->forward[model], result, err);
}

bool plan_models_pass_on(const struct plan_models *models, const struct step_plan *plan,
                         const struct step_view *view, struct error *err)
{
    return plan_pass_on(models->ranks[plan->model], plan, err) &&
           (!view_has_rows(view) || forward_pass_on(models->forward[plan->model], plan, err));
}
