/* runtime/engine.h: rank 0: requests in, tokens out.
 *
 * One thread: it takes commands from the link between steps, plans a step, runs it together with
 * the other ranks (worker.h), picks tokens, and sends those of a step in one message. Without
 * work it waits on the link, until the next deadline of a request at most.
 *
 * What the gateway can rely on, per request:
 *   - a request that cannot be taken gives one LINK_FAILED of its id (ERROR_INPUT, ERROR_LIMIT);
 *   - otherwise one LINK_BEGUN, right before the first step that it is in, not again when it was
 *     preempted; then what it asks for: LINK_PROMPT_LOGPROBS in order of position, then tokens
 *     (one or more a message) until one has a finish reason, or one LINK_BEAMS, or one LINK_POOLED;
 *   - or instead of the end a LINK_FAILED (ERROR_SYSTEM: its logits are no finite numbers;
 *     ERROR_INPUT: its rules leave no token);
 *   - past its deadline a last token that is none (-1), with FINISH_ABORT;
 *   - after the end the id is free again;
 *   - what reporter.h says of the engine itself, a pulse as the answer to each ping among it;
 *   - after a cancel nothing more is sent for the id, but tokens that were on their way when the
 *     cancel was sent still arrive. A cancel of an unknown id does nothing.
 */
#pragma once
#include "runtime/schedule/scheduler.h"

#include <stdbool.h>

struct device;
struct engine;
struct error;
struct link;
struct model;
struct plan_models;
struct plan_recorder;

enum {
    ENGINE_MAX_REQUESTS = 65536,   /* waiting and running; the gateway's queue ends long before */
    ENGINE_MAX_REQUEST_MIB = 4096, /* that they may take */
};

/* Borrowed for the life of the engine, but the ids, which are copied. */
struct engine_settings {
    struct scheduler_settings scheduler; /* but max_requests, max_request_bytes, n_flights,
                                            picks_afar, runs_ahead */
    const struct plan_models *models;    /* PLAN_TARGET has the scheduler's limits; PLAN_DRAFT is
                                            there with DRAFTER_MODEL */
    const struct model *model;           /* PLAN_TARGET: what it gives, and its head of scores */
    bool processed_logprobs;             /* --logprobs-mode */
    int n_flights;                       /* plans between submit and collect: as many as stages */
    bool runs_ahead; /* with one stage and no drafter: two of them, the second one ahead of the
                        tokens of the first. Worth it where forward_run() returns before the work is
                        done (forward_is_queued); changes no answer */
    struct device *device;          /* of the host: samples and pools */
    struct plan_recorder *recorder; /* NULL: none */
    struct link *link;
};

void engine_create(struct engine **out, const struct engine_settings *settings);
void engine_destroy(struct engine *engine); /* NULL is fine */
struct scheduler_counts engine_counts(const struct engine *engine);

/* Until the gateway says stop, or its end of the link is gone: true, and the other ranks have
 * their last plan. ERROR_PEER: another rank is gone, the job must end. ERROR_SYSTEM: the recorder
 * cannot write. */
bool engine_run(struct engine *engine, struct error *err);
