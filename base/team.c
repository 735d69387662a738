/* How a run walks through the two counters that all share:
 *
 *   n_left        items that nobody took. Taking one is a fetch_sub; a result of 0 or less means
 *                 that there is none, and the next run overwrites what went below.
 *   n_unfinished  items whose work is not done. Each thread reports all it did at once, when it
 *                 finds no more; who brings it to 0 ends the run.
 *
 * A run waits for items, never for threads: a thread that wakes late, or that the system does not
 * schedule at all, finds nothing left, and the caller did its part. What makes that safe is that
 * the fields of a run (item, context, n_items) are read only by a thread that took an item and has
 * not reported it; until it does, n_unfinished is above 0 and nobody writes them. So a thread that
 * takes an item of a newer run than the one that woke it runs it rightly.
 *
 * No wake-up is lost: who goes to sleep first announces it and then looks again (futex_wait looks
 * a last time in the kernel); who wakes first counts up and then looks for announcements. Both
 * orders are sequentially consistent, so at least one of the two sees the other. */
#include "base/team.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>

enum { CACHE_LINE = 64, LOOKS_PER_CLOCK = 32 };

/* Something that happened `count` times; one waits for the next time. */
struct event {
    alignas(CACHE_LINE) _Atomic uint32_t count;
    atomic_int n_asleep;
};

struct member {
    struct team *team;
    pthread_t thread;
    int index; /* 1 .. size - 1; the caller of team_run() is 0 */
};

struct team {
    struct arena arena;     /* holds this struct too */
    struct member *members; /* [size] */
    int size;
    int64_t spin_ns;
    void (*prepare)(void);
    atomic_bool stopping;

    /* one run; see above for who may read them when */
    team_item_fn *item;
    void *context;
    int n_items;

    struct event begun, ended; /* runs */
    alignas(CACHE_LINE) atomic_int n_left;
    alignas(CACHE_LINE) atomic_int n_unfinished;
};

static void event_raise(struct event *event, int n_waiters)
{
    atomic_fetch_add(&event->count, 1);
    if (atomic_load(&event->n_asleep) > 0)
        futex_wake((const uint32_t *)&event->count, n_waiters, false);
}

static bool event_spin(struct event *event, uint32_t seen, int64_t spin_ns)
{
    if (atomic_load(&event->count) != seen)
        return true;
    if (spin_ns == 0)
        return false;
    const int64_t deadline_ns = clock_now_ns() + spin_ns;
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (atomic_load(&event->count) != seen)
                return true;
            system_pause();
        }
    } while (clock_now_ns() < deadline_ns);
    return false;
}

/* Waits until the count is not `seen`, and returns it. */
static uint32_t event_wait(struct event *event, uint32_t seen, int64_t spin_ns)
{
    if (!event_spin(event, seen, spin_ns)) {
        atomic_fetch_add(&event->n_asleep, 1);
        while (atomic_load(&event->count) == seen)
            futex_wait((const uint32_t *)&event->count, seen, INT64_MAX, false);
        atomic_fetch_sub(&event->n_asleep, 1);
    }
    return atomic_load(&event->count);
}

/* Takes items until none is left. True for the thread that reports the last one of the run. */
static bool work(struct team *team, int thread)
{
    int n_done = 0;
    for (;;) {
        const int left = atomic_fetch_sub(&team->n_left, 1);
        if (left <= 0)
            break;
        team->item(team->context, team->n_items - left, thread);
        n_done++;
    }
    return n_done > 0 && atomic_fetch_sub(&team->n_unfinished, n_done) == n_done;
}

static void *member_main(void *argument)
{
    const struct member *member = argument;
    struct team *team = member->team;
    if (team->prepare != NULL)
        team->prepare();
    uint32_t seen = 0;
    for (;;) {
        seen = event_wait(&team->begun, seen, team->spin_ns);
        if (atomic_load(&team->stopping))
            return NULL;
        if (work(team, member->index))
            event_raise(&team->ended, 1);
    }
}

/* Signals meant for the process go to the threads that launcher/ chose. Those that a thread
 * causes itself stay open: a weight file that shrinks is a SIGBUS right here. */
static void block_signals(sigset_t *before)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, before);
}

static bool start_member(struct team *team, struct error *err)
{
    struct member *member = &team->members[team->size];
    *member = (struct member){.team = team, .index = team->size};
    const int code = pthread_create(&member->thread, NULL, member_main, member);
    if (code != 0) {
        errno = code;
        return error_errno(err, "starting thread %d of a team", team->size + 1);
    }
    char name[16]; /* as top and gdb show it */
    snprintf(name, sizeof name, "team %d", member->index);
    pthread_setname_np(member->thread, name);
    team->size++;
    return true;
}

bool team_create(struct team **out, int n_threads, int64_t spin_ns, void (*prepare)(void),
                 struct error *err)
{
    check(n_threads >= 1 && spin_ns >= 0);
    struct arena arena = {0};
    struct team *team = arena_alloc(&arena, 1, sizeof *team);
    team->members = arena_alloc(&arena, (size_t)n_threads, sizeof *team->members);
    team->arena = arena;
    team->size = 1;
    team->spin_ns = spin_ns;
    team->prepare = prepare;

    sigset_t before;
    block_signals(&before);
    bool ok = true;
    while (ok && team->size < n_threads)
        ok = start_member(team, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!ok) {
        team_destroy(team);
        return false;
    }
    if (prepare != NULL)
        prepare();
    *out = team;
    return true;
}

int team_size(const struct team *team) { return team->size; }

void team_run(struct team *team, team_item_fn *item, void *context, int n_items)
{
    check(n_items >= 0);
    if (team->size == 1 || n_items <= 1) {
        for (int i = 0; i < n_items; i++)
            item(context, i, 0);
        return;
    }
    const uint32_t seen = atomic_load(&team->ended.count);
    team->item = item;
    team->context = context;
    team->n_items = n_items;
    atomic_store(&team->n_unfinished, n_items);
    atomic_store(&team->n_left, n_items); /* from here on it runs */
    event_raise(&team->begun, n_items - 1);
    if (!work(team, 0))
        event_wait(&team->ended, seen, team->spin_ns);
}

void team_destroy(struct team *team)
{
    if (team == NULL)
        return;
    atomic_store(&team->stopping, true);
    event_raise(&team->begun, INT_MAX);
    for (int i = 1; i < team->size; i++)
        pthread_join(team->members[i].thread, NULL);
    struct arena arena = team->arena; /* the team lies in it */
    arena_release(&arena);
}
