/* comm_self alone, and comm_shm between threads and between forked processes. */
#include "base/memory.h"
#include "base/system.h"
#include "parallel/comm.h"
#include "tests/test.h"
#include "tests/unit/parallel/comm_cases.h"
#include "tests/unit/parallel/threads.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t ms = 1000 * 1000;

/* A group whose ranks all run one function on their comm. */
struct group {
    void *memory;
    int size;
    struct comm_settings settings;
    bool (*run)(struct comm *comm, struct error *err);
};

static bool group_rank(void *context, int rank, struct error *err)
{
    const struct group *group = context;
    struct comm *comm;
    if (!comm_open_shm(&comm, group->memory, rank, group->size, &group->settings, err))
        return false;
    const bool ok = group->run(comm, err);
    comm_close(comm);
    return ok;
}

static struct group group_make(int size, bool (*run)(struct comm *comm, struct error *err))
{
    /* no spinning: the threads outnumber the CPUs of most machines that run this */
    return (struct group){.memory = shared_memory_map(comm_shm_bytes(size)),
                          .size = size,
                          .settings = {.deadline_ns = 60000 * ms},
                          .run = run};
}

static void group_release(struct group *group)
{
    munmap(group->memory, comm_shm_bytes(group->size));
}

static void check_threads(int largest, int64_t spin_ns,
                          bool (*run)(struct comm *comm, struct error *err))
{
    for (int size = 1; size <= largest; size++) {
        struct group group = group_make(size, run);
        group.settings.spin_ns = spin_ns;
        check_ranks(size, group_rank, &group);
        group_release(&group);
    }
}

TEST(a_rank_alone_copies)
{
    struct error err = {0};
    struct comm *comm;
    CHECK(comm_open_self(&comm, &err));
    CHECK_STR(comm->ops->name, "self");
    bool (*const cases[])(struct comm *, struct error *) = {case_tree_reduce, case_all_gather,
                                                            case_broadcast, case_mixture};
    for (int i = 0; i < 4; i++)
        if (!cases[i](comm, &err))
            test_fail(__FILE__, __LINE__, "%s", err.text);
    comm_close(comm);
}

TEST(sums_between_threads_have_the_bits_of_one_rank) { check_threads(8, 0, case_tree_reduce); }
TEST(gathers_between_threads_bring_every_byte) { check_threads(8, 0, case_all_gather); }
TEST(broadcasts_between_threads_bring_every_byte) { check_threads(8, 0, case_broadcast); }
TEST(sends_between_threads_bring_every_byte) { check_threads(8, 0, case_send_receive); }
TEST(slots_are_never_reused_before_they_are_read) { check_threads(8, 0, case_mixture); }
TEST(spinning_ranks_get_the_same_results) { check_threads(3, 20 * 1000, case_mixture); }

static bool all_cases(struct comm *comm, struct error *err)
{
    return case_tree_reduce(comm, err) && case_all_gather(comm, err) && case_broadcast(comm, err) &&
           case_send_receive(comm, err) && case_mixture(comm, err);
}

/* Runs rank `rank` of the group in a child; exits with 0 when it succeeded. */
static pid_t fork_rank(struct group *group, int rank)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct error err = {0};
        const bool ok = group_rank(group, rank, &err);
        if (!ok && write(STDOUT_FILENO, err.text, strlen(err.text)) < 0)
            _exit(2);
        _exit(ok ? 0 : 1);
    }
    return child;
}

TEST(processes_get_the_results_that_threads_get)
{
    struct group group = group_make(3, all_cases);
    pid_t child[3];
    for (int rank = 1; rank < 3; rank++)
        child[rank] = fork_rank(&group, rank);
    struct error err = {0};
    const bool ok = group_rank(&group, 0, &err);
    for (int rank = 1; rank < 3; rank++) {
        int status;
        CHECK_EQ(waitpid(child[rank], &status, 0), child[rank]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    if (!ok)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    group_release(&group);
}

/* ------------------------------------------------------------------------- who does not come -- */

static bool reduce_but_rank_1(struct comm *comm, struct error *err)
{
    float x[4] = {0};
    for (int call = 0; call < 3; call++)
        if (!comm->ops->tree_reduce(comm, NULL, x, x, comm->size, 4, err))
            return false;
    return comm->rank == 1 || comm->ops->tree_reduce(comm, NULL, x, x, comm->size, 4, err);
}

TEST(a_missing_rank_is_named_with_the_call_and_within_the_deadline)
{
    struct group group = group_make(3, reduce_but_rank_1);
    group.settings.deadline_ns = 2000 * ms;
    group.settings.spin_ns = 1 * ms;
    struct error err[MAX_TEST_RANKS];
    const int64_t begin = clock_now_ns();
    run_ranks(3, group_rank, &group, err);
    const int64_t took = clock_now_ns() - begin;
    for (int rank = 0; rank < 3; rank += 2) {
        CHECK_STR(err[rank].text, "tree_reduce #4: rank 1 did not come within 2.0 s");
        CHECK_EQ(err[rank].kind, ERROR_PEER);
    }
    CHECK_EQ(err[1].kind, ERROR_NONE);
    CHECK(took >= 2000 * ms && took < 20000 * ms);
    group_release(&group);
}

static bool gather_alone(struct comm *comm, struct error *err)
{
    const size_t n_bytes[4] = {1, 1, 1, 1};
    char all[4] = "";
    return comm->rank != 2 || comm->ops->all_gather(comm, NULL, all, all + 2, n_bytes, err);
}

TEST(all_missing_ranks_are_named)
{
    struct group group = group_make(4, gather_alone);
    group.settings.deadline_ns = 100 * ms;
    struct error err[MAX_TEST_RANKS];
    run_ranks(4, group_rank, &group, err);
    CHECK_STR(err[2].text, "all_gather #1: ranks 0, 1, 3 did not come within 0.1 s");
    group_release(&group);
}

static bool receive_from_nobody(struct comm *comm, struct error *err)
{
    char byte;
    return comm->rank != 0 || comm->ops->receive(comm, NULL, &byte, 1, 1, false, err);
}

TEST(a_sender_that_does_not_send_is_named)
{
    struct group group = group_make(2, receive_from_nobody);
    group.settings.deadline_ns = 100 * ms;
    struct error err[MAX_TEST_RANKS];
    run_ranks(2, group_rank, &group, err);
    CHECK_STR(err[0].text, "receive #1: rank 1 did not come within 0.1 s");
    group_release(&group);
}

/* Rank 1 computes for longer than the deadline, and then sends once. */
static bool receive_late_and_never(struct comm *comm, struct error *err)
{
    char byte = 0;
    if (comm->rank == 1) {
        system_sleep_ns(200 * ms);
        return comm->ops->send(comm, NULL, &byte, 1, 0, err);
    }
    comm->patience_ns = 2000 * ms;
    if (!comm->ops->receive(comm, NULL, &byte, 1, 1, false, err))
        return false;
    comm->patience_ns = 100 * ms;
    return comm->ops->receive(comm, NULL, &byte, 1, 1, false, err);
}

TEST(a_rank_that_knows_that_others_compute_waits_longer)
{
    struct group group = group_make(2, receive_late_and_never);
    group.settings.deadline_ns = 100 * ms;
    struct error err[MAX_TEST_RANKS];
    run_ranks(2, group_rank, &group, err);
    CHECK_EQ(err[1].kind, ERROR_NONE);
    CHECK_STR(err[0].text, "receive #2: rank 1 did not come within 0.2 s");
    group_release(&group);
}

static bool send_to_nobody(struct comm *comm, struct error *err)
{
    static const char bytes[1 << 20]; /* more than waits in memory for its receiver */
    return comm->rank != 0 || comm->ops->send(comm, NULL, bytes, sizeof bytes, 1, err);
}

TEST(a_receiver_that_does_not_receive_is_named)
{
    struct group group = group_make(2, send_to_nobody);
    group.settings.deadline_ns = 100 * ms;
    struct error err[MAX_TEST_RANKS];
    run_ranks(2, group_rank, &group, err);
    CHECK_STR(err[0].text, "send #1: rank 1 did not come within 0.1 s");
    group_release(&group);
}

static bool broadcast_from_nobody(struct comm *comm, struct error *err)
{
    char byte;
    return comm->rank == 2 || comm->ops->broadcast(comm, &byte, 1, 2, false, err);
}

TEST(a_root_that_does_not_come_is_named)
{
    struct group group = group_make(3, broadcast_from_nobody);
    group.settings.deadline_ns = 100 * ms;
    struct error err[MAX_TEST_RANKS];
    run_ranks(3, group_rank, &group, err);
    CHECK(strstr(err[0].text, "broadcast #1: rank") && strstr(err[0].text, "2 did not come"));
    group_release(&group);
}

static bool reduce_then_reduce_again(struct comm *comm, struct error *err)
{
    float x = 0;
    if (comm->rank == 1)
        return true;
    struct error first = {0};
    if (comm->ops->tree_reduce(comm, NULL, &x, &x, 2, 1, &first))
        return error_set(err, ERROR_INPUT, "a sum without rank 1 succeeded");
    return comm->ops->tree_reduce(comm, NULL, &x, &x, 2, 1, err);
}

TEST(a_failure_is_final)
{
    struct group group = group_make(2, reduce_then_reduce_again);
    group.settings.deadline_ns = 100 * ms;
    struct error err[MAX_TEST_RANKS];
    const int64_t begin = clock_now_ns();
    run_ranks(2, group_rank, &group, err);
    CHECK_STR(err[0].text, "tree_reduce after this group of ranks has failed");
    CHECK(clock_now_ns() - begin < 20000 * ms);
    group_release(&group);
}

static bool reduce_or_gather(struct comm *comm, struct error *err)
{
    float x[2] = {0};
    const size_t n_bytes[2] = {4, 4};
    return comm->rank == 0 ? comm->ops->tree_reduce(comm, NULL, x, x, 2, 1, err)
                           : comm->ops->all_gather(comm, NULL, x, x + 1, n_bytes, err);
}

TEST(ranks_in_different_calls_get_an_error_and_not_each_others_numbers)
{
    struct group group = group_make(2, reduce_or_gather);
    struct error err[MAX_TEST_RANKS];
    run_ranks(2, group_rank, &group, err);
    CHECK_STR(err[0].text, "tree_reduce #1: rank 1 came to all_gather: the ranks are out of step");
    CHECK_STR(err[1].text, "all_gather #1: rank 0 came to tree_reduce: the ranks are out of step");
    group_release(&group);
}

static bool reduce_other_counts(struct comm *comm, struct error *err)
{
    float x[2] = {0};
    return comm->ops->tree_reduce(comm, NULL, x, x, 2, comm->rank == 0 ? 1 : 2, err);
}

TEST(ranks_with_different_sizes_get_an_error)
{
    struct group group = group_make(2, reduce_other_counts);
    struct error err[MAX_TEST_RANKS];
    run_ranks(2, group_rank, &group, err);
    CHECK(strstr(err[0].text, "rank 1 came to the same with another size"));
    CHECK(strstr(err[1].text, "rank 0 came to the same with another size"));
    group_release(&group);
}

static bool reduce_for_ever(struct comm *comm, struct error *err)
{
    float x[500] = {0};
    while (comm->ops->tree_reduce(comm, NULL, x, x, comm->size, 500, err))
        continue;
    return false;
}

TEST(a_killed_process_is_noticed_by_the_others)
{
    struct group group = group_make(2, reduce_for_ever);
    group.settings.deadline_ns = 2000 * ms;
    const pid_t child = fork_rank(&group, 1);
    struct comm *comm;
    struct error err = {0};
    float x[500] = {0};
    CHECK(comm_open_shm(&comm, group.memory, 0, 2, &group.settings, &err));
    for (int call = 0; call < 100; call++)
        CHECK(comm->ops->tree_reduce(comm, NULL, x, x, 2, 500, &err));
    kill(child, SIGKILL);
    CHECK(!reduce_for_ever(comm, &err));
    CHECK_EQ(err.kind, ERROR_PEER);
    CHECK(strstr(err.text, "rank 1 did not come within 2.0 s"));
    comm_close(comm);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    group_release(&group);
}

/* -------------------------------------------------------------------------------------- idle -- */

/* The root comes 200 ms late, beyond the deadline, several times: the machine may be busy with
 * something else when a rank should wake, but not each time. */
static bool late_root(struct comm *comm, struct error *err)
{
    int64_t least_late = INT64_MAX, least_cpu = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        int64_t sent_at = 0;
        if (comm->rank == 0) {
            system_sleep_ns(200 * ms);
            sent_at = clock_now_ns();
        }
        const int64_t cpu_before = test_cpu_ns();
        if (!comm->ops->broadcast(comm, &sent_at, sizeof sent_at, 0, true, err))
            return false;
        const int64_t late = clock_now_ns() - sent_at;
        least_late = late < least_late ? late : least_late;
        const int64_t cpu = test_cpu_ns() - cpu_before;
        least_cpu = cpu < least_cpu ? cpu : least_cpu;
    }
    if (least_late > 50 * ms)
        return error_set(err, ERROR_INPUT, "woken %lld ms late", (long long)(least_late / ms));
    if (comm->rank != 0 && least_cpu > 10 * ms) /* 5 % of the time, spinning included */
        return error_set(err, ERROR_INPUT, "%lld ms of CPU while idle",
                         (long long)(least_cpu / ms));
    return true;
}

TEST(an_idle_rank_waits_beyond_the_deadline_costs_nothing_and_wakes_quickly)
{
    struct group group = group_make(3, late_root);
    group.settings.deadline_ns = 100 * ms;
    group.settings.spin_ns = 1 * ms;
    check_ranks(3, group_rank, &group);
    group_release(&group);
}

/* What rank 1 waits idle for is no communication; the sum and the byte from rank 0 are. Its time is
 * in err where it is as long as that of the idle wait, which it is where rank 0 then stands still.
 */
static bool counted_calls(struct comm *comm, struct error *err)
{
    char byte = 0;
    float x[4] = {1, 2, 3, 4};
    if (comm->rank == 0)
        system_sleep_ns(100 * ms);
    const bool ok = comm_broadcast(comm, &byte, 1, 0, true, err) &&
                    comm_broadcast(comm, &byte, 1, 0, false, err) &&
                    comm_tree_reduce(comm, NULL, x, x, comm->size, 4, err);
    const struct comm_spent *spent = &comm->spent;
    const uint64_t idle = comm->rank == 0; /* the root does not wait */
    if (ok && (spent->n_calls != 2 + idle || spent->n_bytes != 17 + idle || spent->ns <= 0 ||
               spent->ns > 90 * ms))
        return error_set(err, ERROR_INPUT, "%llu calls, %llu bytes, %lld ns",
                         (unsigned long long)spent->n_calls, (unsigned long long)spent->n_bytes,
                         (long long)spent->ns);
    return ok;
}

TEST(calls_bytes_and_time_are_counted_but_idle_waits)
{
    struct error err[MAX_TEST_RANKS];
    for (int n_tries = 1;; n_tries++) {
        struct group group = group_make(2, counted_calls);
        run_ranks(2, group_rank, &group, err);
        group_release(&group);
        if (err[0].kind == ERROR_NONE && err[1].kind == ERROR_NONE)
            return;
        if (n_tries == 5)
            test_fail(__FILE__, __LINE__, "%s; %s", err[0].text, err[1].text);
    }
}

/* Rank 2 comes late, beyond the deadline, as after a slow load. */
static bool barrier_without_deadline(struct comm *comm, struct error *err)
{
    if (comm->rank == 2)
        system_sleep_ns(2400 * ms);
    const int64_t came_at = clock_now_ns();
    for (int root = 0; root < comm->size; root++) {
        int64_t theirs = came_at;
        if (!comm->ops->broadcast(comm, &theirs, sizeof theirs, root, true, err))
            return false;
        if (clock_now_ns() < theirs)
            return error_set(err, ERROR_INPUT, "left before rank %d came", root);
    }
    float x = 0;
    return comm->ops->tree_reduce(comm, NULL, &x, &x, comm->size, 1, err);
}

TEST(idle_broadcasts_from_each_rank_in_turn_are_a_barrier_without_a_deadline)
{
    struct group group = group_make(4, barrier_without_deadline);
    group.settings.deadline_ns = 2000 * ms;
    check_ranks(4, group_rank, &group);
    group_release(&group);
}
