/* Communicators: how ranks meet, and how they part. */
#include "tests/nccl_emulator/nccl_emulator.h"

#include "base/system.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Of this process, ever: so that work of a closed one can be told from nonsense. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static ncclComm_t all;

ncclResult_t ncclGetVersion(int *version)
{
    const char *wanted = getenv("NCCL_EMULATOR_VERSION");
    *version = wanted != NULL ? (int)strtol(wanted, NULL, 10) : NCCL_VERSION_CODE;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    static const char *const text[] = {
        "no error",         "unhandled cuda error", "unhandled system error", "internal error",
        "invalid argument", "invalid usage",        "remote process exited",  "in progress",
    };
    return text[result];
}

const char *ncclGetLastError(ncclComm_t comm)
{
    return comm != NULL && comm->last_error != NULL ? comm->last_error : "";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    return nccl_memory_make(id) ? ncclSuccess : ncclSystemError;
}

/* All have the memory when all are here, and need its maker no more. */
static void look_who_is_here(ncclComm_t comm)
{
    if (comm->open || comm->memory == NULL || atomic_load(&comm->memory->n_here) < comm->n_ranks)
        return;
    comm->open = true;
    comm->state = ncclSuccess;
    if (comm->rank == 0)
        nccl_memory_forget(&comm->id);
}

static void remember(ncclComm_t comm)
{
    pthread_mutex_lock(&all_lock);
    comm->next = all;
    all = comm;
    pthread_mutex_unlock(&all_lock);
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int n_ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    if (n_ranks < 1 || n_ranks > EMULATED_RANKS || rank < 0 || rank >= n_ranks ||
        config->magic != 0xcafebeef)
        return ncclInvalidArgument;
    struct nccl_memory *memory = nccl_memory_map(&id);
    if (memory == NULL)
        return ncclSystemError;
    ncclComm_t comm = calloc(1, sizeof *comm);
    *comm = (struct ncclComm){.rank = rank,
                              .n_ranks = n_ranks,
                              .id = id,
                              .memory = memory,
                              .fault = nccl_fault_of(rank),
                              .blocking = config->blocking != 0,
                              .state = ncclInProgress};
    pthread_mutex_init(&comm->lock, NULL);
    remember(comm);
    emulated_work_behind();
    if (comm->fault.kind != FAULT_ABSENT || comm->fault.call > 0)
        atomic_fetch_add(&memory->n_here, 1);
    *out = comm;
    for (look_who_is_here(comm); comm->blocking && !comm->open; look_who_is_here(comm))
        system_sleep_ns(100000);
    return comm->state;
}

/* A call that was not taken at once is, when it was asked for twice. */
static bool take_deferred(ncclComm_t comm, struct nccl_work *work)
{
    if (!comm->has_deferred || ++comm->n_asked < 2)
        return false;
    *work = comm->deferred;
    comm->has_deferred = false;
    comm->state = ncclSuccess;
    return true;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state)
{
    struct nccl_work work;
    pthread_mutex_lock(&comm->lock);
    if (comm->memory == NULL)
        nccl_stop("ncclCommGetAsyncError of a communicator that is closed");
    look_who_is_here(comm);
    const bool taken = take_deferred(comm, &work);
    *state = comm->state;
    pthread_mutex_unlock(&comm->lock);
    return taken ? nccl_queue(&work) : ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    pthread_mutex_lock(&comm->lock);
    if (comm->memory == NULL)
        nccl_stop("ncclCommAbort of a communicator that is closed");
    if (comm->rank == 0 && !comm->open)
        nccl_memory_forget(&comm->id);
    nccl_memory_unmap(comm->memory);
    comm->memory = NULL;
    comm->has_deferred = false;
    pthread_mutex_unlock(&comm->lock);
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    return comm->open && !comm->works ? ncclSuccess : ncclInvalidUsage;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    if (comm->works)
        nccl_stop("ncclCommDestroy of a communicator at work");
    return ncclCommAbort(comm);
}

ncclResult_t ncclMemAlloc(void **p, size_t n_bytes)
{
    return cudaMalloc(p, n_bytes) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t ncclMemFree(void *p)
{
    return cudaFree(p) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t ncclCommWindowRegister(ncclComm_t comm, void *p, size_t n_bytes, ncclWindow_t *window,
                                    int flags)
{
    if (comm->memory == NULL || flags != NCCL_WIN_COLL_SYMMETRIC)
        return ncclInvalidArgument;
    emulated_check_device("ncclCommWindowRegister", p, n_bytes);
    *window = (ncclWindow_t)p;
    return ncclSuccess;
}

ncclResult_t ncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t window)
{
    return comm->memory != NULL && window != NULL ? ncclSuccess : ncclInvalidArgument;
}
