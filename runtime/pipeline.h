/* runtime/pipeline.h: rank 0's end of all ranks that run a model: plans go in, and what they gave
 * comes out, in the same order, with up to n_flights plans between.
 *
 *   submit   check, record, broadcast in the first stage, run its layers, pass on
 *   collect  what the oldest plan gave: from the last stage, or with one stage from here
 *
 *   stage 0   | A0 | B0 | A1 | B1 | A2 |      A1 needs the tokens of A0
 *   stage 1        | A0 | B0 | A1 | B1 |
 *   collect             A0   B0   A1
 *
 * With one stage there may be two plans in flight too, the second one ahead of the tokens of the
 * first: it refers to them (step_plan.h). On a device that has done its work when forward_run()
 * returns, the tokens are there by then, and what rank 0 sends to the other ranks has ids in the
 * places of the references; the record keeps the references. Where the device works by itself
 * (forward_is_queued) it knows the tokens when it comes to them.
 *
 * No two ranks ever wait for each other to receive: there are never more plans behind the first
 * stage than there are stages, because rank 0 takes the oldest result in before it passes on a plan
 * too many. So there is always a stage that is free, and with it the one before.
 */
#pragma once
#include "runtime/result_receiver.h"
#include "runtime/step_plan.h"

#include <stdbool.h>

struct error;
struct pipeline;
struct plan_models;
struct plan_recorder;
struct row_picker_settings;

struct pipeline_settings {
    const struct plan_models *models; /* borrowed */
    enum plan_model model;            /* of all plans */
    int n_flights;                    /* from 1 on: as many as stages keep all of them at work */
    struct plan_recorder *recorder;   /* borrowed; NULL: none */
    const struct row_picker_settings *picks; /* read at creation. Plans say what is wanted of each
                                                row, and with one stage it is picked here; NULL:
                                                all rows of one stage come out whole */
};

void pipeline_create(struct pipeline **out, const struct pipeline_settings *settings);
void pipeline_destroy(struct pipeline *pipeline);        /* NULL is fine */
int pipeline_n_flights(const struct pipeline *pipeline); /* plans that are not collected yet */

/* A plan that is not more than there is room for; borrowed until it is collected. A stop or
 * a rest (nothing else is in the pipeline then) is only sent, and gives nothing to collect.
 * Allocates nothing. Errors name the step: ERROR_PEER (another rank is gone, or the plan is wrong),
 * ERROR_SYSTEM (the recorder cannot write). */
bool pipeline_submit(struct pipeline *pipeline, struct step_plan *plan, struct error *err);
/* What the oldest plan gave: waits for it. Valid until the next call of pipeline_submit(). */
bool pipeline_collect(struct pipeline *pipeline, struct step_home *out, struct error *err);
