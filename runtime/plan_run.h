/* runtime/plan_run.h: the models that a plan may be for, and a rank's part of running it.
 *
 * A plan says by its `model` whether the target or the draft model runs it. Both have limits of
 * their own, because a step of the draft model has other rows, and ranks of their own, because the
 * draft model is whole on the first stage of a pipeline.
 */
#pragma once
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stddef.h>

struct device_loading;
struct error;
struct forward;
struct model;
struct ranks;
struct step_result;

/* What a rank can run; all borrowed. Of a model that is not there, forward is NULL. */
struct plan_models {
    struct forward *forward[PLAN_MODELS];   /* created with */
    struct plan_limits limits[PLAN_MODELS]; /* these, */
    const struct ranks *ranks[PLAN_MODELS]; /* on these: all, or those of the first stage */
    int hidden_size[PLAN_MODELS];           /* of a row of hidden states */
    struct model *model[PLAN_MODELS];       /* that forward is of: who sleeps (rest.h) */
    const struct device_loading *loading;   /* how a GPU gets its weights; NULL: on CPUs */
};

/* Room for any plan of the job. */
size_t plan_models_max_bytes(const struct plan_models *models);
/* plan_check() by the limits of the plan's own model. ERROR_PEER also when it is not there. */
bool plan_models_check(const struct plan_models *models, const struct step_plan *plan,
                       size_t n_bytes, int n_carried, struct step_view *view, struct error *err);
/* This rank's part of a checked plan, and (on the rank that has it) what the oldest one gave that
 * was run: forward_run(), forward_collect(). */
bool plan_models_run(const struct plan_models *models, const struct step_plan *plan,
                     const struct step_view *view, struct error *err);
bool plan_models_collect(const struct plan_models *models, enum plan_model model,
                         struct step_result *result, struct error *err);
/* The plan, and the activations that were left by running it, to the next stage of its model; does
 * nothing on the last one. A plan without rows has no activations. */
bool plan_models_pass_on(const struct plan_models *models, const struct step_plan *plan,
                         const struct step_view *view, struct error *err);
