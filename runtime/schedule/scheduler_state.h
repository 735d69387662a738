/* runtime/schedule/scheduler_state.h: what the files of the scheduler share; nobody else needs it.
 *
 *   scheduler.c    requests come and go
 *   queue.c        who is next, who is admitted, who is preempted
 *   choose.c       who runs in the next step, with how many tokens
 *   flights.c      what of it is left to other plans in flight
 *   drafts.c       with which guesses checked along, and the plans of the draft model
 *   beam_group.c   the sequences of a beam search
 *   plan_writer.c  the bytes of the plan
 *   commit.c       tokens become part of their requests
 *
 * A request waits (in the heap `waiting`), then runs (in the list `running`), perhaps back and
 * forth (preemption), and has ended. One that has ended stays in memory until no plan in flight has
 * rows of it (the list `ended`). Blocks it has only while it runs.
 */
#pragma once
#include "runtime/schedule/beam_group.h"
#include "runtime/schedule/fair_share.h"
#include "runtime/schedule/request_heap.h"
#include "runtime/schedule/scheduler.h"
#include "runtime/schedule/sequence_blocks.h"

static inline int smaller(int a, int b) { return a < b ? a : b; }
static inline int larger(int a, int b) { return a > b ? a : b; }

/* What was chosen so far for a step, and what is left of its budgets. */
struct choice {
    int n_sequences, n_tokens, n_blocks, n_logits, n_hidden, n_copies;
    int tokens_left, logits_left, draft_tokens_left;
    int decodes_left, prompt_rows_left; /* its part of what all plans in flight run */
    int n_prompt_rows;
    bool may_preempt; /* all that can be were not chosen yet */
};

/* The first of the queue found no room. */
struct refusal {
    uint64_t arrival;    /* which one that was */
    int n_blocks;        /* not before so many are free, */
    int n_tokens;        /* and a step has so many left, */
    uint64_t until_step; /* or this step has come */
};

struct request_list {
    struct request *first, *last;
    int n;
};

struct scheduler {
    struct scheduler_settings is;
    struct request_bounds bounds;
    struct sequence_blocks blocks;
    struct fair_share fair;
    struct request_heap waiting, deadlines;
    struct refusal refused;
    struct request_list running; /* in the order of the queue */
    int n_places;                /* for sequences, that they may have */
    struct request_list ended;   /* with rows in plans in flight, or with beams that are shown */
    bool shows_beams;            /* of requests in `ended`, until the next call */
    struct choice choice;        /* of the batch that was chosen last */
    bool is_choosing;            /* it is not written yet */
    int n_prompt_rows_in_flight;
    uint64_t step; /* of the last plan */
    uint64_t n_arrivals;
    size_t n_request_bytes; /* of waiting and running requests */
    int32_t *eos_id;        /* behind bounds.eos_id */
    struct request **by_id; /* chains of waiting and running requests */
    struct scheduler_counts counts;
};

/* With those that plans in flight give. */
static inline int n_tokens_to_come(const struct request *sequence)
{
    return sequence->n_tokens + sequence->n_awaited;
}

/* In one step, or not yet: scheduler.h. */
static inline bool scheduler_runs_whole(const struct scheduler *s, const struct request *request)
{
    return s->is.whole_prompts && !request_has_prompt_rows(request);
}

/* ---- scheduler.c ---- */

/* Puts a request behind `before`; NULL: first. */
void request_list_insert(struct request_list *list, struct request *before,
                         struct request *request);
void request_list_remove(struct request_list *list, struct request *request);

/* Takes a request out of everything but the plans in flight. */
void scheduler_finish(struct scheduler *scheduler, struct request *request);
/* Frees a request that has ended once no plan in flight has rows of it and its beams are not shown.
 */
void scheduler_drop(struct scheduler *scheduler, struct request *request);
/* A call begins: no beams are shown any longer. */
void scheduler_begin_call(struct scheduler *scheduler);
/* Frees a request that is in no list. */
void scheduler_free(struct request *request);

/* ---- flights.c ---- */

/* Sets what of each kind this plan may have, so that those in flight get as much. */
void flights_share(const struct scheduler *scheduler, struct choice *choice);

/* ---- queue.c ---- */

void queue_init(struct scheduler *scheduler);
void queue_release(struct scheduler *scheduler); /* and the waiting requests */
void queue_add(struct scheduler *scheduler, struct request *request);
void queue_remove(struct scheduler *scheduler, struct request *request); /* waiting or running */
/* Lets the first of the waiting ones run, when there is room for it: it is returned. */
struct request *queue_admit(struct scheduler *scheduler);
/* Takes blocks from the last of the running ones, if that is not `but`. */
bool queue_preempt_last(struct scheduler *scheduler, const struct request *but);
