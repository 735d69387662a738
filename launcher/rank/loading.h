/* launcher/rank/loading.h: rank 0 tells the gateway how far the weights are.
 *
 * Each rank writes down for the others of its host what it has done (parallel/watchdog.h). Rank 0
 * adds them up and sends the sum about four times a second: while it loads itself, and while it
 * waits for the others. Ranks of other hosts do not count. What is told may be behind by a part of
 * a second, and the last of it never comes: LINK_READY says that all is there.
 */
#pragma once
#include "runtime/model/loading_watch.h"

struct heart;
struct link;
struct ranks;

struct rank_loading {
    struct loading_watch watch; /* for the models; outlives them */
    const struct ranks *ranks;
    struct heart *heart;
    struct link *link; /* of rank 0, else NULL */
};

/* Borrows all of it until the end, and the heart beats for it alone. `out` must not move. */
void rank_loading_begin(struct rank_loading *out, const struct ranks *ranks, struct heart *heart,
                        struct link *link);
void rank_loading_end(struct rank_loading *loading);
