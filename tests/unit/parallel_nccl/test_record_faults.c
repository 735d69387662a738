/* Ranks with GPUs that hang, fail or come late within a recorded step: the rank whose GPU is
 * furthest behind is named, and the call, or some calls one of which it is. */
#include "base/error.h"
#include "base/system.h"
#include "kernels/cuda/cuda_device.h"
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"
#include "tests/unit/parallel_nccl/in_child.h"

#include <stddef.h>

static const int64_t ms = 1000000;

/* A step: sums, and a gather last. It is queued once, calls 1 to 21, and then replayed twice: 22 to
 * 42, 43 to 63. NCCL counts as we do. */
enum { SUMS = 20, FLOATS = 100 };

/* What one rank does otherwise. */
struct odd {
    int rank;
    int replays;  /* so many, and no more; others 2 */
    int64_t late; /* its GPU stands still so long before the second replay, */
    bool eager;   /* which is none, but the calls themselves */
};

static enum emulated_progress stand_still(void *until_ns)
{
    return clock_now_ns() < *(int64_t *)until_ns ? EMULATED_PENDING : EMULATED_DONE;
}

static bool step(struct gpu_rank *r, float *x, struct error *err)
{
    size_t n_bytes[MAX_TEST_RANKS];
    bool good = true;
    for (int rank = 0; rank < r->group->size; rank++)
        n_bytes[rank] = 16;
    for (int call = 0; good && call < SUMS; call++)
        good = comm_tree_reduce(r->comm, r->device, x, x, r->group->size, FLOATS, err);
    return good && comm_all_gather(r->comm, r->device, x, x + 4 * r->rank, n_bytes, err);
}

static bool replay(struct gpu_rank *r, float *x, const struct device_record *graph,
                   const struct comm_record *calls, int number, struct error *err)
{
    const struct odd *odd = r->group->context;
    if (number == 1 && odd->late > 0 && r->rank == odd->rank) {
        const int64_t until = clock_now_ns() + odd->late;
        emulated_stream_enqueue(cuda_stream(r->device), "stand still", stand_still, &until,
                                sizeof until);
    }
    if (number == 1 && odd->eager)
        return step(r, x, err) && device_sync(r->device, err);
    device_replay(r->device, graph);
    comm_replayed(r->comm, calls);
    return device_sync(r->device, err);
}

static bool replays(struct gpu_rank *r, struct error *err)
{
    const struct odd *odd = r->group->context;
    float *x = gpu_floats(r, FLOATS);
    struct comm_record calls;
    bool good = step(r, x, err) && device_sync(r->device, err);
    comm_record_begin(r->comm, &calls);
    device_record_begin(r->device);
    good = good && step(r, x, err);
    struct device_record *graph = device_record_end(r->device);
    comm_record_end(r->comm);
    for (int i = 0; good && i < (r->rank == odd->rank ? odd->replays : 2); i++)
        good = replay(r, x, graph, &calls, i, err);
    device_record_free(r->device, graph);
    gpu_floats_free(r, x, FLOATS);
    return good;
}

static struct end run(int size, bool exact, const char *fault, struct odd odd)
{
    struct gpu_group group = gpu_group_make(size, replays);
    group.settings.deadline_ns = 2000 * ms;
    group.exact = exact;
    group.context = &odd;
    const struct end end = run_in_child(&group, fault);
    gpu_group_release(&group);
    CHECK(end.ns < 20000 * ms);
    return end;
}

static const struct odd nobody = {.rank = -1};

TEST(a_gpu_that_hangs_in_an_exact_sum_of_a_record_is_named_with_the_call)
{
    for (int size = 2; size <= 4; size += 2) {
        const struct end end = run(size, true, "hang:1:47", nobody);
        expect(&end, "0: tree_reduce #48: the GPU of rank 1 did not come within 2.0 s, "
                     "and was last seen before #47 (400 bytes)\n");
        expect(&end, "1: tree_reduce #47: the GPU of rank 1 did not come within 2.0 s (400 b");
    }
}

TEST(a_gpu_that_hangs_before_a_mark_of_a_record_is_named)
{
    for (int size = 2; size <= 4; size += 2) {
        const struct end end = run(size, false, "hang:1:50", nobody);
        expect(&end, "0: tree_reduce #51: the GPU of rank 1 did not come within 2.0 s, and was "
                     "last seen at #43 (400 bytes; in a record, so perhaps a call up to "
                     "tree_reduce #58)\n");
        expect(&end, "1: tree_reduce #43: the GPU of rank 1 did not come within 2.0 s (400 bytes; "
                     "in a record, so perhaps a call up to tree_reduce #50)\n");
    }
}

TEST(calls_between_two_marks_of_a_record_are_named_together)
{
    const struct end end = run(2, false, "hang:1:61", nobody);
    for (int rank = 0; rank < 2; rank++)
        expect(&end, ": tree_reduce #59: all ranks came, and their GPUs have not done it within "
                     "2.0 s (400 bytes; in a record, so perhaps a call up to all_gather #63)\n");
}

TEST(a_gpu_that_hangs_in_the_last_call_of_a_record_says_so_itself)
{
    const struct end end = run(2, true, "hang:1:63", nobody);
    expect(&end, "0: good\n");
    expect(&end, "1: all_gather #63: the GPU of rank 1 did not come within 2.0 s (32 bytes)\n");
}

TEST(a_call_of_a_record_that_no_gpu_comes_out_of_is_named)
{
    const struct end end = run(4, true, "absent:2:52", nobody);
    expect(&end, "0: tree_reduce #52: all ranks came, and their GPUs have not done it within 2.0 s "
                 "(400 bytes)\n");
}

TEST(an_error_of_nccl_in_a_record_is_told_with_its_rank)
{
    for (int size = 2; size <= 4; size += 2) {
        const struct end end = run(size, true, "fail:1:52", nobody);
        expect(&end, "1: tree_reduce #52: NCCL: unhandled system error: as NCCL_EMULATOR wants");
        expect(&end, "0: tree_reduce #52: NCCL failed on rank 1: unhandled system error\n");
    }
}

TEST(a_delay_in_a_record_is_waited_for)
{
    const struct end end = run(2, false, "delay:1:50:700", nobody);
    CHECK_STR(end.text, "0: good\n1: good\n");
    CHECK(end.ns > 700 * ms);
}

TEST(a_rank_that_does_not_replay_a_record_is_named)
{
    for (int size = 2; size <= 4; size += 2) {
        const struct end end = run(size, true, "", (struct odd){.rank = 1, .replays = 1});
        expect(&end, "0: tree_reduce #43: rank 1 did not come within 2.0 s (400 bytes)\n");
        expect(&end, "1: good\n");
    }
}

TEST(a_gpu_that_does_not_come_to_a_record_is_named)
{
    const struct odd late = {.rank = 1, .replays = 2, .late = 5000 * ms};
    for (int size = 2; size <= 4; size += 2) {
        const struct end end = run(size, true, "", late);
        expect(&end, "0: tree_reduce #43: the GPU of rank 1 did not come within 2.0 s, "
                     "and was last seen before #43 (400 bytes)\n");
    }
}

TEST(a_gpu_that_does_not_come_to_a_call_is_named)
{
    const struct odd late = {.rank = 1, .replays = 2, .late = 5000 * ms, .eager = true};
    const struct end end = run(2, true, "", late);
    expect(&end, "0: tree_reduce #43: the GPU of rank 1 did not come within 2.0 s, "
                 "and was last seen before #43 (400 bytes)\n");
}
