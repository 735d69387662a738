/* runtime/gateway/engine_stats.h: what an engine said last of itself, in a place where engines come
 * and go: counters go on from those of the engine before.
 */
#pragma once
#include "runtime/link/engine_link.h"

#include <stdbool.h>
#include <stdint.h>

struct engine_stats {         /* all zero: nobody has said anything yet */
    struct link_stats before; /* counters of engines that are gone */
    struct link_stats now;    /* with these */
    int64_t rank_work_ns[LINK_MAX_RANKS];
    bool any;
};

void engine_stats_hear(struct engine_stats *stats, const struct link_stats *heard);
/* The engine is gone. */
void engine_stats_lose(struct engine_stats *stats);
/* NULL: nothing yet. */
static inline const struct link_stats *engine_stats_now(const struct engine_stats *stats)
{
    return stats->any ? &stats->now : NULL;
}
