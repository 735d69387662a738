#include "runtime/rest.h"

#include "base/error.h"
#include "parallel/ranks.h"
#include "runtime/forward/forward.h"
#include "runtime/model/model.h"
#include "runtime/plan_run.h"

static void lie_down(const struct plan_models *models, int m, enum plan_rest rest)
{
    forward_sleep(models->forward[m]);
    if (rest == PLAN_NO_WEIGHTS || models->model[m]->share.on_gpu)
        model_sleep(models->model[m]);
}

static bool get_up(const struct plan_models *models, int m, struct error *err)
{
    return model_wake(models->model[m], models->loading, err) &&
           forward_wake(models->forward[m], err);
}

bool rest_run(const struct plan_models *models, enum plan_rest rest, struct error *err)
{
    struct error mine = {0}, verdict;
    bool good = true;
    for (int m = 0; m < PLAN_MODELS; m++) {
        if (models->forward[m] == NULL)
            continue;
        if (rest != PLAN_AWAKE)
            lie_down(models, m, rest);
        else
            good = good && get_up(models, m, &mine);
    }
    if (!ranks_agree(models->ranks[PLAN_TARGET], good ? NULL : &mine, &verdict, err))
        return error_in(err, rest == PLAN_AWAKE ? "waking" : "going to sleep");
    if (verdict.kind == ERROR_NONE)
        return true;
    *err = verdict;
    err->kind = ERROR_PEER; /* ranks that are started again say what there is not enough of */
    return error_in(err, "waking");
}
