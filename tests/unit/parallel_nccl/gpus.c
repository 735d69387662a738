#include "tests/unit/parallel_nccl/gpus.h"

#include "base/error.h"
#include "base/system.h"
#include "kernels/cuda/cuda_device.h"
#include "parallel/comm_nccl.h"
#include "parallel/watchdog.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const int64_t minute_ns = 60000000000;

__attribute__((constructor)) static void make_gpus(void) { setenv("EMULATOR_DEVICES", "8", 0); }

/* ------------------------------------------------------------------------------------- staged --
 */

struct staged {
    struct comm comm;
    struct gpu_rank *rank;
};

static struct gpu_rank *rank_of(struct comm *comm) { return ((struct staged *)comm)->rank; }

static void *to_device(struct gpu_rank *rank, const void *host, size_t n_bytes)
{
    struct error err = {0};
    void *p;
    if (!device_alloc(rank->device, &p, n_bytes + 1, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    if (host != NULL)
        device_upload(rank->device, p, host, n_bytes);
    return p;
}

static bool from_device(struct gpu_rank *rank, void *host, void *p, size_t n_bytes, bool good,
                        struct error *err)
{
    if (good && host != NULL)
        device_download(rank->device, host, p, n_bytes);
    good = good && device_sync(rank->device, err);
    device_free(rank->device, p, n_bytes + 1);
    return good;
}

static bool staged_tree_reduce(struct comm *comm, struct device *none, float *sum, float *parts,
                               int n_leaves, size_t count, struct error *err)
{
    struct gpu_rank *rank = rank_of(comm);
    struct span part[MAX_PARTS];
    const struct span run = tree_run(n_leaves, comm->size, comm->rank);
    const size_t n_bytes = count * sizeof *sum;
    const size_t n_parts = (size_t)tree_parts(n_leaves, run, part);
    const size_t all = rank->group->exact ? n_parts * n_bytes : n_bytes;
    float *on_device = to_device(rank, parts, all);
    float *to = sum == parts ? on_device : to_device(rank, NULL, n_bytes);
    (void)none;
    bool good = comm_tree_reduce(rank->comm, rank->device, to, on_device, n_leaves, count, err);
    if (to != on_device)
        good = from_device(rank, sum, to, n_bytes, good, err);
    return from_device(rank, sum == parts ? sum : NULL, on_device, all, good, err);
}

static bool staged_all_gather(struct comm *comm, struct device *none, void *all, const void *mine,
                              const size_t *n_bytes, struct error *err)
{
    struct gpu_rank *rank = rank_of(comm);
    size_t total = 0, before = 0;
    (void)none;
    for (int r = 0; r < comm->size; r++) {
        before += r < comm->rank ? n_bytes[r] : 0;
        total += n_bytes[r];
    }
    const bool in_place = mine == (const unsigned char *)all + before;
    unsigned char *to = to_device(rank, NULL, total);
    if (in_place)
        device_upload(rank->device, to + before, mine, n_bytes[comm->rank]);
    unsigned char *from = in_place ? to + before : to_device(rank, mine, n_bytes[comm->rank]);
    bool good = comm_all_gather(rank->comm, rank->device, to, from, n_bytes, err);
    if (!in_place)
        good = from_device(rank, NULL, from, n_bytes[comm->rank], good, err);
    return from_device(rank, all, to, total, good, err);
}

static bool staged_broadcast(struct comm *comm, void *bytes, size_t n_bytes, int root, bool idle,
                             struct error *err)
{
    return comm_broadcast(rank_of(comm)->comm, bytes, n_bytes, root, idle, err);
}

static bool staged_send(struct comm *comm, struct device *none, const void *bytes, size_t n_bytes,
                        int to, struct error *err)
{
    struct gpu_rank *rank = rank_of(comm);
    void *from = to_device(rank, bytes, n_bytes);
    (void)none;
    const bool good = comm_send(rank->comm, rank->device, from, n_bytes, to, err);
    return from_device(rank, NULL, from, n_bytes, good, err);
}

static bool staged_receive(struct comm *comm, struct device *none, void *bytes, size_t n_bytes,
                           int from, bool idle, struct error *err)
{
    struct gpu_rank *rank = rank_of(comm);
    void *to = to_device(rank, NULL, n_bytes);
    (void)none;
    const bool good = comm_receive(rank->comm, rank->device, to, n_bytes, from, idle, err);
    return from_device(rank, bytes, to, n_bytes, good, err);
}

static const struct comm_ops staged_ops = {
    .name = "staged",
    .tree_reduce = staged_tree_reduce,
    .all_gather = staged_all_gather,
    .broadcast = staged_broadcast,
    .send = staged_send,
    .receive = staged_receive,
};

/* -------------------------------------------------------------------------------------- group --
 */

struct gpu_group gpu_group_make(int size, bool (*run)(struct gpu_rank *rank, struct error *err))
{
    return (struct gpu_group){.memory = shared_memory_map(comm_shm_bytes(size)),
                              .size = size,
                              .exact = true,
                              .most_floats = 4096,
                              .silent = -1,
                              .settings = {.deadline_ns = minute_ns},
                              .run = run};
}

void gpu_group_release(struct gpu_group *group)
{
    munmap(group->memory, comm_shm_bytes(group->size));
}

static bool open_watchdog(struct gpu_rank *r, struct error *err)
{
    if (r->group->watched == NULL)
        return true;
    watchdog_open(&r->watchdog, &(struct watchdog_settings){.memory = r->group->watched,
                                                            .rank = r->rank,
                                                            .n_ranks = r->group->size,
                                                            .world_rank = r->rank,
                                                            .leave = r->group->leave});
    if (r->rank != r->group->silent)
        return watchdog_start(r->watchdog, err);
    watchdog_look(r->watchdog, clock_now_ns());
    return true;
}

static bool open_rank(struct gpu_rank *r, struct error *err)
{
    struct comm_settings settings = r->group->settings;
    const struct cuda_settings gpu = {.index = r->rank, .exact = r->group->exact, .graphs = true};
    if (!open_watchdog(r, err) || !device_open_cuda(&r->device, &gpu, err))
        return false;
    settings.watchdog = r->watchdog;
    if (!comm_open_shm(&r->host, r->group->memory, r->rank, r->group->size, &settings, err))
        return false;
    const struct comm_gpu_settings on_gpu = {.host = r->host,
                                             .device = r->device,
                                             .most_floats = r->group->most_floats,
                                             .exact = r->group->exact};
    return comm_open_nccl(&r->comm, &on_gpu, &settings, err);
}

bool gpu_group_rank(void *context, int rank, struct error *err)
{
    struct gpu_rank r = {.group = context, .rank = rank};
    struct staged staged = {.rank = &r};
    bool good = open_rank(&r, err);
    if (good) {
        staged.comm = (struct comm){.ops = &staged_ops, .rank = rank, .size = r.group->size};
        r.staged = &staged.comm;
        good = r.group->run(&r, err);
    }
    comm_close(r.comm);
    device_close(r.device);
    comm_close(r.host);
    watchdog_close(r.watchdog);
    return good;
}

void check_gpus(bool exact, bool (*run)(struct gpu_rank *rank, struct error *err))
{
    for (int size = 2; size <= 4; size++) {
        struct gpu_group group = gpu_group_make(size, run);
        group.exact = exact;
        check_ranks(size, gpu_group_rank, &group);
        gpu_group_release(&group);
    }
}

float *gpu_floats(struct gpu_rank *rank, size_t n)
{
    struct error err = {0};
    void *p;
    if (!device_alloc(rank->device, &p, n * sizeof(float), &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return p;
}

void gpu_floats_free(struct gpu_rank *rank, float *p, size_t n)
{
    device_free(rank->device, p, n * sizeof(float));
}
