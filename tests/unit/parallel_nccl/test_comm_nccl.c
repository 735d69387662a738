/* What ranks with GPUs do together, where nothing goes wrong. */
#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/tree_sum.h"
#include "parallel/comm_nccl.h"
#include "tests/test.h"
#include "tests/unit/parallel/comm_cases.h"
#include "tests/unit/parallel/random_floats.h"
#include "tests/unit/parallel/threads.h"
#include "tests/unit/parallel_nccl/gpus.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool reduce(struct gpu_rank *r, struct error *err)
{
    return case_tree_reduce(r->staged, err);
}
static bool gather(struct gpu_rank *r, struct error *err)
{
    return case_all_gather(r->staged, err);
}
static bool send_receive(struct gpu_rank *r, struct error *err)
{
    return case_send_receive(r->staged, err);
}
static bool mixture(struct gpu_rank *r, struct error *err) { return case_mixture(r->staged, err); }
static bool broadcast(struct gpu_rank *r, struct error *err)
{
    return case_broadcast(r->staged, err);
}

TEST(exact_sums_between_gpus_have_the_bits_of_one_rank) { check_gpus(true, reduce); }
TEST(gathers_between_gpus_bring_every_byte) { check_gpus(true, gather); }
TEST(sends_between_gpus_bring_every_byte) { check_gpus(true, send_receive); }
TEST(broadcasts_go_over_the_host) { check_gpus(true, broadcast); }
TEST(calls_of_gpus_and_hosts_do_not_disturb_each_other) { check_gpus(true, mixture); }

/* The cases hand over memory of the host without a device: they are the host's group's. */
static bool host_cases(struct gpu_rank *r, struct error *err)
{
    return case_tree_reduce(r->comm, err) && case_all_gather(r->comm, err) &&
           case_send_receive(r->comm, err) && case_mixture(r->comm, err);
}
TEST(calls_without_a_device_go_over_the_host) { check_gpus(true, host_cases); }

/* Whole numbers: any order gives the same sum. */
static bool reduce_fast(struct gpu_rank *r, struct error *err)
{
    enum { N = 70001 };
    float *host = malloc(N * sizeof *host), *x = gpu_floats(r, N);
    for (int i = 0; i < N; i++)
        host[i] = (float)(i % 1000 + r->rank);
    device_upload(r->device, x, host, N * sizeof *host);
    bool good = comm_tree_reduce(r->comm, r->device, x, x, r->group->size, N, err);
    device_download(r->device, host, x, N * sizeof *host);
    good = good && device_sync(r->device, err);
    const int size = r->group->size;
    for (int i = 0; good && i < N; i++)
        if (host[i] != (float)(size * (i % 1000) + size * (size - 1) / 2))
            good = error_set(err, ERROR_INPUT, "float %d is %g", i, (double)host[i]);
    gpu_floats_free(r, x, N);
    free(host);
    return good;
}
TEST(fast_sums_between_gpus_are_sums) { check_gpus(false, reduce_fast); }

TEST(an_exact_sum_takes_memory_for_the_parts_of_all_and_a_fast_one_none)
{
    CHECK_EQ((long long)comm_nccl_bytes(4, false, 1000), 0);
    CHECK_EQ((long long)comm_nccl_bytes(4, true, 1000), 4 * 1000 * 4);
    CHECK_EQ((long long)comm_nccl_bytes(3, true, 1000), 16 * 1000 * 4);
    CHECK_EQ((long long)comm_nccl_bytes(8, true, 1 << 30), 8ll * (1 << 20) * 4);
}

/* All trees that ranks can make, in both kinds of columns. */
TEST(the_sum_kernel_has_the_bits_of_the_tree)
{
    enum { N = 1030 };
    struct error err = {0};
    struct gpu_rank r = {0};
    const struct cuda_settings settings = {.exact = true};
    CHECK(device_open_cuda(&r.device, &settings, &err));
    float *parts = gpu_floats(&r, 16 * N), *sum = gpu_floats(&r, N), host[16 * N], want[N], got[N];
    struct random_floats random = random_floats_make(5);
    for (int i = 0; i < 16 * N; i++)
        host[i] = random_float(&random);
    device_upload(r.device, parts, host, sizeof host);
    for (int n_ranks = 1; n_ranks <= 16; n_ranks++) {
        for (size_t count = N - 2; count <= N; count++) {
            const struct tree_layout layout = tree_layout_make(16, n_ranks);
            struct tree_sum_args args = {
                .sum = sum, .parts = parts, .n_parts = layout.n_parts, .count = count};
            const float *part[MAX_LEAVES];
            memcpy(args.n_merges, layout.n_merges, sizeof args.n_merges);
            for (int p = 0; p < layout.n_parts; p++)
                part[p] = host + (size_t)p * count;
            cuda_tree_sum(r.device, &args);
            device_download(r.device, got, sum, count * sizeof *got);
            CHECK(device_sync(r.device, &err));
            tree_sum(&layout, want, part, count);
            CHECK(memcmp(got, want, count * sizeof *got) == 0);
        }
    }
    gpu_floats_free(&r, parts, 16 * N);
    gpu_floats_free(&r, sum, N);
    device_close(r.device);
}

/* ------------------------------------------------------------------------------------ records --
 */

/* x = the sum over the ranks, a ring of it, and the sum of that: queued or recorded. */
static bool step(struct gpu_rank *r, float *x, float *y, struct error *err)
{
    const int size = r->group->size, next = (r->rank + 1) % size;
    const int before = (r->rank + size - 1) % size;
    const size_t n_bytes = 64 * sizeof *x;
    if (!comm_tree_reduce(r->comm, r->device, x, x, size, 64, err))
        return false;
    if (r->rank == 0 && !comm_send(r->comm, r->device, x, n_bytes, next, err))
        return false;
    if (!comm_receive(r->comm, r->device, y, n_bytes, before, false, err))
        return false;
    if (r->rank > 0 && !comm_send(r->comm, r->device, x, n_bytes, next, err))
        return false;
    return comm_tree_reduce(r->comm, r->device, y, y, size, 64, err);
}

static bool check_step(struct gpu_rank *r, const float *y, float scale, struct error *err)
{
    float got[64];
    const int size = r->group->size;
    device_download(r->device, got, y, sizeof got);
    if (!device_sync(r->device, err))
        return false;
    const float want = scale * (float)(size * (size + 1) / 2 * size);
    return got[63] == want ||
           error_set(err, ERROR_INPUT, "%g, want %g", (double)got[63], (double)want);
}

static void set(struct gpu_rank *r, float *x, float scale)
{
    float host[64];
    for (int i = 0; i < 64; i++)
        host[i] = scale * (float)(r->rank + 1);
    device_upload(r->device, x, host, sizeof host);
}

static bool record_and_replay(struct gpu_rank *r, struct error *err)
{
    float *x = gpu_floats(r, 64), *y = gpu_floats(r, 64);
    struct comm_record record;
    set(r, x, 1);
    bool good = step(r, x, y, err) && check_step(r, y, 1, err);
    const struct comm_spent before = r->comm->spent;
    device_record_begin(r->device);
    comm_record_begin(r->comm, &record);
    good = good && step(r, x, y, err);
    comm_record_end(r->comm);
    struct device_record *graph = device_record_end(r->device);
    good = good && (graph != NULL || device_sync(r->device, err));
    CHECK_EQ((long long)r->comm->spent.n_calls, (long long)before.n_calls);
    CHECK_EQ((long long)record.n_calls, 4);
    for (int i = 1; good && i <= 5; i++) {
        set(r, x, (float)i);
        device_replay(r->device, graph);
        comm_replayed(r->comm, &record);
        good = check_step(r, y, (float)i, err);
        CHECK_EQ((long long)r->comm->spent.n_calls, (long long)before.n_calls + 4 * i);
    }
    set(r, x, 7); /* and calls that are not recorded go on */
    good = good && step(r, x, y, err) && check_step(r, y, 7, err);
    device_record_free(r->device, graph);
    gpu_floats_free(r, x, 64);
    gpu_floats_free(r, y, 64);
    return good;
}

TEST(calls_are_recorded_and_replayed) { check_gpus(true, record_and_replay); }
TEST(fast_sums_are_recorded_and_replayed) { check_gpus(false, record_and_replay); }

/* ---------------------------------------------------------------------------------- processes --
 */

static bool some_cases(struct gpu_rank *r, struct error *err)
{
    return case_all_gather(r->staged, err) && case_mixture(r->staged, err) &&
           record_and_replay(r, err);
}

TEST(processes_with_gpus_get_the_results_that_threads_get)
{
    struct gpu_group group = gpu_group_make(3, some_cases);
    pid_t child[3];
    for (int rank = 0; rank < 3; rank++) {
        child[rank] = fork();
        CHECK(child[rank] >= 0);
        if (child[rank] == 0) {
            struct error err = {0};
            const bool good = gpu_group_rank(&group, rank, &err);
            if (!good && write(STDOUT_FILENO, err.text, strlen(err.text)) < 0)
                _exit(2);
            _exit(good ? 0 : 1);
        }
    }
    for (int rank = 0; rank < 3; rank++) {
        int status;
        CHECK_EQ(waitpid(child[rank], &status, 0), child[rank]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    gpu_group_release(&group);
}
