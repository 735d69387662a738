/* runtime/schedule/scheduler.h: which tokens run in the next step.
 *
 * Sees numbers, not features: requests with so many tokens, of which so many are computed. A step
 * has a budget of tokens and one of rows of logits. Running sequences come first, in the order of
 * the queue; what is left goes to the waiting ones. A prompt larger than the budget runs in chunks,
 * and each sequence that decodes may have drafts checked along (speculation). With whole_prompts
 * there are no chunks: a prompt waits, and with it those behind it, until a step has room for all
 * of it that is not cached. Only one whose log-probabilities are wanted still comes in parts: rows
 * of logits are too large to have one for each token.
 *
 * Who waits first: with the policy `fcfs` all priorities count as equal; then by priority, then by
 * fair share (start-time fair queueing over tenants; a tenant's requests among themselves in order
 * of arrival, and those without a tenant as if they had one). Nobody overtakes the first in the
 * queue.
 *
 * Blocks are taken as they are needed. When none is left, the running request that would be last in
 * the queue is preempted: its blocks are given back, it waits again, first of its rank, and later
 * computes its tokens anew (most of them come out of the prefix cache). A request that could never
 * have the pool alone is refused at once, and preemption goes from the last to the first, so the
 * first always goes on: no deadlock, no starvation. A token that was on its way when its request
 * was preempted still counts.
 *
 * A step is planned in two calls, so that a draft model can run between them. A plan and its tokens
 * are two calls too, with other plans between them where several are in flight. With the stages of
 * a pipeline each plan leaves as much to the others as it takes, and a sequence waits for its token
 * before it is in another one. With runs_ahead (a GPU, which works while the host plans) a sequence
 * whose last token is still on its way is in the next plan too, which refers to it (step_plan.h),
 * where nobody but the device needs to know the token; the others wait as with stages. If that
 * token ends the sequence, what the row behind it gives is dropped. Plans run in order, so blocks
 * can be given back while a plan in flight still reads or writes them: who gets them writes later.
 *
 * The scheduler owns the requests; out of it go ids. Deterministic: no clock (the time is an
 * argument), no randomness (nor does what it decides change a token). Nothing is allocated from
 * scheduler_choose() to scheduler_commit().
 */
#pragma once
#include "runtime/request/request.h"
#include "runtime/schedule/beam.h"
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct scheduler;

enum drafter { DRAFTER_NONE, DRAFTER_NGRAM, DRAFTER_MODEL };

struct scheduler_settings {
    struct plan_limits limits;
    const int32_t *eos_id; /* [n_eos_ids], copied */
    int n_eos_ids;
    int max_requests;         /* waiting and running; beyond: ERROR_LIMIT */
    size_t max_request_bytes; /* of memory that these take; beyond: ERROR_LIMIT */
    int hidden_size;          /* of a pooled vector; 0: no request pools */
    bool by_priority;         /* --scheduling-policy priority */
    bool prefix_caching;
    bool whole_prompts; /* --no-enable-chunked-prefill; wants max_tokens >= max_model_len */
    uint8_t secret[32]; /* of the prefix cache */
    enum drafter drafter;
    int max_drafts;           /* of a sequence in a step: --num-speculative-tokens */
    int ngram_min, ngram_max; /* --prompt-lookup-min, --prompt-lookup-max */
    int n_flights;            /* plans between scheduler_write() and scheduler_commit(); 0: one */
    bool picks_afar;          /* plans say what is wanted of each row: PLAN_PICK */
    bool runs_ahead;          /* of tokens in flight; wants picks_afar, and no drafter */
};

/* Row i of the logits: whose, and which token of it is asked for. */
struct batch_row {
    struct request *request;
    int position;   /* token[position] of the request is the one that the row gives */
    bool is_prompt; /* it is there already, and only its log-probabilities are wanted */
};

/* Row i of the hidden states: of token[position] of this request, for request->pooled. */
struct batch_hidden {
    struct request *request; /* cancelled meanwhile: REQUEST_FINISHED, nobody wants it */
    int position;
    bool is_last; /* with it the vector is whole, and the request ends at the commit */
};

/* A plan, and whose it is: from scheduler_choose() to scheduler_commit(). */
struct batch {
    struct step_plan *plan;    /* plan_max_bytes() */
    struct request **sequence; /* [max_sequences], n_sequences of the plan */
    int n_sequences;
    int32_t *n_new;              /* [max_sequences] rows of each, drafts among them */
    int32_t *n_drafts;           /* [max_sequences] of these */
    struct batch_row *row;       /* [max_logits], n_logits of the plan */
    struct batch_hidden *hidden; /* [max_tokens], n_hidden of the plan */
    int32_t *copy;               /* [max_copies, 2] blocks, n_copies of the plan */
    int n_copies;
    uint64_t *begun; /* [max_sequences] ids of requests that run for the first time, n_begun */
    int n_begun;
    int n_prompt_rows; /* of sequences that had more than one to run */
};
void batch_init(struct batch *batch, const struct plan_limits *limits);
void batch_release(struct batch *batch);

/* What row i of the logits gave: a token, for a row of sampling, or candidates, best first, for one
 * of a beam (2 * beam_width of them, and token not below 0). Rows with is_prompt are not looked at.
 * A row with a draft before it is sampled as if the draft were right: token[0 .. position) of its
 * request. */
struct row_result {
    int32_t token; /* below 0: none could be picked, the request ends with FINISH_ERROR */
    const struct beam_candidate *candidate;
    int n_candidates;
};

/* What became of row i of the logits. */
struct outcome {
    uint64_t id;   /* 0: nobody wants it: cancelled meanwhile, a wrong draft, an unfinished beam */
    int32_t token; /* of a row with is_prompt the one of the prompt, of beams -1 */
    enum finish_reason finish;
    int32_t stop_token;    /* that ended it; -1: none */
    int32_t cached_tokens; /* of the prompt, from the prefix cache: told with the first token,
                              0 afterwards; of a request that pools: request->n_cached */
    int32_t n_drafted, n_accepted; /* drafts of this request so far, and those that were right */
    const struct beam *beam; /* a beam search has ended: its n_beams best, best first, until the */
    int n_beams;             /* next call of the scheduler; else NULL */
};

void scheduler_create(struct scheduler **out, const struct scheduler_settings *settings);
void scheduler_destroy(struct scheduler *scheduler); /* NULL is fine */

/* ERROR_INPUT: the request is wrong (request.h), its id is in use, it can never fit the KV pool, or
 * has more beams than sequences run. ERROR_LIMIT: too many requests. ERROR_UNSUPPORTED: a beam
 * search, and a step copies no blocks (max_copies; else there are at least n_kv_groups). */
bool scheduler_submit(struct scheduler *scheduler, const struct request_source *source,
                      struct error *err);
/* The request ends now and gives no more outcomes. False when there is none of this id. */
bool scheduler_cancel(struct scheduler *scheduler, uint64_t id);
/* Ends one request whose deadline is over and returns its id; 0: there is none (left). */
uint64_t scheduler_expire(struct scheduler *scheduler, int64_t now_ns);
/* The next deadline of all; INT64_MAX: none. */
int64_t scheduler_next_deadline(const struct scheduler *scheduler);

/* Decides what runs: fills the batch but for the bytes of the plan. From here to scheduler_write()
 * no other function is called but scheduler_write_draft() and scheduler_counts(). With
 * DRAFTER_NGRAM the drafts are there; with DRAFTER_MODEL there is room for n_drafts[i] of them,
 * which the caller writes to request->token[n_tokens ..] before scheduler_write(). False when there
 * is nothing to run now: no requests, or all of them wait for tokens of plans in flight. */
bool scheduler_choose(struct scheduler *scheduler, struct batch *batch);
/* Pass `pass` of the draft model over a chosen batch, into `plan` (plan_max_bytes() of
 * draft_limits()): pass 0 has all tokens that its cache lacks and asks for logits of the sequences
 * with drafts; pass i has the i-th draft of those with more than i. row[] as in a batch. False:
 * nothing to run in this pass, nor in later ones. */
bool scheduler_write_draft(struct scheduler *scheduler, const struct batch *batch, int pass,
                           struct step_plan *plan, struct batch_row *row);
/* Limits of the plans of the draft model: as of the target, with room for one token more in each
 * sequence and with one KV group. */
struct plan_limits scheduler_draft_limits(const struct plan_limits *limits);
/* The bytes of the plan; its tokens count as computed from here on. */
void scheduler_write(struct scheduler *scheduler, struct batch *batch);
/* The plan after which every rank leaves its loop. */
void scheduler_write_stop(struct scheduler *scheduler, struct batch *batch);
/* The plan after which every rank is at `rest`. Nothing runs, and no plan is in flight; from here
 * on no block has what it had. */
void scheduler_write_rest(struct scheduler *scheduler, struct batch *batch, enum plan_rest rest);

/* Takes the results of the oldest batch in flight: result[i] and outcome[i] for each row of its
 * logits. Requests that pool and whose last row of hidden states this was are ended by it too; what
 * they gave is for the caller to fetch before. */
void scheduler_commit(struct scheduler *scheduler, struct batch *batch,
                      const struct row_result *result, struct outcome *outcome);

struct scheduler_counts {
    int n_waiting, n_running;
    int n_blocks, n_free_blocks; /* cached blocks that nobody uses are free */
    uint64_t n_preemptions;
    uint64_t n_cache_queries, n_cache_hits; /* tokens */
    uint64_t n_drafted, n_accepted;
    uint64_t n_plans; /* written, those of the draft model among them */
};
struct scheduler_counts scheduler_counts(const struct scheduler *scheduler);
