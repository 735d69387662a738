/* Opening and closing, and which calls are NCCL's. */
#include "parallel/comm_nccl.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/cuda/progress.h"
#include "parallel/comm_nccl_state.h"
#include "parallel/watchdog.h"

enum { OLDEST = 21800 }; /* NCCL 2.18: non-blocking communicators that can be relied on */
static const int64_t OPENING_SLEEP_NS = 1000000;

/* -------------------------------------------------------------------------------------- table --
 */

/* The host's group for memory of the host; it waits as long as this one would. */
static struct comm *host_of(struct comm *comm)
{
    struct comm *host = nccl_of(comm)->host;
    host->patience_ns = comm->patience_ns;
    return host;
}

static bool is_ours(const struct comm *comm, const struct device *device)
{
    const struct nccl *nccl = (const struct nccl *)comm;
    check(device == NULL || device == nccl->device);
    return device != NULL;
}

static bool tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                        int n_leaves, size_t count, struct error *err)
{
    if (is_ours(comm, device))
        return nccl_tree_reduce(nccl_of(comm), sum, parts, n_leaves, count, err);
    struct comm *host = host_of(comm);
    return host->ops->tree_reduce(host, NULL, sum, parts, n_leaves, count, err);
}

static bool all_gather(struct comm *comm, struct device *device, void *all, const void *mine,
                       const size_t *n_bytes, struct error *err)
{
    if (is_ours(comm, device))
        return nccl_all_gather(nccl_of(comm), all, mine, n_bytes, err);
    struct comm *host = host_of(comm);
    return host->ops->all_gather(host, NULL, all, mine, n_bytes, err);
}

static bool broadcast(struct comm *comm, void *bytes, size_t n_bytes, int root, bool idle,
                      struct error *err)
{
    struct comm *host = host_of(comm);
    return host->ops->broadcast(host, bytes, n_bytes, root, idle, err);
}

static bool send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes,
                 int to, struct error *err)
{
    if (is_ours(comm, device))
        return nccl_send(nccl_of(comm), bytes, n_bytes, to, err);
    struct comm *host = host_of(comm);
    return host->ops->send(host, NULL, bytes, n_bytes, to, err);
}

static bool receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes, int from,
                    bool idle, struct error *err)
{
    check(device == NULL || !idle);
    if (is_ours(comm, device))
        return nccl_receive(nccl_of(comm), bytes, n_bytes, from, err);
    struct comm *host = host_of(comm);
    return host->ops->receive(host, NULL, bytes, n_bytes, from, idle, err);
}

/* The calls have the numbers that they would have had one by one. A failure is told by the next
 * call, or whoever waits for the device. */
static void replayed(struct comm *comm, const struct comm_record *record)
{
    struct nccl *nccl = nccl_of(comm);
    struct error ignored = {0};
    pthread_mutex_lock(&nccl->lock);
    if (call_begin(&nccl->call, (enum call_kind)record->run[0].kind, record->n_bytes, comm,
                   &nccl->settings, &ignored)) {
        nccl->call.number += record->n_calls - 1;
        (void)cuda_progress_take(nccl->device); /* of the last call, if it was just recorded */
        cuda_progress(nccl->device, (struct progress){nccl->reached, 0}); /* for the next replay */
        nccl_queued(nccl, record, true);
    }
    pthread_mutex_unlock(&nccl->lock);
}

/* The board of the host's group is taken. */
static _Atomic uint64_t *board(struct comm *comm, int rank)
{
    (void)comm, (void)rank;
    return NULL;
}

/* --------------------------------------------------------------------------------------- close --
 */

static bool watch(void *context, struct error *err) { return nccl_watch(context, err); }

static void watch_from(struct nccl *nccl, struct device *device, struct watchdog *watchdog)
{
    cuda_set_watch(device, nccl != NULL ? watch : NULL, nccl);
    watchdog_set_aside(watchdog, nccl != NULL ? nccl_watch_aside : NULL, nccl);
}

static void close_event(cudaEvent_t event)
{
    if (event != NULL)
        (void)cudaEventDestroy(event);
}

/* An orderly end would wait for the others. */
static void nccl_close(struct comm *comm)
{
    struct nccl *nccl = nccl_of(comm);
    check(nccl->ahead == NULL);
    watch_from(nccl->beside, nccl->device, nccl->settings.watchdog);
    if (nccl->beside != NULL)
        nccl->beside->ahead = NULL;
    if (nccl->group != NULL && nccl->error.kind == ERROR_NONE)
        nccl_note_done(nccl); /* others may still wait, and not for this one */
    nccl_give_up(nccl);
    for (int i = 0; i < QUEUED_AT_MOST; i++) {
        close_event(nccl->queue[i].begun);
        close_event(nccl->queue[i].done);
    }
    device_free_host(nccl->device, nccl->reached, sizeof *nccl->reached);
    if (nccl->gathered != NULL)
        device_free(nccl->device, nccl->gathered, nccl->gathered_bytes);
    pthread_mutex_destroy(&nccl->lock);
    memory_free(nccl);
}

static const struct comm_ops ops = {
    .name = "nccl",
    .tree_reduce = tree_reduce,
    .all_gather = all_gather,
    .broadcast = broadcast,
    .send = send,
    .receive = receive,
    .replayed = replayed,
    .board = board,
    .close = nccl_close,
};

/* ---------------------------------------------------------------------------------------- open --
 */

static bool opening_error(ncclComm_t group, ncclResult_t result, struct error *err)
{
    const char *more = ncclGetLastError(group);
    return error_set(err, ERROR_SYSTEM, "opening NCCL: %s%s%.300s", ncclGetErrorString(result),
                     more != NULL && more[0] != '\0' ? ": " : "", more != NULL ? more : "");
}

static bool check_version(int *version, struct error *err)
{
    const ncclResult_t result = ncclGetVersion(version);
    if (result != ncclSuccess)
        return opening_error(NULL, result, err);
    if (*version >= OLDEST)
        return true;
    return error_set(err, ERROR_UNSUPPORTED, "NCCL %d.%d.%d is too old: want 2.18 or newer",
                     *version / 10000, *version / 100 % 100, *version % 100);
}

/* What rank 0 tells the others: how they find each other, or why they cannot. */
struct invitation {
    ncclUniqueId id;
    struct error error;
};

static bool invite(struct nccl *nccl, ncclUniqueId *id, struct error *err)
{
    struct invitation all = {0};
    if (nccl->comm.rank == 0) {
        const ncclResult_t result = ncclGetUniqueId(&all.id);
        if (result != ncclSuccess)
            opening_error(NULL, result, &all.error);
    }
    if (!broadcast(&nccl->comm, &all, sizeof all, 0, false, err))
        return false;
    if (all.error.kind != ERROR_NONE)
        *err = all.error;
    *id = all.id;
    return all.error.kind == ERROR_NONE;
}

/* NCCL does not say who is missing. */
static bool wait_until_open(struct nccl *nccl, ncclResult_t result, struct error *err)
{
    const int64_t deadline_ns = nccl->settings.deadline_ns;
    struct call call = {.give_up_at = clock_now_ns() + deadline_ns, .looked_at = clock_now_ns()};
    while (result == ncclInProgress) {
        if (!watchdog_check(nccl->settings.watchdog, err))
            return error_in(err, "opening NCCL");
        if (call_is_over(&call, clock_now_ns()))
            return error_set(err, ERROR_PEER, "opening NCCL: the ranks did not meet within %.1f s",
                             (double)deadline_ns * 1e-9);
        system_sleep_ns(OPENING_SLEEP_NS);
        const ncclResult_t asked = ncclCommGetAsyncError(nccl->group, &result);
        if (asked != ncclSuccess)
            result = asked;
    }
    return result == ncclSuccess || opening_error(nccl->group, result, err);
}

static bool open_group(struct nccl *nccl, struct error *err)
{
    ncclUniqueId id;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    if (!invite(nccl, &id, err))
        return false;
    const ncclResult_t result =
        ncclCommInitRankConfig(&nccl->group, nccl->comm.size, id, nccl->comm.rank, &config);
    return wait_until_open(nccl, result, err);
}

static bool open_memory(struct nccl *nccl, const struct comm_gpu_settings *gpu, struct error *err)
{
    cudaError_t status = cudaGetDevice(&nccl->gpu);
    for (int i = 0; status == cudaSuccess && i < 2 * QUEUED_AT_MOST; i++)
        status = cudaEventCreateWithFlags(i % 2 == 0 ? &nccl->queue[i / 2].begun
                                                     : &nccl->queue[i / 2].done,
                                          cudaEventDisableTiming);
    if (status != cudaSuccess)
        return error_set(err, ERROR_SYSTEM, "opening NCCL: %s", cudaGetErrorString(status));
    nccl->piece_floats = comm_nccl_piece_floats(gpu->most_floats);
    nccl->gathered_bytes = comm_nccl_bytes(nccl->comm.size, gpu->exact, gpu->most_floats);
    void *gathered = NULL, *reached = NULL;
    if (!device_alloc_host(nccl->device, &reached, sizeof *nccl->reached, err))
        return false;
    nccl->reached = reached;
    if (nccl->gathered_bytes > 0 &&
        !device_alloc(nccl->device, &gathered, nccl->gathered_bytes, err))
        return error_in(err, "memory for sums over the ranks");
    nccl->gathered = gathered;
    return true;
}

bool comm_open_nccl(struct comm **out, const struct comm_gpu_settings *gpu,
                    const struct comm_settings *settings, struct error *err)
{
    struct comm *host = gpu->host;
    int version = 0;
    check(host->size > 1 && settings->deadline_ns > 0);
    if (!check_version(&version, err))
        return false;
    struct nccl *nccl = memory_alloc(1, sizeof *nccl);
    *nccl = (struct nccl){.comm = {.ops = &ops, .rank = host->rank, .size = host->size},
                          .host = host,
                          .device = gpu->device,
                          .settings = *settings,
                          .exact = gpu->exact};
    if (gpu->beside != NULL) {
        check(gpu->beside->ops == &ops);
        nccl->beside = nccl_of(gpu->beside);
        nccl->beside->ahead = nccl;
    }
    pthread_mutex_init(&nccl->lock, NULL);
    if (!open_memory(nccl, gpu, err) || !open_group(nccl, err)) {
        nccl_close(&nccl->comm);
        return false;
    }
    watch_from(nccl, nccl->device, settings->watchdog);
    if (host->rank == 0)
        log_write(LOG_INFO, "nccl", "NCCL %d.%d.%d between %d GPUs, sums %s", version / 10000,
                  version / 100 % 100, version % 100, host->size,
                  gpu->exact ? "in the order of the tree" : "in any order");
    *out = &nccl->comm;
    return true;
}
