/* runtime/draft_model.h: a smaller model that guesses the next tokens of the one that is served.
 *
 * Its KV cache has the same blocks as the target's group 0, and its passes run the same tokens in
 * the same step, so what is true of the target's cache (found by prefix, copied, preempted) is true
 * of its own. It picks with the sampler, seed, rules and positions of the request itself: where the
 * two models agree, so do their picks, and a guess that is wrong costs time and nothing else.
 *
 * It is whole on the ranks of the first stage: its passes never leave that.
 */
#pragma once
#include <stdbool.h>

struct batch;
struct draft_model;
struct error;
struct plan_models;
struct plan_recorder;
struct sampler;
struct scheduler;

/* All borrowed. recorder: NULL for none. */
struct draft_settings {
    const struct plan_models *models; /* has PLAN_DRAFT */
    struct plan_recorder *recorder;
    struct sampler *sampler;
    struct scheduler *scheduler;
};

void draft_model_create(struct draft_model **out, const struct draft_settings *settings);
void draft_model_destroy(struct draft_model *draft); /* NULL is fine */

/* Between scheduler_choose() and scheduler_write(): fills in the drafts of the batch, pass by pass,
 * on all ranks that have it. Allocates nothing. ERROR_PEER when another rank is gone. */
bool draft_model_guess(struct draft_model *draft, const struct batch *batch, struct error *err);
