/* What is queued, and who waits for it in vain.
 *
 * Behind each call an event says when the device has done it, so the oldest one that is not done is
 * what everybody waits for. Its deadline runs from the first look at it: a rank that queues and
 * does not look may be as late as it likes. Who did not come is told by the boards of the group of
 * the host, where each rank writes how many calls it has queued; a board is written before the
 * device comes to the call, so a rank that is not missing there has a GPU that hangs. */
#include "parallel/comm_nccl_state.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/watchdog.h"

#include <stdio.h>
#include <string.h>

static const int64_t SETTLE_NS = 50000; /* between two looks whether NCCL has taken a call */

/* ------------------------------------------------------------------------------------ errors -- */

bool nccl_error(ncclComm_t group, const struct call *call, ncclResult_t result, struct error *err)
{
    const char *more = ncclGetLastError(group);
    if (more != NULL && more[0] != '\0')
        error_set(err, ERROR_PEER, "NCCL: %s: %.200s", ncclGetErrorString(result), more);
    else
        error_set(err, ERROR_PEER, "NCCL: %s", ncclGetErrorString(result));
    return error_in(err, "%s #%llu", call_name(call->kind), (unsigned long long)call->number);
}

static bool is_error(ncclResult_t result)
{
    return result != ncclSuccess && result != ncclInProgress;
}

/* How NCCL is, which may have failed since it took the calls. */
static ncclResult_t state_of(ncclComm_t group)
{
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(group, &state);
    return asked != ncclSuccess ? asked : state;
}

static bool unfinished(const struct call *wait, struct error *err)
{
    return error_set(
        err, ERROR_PEER, "%s #%llu: all ranks came, and their GPUs did not finish it within %.1f s",
        call_name(wait->kind), (unsigned long long)wait->number, (double)wait->deadline_ns * 1e-9);
}

/* The ranks whose boards say that they did not come to `q`; true when each has a board. */
static bool find_missing(struct nccl *nccl, const struct queued *q, bool *is_missing,
                         int *n_missing)
{
    bool all_known = true;
    *n_missing = 0;
    for (int rank = 0; rank < nccl->comm.size; rank++) {
        const _Atomic uint64_t *board = nccl->host->ops->board(nccl->host, rank);
        all_known = all_known && board != NULL;
        is_missing[rank] = rank == q->peer || (q->peer == ALL_RANKS && board != NULL &&
                                               atomic_load(board) < q->n_common);
        *n_missing += is_missing[rank];
    }
    return all_known;
}

static bool missing(struct nccl *nccl, const struct queued *q, struct error *err)
{
    int n_missing;
    bool *is_missing = memory_alloc((size_t)nccl->comm.size, sizeof *is_missing);
    const bool all_known = find_missing(nccl, q, is_missing, &n_missing);
    if (all_known && n_missing == 0)
        unfinished(&nccl->wait, err);
    else
        call_missing(&nccl->wait, is_missing, nccl->comm.size, err);
    memory_free(is_missing);
    if (q->n > 1) {
        const size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used,
                 " (the first of %llu calls of a record)", (unsigned long long)q->n);
    }
    return false;
}

/* ------------------------------------------------------------------------------------- queue -- */

static struct queued *entry(struct nccl *nccl, uint64_t i)
{
    return &nccl->queue[i % QUEUED_AT_MOST];
}

/* What the device has done is forgotten. An event that failed is not waited for: the device says so
 * itself. */
static void forget_done(struct nccl *nccl)
{
    while (nccl->n_done < nccl->n_queued &&
           cudaEventQuery(entry(nccl, nccl->n_done)->done) != cudaErrorNotReady)
        nccl->n_done++;
}

void nccl_queued(struct nccl *nccl, enum call_kind kind, int peer, uint64_t n, uint64_t n_common)
{
    if (nccl->n_queued - nccl->n_done == QUEUED_AT_MOST)
        forget_done(nccl);
    nccl->n_common += n_common;
    struct queued *q = entry(nccl, nccl->n_queued);
    if (nccl->n_queued - nccl->n_done == QUEUED_AT_MOST) { /* one with the last: coarser names */
        q = entry(nccl, nccl->n_queued - 1);
        q->n += n;
        q->n_common = nccl->n_common;
    } else {
        *q = (struct queued){.kind = kind,
                             .peer = peer,
                             .first = nccl->call.number - (n - 1),
                             .n = n,
                             .n_common = nccl->n_common,
                             .done = q->done};
        nccl->n_queued++;
    }
    cuda_keep(nccl->device, "cudaEventRecord", cudaEventRecord(q->done, cuda_stream(nccl->device)));
    _Atomic uint64_t *board = nccl->host->ops->board(nccl->host, nccl->comm.rank);
    if (board != NULL)
        atomic_store(board, nccl->n_common);
}

bool nccl_settle(struct nccl *nccl, ncclResult_t result, struct error *err)
{
    while (result == ncclInProgress) {
        result = state_of(nccl->group);
        if (result != ncclInProgress)
            break;
        if (!call_check_watchdog(&nccl->call, &nccl->settings, err))
            return false;
        if (call_is_over(&nccl->call, clock_now_ns()))
            return error_set(err, ERROR_PEER, "%s #%llu: NCCL did not take it within %.1f s",
                             call_name(nccl->call.kind), (unsigned long long)nccl->call.number,
                             (double)nccl->call.deadline_ns * 1e-9);
        system_sleep_ns(SETTLE_NS);
    }
    return !is_error(result) || nccl_error(nccl->group, &nccl->call, result, err);
}

/* ------------------------------------------------------------------------------------- watch -- */

static void wait_anew(struct nccl *nccl, const struct queued *q)
{
    const int64_t now = clock_now_ns();
    const int64_t deadline_ns = nccl->settings.deadline_ns + nccl->comm.patience_ns;
    nccl->waiting_for = nccl->n_done + 1;
    nccl->wait = (struct call){.kind = q->kind,
                               .number = q->first,
                               .deadline_ns = deadline_ns,
                               .looked_at = now,
                               .give_up_at = now + deadline_ns};
}

static bool look(struct nccl *nccl, struct error *err)
{
    if (nccl->error.kind != ERROR_NONE) {
        *err = nccl->error;
        return false;
    }
    forget_done(nccl);
    if (nccl->n_done == nccl->n_queued)
        nccl->waiting_for = 0;
    else if (nccl->waiting_for != nccl->n_done + 1)
        wait_anew(nccl, entry(nccl, nccl->n_done));
    const struct call *call = nccl->waiting_for > 0 ? &nccl->wait : &nccl->call;
    if (!call_check_watchdog(call, &nccl->settings, err))
        return false;
    const ncclResult_t state = state_of(nccl->group);
    if (is_error(state))
        return nccl_error(nccl->group, call, state, err);
    return nccl->waiting_for == 0 || !call_is_over(&nccl->wait, clock_now_ns()) ||
           missing(nccl, entry(nccl, nccl->n_done), err);
}

void nccl_give_up(struct nccl *nccl)
{
    if (nccl->group != NULL)
        (void)ncclCommAbort(nccl->group); /* nothing is left to be done if it fails */
    nccl->group = NULL;
}

/* The groups of a device end together: its memory cannot be freed while one of them computes. */
bool nccl_fail(struct nccl *nccl, const struct error *err)
{
    while (nccl->ahead != NULL)
        nccl = nccl->ahead;
    for (struct nccl *n = nccl; n != NULL; n = n->beside) {
        pthread_mutex_lock(&n->lock);
        if (n->error.kind == ERROR_NONE)
            n->error = *err;
        atomic_store(&n->failed, true);
        nccl_give_up(n);
        pthread_mutex_unlock(&n->lock);
    }
    return false;
}

bool nccl_watch(struct nccl *nccl, struct error *err)
{
    bool good = true;
    for (struct nccl *n = nccl; good && n != NULL; n = n->beside) {
        pthread_mutex_lock(&n->lock);
        good = look(n, err);
        pthread_mutex_unlock(&n->lock);
    }
    return good || nccl_fail(nccl, err);
}

/* Where the other thread has the lock it looks itself, unless NCCL does not even give up. */
bool nccl_watch_aside(void *context, struct error *err)
{
    struct nccl *nccl = context;
    bool good = cudaSetDevice(nccl->gpu) == cudaSuccess; /* else this thread would open the first */
    if (!good)
        return true; /* the device says so itself */
    for (struct nccl *n = nccl; good && n != NULL; n = n->beside) {
        if (pthread_mutex_trylock(&n->lock) == 0) {
            good = look(n, err);
            pthread_mutex_unlock(&n->lock);
        } else if (atomic_load(&n->failed)) {
            return error_set(err, ERROR_PEER, "NCCL has failed, and does not give up");
        }
    }
    return good || nccl_fail(nccl, err);
}
