/* Calls: checked, put together to groups, and queued on their stream. */
#include "tests/nccl_emulator/nccl_emulator.h"

#include <stddef.h>

enum { FIRST_CALLS = 3, SELDOM = 50 }; /* which calls are not taken at once */

/* The group that this thread is putting together. */
static _Thread_local int depth;
static _Thread_local struct nccl_work group;

ncclResult_t nccl_queue(const struct nccl_work *work)
{
    const size_t n_bytes = offsetof(struct nccl_work, call) + (size_t)work->n * sizeof *work->call;
    return emulated_stream_enqueue(work->stream, "NCCL", nccl_work_on, work, n_bytes) == cudaSuccess
               ? ncclSuccess
               : ncclUnhandledCudaError;
}

static void check_usable(ncclComm_t comm, const struct nccl_call *call)
{
    char text[96];
    nccl_call_text(call, text, sizeof text);
    if (comm->memory == NULL)
        nccl_stop("%s on a communicator that is closed", text);
    if (!comm->open)
        nccl_stop("%s on a communicator whose ranks have not met", text);
    if (comm->has_deferred)
        nccl_stop("%s while the call before it is in progress", text);
}

static bool is_stalled(const struct ncclComm *comm, int n)
{
    const struct nccl_fault *fault = &comm->fault;
    return fault->kind == FAULT_STALL && fault->call > comm->n_calls - (uint64_t)n &&
           fault->call <= comm->n_calls;
}

/* Taken at once, later, or never. */
static ncclResult_t start(const struct nccl_work *work)
{
    ncclComm_t comm = work->comm;
    pthread_mutex_lock(&comm->lock);
    const bool failed = comm->state != ncclSuccess;
    comm->n_calls += (uint64_t)work->n;
    const bool stalled = is_stalled(comm, work->n);
    const bool later =
        !comm->blocking && (comm->n_calls <= FIRST_CALLS || comm->n_calls % SELDOM == 0);
    if (!failed && (stalled || later)) {
        comm->state = ncclInProgress;
        comm->has_deferred = true;
        comm->n_asked = stalled ? INT_MIN : 0;
        comm->deferred = *work;
    }
    const ncclResult_t state = comm->state;
    pthread_mutex_unlock(&comm->lock);
    return state == ncclSuccess ? nccl_queue(work) : state;
}

static ncclResult_t add(ncclComm_t comm, cudaStream_t stream, const struct nccl_call *call)
{
    check_usable(comm, call);
    if (call->peer < 0 || call->peer >= comm->n_ranks)
        return ncclInvalidArgument;
    if (depth == 0) {
        struct nccl_work alone = {.comm = comm, .stream = stream, .n = 1};
        alone.call[0] = *call;
        return start(&alone);
    }
    if (group.n == GROUP_CALLS || (group.n > 0 && (group.comm != comm || group.stream != stream)))
        nccl_stop("a group has %d calls at most, of one communicator and stream", GROUP_CALLS);
    group.comm = comm;
    group.stream = stream;
    group.call[group.n++] = *call;
    return ncclSuccess;
}

ncclResult_t ncclGroupStart(void)
{
    if (depth++ == 0)
        group.n = 0;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
    if (depth == 0)
        return ncclInvalidUsage;
    return --depth > 0 || group.n == 0 ? ncclSuccess : start(&group);
}

ncclResult_t ncclAllReduce(const void *send, void *receive, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    if (type != ncclFloat32 || op != ncclSum)
        return ncclInvalidArgument;
    return add(comm, stream,
               &(struct nccl_call){.kind = NCCL_ALL_REDUCE,
                                   .type = type,
                                   .count = count,
                                   .send = send,
                                   .receive = receive});
}

ncclResult_t ncclAllGather(const void *send, void *receive, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream)
{
    return add(comm, stream,
               &(struct nccl_call){.kind = NCCL_ALL_GATHER,
                                   .type = type,
                                   .count = count,
                                   .send = send,
                                   .receive = receive});
}

ncclResult_t ncclBroadcast(const void *send, void *receive, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream)
{
    return add(comm, stream,
               &(struct nccl_call){.kind = NCCL_BROADCAST,
                                   .type = type,
                                   .peer = root,
                                   .count = count,
                                   .send = send,
                                   .receive = receive});
}

ncclResult_t ncclSend(const void *send, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream)
{
    return add(comm, stream,
               &(struct nccl_call){
                   .kind = NCCL_SEND, .type = type, .peer = peer, .count = count, .send = send});
}

ncclResult_t ncclRecv(void *receive, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    return add(
        comm, stream,
        &(struct nccl_call){
            .kind = NCCL_RECEIVE, .type = type, .peer = peer, .count = count, .receive = receive});
}
