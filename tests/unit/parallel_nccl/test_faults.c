/* Ranks with GPUs that fail, hang, come late, or do something else than the others: who waits for
 * them gets an error that names the call, and the rank where it can be known, within the deadline.
 *
 * Each test runs in a child: faults come from the environment. */
#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "kernels/cuda/cuda_device.h"
#include "parallel/watchdog.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"
#include "tests/unit/parallel_nccl/gpus.h"
#include "tests/unit/parallel_nccl/in_child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t ms = 1000000;

enum { CALLS = 6 };

/* Some sums, as a step of eager calls, and the wait for them. */
static bool sums(struct gpu_rank *r, struct error *err)
{
    enum { N = 100 };
    float *x = gpu_floats(r, N);
    bool good = true;
    for (int call = 0; good && call < CALLS; call++)
        good = comm_tree_reduce(r->comm, r->device, x, x, r->group->size, N, err);
    good = good && device_sync(r->device, err);
    gpu_floats_free(r, x, N);
    return good;
}

static struct end sums_within(int64_t deadline_ns, const char *fault)
{
    struct gpu_group group = gpu_group_make(3, sums);
    group.settings.deadline_ns = deadline_ns;
    const struct end end = run_in_child(&group, fault);
    gpu_group_release(&group);
    CHECK(end.ns < 20000 * ms);
    return end;
}

static struct end sums_with(const char *fault) { return sums_within(2000 * ms, fault); }

TEST(a_delay_is_waited_for)
{
    const struct end end = sums_within(5000 * ms, "delay:1:3:400");
    CHECK_STR(end.text, "0: good\n1: good\n2: good\n");
    CHECK(end.ns > 400 * ms);
}

TEST(a_gpu_that_hangs_in_a_call_is_named_by_the_others)
{
    const struct end end = sums_with("hang:1:3");
    expect(&end, "0: tree_reduce #4: the GPU of rank 1 did not come within 2.0 s, "
                 "and was last seen at #3 (400 bytes)\n");
    expect(&end, "2: tree_reduce #4: the GPU of rank 1 did not come within 2.0 s, ");
    expect(&end, "1: tree_reduce #3: the GPU of rank 1 did not come within 2.0 s (400 bytes)\n");
}

TEST(a_call_that_no_gpu_comes_out_of_is_named)
{
    const struct end end = sums_with("absent:1:3");
    expect(&end, "0: tree_reduce #3: all ranks came, and their GPUs have not done it within 2.0 s "
                 "(400 bytes)\n");
    expect(&end, "1: tree_reduce #3: all ranks came");
}

TEST(an_error_of_nccl_is_told_with_its_call)
{
    const struct end end = sums_with("fail:2:5");
    expect(&end, "2: tree_reduce #5: NCCL: unhandled system error: as NCCL_EMULATOR wants it\n");
    expect(&end, "0: tree_reduce #5: NCCL failed on rank 2: unhandled system error\n");
}

TEST(a_call_that_nccl_never_takes_is_an_error_there_and_a_missing_rank_for_the_others)
{
    const struct end end = sums_with("stall:1:2");
    expect(&end, "1: tree_reduce #2: NCCL did not take it within 2.0 s\n");
    expect(&end, "0: tree_reduce #2: rank 1 did not come within 2.0 s (400 bytes)\n");
}

TEST(a_rank_that_does_not_come_to_the_opening_is_an_error_of_all)
{
    const struct end end = sums_with("absent:1:0");
    expect(&end, "0: opening NCCL: the ranks did not meet within 2.0 s\n");
    expect(&end, "1: opening NCCL: the ranks did not meet within 2.0 s\n");
}

static bool sums_of_all_but_rank_1(struct gpu_rank *r, struct error *err)
{
    float *x = gpu_floats(r, 100);
    bool good = sums(r, err);
    if (good && r->rank != 1)
        good = comm_tree_reduce(r->comm, r->device, x, x, r->group->size, 100, err) &&
               device_sync(r->device, err);
    gpu_floats_free(r, x, 100);
    return good;
}

TEST(a_rank_that_does_not_come_is_named)
{
    struct gpu_group group = gpu_group_make(3, sums_of_all_but_rank_1);
    group.settings.deadline_ns = 2000 * ms;
    const struct end end = run_in_child(&group, "");
    gpu_group_release(&group);
    expect(&end, "0: tree_reduce #7: rank 1 did not come within 2.0 s (400 bytes)\n");
    expect(&end, "2: tree_reduce #7: rank 1 did not come within 2.0 s (400 bytes)\n");
    expect(&end, "1: good\n");
}

static bool receive_in_vain(struct gpu_rank *r, struct error *err)
{
    float *x = gpu_floats(r, 100);
    bool good = true;
    if (r->rank == 2)
        good =
            comm_receive(r->comm, r->device, x, 400, 0, false, err) && device_sync(r->device, err);
    gpu_floats_free(r, x, 100);
    return good;
}

TEST(a_message_that_does_not_come_names_its_sender)
{
    struct gpu_group group = gpu_group_make(3, receive_in_vain);
    group.settings.deadline_ns = 2000 * ms;
    const struct end end = run_in_child(&group, "");
    gpu_group_release(&group);
    expect(&end, "2: receive #1: rank 0 did not come within 2.0 s (400 bytes)\n");
}

static bool wait_again_after_a_failure(struct gpu_rank *r, struct error *err)
{
    struct error again = {0};
    float x[1] = {0};
    const bool good = sums(r, err);
    CHECK(!comm_tree_reduce(r->comm, r->device, x, x, r->group->size, 1, &again));
    CHECK_STR(again.text, err->text);
    return good;
}

TEST(a_failure_is_final)
{
    struct gpu_group group = gpu_group_make(2, wait_again_after_a_failure);
    group.settings.deadline_ns = 300 * ms;
    const struct end end = run_in_child(&group, "absent:0:1");
    gpu_group_release(&group);
    CHECK(WIFEXITED(end.status));
    expect(&end, "0: tree_reduce #1: all ranks came");
}

static bool late(struct gpu_rank *r, struct error *err)
{
    if (r->rank == 1)
        system_sleep_ns(2000 * ms);
    return sums(r, err);
}

static struct end late_with(int64_t deadline_ns)
{
    struct gpu_group group = gpu_group_make(2, late);
    group.settings.deadline_ns = deadline_ns;
    const struct end end = run_in_child(&group, "");
    gpu_group_release(&group);
    return end;
}

TEST(a_rank_may_be_late_by_less_than_the_deadline)
{
    struct end end = late_with(400 * ms);
    expect(&end, "0: tree_reduce #1: rank 1 did not come within 0.4 s");
    end = late_with(5000 * ms);
    CHECK_STR(end.text, "0: good\n1: good\n");
}

/* ----------------------------------------------------------------------------------- watchdog --
 */

static void leave(const char *text)
{
    fprintf(stderr, "left: %s\n", text);
    _exit(70);
}

/* Runs a group of two that is watched, in a child. */
static struct end watched(bool (*run)(struct gpu_rank *r, struct error *err), int64_t deadline_ns,
                          int silent)
{
    struct gpu_group group = gpu_group_make(2, run);
    group.settings.deadline_ns = deadline_ns;
    group.watched = shared_memory_map(watchdog_bytes(2));
    group.leave = leave;
    group.silent = silent;
    const struct end end = run_in_child(&group, "");
    munmap(group.watched, watchdog_bytes(2));
    gpu_group_release(&group);
    return end;
}

/* Rank 0 does not wait for its GPU: it hangs in something else. */
static bool queue_and_hang(struct gpu_rank *r, struct error *err)
{
    float *x = gpu_floats(r, 100);
    if (r->rank == 0 && !comm_tree_reduce(r->comm, r->device, x, x, 2, 100, err))
        return false;
    system_sleep_ns(20000 * ms);
    return true;
}

TEST(the_thread_of_the_watchdog_notices_for_a_rank_that_hangs_itself)
{
    const struct end end = watched(queue_and_hang, 500 * ms, -1);
    CHECK(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 70);
    expect(&end, "left: tree_reduce #1: rank 1 did not come within 0.5 s (400 bytes)\n");
    CHECK(end.ns < 15000 * ms);
}

static bool wait_for_a_stopped_rank(struct gpu_rank *r, struct error *err)
{
    if (r->rank == 0)
        return sums(r, err);
    system_sleep_ns(4000 * ms);
    return true;
}

TEST(a_rank_that_the_watchdog_lost_ends_the_wait_for_its_gpu)
{
    const struct end end = watched(wait_for_a_stopped_rank, 60000 * ms, 1);
    expect(&end, "0: tree_reduce #1: rank 1 has not answered for ");
    CHECK(end.ns < 8000 * ms);
}

/* -------------------------------------------------------------------------------- out of step --
 */

static bool different_calls(struct gpu_rank *r, struct error *err)
{
    float *x = gpu_floats(r, 400);
    const size_t n_bytes[2] = {400, 400};
    if (r->rank == 0)
        return comm_tree_reduce(r->comm, r->device, x, x, 2, 100, err) &&
               device_sync(r->device, err);
    return comm_all_gather(r->comm, r->device, x, x + 100, n_bytes, err) &&
           device_sync(r->device, err);
}

TEST(ranks_in_different_calls_stop_with_the_names_of_both)
{
    struct gpu_group group = gpu_group_make(2, different_calls);
    group.exact = false;
    const struct end end = run_in_child(&group, "");
    gpu_group_release(&group);
    CHECK(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT);
    expect(&end, "the ranks are out of step");
    expect(&end, "AllReduce of 100 float32");
    expect(&end, "AllGather of 400 uint8");
}

static bool different_sizes(struct gpu_rank *r, struct error *err)
{
    float *x = gpu_floats(r, 400);
    const size_t count = r->rank == 0 ? 100 : 101;
    return comm_tree_reduce(r->comm, r->device, x, x, 2, count, err) && device_sync(r->device, err);
}

TEST(ranks_with_different_sizes_stop_with_both)
{
    struct gpu_group group = gpu_group_make(2, different_sizes);
    const struct end end = run_in_child(&group, "");
    gpu_group_release(&group);
    CHECK(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT);
    expect(&end, "AllGather of 100 float32");
    expect(&end, "AllGather of 101 float32");
}
