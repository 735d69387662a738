/* runtime/plan_broadcast.h: the bytes of a plan from rank 0 to every rank.
 *
 * The header first, which says how long the rest is. A rank between two steps waits for it for
 * ever, at little cost.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct error;
struct ranks;
struct step_plan;

/* On rank 0; does nothing where it is alone. ERROR_PEER when another rank is gone. */
bool plan_broadcast(const struct ranks *ranks, struct step_plan *plan, struct error *err);
/* On every other rank. ERROR_PEER also for a plan larger than max_bytes, the size of `memory`;
 * the rest of it is for plan_check(). */
bool plan_receive(const struct ranks *ranks, struct step_plan *memory, size_t max_bytes,
                  struct error *err);
