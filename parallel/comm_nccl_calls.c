/* The operations, queued on the stream of the device.
 *
 *   tree_reduce     fast: an all-reduce of NCCL's, in whatever order it likes
 *                   exact: all parts are gathered, a piece of the columns at a time, and every rank
 *                   adds them up in the order of the tree
 *   all_gather      NCCL's where the shares are equal, else a broadcast of each, in one group
 *   send, receive   NCCL's
 *
 * While the device records, calls are not counted and nothing waits for them; that comes when the
 * record is replayed. */
#include "parallel/comm_nccl_state.h"

#include "base/check.h"
#include "kernels/cuda/progress.h"
#include "kernels/cuda/tree_sum.h"
#include "parallel/pieces.h"

#include <string.h>

/* The device has come to a record, or to a call of it. Where no kernel has told the end of the call
 * before, one comes for this alone, for several calls. */
static void tell_begin(struct nccl *nccl, struct comm_record *record)
{
    const uint64_t n = record->n_calls;
    const bool told = cuda_progress_take(nccl->device).reached == NULL;
    if (n > 0)
        record->run[record->n_runs - 1].n_told += told;
    if (n == 0 || (!told && n % PROGRESS_EVERY == 0))
        cuda_progress(nccl->device, (struct progress){nccl->reached, (uint32_t)(2 * n + 1)});
}

/* And has done it. */
static void tell_end(struct nccl *nccl)
{
    const struct comm_record *record = nccl->comm.record;
    if (record != NULL)
        cuda_progress_next(nccl->device,
                           (struct progress){nccl->reached, (uint32_t)(2 * record->n_calls + 2)});
}

/* Begins a call, which has the lock until leave(). */
static bool enter(struct nccl *nccl, enum call_kind kind, uint64_t n_bytes, struct error *err)
{
    pthread_mutex_lock(&nccl->lock);
    if (nccl->error.kind != ERROR_NONE) {
        *err = nccl->error;
        return false;
    }
    if (nccl->comm.record == NULL)
        nccl_begun(nccl);
    else
        tell_begin(nccl, nccl->comm.record);
    return call_begin(&nccl->call, kind, n_bytes, &nccl->comm, &nccl->settings, err);
}

static bool leave(struct nccl *nccl, int peer, bool good, struct error *err)
{
    if (good && nccl->comm.record == NULL) {
        struct comm_record calls = {0};
        comm_record_add(&calls, &(struct comm_run){.kind = (int)nccl->call.kind,
                                                   .peer = peer,
                                                   .n = 1,
                                                   .n_bytes = nccl->call.size});
        nccl_queued(nccl, &calls, false);
    } else if (good) {
        nccl->call.number--; /* it has one when it is replayed */
    }
    pthread_mutex_unlock(&nccl->lock);
    return good || nccl_fail(nccl, err);
}

/* Nothing is queued for nothing, nor on a device that has failed, which it tells itself. */
static bool is_work(const struct nccl *nccl, size_t n_bytes)
{
    return n_bytes > 0 && !cuda_failed(nccl->device);
}

/* Of the calls of one group the first error, if any. */
static void keep_first(ncclResult_t *first, ncclResult_t result)
{
    if (*first == ncclSuccess || *first == ncclInProgress)
        *first = result;
}

/* ------------------------------------------------------------------------------------- gather --
 */

static ncclResult_t gather_uneven(struct nccl *nccl, unsigned char *all, const void *mine,
                                  const size_t *n_bytes)
{
    ncclResult_t result = ncclGroupStart();
    for (int rank = 0; rank < nccl->comm.size; rank++) {
        if (n_bytes[rank] > 0) {
            const void *from = rank == nccl->comm.rank ? mine : all;
            keep_first(&result, ncclBroadcast(from, all, n_bytes[rank], ncclUint8, rank,
                                              nccl->group, cuda_stream(nccl->device)));
        }
        all += n_bytes[rank];
    }
    keep_first(&result, ncclGroupEnd());
    return result;
}

bool nccl_all_gather(struct nccl *nccl, void *all, const void *mine, const size_t *n_bytes,
                     struct error *err)
{
    size_t total = 0;
    bool even = true;
    for (int rank = 0; rank < nccl->comm.size; rank++) {
        total += n_bytes[rank];
        even = even && n_bytes[rank] == n_bytes[0];
    }
    bool good = enter(nccl, CALL_ALL_GATHER, total, err);
    if (good && is_work(nccl, total)) {
        const ncclResult_t result = even ? ncclAllGather(mine, all, n_bytes[0], ncclUint8,
                                                         nccl->group, cuda_stream(nccl->device))
                                         : gather_uneven(nccl, all, mine, n_bytes);
        good = nccl_settle(nccl, result, err);
    }
    if (good)
        tell_end(nccl);
    return leave(nccl, ALL_RANKS, good, err);
}

/* ---------------------------------------------------------------------------------------- sums --
 */

/* Columns of the parts of all ranks, side by side in nccl->gathered. */
static ncclResult_t gather_parts(struct nccl *nccl, const struct columns *columns)
{
    const struct tree_layout *layout = &nccl->layout;
    const cudaStream_t stream = cuda_stream(nccl->device);
    if (layout->n_parts == nccl->comm.size)
        return ncclAllGather(columns->parts, nccl->gathered, columns->count, ncclFloat32,
                             nccl->group, stream);
    ncclResult_t result = ncclGroupStart();
    for (int rank = 0; rank < nccl->comm.size; rank++)
        for (int part = layout->first_part[rank]; part < layout->first_part[rank + 1]; part++) {
            float *to = nccl->gathered + (size_t)part * columns->count;
            const int own = rank == nccl->comm.rank ? part - layout->first_part[rank] : 0;
            const float *from = columns->parts + (size_t)own * columns->stride;
            keep_first(&result, ncclBroadcast(from, to, columns->count, ncclFloat32, rank,
                                              nccl->group, stream));
        }
    keep_first(&result, ncclGroupEnd());
    return result;
}

static bool sum_piece(struct nccl *nccl, const struct columns *columns, bool is_last,
                      struct error *err)
{
    if (!nccl_settle(nccl, gather_parts(nccl, columns), err))
        return false;
    struct tree_sum_args args = {.sum = columns->sum,
                                 .parts = nccl->gathered,
                                 .n_parts = nccl->layout.n_parts,
                                 .count = columns->count};
    memcpy(args.n_merges, nccl->layout.n_merges, sizeof args.n_merges);
    if (is_last)
        tell_end(nccl);
    cuda_tree_sum(nccl->device, &args);
    return true;
}

static bool sum_exact(struct nccl *nccl, float *sum, float *parts, int n_leaves, size_t count,
                      struct error *err)
{
    if (nccl->layout.n_leaves != n_leaves)
        nccl->layout = tree_layout_make(n_leaves, nccl->comm.size);
    bool good = true;
    for (size_t at = 0; good && at < count; at += nccl->piece_floats) {
        const struct columns columns = {.sum = sum + at,
                                        .parts = parts + at,
                                        .stride = count,
                                        .count = min_size(nccl->piece_floats, count - at)};
        good = sum_piece(nccl, &columns, at + columns.count == count, err);
    }
    return good;
}

bool nccl_tree_reduce(struct nccl *nccl, float *sum, float *parts, int n_leaves, size_t count,
                      struct error *err)
{
    check(nccl->exact ||
          n_leaves == nccl->comm.size); /* one part each: nothing to be added before */
    bool good = enter(nccl, CALL_TREE_REDUCE, count * sizeof *sum, err);
    if (good && is_work(nccl, count))
        good = nccl->exact ? sum_exact(nccl, sum, parts, n_leaves, count, err)
                           : nccl_settle(nccl,
                                         ncclAllReduce(parts, sum, count, ncclFloat32, ncclSum,
                                                       nccl->group, cuda_stream(nccl->device)),
                                         err);
    if (good && !nccl->exact)
        tell_end(nccl);
    return leave(nccl, ALL_RANKS, good, err);
}

/* --------------------------------------------------------------------------------------- pairs --
 */

bool nccl_send(struct nccl *nccl, const void *bytes, size_t n_bytes, int to, struct error *err)
{
    check(0 <= to && to < nccl->comm.size && to != nccl->comm.rank);
    bool good = enter(nccl, CALL_SEND, n_bytes, err);
    if (good && is_work(nccl, n_bytes))
        good = nccl_settle(
            nccl, ncclSend(bytes, n_bytes, ncclUint8, to, nccl->group, cuda_stream(nccl->device)),
            err);
    if (good)
        tell_end(nccl);
    return leave(nccl, to, good, err);
}

bool nccl_receive(struct nccl *nccl, void *bytes, size_t n_bytes, int from, struct error *err)
{
    check(0 <= from && from < nccl->comm.size && from != nccl->comm.rank);
    bool good = enter(nccl, CALL_RECEIVE, n_bytes, err);
    if (good && is_work(nccl, n_bytes))
        good = nccl_settle(
            nccl, ncclRecv(bytes, n_bytes, ncclUint8, from, nccl->group, cuda_stream(nccl->device)),
            err);
    if (good)
        tell_end(nccl);
    return leave(nccl, from, good, err);
}
