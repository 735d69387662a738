/* Each rank writes its own pulse only, but for the verdict, which the first to find a rank lost
 * writes for all. */
#include "parallel/watchdog.h"

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/call.h"

#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static const int64_t BEAT_NS = 250000000;
static const int64_t LOST_NS = 2000000000;   /* silent for so long */
static const int64_t MISSED_NS = 700000000;  /* worth a warning when it is over */
static const int64_t LATE_NS = 500000000;    /* of our own thread: then nothing is known */
static const int64_t UNWIND_NS = 2000000000; /* for the main thread, from the verdict on */
enum { CALL_BITS = 8, PAGE_BYTES = 4096 };

struct pulse {
    alignas(128) _Atomic uint64_t beat; /* 0: not there yet, or left */
    _Atomic uint64_t progress;
    _Atomic int64_t work_ns;
    _Atomic uint64_t loaded, to_load;
    _Atomic uint64_t call; /* the last one: number << CALL_BITS | enum call_kind; 0: none */
    _Atomic int world_rank;
};

struct board {
    /* silence in ms << 32 | (rank of this host + 1) of the one that is lost; 0: nobody */
    alignas(128) _Atomic uint64_t verdict;
    struct pulse pulse[];
};

/* What this rank has heard of another. */
struct heard {
    uint64_t beat;
    int64_t at; /* when that was new */
};

struct watchdog {
    struct watchdog_settings is;
    struct board *board;
    struct heard *heard;      /* [n_ranks] */
    int64_t looked_at;        /* last; 0: never */
    _Atomic int64_t heard_ns; /* all ranks, for the main thread */
    int64_t lost_since;       /* as this rank saw it; 0: nobody is lost */
    bool has_left;            /* leave was called */
    bool runs;                /* thread is a thread */
    _Atomic uint32_t end;     /* 1: the thread shall end */
    pthread_t thread;

    pthread_mutex_t asking;
    watchdog_aside_fn *aside; /* or NULL */
    void *aside_context;
};

size_t watchdog_bytes(int n_ranks)
{
    check(n_ranks > 0);
    const size_t n_bytes = sizeof(struct board) + (size_t)n_ranks * sizeof(struct pulse);
    return n_ranks == 1 ? 0 : (n_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* ---- who is there ---- */

static void raise_by_one(_Atomic uint64_t *number) /* of one writer */
{
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static uint64_t beat_of(const struct watchdog *dog, int rank)
{
    return atomic_load_explicit(&dog->board->pulse[rank].beat, memory_order_acquire);
}

static int name_of(const struct watchdog *dog, int rank)
{
    return atomic_load_explicit(&dog->board->pulse[rank].world_rank, memory_order_relaxed);
}

/* One warning, not one from each: the first rank of the host that is there speaks for all. */
static bool speaks_about(const struct watchdog *dog, int rank)
{
    for (int r = 0; r < dog->is.rank; r++)
        if (r != rank && beat_of(dog, r) > 0)
            return false;
    return true;
}

static void listen(struct watchdog *dog, int rank, bool late, int64_t now)
{
    struct heard *heard = &dog->heard[rank];
    const uint64_t beat = beat_of(dog, rank);
    const int64_t silent_ns = now - heard->at;
    if (beat != heard->beat || beat == 0 || late) {
        const bool missed = beat > heard->beat && heard->beat > 0 && silent_ns > MISSED_NS;
        if (missed && !late && speaks_about(dog, rank))
            log_write(LOG_WARN, "watchdog",
                      "rank %d did not answer for %.1f s and is back: it was stopped, or its host "
                      "is short of CPU or memory",
                      name_of(dog, rank), (double)silent_ns * 1e-9);
        *heard = (struct heard){.beat = beat, .at = now};
        return;
    }
    if (silent_ns < LOST_NS)
        return;
    uint64_t nobody = 0;
    atomic_compare_exchange_strong(&dog->board->verdict, &nobody,
                                   (uint64_t)(silent_ns / 1000000) << 32 | (uint64_t)(rank + 1));
}

void watchdog_set_aside(struct watchdog *dog, watchdog_aside_fn *aside, void *context)
{
    if (dog == NULL)
        return;
    pthread_mutex_lock(&dog->asking);
    dog->aside = aside;
    dog->aside_context = context;
    pthread_mutex_unlock(&dog->asking);
}

static bool ask_aside(struct watchdog *dog, struct error *err)
{
    pthread_mutex_lock(&dog->asking);
    const bool good = dog->aside == NULL || dog->aside(dog->aside_context, err);
    pthread_mutex_unlock(&dog->asking);
    return good;
}

static void leave_when_due(struct watchdog *dog, int64_t now)
{
    struct error err = {0};
    if (dog->has_left || (watchdog_check(dog, &err) && ask_aside(dog, &err)))
        return;
    if (dog->lost_since == 0)
        dog->lost_since = now;
    if (now - dog->lost_since < UNWIND_NS || dog->is.leave == NULL)
        return;
    dog->has_left = true;
    dog->is.leave(err.text);
}

void watchdog_look(struct watchdog *dog, int64_t now)
{
    if (dog == NULL)
        return;
    const bool late = dog->looked_at == 0 || now - dog->looked_at > BEAT_NS + LATE_NS;
    dog->looked_at = now;
    raise_by_one(&dog->board->pulse[dog->is.rank].beat);
    int64_t heard_ns = now;
    for (int rank = 0; rank < dog->is.n_ranks; rank++) {
        if (rank == dog->is.rank)
            continue;
        listen(dog, rank, late, now);
        heard_ns = dog->heard[rank].at < heard_ns ? dog->heard[rank].at : heard_ns;
    }
    atomic_store_explicit(&dog->heard_ns, heard_ns, memory_order_relaxed);
    leave_when_due(dog, now);
}

/* ---- the verdict ---- */

/* Of this host; -1 nobody. */
static int lost_here(const struct watchdog *dog)
{
    return (int)(atomic_load_explicit(&dog->board->verdict, memory_order_acquire) & UINT32_MAX) - 1;
}

int watchdog_lost(const struct watchdog *dog)
{
    const int rank = dog != NULL ? lost_here(dog) : -1;
    return rank >= 0 ? name_of(dog, rank) : -1;
}

bool watchdog_check(const struct watchdog *dog, struct error *err)
{
    const int rank = dog != NULL ? lost_here(dog) : -1;
    if (rank < 0)
        return true;
    const uint64_t verdict = atomic_load(&dog->board->verdict);
    const uint64_t call = atomic_load(&dog->board->pulse[rank].call);
    error_set(err, ERROR_PEER, "rank %d has not answered for %.1f s: it was stopped or hangs",
              name_of(dog, rank), (double)(verdict >> 32) * 1e-3);
    if (call > 0) {
        const size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, " (its last call: %s #%llu)",
                 call_name((enum call_kind)(call & ((1 << CALL_BITS) - 1))),
                 (unsigned long long)(call >> CALL_BITS));
    }
    return false;
}

/* ---- progress ---- */

void watchdog_tick(struct watchdog *dog)
{
    if (dog != NULL)
        raise_by_one(&dog->board->pulse[dog->is.rank].progress);
}

void watchdog_enter(struct watchdog *dog, int kind, uint64_t number)
{
    if (dog == NULL)
        return;
    atomic_store_explicit(&dog->board->pulse[dog->is.rank].call,
                          number << CALL_BITS | (uint64_t)kind, memory_order_relaxed);
    watchdog_tick(dog);
}

uint64_t watchdog_progress(const struct watchdog *dog, int rank)
{
    if (dog == NULL)
        return 0;
    check(0 <= rank && rank < dog->is.n_ranks);
    return atomic_load_explicit(&dog->board->pulse[rank].progress, memory_order_relaxed);
}

int watchdog_n_ranks(const struct watchdog *dog) { return dog != NULL ? dog->is.n_ranks : 0; }

int64_t watchdog_heard_ns(const struct watchdog *dog)
{
    return dog != NULL ? atomic_load_explicit(&dog->heard_ns, memory_order_relaxed) : INT64_MAX;
}

void watchdog_set_work(struct watchdog *dog, int64_t ns)
{
    if (dog != NULL)
        atomic_store_explicit(&dog->board->pulse[dog->is.rank].work_ns, ns, memory_order_relaxed);
}

int64_t watchdog_work_ns(const struct watchdog *dog, int rank)
{
    check(dog != NULL && 0 <= rank && rank < dog->is.n_ranks);
    return atomic_load_explicit(&dog->board->pulse[rank].work_ns, memory_order_relaxed);
}

void watchdog_set_loading(struct watchdog *dog, uint64_t done, uint64_t all)
{
    if (dog == NULL)
        return;
    struct pulse *mine = &dog->board->pulse[dog->is.rank];
    atomic_store_explicit(&mine->to_load, all, memory_order_relaxed);
    atomic_store_explicit(&mine->loaded, done, memory_order_relaxed);
}

void watchdog_loading(const struct watchdog *dog, int rank, uint64_t *done, uint64_t *all)
{
    check(dog != NULL && 0 <= rank && rank < dog->is.n_ranks);
    const struct pulse *pulse = &dog->board->pulse[rank];
    *done = atomic_load_explicit(&pulse->loaded, memory_order_relaxed);
    *all = atomic_load_explicit(&pulse->to_load, memory_order_relaxed);
}

/* ---- life ---- */

void watchdog_open(struct watchdog **out, const struct watchdog_settings *settings)
{
    check(0 <= settings->rank && settings->rank < settings->n_ranks);
    check((uintptr_t)settings->memory % alignof(struct pulse) == 0);
    struct watchdog *dog = memory_alloc(1, sizeof *dog);
    *dog = (struct watchdog){.is = *settings,
                             .board = settings->memory,
                             .heard = memory_alloc((size_t)settings->n_ranks, sizeof *dog->heard)};
    pthread_mutex_init(&dog->asking, NULL);
    atomic_store(&dog->board->pulse[settings->rank].world_rank, settings->world_rank);
    *out = dog;
}

static void *run(void *argument)
{
    struct watchdog *dog = argument;
    const uint32_t *end = (const uint32_t *)(const void *)&dog->end;
    while (atomic_load(&dog->end) == 0) {
        watchdog_look(dog, clock_now_ns());
        futex_wait(end, 0, clock_now_ns() + BEAT_NS, false);
    }
    return NULL;
}

bool watchdog_start(struct watchdog *dog, struct error *err)
{
    if (dog == NULL)
        return true;
    sigset_t all, before; /* signals go to the threads that launcher/ chose */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(&dog->thread, NULL, run, dog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return error_set(err, ERROR_SYSTEM, "starting the watchdog: %s", strerror(code));
    pthread_setname_np(dog->thread, "watchdog"); /* as top and gdb show it */
    dog->runs = true;
    return true;
}

void watchdog_close(struct watchdog *dog)
{
    if (dog == NULL)
        return;
    if (dog->runs) {
        atomic_store(&dog->end, 1);
        futex_wake((const uint32_t *)(const void *)&dog->end, 1, false);
        check(pthread_join(dog->thread, NULL) == 0);
    }
    atomic_store(&dog->board->pulse[dog->is.rank].beat, 0);
    pthread_mutex_destroy(&dog->asking);
    memory_free(dog->heard);
    memory_free(dog);
}
