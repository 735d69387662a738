/* runtime/result_receiver.h: at rank 0: what a plan gave, from the last stage of a pipeline.
 *
 * A peer may be of another build, or damaged: everything that it says is held against the plan
 * before it is used, and every token against the vocabulary.
 */
#pragma once
#include "runtime/step_home.h"

#include <stdbool.h>

struct error;
struct plan_limits;
struct ranks;
struct result_receiver;

/* Borrowed, but the limits, which are copied. */
void result_receiver_create(struct result_receiver **out, const struct ranks *ranks,
                            const struct plan_limits *limits, int hidden_size);
void result_receiver_destroy(struct result_receiver *receiver); /* NULL is fine */

/* Waits for what the plan gave, which is the next thing that comes home, and points *out into
 * `memory`. Allocates nothing. ERROR_PEER: the last stage did not answer, or with something else
 * than what the plan asks for. */
bool result_receiver_run(struct result_receiver *receiver, const struct step_plan *plan,
                         const struct step_view *view, struct home_memory *memory,
                         struct step_home *out, struct error *err);
