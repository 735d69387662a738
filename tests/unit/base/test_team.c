#include "base/error.h"
#include "base/system.h"
#include "base/team.h"
#include "tests/files.h"
#include "tests/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MAX_ITEMS = 300, MAX_THREADS = 8 };

/* Plain memory on purpose: ThreadSanitizer then checks that a run orders what it must. */
struct marks {
    int times[MAX_ITEMS];  /* each item ran, over all runs */
    int last[MAX_THREADS]; /* item of this run, per thread; -1 before */
    int input;             /* written by the caller before a run */
    int input_seen[MAX_ITEMS];
    bool descended;
};

static void mark(void *context, int item, int thread)
{
    struct marks *m = context;
    m->times[item]++;
    m->input_seen[item] = m->input;
    if (item <= m->last[thread])
        m->descended = true;
    m->last[thread] = item;
}

static struct team *make_team(int n_threads, int64_t spin_ns)
{
    struct error err = {0};
    struct team *team = NULL;
    CHECK(team_create(&team, n_threads, spin_ns, NULL, &err));
    CHECK_EQ(team_size(team), n_threads);
    return team;
}

static void run_and_check(struct team *team, int n_items, int run)
{
    static struct marks m; /* large for a stack, and used by one test at a time */
    m = (struct marks){.input = run};
    for (int i = 0; i < MAX_THREADS; i++)
        m.last[i] = -1;
    team_run(team, mark, &m, n_items);
    CHECK(!m.descended);
    for (int i = 0; i < MAX_ITEMS; i++) {
        CHECK_EQ(m.times[i], i < n_items);
        CHECK_EQ(m.input_seen[i], i < n_items ? run : 0);
    }
}

TEST(team_runs_each_item_once_in_ascending_order_per_thread)
{
    static const int threads[] = {1, 2, 3, MAX_THREADS};
    static const int64_t spins[] = {0, 50 * 1000};
    for (int t = 0; t < 4; t++) {
        for (int s = 0; s < 2; s++) {
            struct team *team = make_team(threads[t], spins[s]);
            for (int run = 1; run <= 400; run++)
                run_and_check(team, run * 7 % MAX_ITEMS, run);
            team_destroy(team);
        }
    }
}

TEST(team_of_sleepers_wakes_up)
{
    struct team *team = make_team(3, 1000);
    for (int run = 1; run <= 30; run++) {
        system_sleep_ns(run % 3 * 500 * 1000); /* past the spinning, or in the middle of it */
        run_and_check(team, 40, run);
    }
    team_destroy(team);
}

static void sleep_long_at_first(void *context, int item, int thread)
{
    (void)thread;
    if (item == 0)
        system_sleep_ns(3000 * 1000);
    atomic_fetch_add((atomic_int *)context, 1);
}

TEST(team_run_returns_after_the_slowest_item)
{
    struct team *spinning = make_team(4, 100 * 1000 * 1000), *sleeping = make_team(4, 0);
    for (int run = 0; run < 20; run++) {
        atomic_int done = 0;
        team_run(run % 2 ? spinning : sleeping, sleep_long_at_first, &done, 9);
        CHECK_EQ(atomic_load(&done), 9);
    }
    team_destroy(spinning);
    team_destroy(sleeping);
}

/* Each item waits until all have begun: it ends only if each has a thread of its own. */
static void meet(void *context, int item, int thread)
{
    (void)item, (void)thread;
    atomic_int *missing = context;
    atomic_fetch_sub(missing, 1);
    while (atomic_load(missing) > 0)
        system_sleep_ns(10 * 1000);
}

TEST(team_gives_work_to_all_its_threads)
{
    struct team *team = make_team(4, 0);
    for (int run = 0; run < 50; run++) {
        atomic_int missing = 4;
        team_run(team, meet, &missing, 4);
        CHECK_EQ(atomic_load(&missing), 0);
    }
    team_destroy(team);
}

static void count(void *context, int item, int thread)
{
    (void)thread;
    ((int *)context)[item]++;
}

/* Short runs in a row: a member is then often late, and meets the run after the one it was woken
 * for, or none at all. */
TEST(team_survives_members_that_come_late)
{
    static const int64_t spins[] = {0, 2000, 1000 * 1000};
    for (int s = 0; s < 3; s++) {
        struct team *team = make_team(MAX_THREADS, spins[s]);
        int counts[5] = {0};
        const int n_runs = 20000;
        for (int run = 0; run < n_runs; run++)
            team_run(team, count, counts, 2 + run % 4);
        CHECK_EQ(counts[0], n_runs);
        CHECK_EQ(counts[1], n_runs);
        CHECK_EQ(counts[2], n_runs / 4 * 3);
        CHECK_EQ(counts[3], n_runs / 4 * 2);
        CHECK_EQ(counts[4], n_runs / 4);
        team_destroy(team);
    }
}

static void *run_own_team(void *context)
{
    struct error err = {0};
    struct team *team;
    int *counts = context;
    if (!team_create(&team, 3, 5000, NULL, &err))
        return NULL;
    for (int run = 0; run < 2000; run++)
        team_run(team, count, counts, 8);
    team_destroy(team);
    return counts;
}

TEST(teams_of_several_ranks_in_one_process_do_not_meet)
{
    enum { RANKS = 4 };
    static int counts[RANKS][8];
    pthread_t ranks[RANKS];
    for (int r = 0; r < RANKS; r++)
        CHECK_EQ(pthread_create(&ranks[r], NULL, run_own_team, counts[r]), 0);
    for (int r = 0; r < RANKS; r++) {
        void *result;
        pthread_join(ranks[r], &result);
        CHECK(result == counts[r]);
        for (int i = 0; i < 8; i++)
            CHECK_EQ(counts[r][i], 2000);
    }
}

static atomic_int n_prepared;
static _Thread_local bool prepared;

static void prepare(void)
{
    prepared = true;
    atomic_fetch_add(&n_prepared, 1);
}

struct meeting {
    atomic_int missing;
    atomic_int n_wrong;
};

static void meet_prepared(void *context, int item, int thread)
{
    struct meeting *m = context;
    if (!prepared)
        atomic_fetch_add(&m->n_wrong, 1);
    meet(&m->missing, item, thread);
}

TEST(team_prepares_every_thread_before_its_first_item)
{
    atomic_store(&n_prepared, 0);
    prepared = false;
    struct error err = {0};
    struct team *team;
    CHECK(team_create(&team, 5, 0, prepare, &err));
    struct meeting m = {.missing = 5};
    team_run(team, meet_prepared, &m, 5);
    CHECK_EQ(atomic_load(&m.n_wrong), 0);
    team_destroy(team);
    CHECK_EQ(atomic_load(&n_prepared), 5); /* the caller is one of them */
}

TEST(team_without_a_run_is_destroyed_at_once)
{
    for (int i = 0; i < 50; i++)
        team_destroy(make_team(MAX_THREADS, i % 2 * 1000 * 1000));
    team_destroy(NULL);
}

static void meet_with_mask(void *context, int item, int thread)
{
    struct meeting *m = context;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (sigismember(&mask, SIGTERM) != (thread != 0) || sigismember(&mask, SIGBUS))
        atomic_fetch_add(&m->n_wrong, 1);
    meet(&m->missing, item, thread);
}

TEST(team_leaves_signals_of_the_process_to_its_caller)
{
    struct team *team = make_team(4, 0);
    struct meeting m = {.missing = 4};
    team_run(team, meet_with_mask, &m, 4);
    CHECK_EQ(atomic_load(&m.n_wrong), 0);
    team_destroy(team);
}

/* The stacks of 100 threads do not fit into what is left of the address space. */
static void create_without_room(void *context)
{
    (void)context;
    const struct rlimit room = {.rlim_cur = 200 << 20, .rlim_max = 200 << 20};
    struct error err = {0};
    struct team *team;
    if (setrlimit(RLIMIT_AS, &room) != 0 || team_create(&team, 100, 0, NULL, &err) ||
        err.kind != ERROR_SYSTEM || strstr(err.text, "starting thread") == NULL)
        _exit(1);
}

TEST(team_that_cannot_start_all_threads_ends_those_it_started)
{
    if (SANITIZED)
        SKIP("a sanitizer needs more address space than this test leaves");
    CHECK_EQ(outcome_of(create_without_room, NULL), 0);
}
