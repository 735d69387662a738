/* runtime/engine_state.h: what the files of the engine share; nobody else needs it.
 *
 *   engine.c          its life, the steps, sleep
 *   engine_gateway.c  what the gateway asks, and waiting for it
 *   engine_collect.c  of a plan that has run: tokens, vectors, what becomes of requests
 */
#pragma once
#include "runtime/engine.h"
#include "runtime/step_plan.h"

struct engine {
    struct engine_settings is;
    const struct ranks *ranks;
    struct scheduler *scheduler;
    struct sampler *sampler;
    struct draft_model *draft; /* NULL: none */
    struct pooler *pooler;
    struct outbox *outbox;
    struct reporter *reporter;
    struct pipeline *pipeline;
    struct batch *ring; /* [n_flights] from submit to collect */
    int oldest;
    bool stopping;                    /* the gateway said so, or is gone */
    enum plan_rest rest, wanted_rest; /* of all ranks: now, and what the gateway asked for last */
    bool owes_rest;                   /* an answer to that */

    /* of the step being collected, one for each row of its logits */
    struct sample_row *row;
    struct picked *picked;
    struct row_result *result;
    struct outcome *outcome;
    struct beam_candidate *candidate; /* [max_logits, LOGPROBS_MAX_ENTRIES] */
};

/* ---- engine_gateway.c ---- */

/* After an operation on the link that failed (`good` is false): the gateway is gone, or talks
 * nonsense, and without it there is nobody to work for. */
void engine_heed(struct engine *e, bool good, const struct error *why);
void engine_take_commands(struct engine *e);
void engine_expire_deadlines(struct engine *e);
/* Says how it goes, sends what waits, and without work sleeps until the link has something to say
 * or can take more, or a deadline passes. */
void engine_serve_link(struct engine *e, bool has_work);

/* ---- engine_collect.c ---- */

/* The oldest plan in flight: false as pipeline_collect(). */
bool engine_collect(struct engine *e, struct error *err);
