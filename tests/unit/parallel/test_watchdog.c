/* Ranks of one host with a clock of their own: each test says who looks when. */
#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "parallel/call.h"
#include "parallel/comm.h"
#include "parallel/watchdog.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { N = 3, BEAT_MS = 250 };
static const int64_t ms = 1000 * 1000;

struct host {
    void *memory;
    struct watchdog *dog[N];
    int64_t now;
};

static int n_left;
static char left_with[512];

static void leave(const char *text)
{
    n_left++;
    snprintf(left_with, sizeof left_with, "%s", text);
}

/* World ranks 4, 5, 6; all have looked once. */
static struct host host_make(void)
{
    struct host host = {.memory = shared_memory_map(watchdog_bytes(N)), .now = 1000 * ms};
    n_left = 0;
    left_with[0] = '\0';
    for (int rank = 0; rank < N; rank++)
        watchdog_open(&host.dog[rank], &(struct watchdog_settings){.memory = host.memory,
                                                                   .rank = rank,
                                                                   .n_ranks = N,
                                                                   .world_rank = 4 + rank,
                                                                   .leave = leave});
    for (int rank = 0; rank < N; rank++)
        watchdog_look(host.dog[rank], host.now);
    return host;
}

static void host_release(struct host *host)
{
    for (int rank = 0; rank < N; rank++)
        watchdog_close(host->dog[rank]);
    munmap(host->memory, watchdog_bytes(N));
}

/* The ranks but `stopped` (-1: none) look every 250 ms for so long. */
static void pass(struct host *host, int64_t wait_ms, int stopped)
{
    for (int64_t end = host->now + wait_ms * ms; host->now < end;) {
        host->now += BEAT_MS * ms;
        for (int rank = 0; rank < N; rank++)
            if (rank != stopped)
                watchdog_look(host->dog[rank], host->now);
    }
}

TEST(ranks_that_beat_are_never_lost)
{
    struct host host = host_make();
    pass(&host, 60000, -1);
    for (int rank = 0; rank < N; rank++)
        CHECK_EQ(watchdog_lost(host.dog[rank]), -1);
    host_release(&host);
}

TEST(a_rank_that_is_silent_for_two_seconds_is_lost_for_all_and_named)
{
    struct host host = host_make();
    watchdog_enter(host.dog[2], CALL_BROADCAST, 12);
    pass(&host, 500, -1);
    pass(&host, 1750, 2);
    CHECK_EQ(watchdog_lost(host.dog[0]), -1);
    pass(&host, 500, 2);
    for (int rank = 0; rank < N; rank++) {
        struct error err = {0};
        CHECK(!watchdog_check(host.dog[rank], &err));
        CHECK_EQ(err.kind, ERROR_PEER);
        CHECK_STR(err.text, "rank 6 has not answered for 2.0 s: it was stopped or hangs "
                            "(its last call: broadcast #12)");
    }
    host_release(&host);
}

TEST(a_rank_that_is_silent_for_one_second_is_not_lost)
{
    struct host host = host_make();
    for (int round = 0; round < 5; round++) {
        pass(&host, 500, -1);
        pass(&host, 1000, 1);
    }
    CHECK_EQ(watchdog_lost(host.dog[0]), -1);
    host_release(&host);
}

TEST(a_machine_that_stands_still_loses_nobody)
{
    struct host host = host_make();
    pass(&host, 500, -1);
    host.now += 3600 * 1000 * ms; /* suspended; then they come back one after another */
    watchdog_look(host.dog[0], host.now);
    pass(&host, 1500, 1);
    watchdog_look(host.dog[1], host.now);
    pass(&host, 5000, -1);
    CHECK_EQ(watchdog_lost(host.dog[0]), -1);
    host_release(&host);
}

TEST(a_rank_that_left_or_has_not_come_yet_is_not_missed)
{
    struct host host = host_make();
    watchdog_close(host.dog[1]);
    host.dog[1] = NULL; /* and NULL is a rank that nobody watches */
    pass(&host, 10000, 1);
    CHECK_EQ(watchdog_lost(host.dog[0]), -1);
    host_release(&host);
}

TEST(a_rank_that_does_not_unwind_within_two_seconds_leaves_once)
{
    struct host host = host_make();
    pass(&host, 500, -1);
    pass(&host, 2250, 2);
    CHECK_EQ(watchdog_lost(host.dog[0]), 6);
    pass(&host, 1500, 2);
    CHECK_EQ(n_left, 0);
    pass(&host, 5000, 2);
    CHECK_EQ(n_left, 2); /* ranks 4 and 5 */
    CHECK(strstr(left_with, "rank 6 has not answered"));
    host_release(&host);
}

static bool in_vain(void *context, struct error *err)
{
    return *(const bool *)context || error_set(err, ERROR_PEER, "tree_reduce #7: in vain");
}

TEST(a_rank_that_waits_in_vain_and_does_not_unwind_within_two_seconds_leaves_once)
{
    bool good = true;
    struct host host = host_make();
    watchdog_set_aside(host.dog[1], in_vain, &good);
    pass(&host, 5000, -1);
    CHECK_EQ(n_left, 0);
    good = false;
    pass(&host, 1500, -1);
    CHECK_EQ(n_left, 0);
    pass(&host, 3000, -1);
    CHECK_EQ(n_left, 1);
    CHECK_STR(left_with, "tree_reduce #7: in vain");
    CHECK_EQ(watchdog_lost(host.dog[0]), -1); /* it beats: for the others it is there */
    host_release(&host);
}

TEST(a_rank_that_nobody_watches_is_not_asked)
{
    bool good = false;
    struct host host = host_make();
    watchdog_set_aside(NULL, in_vain, &good);
    watchdog_set_aside(host.dog[1], in_vain, &good);
    watchdog_set_aside(host.dog[1], NULL, NULL);
    pass(&host, 5000, -1);
    CHECK_EQ(n_left, 0);
    host_release(&host);
}

TEST(the_thread_beats_by_itself)
{
    struct error err = {0};
    struct host host = host_make();
    for (int rank = 1; rank < N; rank++)
        CHECK(watchdog_start(host.dog[rank], &err));
    const int64_t begin = clock_now_ns();
    while (clock_now_ns() < begin + 2500 * ms) {
        watchdog_look(host.dog[0], clock_now_ns());
        system_sleep_ns(100 * ms);
    }
    CHECK_EQ(watchdog_lost(host.dog[0]), -1);
    host_release(&host);
}

TEST(progress_counts_calls_and_ticks)
{
    struct host host = host_make();
    const uint64_t before = watchdog_progress(host.dog[0], 1);
    watchdog_tick(host.dog[1]);
    watchdog_enter(host.dog[1], CALL_SEND, 1);
    CHECK_EQ(watchdog_progress(host.dog[0], 1) - before, 2);
    CHECK_EQ(watchdog_progress(host.dog[0], 2), 0);
    host_release(&host);
}

TEST(the_oldest_sign_of_life_is_that_of_the_rank_that_stopped)
{
    struct host host = host_make();
    pass(&host, 1000, -1);
    const int64_t heard_ns = watchdog_heard_ns(host.dog[0]);
    CHECK(host.now - heard_ns <= 2 * BEAT_MS * ms);
    pass(&host, 1500, 2);
    CHECK(host.now - watchdog_heard_ns(host.dog[0]) >= 1250 * ms);
    CHECK(host.now - watchdog_heard_ns(host.dog[0]) <= 2000 * ms);
    CHECK_EQ(watchdog_heard_ns(NULL), INT64_MAX);
    host_release(&host);
}

TEST(ranks_see_the_work_of_each_other)
{
    struct host host = host_make();
    watchdog_set_work(host.dog[1], 77);
    CHECK_EQ(watchdog_work_ns(host.dog[0], 1), 77);
    CHECK_EQ(watchdog_work_ns(host.dog[0], 0), 0);
    CHECK_EQ(watchdog_n_ranks(host.dog[0]), N);
    CHECK_EQ(watchdog_n_ranks(NULL), 0);
    watchdog_set_work(NULL, 1);
    host_release(&host);
}

TEST(ranks_see_how_far_the_weights_of_each_other_are)
{
    struct host host = host_make();
    uint64_t done = 1, all = 1;
    watchdog_set_loading(host.dog[1], 3, 5);
    watchdog_loading(host.dog[0], 1, &done, &all);
    CHECK(done == 3 && all == 5);
    watchdog_loading(host.dog[0], 0, &done, &all);
    CHECK(done == 0 && all == 0);
    watchdog_set_loading(NULL, 1, 1);
    host_release(&host);
}

/* ---- what waits ---- */

struct group {
    void *memory;
    struct host *host;
};

/* Rank 1 waits for ever for a step, rank 2 for a sum; rank 0 loses a fourth that never beats. */
static bool wait_or_lose(void *context, int rank, struct error *err)
{
    struct group *group = context;
    const struct comm_settings settings = {.deadline_ns = 60000 * ms,
                                           .watchdog = group->host->dog[rank]};
    struct comm *comm;
    char byte = 0;
    float x = 0;
    bool ok = comm_open_shm(&comm, group->memory, rank, N, &settings, err);
    if (rank == 0) {
        system_sleep_ns(100 * ms);
        for (int look = 0; look < 12; look++)
            watchdog_look(group->host->dog[0], group->host->now += BEAT_MS * ms);
        system_sleep_ns(100 * ms);
    } else if (rank == 1) {
        ok = comm->ops->broadcast(comm, &byte, 1, 0, true, err);
    } else {
        ok = comm->ops->tree_reduce(comm, NULL, &x, &x, N, 1, err);
    }
    comm_close(comm);
    return ok;
}

TEST(a_wait_ends_when_a_rank_is_lost)
{
    struct host host = host_make();
    struct group group = {.memory = shared_memory_map(comm_shm_bytes(N)), .host = &host};
    struct error err[MAX_TEST_RANKS];
    pass(&host, 500, -1);
    const int64_t begin = clock_now_ns();
    run_ranks(N, wait_or_lose, &group, err);
    CHECK_EQ(err[0].kind, ERROR_NONE);
    CHECK(strstr(err[1].text, "broadcast #1: rank 5 has not answered for"));
    CHECK(strstr(err[2].text, "tree_reduce #1: rank 5 has not answered for"));
    CHECK(clock_now_ns() - begin < 20000 * ms);
    munmap(group.memory, comm_shm_bytes(N));
    host_release(&host);
}
