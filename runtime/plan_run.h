/* runtime/plan_run.h: one plan on all ranks, the models it may be for, and who runs it.
 *
 * A plan says by its `model` whether the target or the draft model runs it. Both have limits of
 * their own, because a step of the draft model has other rows.
 */
#pragma once
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stddef.h>

struct error;
struct forward;
struct plan_recorder;
struct ranks;
struct step_result;

/* What a rank can run; all borrowed. Of a model that is not there, forward is NULL. */
struct plan_models {
    struct forward *forward[PLAN_MODELS];   /* created with */
    struct plan_limits limits[PLAN_MODELS]; /* these, */
    const struct ranks *ranks[PLAN_MODELS]; /* on these: all, or those of the first stage */
};

/* Room for any plan of the job. */
size_t plan_models_max_bytes(const struct plan_models *models);
/* plan_check() by the limits of the plan's own model. ERROR_PEER also when it is not there. */
bool plan_models_check(const struct plan_models *models, const struct step_plan *plan,
                       size_t n_bytes, struct step_view *view, struct error *err);
/* This rank's part of a checked plan. */
bool plan_models_run(const struct plan_models *models, const struct step_plan *plan,
                     const struct step_view *view, struct step_result *result, struct error *err);

/* Rank 0: checks a plan, records it (recorder: NULL for nothing), sends it to the other ranks, and
 * runs it; a stop is only sent. Allocates nothing. Errors name the step. */
bool plan_run(const struct plan_models *models, const struct ranks *ranks,
              struct plan_recorder *recorder, struct step_plan *plan, struct step_result *result,
              struct error *err);
