#include "runtime/plan_run.h"

#include "base/error.h"
#include "base/system.h"
#include "parallel/ranks.h"
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
                       size_t n_bytes, struct step_view *view, struct error *err)
{
    /* The limits are chosen by a field that the check itself has not looked at yet. */
    const bool has_model = n_bytes >= sizeof *plan && plan->model > 0 && plan->model < PLAN_MODELS;
    const int model = has_model ? plan->model : PLAN_TARGET;
    if (models->limits[model].max_tokens == 0)
        return error_set(err, ERROR_PEER, "step plan: for model %d, which is not loaded", model);
    return plan_check(plan, n_bytes, &models->limits[model], view, err);
}

/* Stages wait for each other while others compute, for a result or until a send is taken: at most
 * all plans in flight through all stages. How long that is nobody knows, but each knows how long
 * its own layers took at most; others may have a slower machine, one layer more, the vocabulary. */
static void set_patience(const struct ranks *ranks, int64_t took_ns)
{
    enum { TIMES_SLOWER = 4 };
    const int64_t patience_ns = TIMES_SLOWER * ranks->pp_stages * took_ns;
    if (ranks->pp_stages > 1 && patience_ns > ranks->world->patience_ns)
        ranks->world->patience_ns = patience_ns;
}

bool plan_models_run(const struct plan_models *models, const struct step_plan *plan,
                     const struct step_view *view, struct step_result *result, struct error *err)
{
    const int64_t begin = clock_now_ns();
    if (!forward_run(models->forward[plan->model], plan, view, result, err))
        return false;
    set_patience(models->ranks[plan->model], clock_now_ns() - begin);
    return true;
}

bool plan_models_pass_on(const struct plan_models *models, const struct step_plan *plan,
                         const struct step_view *view, struct error *err)
{
    return plan_pass_on(models->ranks[plan->model], plan, err) &&
           (view->stop || forward_pass_on(models->forward[plan->model], plan, err));
}
