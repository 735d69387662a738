/* runtime/plan_broadcast.h: the bytes of a plan from rank 0 to every rank that runs it.
 *
 * Rank 0 broadcasts a plan to the ranks of its own stage; each of these, once it has computed its
 * layers, sends it to its number in the next stage, ahead of the activations, and so on. The header
 * goes first, which says how long the rest is. A rank between two steps waits for it for ever, at
 * little cost.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct error;
struct ranks;
struct step_plan;

/* On rank 0; does nothing where its stage has no other. ERROR_PEER when another rank is gone. */
bool plan_broadcast(const struct ranks *ranks, struct step_plan *plan, struct error *err);
/* To the next stage; does nothing on the last one. */
bool plan_pass_on(const struct ranks *ranks, const struct step_plan *plan, struct error *err);
/* On every rank but 0. ERROR_PEER also for a plan larger than max_bytes, the size of `memory`; the
 * rest of it is for plan_check(). */
bool plan_receive(const struct ranks *ranks, struct step_plan *memory, size_t max_bytes,
                  struct error *err);
