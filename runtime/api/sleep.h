/* runtime/api/sleep.h: the ranks give the memory of the model back for a while.
 *
 *   open ── api_sleep(1, 2) ──> nobody is let in, what is in flight ends, the ranks sleep ─┐
 *     ^                                                                                    │
 *     └── the ranks are awake <── api_sleep(LINK_NOT_ASLEEP), at any time ─────────────────┘
 *
 * The last word counts: who waits for a sleep when the model is woken is told "superseded", and the
 * other way round. To ask for what is asked for already is to wait for it too; from sleep there is
 * only a deeper one.
 */
#pragma once
#include "runtime/api/api.h"
#include "runtime/link/engine_link.h"

#include <stdbool.h>

struct sleep_waiter; /* one who waits */

/* From api_settle(), once. why NULL: it is so. The call is gone. */
typedef void sleep_done_fn(void *context, const struct error *why);

/* level: engine_link.h. NULL: refused, ERROR_LIMIT with code "draining" or "not_ready". */
struct sleep_waiter *api_sleep(struct api *api, enum link_sleep level, sleep_done_fn *done,
                               void *context, struct error *err);
/* Nobody waits any more; what was asked for goes on. */
void sleep_cancel(struct sleep_waiter *call);
/* Everybody who waits is told by the next api_settle() that it comes to nothing. */
void api_sleep_fail(struct api *api, const struct error *why);
/* From when nobody is let in, until somebody is again. */
bool api_is_asleep(const struct api *api);

/* For api_settle(). True: somebody was told. */
bool sleep_settle(struct api *api);
