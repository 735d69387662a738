/* What a stream does for a rank: as far as the others have come, and no further. */
#include "tests/nccl_emulator/nccl_emulator.h"

#include "base/system.h"

#include <stdio.h>
#include <string.h>

size_t nccl_type_bytes(ncclDataType_t type)
{
    return type == ncclInt8 || type == ncclUint8 ? 1 : 4;
}

const char *nccl_call_text(const struct nccl_call *call, char *text, size_t n_bytes)
{
    static const char *const names[] = {"AllReduce", "AllGather", "Broadcast", "Send", "Recv"};
    const char *type = call->type == ncclFloat32 ? "float32"
                       : call->type == ncclUint8 ? "uint8"
                       : call->type == ncclInt8  ? "int8"
                                                 : "int32";
    int used = snprintf(text, n_bytes, "%s of %zu %s", names[call->kind], call->count, type);
    if (call->kind == NCCL_BROADCAST)
        snprintf(text + used, n_bytes - (size_t)used, " from %d", call->peer);
    return text;
}

static bool is_pair(const struct nccl_call *call)
{
    return call->kind == NCCL_SEND || call->kind == NCCL_RECEIVE;
}

static size_t bytes_of(const struct nccl_call *call)
{
    return call->count * nccl_type_bytes(call->type);
}

static size_t piece_of(const struct nccl_call *call, size_t at)
{
    const size_t left = bytes_of(call) - at;
    return left < PIECE_BYTES ? left : PIECE_BYTES;
}

/* ------------------------------------------------------------------------------- collectives -- */

static bool all_show(struct ncclComm *comm, uint64_t round)
{
    for (int rank = 0; rank < comm->n_ranks; rank++)
        if (atomic_load(&comm->memory->seat[rank].round) < round)
            return false;
    return true;
}

static void check_same(struct ncclComm *comm, const struct nccl_call *mine)
{
    for (int rank = 0; rank < comm->n_ranks; rank++) {
        const struct nccl_call *theirs = &comm->memory->seat[rank].call[comm->round % 2];
        char a[96], b[96];
        if (theirs->kind != mine->kind || theirs->count != mine->count ||
            theirs->type != mine->type || theirs->peer != mine->peer)
            nccl_stop("the ranks are out of step: rank %d is in %s, rank %d in %s", comm->rank,
                      nccl_call_text(mine, a, sizeof a), rank, nccl_call_text(theirs, b, sizeof b));
    }
}

static void show(struct ncclComm *comm, const struct nccl_call *call, size_t at)
{
    struct nccl_seat *seat = &comm->memory->seat[comm->rank];
    comm->round++;
    comm->shown = true;
    seat->call[comm->round % 2] = *call;
    if (call->kind != NCCL_BROADCAST || call->peer == comm->rank)
        memcpy(seat->piece[comm->round % 2], (const unsigned char *)call->send + at,
               piece_of(call, at));
    atomic_store(&seat->round, comm->round);
}

static void add_up(struct ncclComm *comm, float *sum, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float total = 0;
        for (int rank = 0; rank < comm->n_ranks; rank++) {
            float x;
            memcpy(&x, comm->memory->seat[rank].piece[comm->round % 2] + i * sizeof x, sizeof x);
            total = rank == 0 ? x : total + x;
        }
        sum[i] = total;
    }
}

static void take(struct ncclComm *comm, const struct nccl_call *call, size_t at)
{
    const size_t n = piece_of(call, at);
    unsigned char *to = (unsigned char *)call->receive + at;
    if (call->kind == NCCL_ALL_REDUCE)
        add_up(comm, (float *)(void *)to, n / sizeof(float));
    if (call->kind == NCCL_BROADCAST)
        memcpy(to, comm->memory->seat[call->peer].piece[comm->round % 2], n);
    for (int rank = 0; call->kind == NCCL_ALL_GATHER && rank < comm->n_ranks; rank++)
        memcpy(to + (size_t)rank * bytes_of(call), comm->memory->seat[rank].piece[comm->round % 2],
               n);
}

static bool collective(struct ncclComm *comm, const struct nccl_call *call, size_t *at)
{
    for (;;) {
        if (!comm->shown && !all_show(comm, comm->round))
            return false; /* somebody has not seen the piece that this one would overwrite */
        if (!comm->shown)
            show(comm, call, *at);
        if (!all_show(comm, comm->round))
            return false;
        check_same(comm, call);
        take(comm, call, *at);
        comm->shown = false;
        *at += PIECE_BYTES;
        if (*at >= bytes_of(call))
            return true;
    }
}

/* -------------------------------------------------------------------------------------- pairs --
 */

static bool send_pieces(struct ncclComm *comm, const struct nccl_call *call, size_t *at)
{
    struct nccl_mailbox *box = &comm->memory->mailbox[comm->rank][call->peer];
    for (; *at < bytes_of(call); *at += PIECE_BYTES) {
        if (atomic_load(&box->sent) > atomic_load(&box->taken))
            return false;
        box->call = *call;
        memcpy(box->piece, (const unsigned char *)call->send + *at, piece_of(call, *at));
        atomic_fetch_add(&box->sent, 1);
    }
    return true;
}

static bool receive_pieces(struct ncclComm *comm, const struct nccl_call *call, size_t *at)
{
    struct nccl_mailbox *box = &comm->memory->mailbox[call->peer][comm->rank];
    for (; *at < bytes_of(call); *at += PIECE_BYTES) {
        char a[96], b[96];
        if (atomic_load(&box->sent) == atomic_load(&box->taken))
            return false;
        if (bytes_of(&box->call) != bytes_of(call))
            nccl_stop("the ranks are out of step: rank %d is in %s, rank %d in %s", comm->rank,
                      nccl_call_text(call, a, sizeof a), call->peer,
                      nccl_call_text(&box->call, b, sizeof b));
        memcpy((unsigned char *)call->receive + *at, box->piece, piece_of(call, *at));
        atomic_fetch_add(&box->taken, 1);
    }
    return true;
}

/* --------------------------------------------------------------------------------------- work --
 */

/* The fault is in one of the next n_calls. */
static bool is_in(const struct ncclComm *comm, int n_calls)
{
    return comm->fault.call > comm->n_done && comm->fault.call <= comm->n_done + (uint64_t)n_calls;
}

/* True while a fault keeps this rank from coming to the calls. */
static bool is_kept(struct ncclComm *comm, int n_calls)
{
    struct nccl_fault *fault = &comm->fault;
    if (!is_in(comm, n_calls))
        return false;
    if (fault->kind == FAULT_FAIL) {
        comm->state = ncclSystemError;
        comm->last_error = "as NCCL_EMULATOR wants it";
    }
    if (fault->kind == FAULT_DELAY) {
        const int64_t now = clock_now_ns();
        if (comm->delayed_until_ns == 0)
            comm->delayed_until_ns = now + fault->delay_ms * 1000000;
        return now < comm->delayed_until_ns;
    }
    return fault->kind == FAULT_ABSENT || fault->kind == FAULT_FAIL;
}

/* When all is done. */
static bool is_hung(const struct ncclComm *comm, int n_calls)
{
    return comm->fault.kind == FAULT_HANG && is_in(comm, n_calls);
}

static void check_buffers(const struct ncclComm *comm, const struct nccl_call *call)
{
    const size_t n = bytes_of(call);
    const size_t all = call->kind == NCCL_ALL_GATHER ? n * (size_t)comm->n_ranks : n;
    const bool sends = call->kind != NCCL_BROADCAST || call->peer == comm->rank;
    if (n > 0 && sends && call->send != NULL)
        emulated_check_device("NCCL", call->send, n);
    if (n > 0 && call->receive != NULL)
        emulated_check_device("NCCL", call->receive, all);
}

static void begin(struct ncclComm *comm, const struct nccl_work *work)
{
    memset(comm->at, 0, sizeof comm->at);
    memset(comm->done, 0, sizeof comm->done);
    comm->works = true;
    for (int i = 0; i < work->n; i++)
        check_buffers(comm, &work->call[i]);
}

/* Messages of a group go on beside each other; collectives one after the other. */
static bool go_on(struct ncclComm *comm, const struct nccl_work *work)
{
    bool all = true, behind = false;
    for (int i = 0; i < work->n; i++) {
        const struct nccl_call *call = &work->call[i];
        if (!comm->done[i] && call->kind == NCCL_SEND)
            comm->done[i] = send_pieces(comm, call, &comm->at[i]);
        else if (!comm->done[i] && call->kind == NCCL_RECEIVE)
            comm->done[i] = receive_pieces(comm, call, &comm->at[i]);
        else if (!comm->done[i] && !behind)
            comm->done[i] = collective(comm, call, &comm->at[i]);
        behind = behind || (!is_pair(call) && !comm->done[i]);
        all = all && comm->done[i];
    }
    return all;
}

enum emulated_progress nccl_work_on(void *context)
{
    const struct nccl_work *work = context;
    struct ncclComm *comm = work->comm;
    enum emulated_progress progress = EMULATED_PENDING;
    pthread_mutex_lock(&comm->lock);
    if (comm->memory == NULL) {
        progress = EMULATED_DONE; /* it was told to give up */
    } else if (!is_kept(comm, work->n)) {
        if (!comm->works)
            begin(comm, work);
        if (go_on(comm, work) && !is_hung(comm, work->n)) {
            comm->works = false;
            comm->n_done += (uint64_t)work->n;
            progress = EMULATED_DONE;
        }
    }
    pthread_mutex_unlock(&comm->lock);
    return progress;
}
