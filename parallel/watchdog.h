/* parallel/watchdog.h: notices a rank of this host that was stopped, or hangs as a whole.
 *
 * A rank that is killed is noticed by mpirun, and one that computes too long by the deadline of a
 * call. One that was stopped (SIGSTOP, a debugger, a machine that swaps) is noticed by nobody, and
 * a worker that waits for the next step has no deadline: hence a thread in each rank, which beats
 * four times a second in memory that the ranks of the host share, and listens to the others.
 *
 * A rank that has not beaten for 2 s is lost: every wait of a communicator then ends within 100 ms
 * with ERROR_PEER and its name. That is final, and the same on all ranks of the host. Where the
 * main thread has not closed the watchdog 2 s later, because it waits for nobody or is deep in a
 * layer, the thread calls `leave`.
 *
 * A rank that was silent for longer than 0.7 s and is back is one warning. A thread that was late
 * itself by 0.5 s knows nothing about the others: it forgives them and listens anew, so a machine
 * that was suspended or starved loses nobody.
 *
 * All of it is for the ranks of one host; where one of them leaves, mpirun ends the others. Each
 * function but open takes NULL as a rank that nobody watches.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct watchdog;

struct watchdog_settings {
    void *memory; /* watchdog_bytes(n_ranks), zeroed, aligned to a page, the same for all ranks of
                     the host; outlives the watchdog */
    int rank, n_ranks;               /* of this host */
    int world_rank;                  /* as messages call it */
    void (*leave)(const char *text); /* from the watchdog's thread: end this process, and say why;
                                        NULL: never */
};

size_t watchdog_bytes(int n_ranks); /* whole pages; 0 for a rank alone */

void watchdog_open(struct watchdog **out, const struct watchdog_settings *settings);
bool watchdog_start(struct watchdog *dog, struct error *err); /* the thread */
/* Asked in each round of the thread, by it: false and an error where this rank waits in vain and
 * its main thread may not know. As with a lost rank, the main thread has 2 s from then on. NULL:
 * nobody is asked; when the call returns, nobody is any more. */
typedef bool watchdog_aside_fn(void *context, struct error *err);
void watchdog_set_aside(struct watchdog *dog, watchdog_aside_fn *aside, void *context);
void watchdog_close(struct watchdog *dog); /* ends the thread; the others stop listening */

/* One round of the thread, at `now` (clock_now_ns): beats and listens. */
void watchdog_look(struct watchdog *dog, int64_t now);

/* False, and ERROR_PEER with the rank and its last call, once a rank is lost. A look at memory. */
bool watchdog_check(const struct watchdog *dog, struct error *err);
int watchdog_lost(const struct watchdog *dog); /* the same without words: its world rank, or -1 */

/* This rank has done something: each layer and each call of a communicator says so. `kind` is an
 * enum call_kind. Main thread only. */
void watchdog_tick(struct watchdog *dog);
void watchdog_enter(struct watchdog *dog, int kind, uint64_t number);
/* Ticks of a rank of this host, for health: a rank at work whose number stands still hangs. */
uint64_t watchdog_progress(const struct watchdog *dog, int rank);
/* Ranks of this host; 0 for one that nobody watches. */
int watchdog_n_ranks(const struct watchdog *dog);
/* When the rank that has been silent for longest was last heard, clock_now_ns: what was stopped,
 * this rank's own watchdog too, is some beats old. INT64_MAX without a watchdog. */
int64_t watchdog_heard_ns(const struct watchdog *dog);
/* A number of each rank for the others to see: how long its last step took. Main thread only. */
void watchdog_set_work(struct watchdog *dog, int64_t ns);
int64_t watchdog_work_ns(const struct watchdog *dog, int rank);
/* Likewise, how far its weights are, in bytes. */
void watchdog_set_loading(struct watchdog *dog, uint64_t done, uint64_t all);
void watchdog_loading(const struct watchdog *dog, int rank, uint64_t *done, uint64_t *all);
