/* base/team.h: the threads of one rank, for work that splits into independent items.
 *
 * The caller of team_run() works too, so a team of 1 starts no thread. Items are taken in
 * ascending order from a shared counter: who runs an item differs from run to run, so the
 * result of an item must not depend on its thread (docs/numerics.md: threads split rows and
 * columns of an output, never a sum).
 *
 * Between runs the threads spin for `spin_ns` and then sleep. Give 0 when there are more
 * threads than CPUs. team_run() allocates nothing.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct error;
struct team;

typedef void team_item_fn(void *context, int item, int thread); /* thread in [0, team_size) */

/* Starts n_threads - 1 threads; each first runs prepare() (may be NULL), and so does the caller:
 * it sets per-thread state such as the floating point mode. ERROR_SYSTEM when a thread cannot
 * start. */
bool team_create(struct team **out, int n_threads, int64_t spin_ns, void (*prepare)(void),
                 struct error *err);
int team_size(const struct team *team);
/* Runs item(context, i, thread) for every i in [0, n_items), and returns when all are done. */
void team_run(struct team *team, team_item_fn *item, void *context, int n_items);
void team_destroy(struct team *team); /* NULL is fine */
