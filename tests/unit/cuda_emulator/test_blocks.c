/* Threads of a block: order, barriers, shared memory. */
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"
#include "tests/unit/cuda_emulator/death.h"
#include "tests/unit/cuda_emulator/gpu_array.h"
#include "tests/unit/cuda_emulator/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { N_SEEDS = 8, N_BLOCKS = 3, MAX_THREADS = 1024 };

static const dim3 three_blocks = {N_BLOCKS, 1, 1};

static int wrong_rows(enum fault fault, unsigned n_threads)
{
    static int out[N_BLOCKS * MAX_THREADS];
    const size_t n_bytes = N_BLOCKS * n_threads * sizeof *out;
    const struct reverse_args args = {gpu_bytes(n_bytes), fault};
    CHECK_EQ(start_reverse(&args, three_blocks, (dim3){n_threads, 1, 1}), cudaSuccess);
    gpu_take_home(out, args.out, n_bytes);
    int n_wrong = 0;
    for (int b = 0; b < N_BLOCKS; b++) {
        for (int t = 0; t < (int)n_threads; t++)
            n_wrong += out[b * (int)n_threads + t] != (int)n_threads - 1 - t + b;
    }
    return n_wrong;
}

TEST(threads_see_behind_a_barrier_what_others_wrote)
{
    for (unsigned n_threads = 1; n_threads <= MAX_THREADS; n_threads = n_threads * 3 + 1)
        CHECK_EQ(wrong_rows(NO_FAULT, n_threads), 0);
    CHECK_EQ(wrong_rows(NO_FAULT, MAX_THREADS), 0);
}

TEST(a_missing_barrier_shows_with_some_seed)
{
    int n_seen = 0;
    for (uint32_t seed = 1; seed <= N_SEEDS; seed++) {
        emulated_seed(seed);
        n_seen += wrong_rows(NO_BARRIER, 128) > 0;
    }
    CHECK(n_seen > 0);
}

static bool rotates(enum fault fault)
{
    float from[32], out[32];
    for (int t = 0; t < 32; t++)
        from[t] = (float)t;
    const struct rotate_args args = {gpu_bytes(sizeof out), gpu_copy_of(from, sizeof from), fault};
    CHECK_EQ(start_rotate(&args), cudaSuccess);
    gpu_take_home(out, args.out, sizeof out);
    cudaFree((void *)(uintptr_t)args.from);
    for (int t = 0; t < 32; t++) {
        if (!(out[t] == (float)((t + 1) % 32)))
            return false;
    }
    return true;
}

TEST(a_missing_barrier_of_a_warp_shows_with_some_seed)
{
    int n_seen = 0;
    for (uint32_t seed = 1; seed <= N_SEEDS; seed++) {
        emulated_seed(seed);
        CHECK(rotates(NO_FAULT));
        n_seen += !rotates(NO_WARP_BARRIER);
    }
    CHECK(n_seen > 0);
}

TEST(the_same_seed_is_the_same_order)
{
    static int out[2][N_BLOCKS * 128];
    for (int i = 0; i < 2; i++) {
        const struct reverse_args args = {gpu_bytes(sizeof out[i]), NO_BARRIER};
        emulated_seed(5);
        start_reverse(&args, three_blocks, (dim3){128, 1, 1});
        gpu_take_home(out[i], args.out, sizeof out[i]);
    }
    CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0);
}

static void reverse_into_host_memory(void *context)
{
    start_reverse(&(struct reverse_args){context, NO_FAULT}, three_blocks, (dim3){1, 1, 1});
}

TEST(a_kernel_that_is_given_memory_of_the_host_aborts)
{
    int on_the_stack[3], *in_the_heap = calloc(3, sizeof *in_the_heap);
    CHECK_DIES(reverse_into_host_memory, on_the_stack,
               "kernel reverse: the arguments have a pointer to memory of the host");
    CHECK_DIES(reverse_into_host_memory, in_the_heap, "a pointer to memory of the host");
    free(in_the_heap);
}

TEST(a_kernel_may_use_pinned_memory)
{
    int *out;
    CHECK_EQ(cudaMallocHost((void **)&out, 3 * sizeof *out), cudaSuccess);
    start_reverse(&(struct reverse_args){out, NO_FAULT}, three_blocks, (dim3){1, 1, 1});
    CHECK_EQ(out[2], 2);
    cudaFreeHost(out);
}

static void reverse_with(void *context) { wrong_rows(*(const enum fault *)context, 128); }
static void rotate_with(void *context) { rotates(*(const enum fault *)context); }

TEST(a_barrier_that_half_of_the_threads_never_reach_aborts_with_block_and_counts)
{
    enum fault fault = HALF_AT_BARRIER;
    CHECK_DIES(reverse_with, &fault,
               "kernel reverse, block (0, 0, 0): 64 of 128 threads wait at the barrier of line");
    CHECK_DIES(reverse_with, &fault, "but 64 have ended");
}

TEST(threads_at_different_barriers_abort)
{
    enum fault fault = TWO_BARRIERS;
    CHECK_DIES(reverse_with, &fault, "is at the barrier of line");
}

TEST(a_shuffle_with_lanes_that_have_ended_aborts)
{
    enum fault fault = HALF_SHUFFLES;
    CHECK_DIES(rotate_with, &fault, "16 have ended, and 16 wait in their warp");
}

TEST(a_shuffle_from_a_lane_that_takes_no_part_aborts)
{
    enum fault fault = FOREIGN_SHUFFLE;
    CHECK_DIES(rotate_with, &fault, "which is not among the lanes 0xffff0000");
}

TEST(a_kernel_without_gpu_begin_aborts)
{
    enum fault fault = NO_BEGIN;
    CHECK_DIES(reverse_with, &fault,
               "kernel reverse, block (0, 0, 0): the first statement of a "
               "kernel is gpu_begin()");
}

TEST(a_write_behind_a_shared_array_aborts_and_names_it)
{
    enum fault fault = WRITE_BEHIND_SHARED;
    CHECK_DIES(reverse_with, &fault,
               ASAN ? "use-after-poison" : "a write outside the shared arrays, 0 bytes behind row");
}

TEST(shared_memory_is_nan_before_each_block)
{
    static uint32_t out[3 * 1000];
    const struct leftovers_args args = {gpu_bytes(sizeof out), 1000};
    CHECK_EQ(start_leftovers(&args, 3, 4000), cudaSuccess);
    gpu_take_home(out, args.out, sizeof out);
    for (int i = 0; i < 3 * 1000; i++)
        CHECK_EQ(out[i], 0xffffffffu);
}

TEST(more_shared_memory_than_a_gpu_has_is_refused)
{
    const struct leftovers_args args = {NULL, 0};
    CHECK_EQ(start_leftovers(&args, 1, 227 * 1024), cudaSuccess);
    CHECK_EQ(start_leftovers(&args, 1, 227 * 1024 + 1), cudaErrorInvalidValue);
}

TEST(more_threads_than_a_block_can_have_are_refused)
{
    const struct reverse_args args = {NULL, NO_FAULT};
    CHECK_EQ(start_reverse(&args, three_blocks, (dim3){1025, 1, 1}), cudaErrorInvalidConfiguration);
    CHECK_EQ(start_reverse(&args, three_blocks, (dim3){0, 1, 1}), cudaErrorInvalidConfiguration);
    CHECK_EQ(start_reverse(&args, (dim3){0, 1, 1}, (dim3){1, 1, 1}), cudaErrorInvalidConfiguration);
    CHECK_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
}

TEST(every_thread_of_a_grid_runs_once_and_knows_its_place)
{
    const dim3 grid = {3, 2, 2}, block = {5, 3, 4};
    unsigned seen[3 * 2 * 2 * 5 * 3 * 4][6];
    int counters[2] = {0, 0};
    const struct indices_args args = {gpu_copy_of(counters, sizeof counters),
                                      gpu_bytes(sizeof seen)};
    CHECK_EQ(start_indices(&args, grid, block), cudaSuccess);
    gpu_take_home(counters, args.counters, sizeof counters);
    gpu_take_home(seen, args.indices, sizeof seen);
    CHECK_EQ(counters[0], 720);
    CHECK_EQ(counters[1], 719);
    for (unsigned i = 0; i < 720; i++) {
        const unsigned t = i % 60, b = i / 60;
        const unsigned want[6] = {t % 5, t / 5 % 3, t / 15, b % 3, b / 3 % 2, b / 6};
        for (int j = 0; j < 6; j++)
            CHECK_EQ(seen[i][j], want[j]);
    }
}
