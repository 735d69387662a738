/* What is queued, and who waits for it in vain.
 *
 * Behind each call an event says when the device has done it, so the oldest one that is not done is
 * what everybody waits for. Its deadline runs from the first look at it: a rank that queues and
 * does not look may be as late as it likes.
 *
 * Who did not come is told by the boards of the host's group, where each rank writes how many calls
 * it has queued, and how many its GPU has done. A rank that has not queued the call is missing. If
 * all have, a GPU that has not done the calls before it hangs there. Within a record nothing is
 * known of single calls. */
#include "parallel/comm_nccl_state.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/watchdog.h"

#include <stdio.h>
#include <string.h>

/* NCCL takes a call in a thread of its own, mostly within: */
static const int64_t SETTLE_SPIN_NS = 200000;
static const int64_t SETTLE_SLEEP_NS = 50000; /* between two looks after that */

/* ------------------------------------------------------------------------------------ boards -- */

/* 1 bit: NCCL has failed on this rank, as the low half says; else 31 bits: common_queued, 32 bits:
 * common_done. Both go round. */
static const uint64_t BOARD_FAILED = UINT64_C(1) << 63;

static uint32_t board_queued(uint64_t board) { return (uint32_t)(board >> 32); }
static uint32_t board_done(uint64_t board) { return (uint32_t)board; }

/* Of numbers of 31 bits. */
static bool is_behind(uint32_t a, uint32_t b) { return (int32_t)((a - b) << 1) < 0; }

static uint64_t read_board(const struct nccl *nccl, int rank)
{
    const _Atomic uint64_t *board = nccl->host->ops->board(nccl->host, rank);
    return board != NULL ? atomic_load(board) : 0;
}

static void write_board(struct nccl *nccl)
{
    _Atomic uint64_t *board = nccl->host->ops->board(nccl->host, nccl->comm.rank);
    const uint64_t queued = (uint64_t)nccl->common_queued << 32 & ~BOARD_FAILED;
    if (board != NULL)
        atomic_store(board, nccl->result != ncclSuccess ? BOARD_FAILED | (uint64_t)nccl->result
                                                        : queued | nccl->common_done);
}

/* ------------------------------------------------------------------------------------ errors -- */

static bool nccl_error(struct nccl *nccl, const struct call *call, ncclResult_t result,
                       struct error *err)
{
    const char *more = ncclGetLastError(nccl->group);
    nccl->result = result;
    write_board(nccl); /* this rank alone may know, and its end would be all that the others hear */
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

/* What the boards say of the others and of one call. */
struct sight {
    bool all_known;   /* every rank has a board */
    int n_absent;     /* ranks that have not queued it, */
    int n_hanging;    /* whose GPUs have not done what comes before it, */
    int n_through;    /* or have done it */
    bool *is_absent;  /* [size] */
    bool *is_hanging; /* [size] */
};

static void see(struct sight *sight, struct nccl *nccl, const struct queued *q)
{
    for (int rank = 0; rank < nccl->comm.size; rank++) {
        if (rank == nccl->comm.rank)
            continue;
        if (nccl->host->ops->board(nccl->host, rank) == NULL) {
            sight->all_known = false;
            continue;
        }
        const uint64_t board = read_board(nccl, rank);
        sight->is_absent[rank] = is_behind(board_queued(board), q->common_after);
        sight->is_hanging[rank] = is_behind(board_done(board), q->common_before);
        sight->n_absent += sight->is_absent[rank];
        sight->n_hanging += sight->is_hanging[rank];
        sight->n_through += !is_behind(board_done(board), q->common_after);
    }
}

static bool tell(const struct nccl *nccl, const struct sight *sight, struct error *err)
{
    const struct call *wait = &nccl->wait;
    const double seconds = (double)wait->deadline_ns * 1e-9;
    int hanging = 0;
    if (!sight->all_known || sight->n_absent > 0)
        return call_missing(wait, sight->is_absent, nccl->comm.size, err);
    while (sight->n_hanging > 0 && !sight->is_hanging[hanging])
        hanging++;
    if (sight->n_hanging > 0)
        error_set(err, ERROR_PEER, "the GPU of rank %d did not come within %.1f s", hanging,
                  seconds);
    else if (sight->n_through == nccl->comm.size - 1)
        error_set(err, ERROR_PEER,
                  "all others have done it, and the GPU of rank %d not within %.1f s",
                  nccl->comm.rank, seconds);
    else
        error_set(err, ERROR_PEER, "all ranks came, and their GPUs have not done it within %.1f s",
                  seconds);
    return error_in(err, "%s #%llu", call_name(wait->kind), (unsigned long long)wait->number);
}

static bool missing(struct nccl *nccl, const struct queued *q, struct error *err)
{
    const size_t size = (size_t)nccl->comm.size;
    struct sight sight = {.all_known = true,
                          .is_absent = memory_alloc(size, sizeof(bool)),
                          .is_hanging = memory_alloc(size, sizeof(bool))};
    if (q->peer == ALL_RANKS)
        see(&sight, nccl, q);
    else
        sight.n_absent = sight.is_absent[q->peer] = true;
    tell(nccl, &sight, err);
    memory_free(sight.is_absent);
    memory_free(sight.is_hanging);
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
    const uint64_t before = nccl->n_done;
    while (nccl->n_done < nccl->n_queued &&
           cudaEventQuery(entry(nccl, nccl->n_done)->done) != cudaErrorNotReady)
        nccl->common_done = entry(nccl, nccl->n_done++)->common_after;
    if (nccl->n_done > before)
        write_board(nccl);
}

void nccl_queued(struct nccl *nccl, enum call_kind kind, int peer, uint64_t n, uint64_t n_common)
{
    if (nccl->n_queued - nccl->n_done == QUEUED_AT_MOST)
        forget_done(nccl);
    const uint32_t common_before = nccl->common_queued;
    nccl->common_queued += (uint32_t)n_common;
    struct queued *q = entry(nccl, nccl->n_queued);
    if (nccl->n_queued - nccl->n_done == QUEUED_AT_MOST) { /* one with the last: coarser names */
        q = entry(nccl, nccl->n_queued - 1);
        q->n += n;
        q->common_after = nccl->common_queued;
    } else {
        *q = (struct queued){.kind = kind,
                             .peer = peer,
                             .first = nccl->call.number - (n - 1),
                             .n = n,
                             .common_before = common_before,
                             .common_after = nccl->common_queued,
                             .done = q->done};
        nccl->n_queued++;
    }
    cuda_keep(nccl->device, "cudaEventRecord", cudaEventRecord(q->done, cuda_stream(nccl->device)));
    write_board(nccl);
}

bool nccl_settle(struct nccl *nccl, ncclResult_t result, struct error *err)
{
    const int64_t begin = clock_now_ns();
    while (result == ncclInProgress) {
        result = state_of(nccl->group);
        if (result != ncclInProgress)
            break;
        if (!call_check_watchdog(&nccl->call, &nccl->settings, err))
            return false;
        const int64_t now = clock_now_ns();
        if (call_is_over(&nccl->call, now))
            return error_set(err, ERROR_PEER, "%s #%llu: NCCL did not take it within %.1f s",
                             call_name(nccl->call.kind), (unsigned long long)nccl->call.number,
                             (double)nccl->call.deadline_ns * 1e-9);
        if (now - begin < SETTLE_SPIN_NS)
            system_pause();
        else
            system_sleep_ns(SETTLE_SLEEP_NS);
    }
    return !is_error(result) || nccl_error(nccl, &nccl->call, result, err);
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

/* What NCCL told another rank and not this one. */
static bool check_others(const struct nccl *nccl, const struct call *call, struct error *err)
{
    for (int rank = 0; rank < nccl->comm.size; rank++) {
        const uint64_t board = read_board(nccl, rank);
        if ((board & BOARD_FAILED) != 0)
            return error_set(err, ERROR_PEER, "%s #%llu: NCCL failed on rank %d: %s",
                             call_name(call->kind), (unsigned long long)call->number, rank,
                             ncclGetErrorString((ncclResult_t)(uint32_t)board));
    }
    return true;
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
        return nccl_error(nccl, call, state, err);
    if (!check_others(nccl, call, err))
        return false;
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
    cuda_give_up(nccl->device);
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
