/* launcher/job/replica.h: one engine of a session: its ranks, the link to rank 0, and their life.
 *
 *   down ── its time has come ──> starting ── rank 0 says so ──> ready
 *    ^                               │                             │
 *    │                       link or job ends                  link ends
 *    │                               └─────────> ending <──────────┘
 *    └──────── once more ────────────────────────┴── never ──> gone
 *
 * Nothing here waits, but for replicas_close(): the owner calls replica_step() whenever one of the
 * files of replica_watch() has something, or the time is there. Down, it starts again when its time
 * has come; gone, never: it was never ready, its error is one that another start would meet again
 * (bad input, a disk), or it came to nothing too often.
 */
#pragma once
#include "base/error.h"
#include "launcher/job/job.h"
#include "launcher/job/restarts.h"
#include "runtime/link/engine_link.h"

#include <stdbool.h>
#include <stdint.h>

struct options;
struct pollfd;

enum replica_state {
    REPLICA_DOWN,
    REPLICA_STARTING,
    REPLICA_READY,
    REPLICA_ENDING,
    REPLICA_GONE,
};

struct replica { /* all zero, but for number and restarts.most: down, and its time has come */
    enum replica_state state;
    int number; /* among those of this host */
    struct job job;
    struct link *link; /* from rank 0's connection to the end of the link */
    struct restarts restarts;
    struct link_loading loading; /* while it starts: how far its weights are; all 0: not known */
    bool was_ready;              /* ever */
    int64_t stopped_ns;          /* ready: since when its only rank is stopped; 0: it is not */
    int64_t look_ns;             /* when that is looked at again */
    bool was_killed;             /* ending: by us, so that the status of its job tells nothing */
    bool progressed;             /* ending: a request got something while it was ready, */
    size_t n_going_on;           /* and these go on; the owner's */
    int64_t until_ns; /* down: when it starts; starting: how long without a link; ending: how long
                         its job may take to end, by itself or killed */
    struct error why; /* ending, gone: what was lost; down: what it was that was lost */
};

enum { REPLICA_MAX_WATCHED = 2 };

/* Takes over the link to an engine that runs already and is nobody's to start again. */
void replica_adopt(struct replica *replica, int fd);

/* What replica_step() waits for: the number of files at out[] (of REPLICA_MAX_WATCHED). The link of
 * a ready one is not among them. */
int replica_watch(const struct replica *replica, struct pollfd *out);
/* Goes on with a start or an end. *ready: it became ready with this call, and *about is what the
 * engine said (until the next message). */
void replica_step(struct replica *replica, const struct options *options, const char *model_folder,
                  bool *ready, struct link_ready *about);
/* Whether the only rank of a ready one was stopped and does not go on: then it is killed, and *why
 * says it. */
bool replica_hangs(struct replica *replica, struct error *why);
/* The link of a ready one has ended, or should: closes it. */
void replica_lose(struct replica *replica, const struct error *why, bool progressed);

/* The ends of several at once, in good order with a bound, and at once when `hurry`. */
void replicas_close(struct replica *replica, int n, bool hurry);
