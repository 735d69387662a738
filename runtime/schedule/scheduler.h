/* runtime/schedule/scheduler.h: which tokens run in the next step.
 *
 * Sees numbers, not features: requests with so many tokens, of which so many are computed. A step
 * has a budget of tokens. Running sequences come first, in the order of their admission; what is
 * left goes to the waiting ones, first come first served. A prompt larger than the budget runs in
 * chunks.
 *
 * A request is admitted when the pool has all blocks that it can ever need (prompt + max_tokens),
 * and gets them at once. So a running request always ends, and its end frees blocks for the next:
 * the pool cannot deadlock. Nobody overtakes the first in the queue, so nobody starves.
 *
 * A plan and its tokens are two calls, with other plans between them where several are in flight
 * (pipeline stages, a GPU). A sequence has at most one token in the making at a time. Who is
 * cancelled meanwhile keeps its blocks until the last of its plans is committed.
 *
 * The scheduler owns the requests; out of it go ids. Deterministic: no clock, no randomness.
 */
#pragma once
#include "runtime/request/request.h"
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct scheduler;

struct scheduler_settings {
    struct plan_limits limits;
    const int32_t *eos_id; /* [n_eos_ids], copied */
    int n_eos_ids;
    int max_requests; /* waiting and running; beyond: ERROR_LIMIT */
};

/* A plan, and whose it is: from scheduler_plan() to scheduler_commit(). */
struct batch {
    struct step_plan *plan;    /* plan_max_bytes() */
    struct request **sequence; /* [max_sequences], n_sequences of the plan*/
    int32_t *n_new;            /* [max_sequences] rows of each */
    struct request **sampled;  /* [max_logits] who gets the token of row i of the logits */
};
void batch_init(struct batch *batch, const struct plan_limits *limits);
void batch_release(struct batch *batch);

/* What became of row i of the logits. */
struct outcome {
    uint64_t id; /* 0: nobody wants it, the request was cancelled meanwhile */
    int32_t token;
    enum finish_reason finish;
    int32_t stop_token;    /* that ended it; -1: none */
    int32_t cached_tokens; /* of the prompt, from the prefix cache */
};

void scheduler_create(struct scheduler **out, const struct scheduler_settings *settings);
void scheduler_destroy(struct scheduler *scheduler); /* NULL is fine */

/* ERROR_INPUT: the request is wrong (request.h), its id is in use, or it can never fit the KV
 * pool. ERROR_LIMIT: too many requests. */
bool scheduler_submit(struct scheduler *scheduler, const struct request_source *source,
                      struct error *err);
/* The request ends now and gives no more outcomes. False when there is none of this id. */
bool scheduler_cancel(struct scheduler *scheduler, uint64_t id);

/* Fills the batch. False when there is nothing to run now: no requests, or all of them wait for
 * tokens of plans in flight. */
bool scheduler_plan(struct scheduler *scheduler, struct batch *batch);
/* The plan after which every rank leaves its loop. */
void scheduler_plan_stop(struct scheduler *scheduler, struct batch *batch);

/* Takes the tokens of the oldest batch in flight: token[i] and outcome[i] for each row of its
 * logits. A token below 0: none could be picked, the request ends with FINISH_ERROR. */
void scheduler_commit(struct scheduler *scheduler, struct batch *batch, const int32_t *token,
                      struct outcome *outcome);

struct scheduler_counts {
    int n_waiting, n_running;
    int n_blocks, n_free_blocks;
};
struct scheduler_counts scheduler_counts(const struct scheduler *scheduler);
