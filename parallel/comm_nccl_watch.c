/* What is queued, and who waits for it in vain.
 *
 * Behind each call an event says when the device has done it, so the oldest one that is not done is
 * what everybody waits for. Its deadline runs from the first look at it: a rank that queues and
 * does not look may be as late as it likes. A record is one entry of the queue, in which the device
 * says itself how far it is (nccl->reached). */
#include "parallel/comm_nccl_state.h"

#include "base/system.h"
#include "parallel/watchdog.h"

/* NCCL takes a call in a thread of its own, mostly within: */
static const int64_t SETTLE_SPIN_NS = 200000;
static const int64_t SETTLE_SLEEP_NS = 50000; /* between two looks after that */

/* ------------------------------------------------------------------------------------- queue -- */

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
        nccl->common_done = entry(nccl, nccl->n_done++)->common_after;
}

void nccl_note_done(struct nccl *nccl)
{
    forget_done(nccl);
    nccl_write_board(nccl);
}

static bool is_full(const struct nccl *nccl)
{
    return nccl->n_queued - nccl->n_done == QUEUED_AT_MOST;
}

static void record(struct nccl *nccl, cudaEvent_t event)
{
    cuda_keep(nccl->device, "cudaEventRecord", cudaEventRecord(event, cuda_stream(nccl->device)));
}

void nccl_begun(struct nccl *nccl)
{
    if (is_full(nccl))
        forget_done(nccl);
    if (!is_full(nccl))
        record(nccl, entry(nccl, nccl->n_queued)->begun);
}

void nccl_queued(struct nccl *nccl, const struct comm_record *calls, bool is_replay)
{
    if (is_full(nccl))
        forget_done(nccl);
    const uint32_t common_before = nccl->common_queued;
    nccl->common_queued += (uint32_t)calls->n_common;
    struct queued *q = entry(nccl, nccl->n_queued);
    if (is_full(nccl)) { /* one with the last: coarser names */
        q = entry(nccl, nccl->n_queued - 1);
        q->is_replay = false;
        for (int i = 0; i < calls->n_runs; i++)
            comm_record_add(&q->calls, &calls->run[i]);
    } else {
        q->calls = *calls;
        q->is_replay = is_replay;
        q->first = nccl->call.number - (calls->n_calls - 1);
        q->common_before = common_before;
        nccl->n_queued++;
    }
    q->common_after = nccl->common_queued;
    record(nccl, q->done);
    nccl_write_board(nccl);
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

/* The deadline is that of a call: what moves on within a record is waited for anew. */
static void wait_for(struct nccl *nccl, const struct queued *q)
{
    const uint32_t at = nccl_reached(nccl, q);
    if (nccl->waiting_for == nccl->n_done + 1 && nccl->waiting_at == at)
        return;
    const int64_t now = clock_now_ns();
    const int64_t deadline_ns = nccl->settings.deadline_ns + nccl->comm.patience_ns;
    nccl->waiting_for = nccl->n_done + 1;
    nccl->waiting_at = at;
    nccl->wait = (struct call){
        .deadline_ns = deadline_ns, .looked_at = now, .give_up_at = now + deadline_ns};
    nccl_name(nccl, q, &nccl->wait);
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
    else
        wait_for(nccl, entry(nccl, nccl->n_done));
    nccl_write_board(nccl);
    const struct call *call = nccl->waiting_for > 0 ? &nccl->wait : &nccl->call;
    if (!call_check_watchdog(call, &nccl->settings, err))
        return false;
    const ncclResult_t state = state_of(nccl->group);
    if (is_error(state))
        return nccl_error(nccl, call, state, err);
    if (!nccl_check_others(nccl, call, err))
        return false;
    return nccl->waiting_for == 0 || !call_is_over(&nccl->wait, clock_now_ns()) ||
           nccl_missing(nccl, entry(nccl, nccl->n_done), err);
}

void nccl_give_up(struct nccl *nccl)
{
    if (nccl->group != NULL)
        (void)ncclCommAbort(nccl->group); /* nothing is left to be done if it fails */
    nccl->group = NULL;
}

/* The groups of a device end together: its memory cannot be freed while one of them computes. All
 * are told before NCCL waits for the end of one, which may stand behind a call of another: that is
 * what the group of calls is for. */
bool nccl_fail(struct nccl *nccl, const struct error *err)
{
    while (nccl->ahead != NULL)
        nccl = nccl->ahead;
    cuda_give_up(nccl->device);
    const bool several = nccl->beside != NULL;
    if (several)
        (void)ncclGroupStart();
    for (struct nccl *n = nccl; n != NULL; n = n->beside) {
        pthread_mutex_lock(&n->lock);
        if (n->error.kind == ERROR_NONE)
            n->error = *err;
        atomic_store(&n->failed, true);
        nccl_give_up(n);
        pthread_mutex_unlock(&n->lock);
    }
    if (several)
        (void)ncclGroupEnd();
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

/* Where the other thread has a lock it looks itself, unless NCCL does not even give up. This one
 * does not wait for it: a watchdog that is late is taken for a rank that is lost. */
bool nccl_watch_aside(void *context, struct error *err)
{
    struct nccl *nccl = context, *busy = nccl;
    bool good = true;
    if (cudaSetDevice(nccl->gpu) != cudaSuccess) /* else this thread would open the first */
        return true;                             /* the device says so itself */
    while (busy != NULL && pthread_mutex_trylock(&busy->lock) == 0)
        busy = busy->beside;
    for (struct nccl *n = nccl; busy == NULL && good && n != NULL; n = n->beside)
        good = look(n, err);
    for (struct nccl *n = nccl; n != busy; n = n->beside)
        pthread_mutex_unlock(&n->lock);
    if (busy != NULL && atomic_load(&busy->failed))
        return error_set(err, ERROR_PEER, "NCCL has failed, and does not give up");
    return good || nccl_fail(nccl, err);
}
