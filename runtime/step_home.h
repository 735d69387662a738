/* runtime/step_home.h: what a plan gave, at rank 0: whole rows, and picks of those that were picked
 * from where they were made. It comes from the last stage of a pipeline (result_receiver.h), or
 * with one stage from here. */
#pragma once
#include "runtime/forward/forward.h"

#include <stdbool.h>

struct picked;
struct plan_limits;

/* Rows of logits that were not picked from yet have their place in rows.logits, in the order of the
 * plan. */
struct step_home {
    struct step_result rows;
    const bool *is_picked;       /* [n_logits of the plan] */
    const struct picked *picked; /* [n_logits of the plan], where is_picked */
};

/* Room for what one plan gives, whole rows and all. It is asked for once, and of rows that never
 * come no memory is ever touched. */
struct home_memory {
    float *logits, *hidden; /* [max_logits, vocab], [max_tokens, hidden_size] */
    bool *is_picked;        /* [max_logits] */
    struct picked *picked;  /* [max_logits] */
};
void home_memory_init(struct home_memory *memory, const struct plan_limits *limits,
                      int hidden_size);
void home_memory_release(struct home_memory *memory); /* all zero is fine */

/* Keeps what a plan gave on this rank beyond the next run of forward: hidden states, whole rows,
 * and of the others the picks. picked: [n_logits], of a plan that says what is wanted of each row;
 * else it is not looked at. */
void home_memory_keep(struct home_memory *memory, const struct step_plan *plan,
                      const struct step_view *view, const struct step_result *result,
                      const struct picked *picked, struct step_home *out);
