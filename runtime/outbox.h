/* runtime/outbox.h: what became of a step, as events for the gateway.
 *
 * Order for one request: that it has begun; log-probabilities of its prompt, by position; its
 * tokens, one or more a message; one end. Memory is taken once, for the largest step. The functions
 * fail only when the link does (ERROR_PEER).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct batch;
struct error;
struct link;
struct outbox;
struct outcome;
struct picked;
struct plan_limits;

void outbox_create(struct outbox **out, struct link *link, const struct plan_limits *limits);
void outbox_destroy(struct outbox *outbox); /* NULL is fine */

/* Before the step, of those that run for the first time. */
bool outbox_send_begun(struct outbox *outbox, const struct batch *batch, struct error *err);
/* Before the commit, while the requests of the batch are all there: picked[i] of its rows of
 * prompts, each with log-probabilities, in messages of at most OUTBOX_POSITIONS positions. */
enum { OUTBOX_POSITIONS = 512 };
bool outbox_send_prompts(struct outbox *outbox, const struct batch *batch,
                         const struct picked *picked, struct error *err);
/* After the commit: tokens in one message, then failures and beams. */
bool outbox_send_outcomes(struct outbox *outbox, const struct batch *batch,
                          const struct outcome *outcome, const struct picked *picked,
                          struct error *err);

/* The end of one request: a vector, that its time is over (a last token that is none, -1, with
 * FINISH_ABORT), that its numbers are not finite, that it cannot be served. */
bool outbox_send_pooled(struct outbox *outbox, uint64_t id, const float *value, int n_values,
                        int cached_tokens, struct error *err);
bool outbox_send_abort(struct outbox *outbox, uint64_t id, struct error *err);
bool outbox_send_damage(struct outbox *outbox, uint64_t id, struct error *err);
bool outbox_send_failure(struct outbox *outbox, uint64_t id, const struct error *why,
                         struct error *err);
