/* runtime/result_message.h: what a plan gave, as it goes from the last stage of a pipeline (tensor
 * rank 0 of it) home to rank 0. What result_sender.c, result_receiver.c and step_home.c share;
 * nobody else needs it.
 *
 *   header    which step, how much of everything
 *   picks     a head each, and the log-probabilities that it counts: only what is used
 *   rows      of logits that are wanted whole; those next to each other in one send
 *   hidden    all rows of hidden states in one send
 *
 * A token by itself is 16 bytes, each log-probability 12 more, a whole row 4 * vocab.
 *
 * Parts of 0 bytes are not sent. Both sides have the plan, so the receiver knows what must come but
 * for the bytes of the picks.
 */
#pragma once
#include "runtime/sample/sampler.h"
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct result_header {
    uint64_t step;
    uint32_t n_picks, n_pick_bytes, n_rows, n_hidden;
};

struct result_pick {
    int32_t token, is_finite, n_logprobs;
    float lse;
};
_Static_assert(sizeof(struct result_header) == 24 && sizeof(struct result_pick) == 16 &&
                   sizeof(struct token_logprob) == 12,
               "no bytes without a name");

static inline size_t result_max_pick_bytes(const struct plan_limits *limits)
{
    return (size_t)limits->max_logits *
           (sizeof(struct result_pick) + PLAN_MAX_BEST * sizeof(struct token_logprob));
}

/* Does row i come home whole? */
static inline bool result_is_whole(const struct step_view *view, int i)
{
    return view->pick == NULL || view->pick[i].kind == PICK_ROW;
}

/* How many rows from row i on do, or (0: it does not) are picked. */
static inline int result_whole_run(const struct step_plan *plan, const struct step_view *view,
                                   int i)
{
    int n = 0;
    while (i + n < plan->n_logits && result_is_whole(view, i + n))
        n++;
    return n;
}
