/* runtime/reporter.h: what rank 0 tells the gateway about the engine itself.
 *
 * Statistics (LINK_STATS): twice a second while there is work, once when there is none any more,
 * and nothing from then on. Pulses (LINK_PULSE): the answer to a ping, and unasked within long
 * work, from between the layers and from the waits for other ranks (parallel/heart.h).
 *
 * A pulse says until when every rank has made progress:
 *   - each rank of this host beats (watchdog.h): else until it was heard last, which is when it was
 *     stopped;
 *   - while rank 0 waits for others, one of them ticks; else until the last tick of all. A rank
 *     that hangs is noticed by that: soon all others wait for it.
 * Of ranks on other hosts nothing is seen; what is known of them is the deadline of a call. So
 * where there are any, and where nobody watches the ranks, a wait counts as progress.
 *
 * Allocates nothing after its creation. Functions that can fail do when the link does (ERROR_PEER).
 */
#pragma once
#include "runtime/link/engine_link.h"

#include <stdbool.h>
#include <stdint.h>

struct batch;
struct outcome;
struct ranks;
struct reporter;
struct scheduler;

/* Borrowed. The heart of the ranks, where there is one, is the reporter's from now on. */
void reporter_create(struct reporter **out, struct link *link, const struct ranks *ranks,
                     const struct scheduler *scheduler);
void reporter_destroy(struct reporter *reporter); /* NULL is fine */

/* What the engine has done: a batch that was chosen, and is not written yet; the outcomes of one;
 * and the time that it took. */
void reporter_count_batch(struct reporter *reporter, const struct batch *batch);
void reporter_count_outcomes(struct reporter *reporter, const struct batch *batch,
                             const struct outcome *outcome);
void reporter_count_time(struct reporter *reporter, int64_t busy_ns);

/* Between two steps: tells what is due. */
bool reporter_tell(struct reporter *reporter, bool has_work, struct error *err);
/* Between two steps: a pulse at once. */
bool reporter_answer(struct reporter *reporter, struct error *err);
/* That all ranks are asleep, or awake (LINK_NOT_ASLEEP). */
bool reporter_tell_sleep(struct reporter *reporter, enum link_sleep sleep, struct error *err);
