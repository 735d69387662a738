/* Boards, and what is said of a wait in vain.
 *
 * Each rank writes on its board of the host's group how many calls it has queued, and how far its
 * device is. A rank that has not queued the call that others wait for is missing. If all have, the
 * device that is furthest behind keeps the others waiting; where they are equally far, it is the
 * call that hangs.
 *
 * How far a device is counts in half calls of all ranks: 2 n + 1 has done n and come to the next,
 * 2 n is somewhere before that. In a record it is known to PROGRESS_EVERY calls, and behind calls
 * that are followed by a kernel that tells it: exact sums, and sums before a norm. */
#include "parallel/comm_nccl_state.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ boards -- */

/* 1 bit: NCCL has failed on this rank, as the low half says; else 31 bits: common_queued, 32 bits:
 * half calls that the device has done. Both go round. */
static const uint64_t BOARD_FAILED = UINT64_C(1) << 63;

static uint32_t board_queued(uint64_t board) { return (uint32_t)(board >> 32); }
static uint32_t board_done(uint64_t board) { return (uint32_t)board; }

/* Of numbers of 31 bits. */
static bool is_behind(uint32_t a, uint32_t b) { return (int32_t)((a - b) << 1) < 0; }

static bool has_board(const struct nccl *nccl, int rank)
{
    return nccl->host->ops->board(nccl->host, rank) != NULL;
}

static uint64_t read_board(const struct nccl *nccl, int rank)
{
    return has_board(nccl, rank) ? atomic_load(nccl->host->ops->board(nccl->host, rank)) : 0;
}

uint32_t nccl_reached(const struct nccl *nccl, const struct queued *q)
{
    if (q->is_replay)
        return __atomic_load_n(nccl->reached, __ATOMIC_RELAXED);
    return cudaEventQuery(q->begun) != cudaErrorNotReady;
}

/* The run that call i of a record, from 0, is in; *n_common calls before it are of all ranks. */
static const struct comm_run *run_of(const struct comm_record *calls, uint64_t i,
                                     uint64_t *n_common)
{
    const struct comm_run *run = calls->run;
    uint64_t before = 0;
    *n_common = 0;
    for (; run < calls->run + calls->n_runs - 1 && i >= before + run->n; run++) {
        before += run->n;
        *n_common += run->peer < 0 ? run->n : 0;
    }
    *n_common += run->peer < 0 ? i - before : 0;
    return run;
}

/* Of this rank. */
static uint32_t half_calls(const struct nccl *nccl)
{
    if (nccl->n_done == nccl->n_queued)
        return 2 * nccl->common_done;
    uint64_t n_common;
    const struct queued *q = &nccl->queue[nccl->n_done % QUEUED_AT_MOST];
    const uint32_t reached = nccl_reached(nccl, q);
    const struct comm_run *run = run_of(&q->calls, reached / 2, &n_common);
    return 2 * (q->common_before + (uint32_t)n_common) + (run->peer < 0 ? reached % 2 : 0);
}

void nccl_write_board(struct nccl *nccl)
{
    if (!has_board(nccl, nccl->comm.rank))
        return;
    const uint64_t queued = (uint64_t)nccl->common_queued << 32 & ~BOARD_FAILED;
    atomic_store(nccl->host->ops->board(nccl->host, nccl->comm.rank),
                 nccl->result != ncclSuccess ? BOARD_FAILED | (uint64_t)nccl->result
                                             : queued | half_calls(nccl));
}

/* ------------------------------------------------------------------------------------ errors -- */

bool nccl_error(struct nccl *nccl, const struct call *call, ncclResult_t result, struct error *err)
{
    const char *more = ncclGetLastError(nccl->group);
    nccl->result = result;
    nccl_write_board(nccl); /* this rank alone may know, and its end is all the others would hear */
    if (more != NULL && more[0] != '\0')
        error_set(err, ERROR_PEER, "NCCL: %s: %.200s", ncclGetErrorString(result), more);
    else
        error_set(err, ERROR_PEER, "NCCL: %s", ncclGetErrorString(result));
    return error_in(err, "%s #%llu", call_name(call->kind), (unsigned long long)call->number);
}

bool nccl_check_others(const struct nccl *nccl, const struct call *call, struct error *err)
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

/* What the boards say of one call. */
struct sight {
    bool all_known;  /* every rank has a board */
    int n_absent;    /* ranks that have not queued it */
    int n_behind;    /* whose GPUs are the furthest behind, where others are further */
    int32_t behind;  /* how far they are, in half calls from where this rank is */
    bool *is_absent; /* [size] */
    bool *is_behind; /* [size] */
};

static void see(struct sight *sight, const struct nccl *nccl, const struct queued *q)
{
    const uint32_t here = half_calls(nccl);
    int32_t ahead = 0;
    for (int rank = 0; rank < nccl->comm.size; rank++) {
        const uint64_t board = read_board(nccl, rank);
        const int32_t at = rank == nccl->comm.rank ? 0 : (int32_t)(board_done(board) - here);
        sight->all_known = sight->all_known && has_board(nccl, rank);
        sight->is_absent[rank] = is_behind(board_queued(board), q->common_after);
        sight->n_absent += sight->is_absent[rank];
        sight->behind = at < sight->behind ? at : sight->behind;
        ahead = at > ahead ? at : ahead;
    }
    for (int rank = 0; rank < nccl->comm.size && sight->behind < ahead; rank++) {
        const int32_t at = (int32_t)(board_done(read_board(nccl, rank)) - here);
        sight->is_behind[rank] = (rank == nccl->comm.rank ? 0 : at) == sight->behind;
        sight->n_behind += sight->is_behind[rank];
    }
}

/* Each call of the run; of the last one of a record nobody needs to know. */
static bool is_told(const struct comm_record *calls, const struct comm_run *run)
{
    const bool is_last = run == &calls->run[calls->n_runs - 1];
    return run->n_told + is_last >= run->n;
}

/* Where this device is: in a call of `q`, or in one after it until `last`; counted from 0. */
struct place {
    uint64_t call, last;
    const struct comm_run *run, *last_run;
};

static struct place place_of(const struct nccl *nccl, const struct queued *q)
{
    uint64_t ignored;
    const uint64_t n = q->calls.n_calls, call = nccl_reached(nccl, q) / 2;
    struct place place = {.call = call < n ? call : n - 1};
    place.last = place.call;
    place.run = place.last_run = run_of(&q->calls, place.call, &ignored);
    while (q->is_replay && place.last < n - 1 && (place.last + 1) % PROGRESS_EVERY != 0 &&
           !is_told(&q->calls, place.last_run))
        place.last_run = run_of(&q->calls, ++place.last, &ignored);
    return place;
}

void nccl_name(const struct nccl *nccl, const struct queued *q, struct call *call)
{
    const struct place place = place_of(nccl, q);
    call->kind = (enum call_kind)place.run->kind;
    call->number = q->first + place.call;
}

static void append(struct error *err, const char *text)
{
    const size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, "%s", text);
}

static bool tell(const struct nccl *nccl, const struct sight *sight, const struct call *call,
                 struct error *err)
{
    char list[CALL_LIST_BYTES], seen[64] = "";
    const double seconds = (double)call->deadline_ns * 1e-9;
    const uint32_t here = half_calls(nccl);
    if (!sight->all_known || sight->n_absent > 0)
        return call_missing(call, sight->is_absent, nccl->comm.size, err);
    if (sight->n_behind == 0) {
        error_set(err, ERROR_PEER, "all ranks came, and their GPUs have not done it within %.1f s",
                  seconds);
    } else {
        const uint32_t there = here + (uint32_t)sight->behind;
        call_list_ranks(list, sight->is_behind, nccl->comm.size);
        if (sight->behind < 0)
            snprintf(seen, sizeof seen, ", and was last seen %s #%llu",
                     there % 2 != 0 ? "at" : "before",
                     (unsigned long long)(call->number - (here / 2 - there / 2)));
        error_set(err, ERROR_PEER, "the GPU of %s did not come within %.1f s%s", list, seconds,
                  seen);
    }
    return error_in(err, "%s #%llu", call_name(call->kind), (unsigned long long)call->number);
}

bool nccl_missing(struct nccl *nccl, const struct queued *q, struct error *err)
{
    char text[128];
    const size_t size = (size_t)nccl->comm.size;
    const struct place place = place_of(nccl, q);
    struct sight sight = {.all_known = true,
                          .is_absent = memory_alloc(size, sizeof(bool)),
                          .is_behind = memory_alloc(size, sizeof(bool))};
    nccl_name(nccl, q, &nccl->wait);
    if (place.run->peer == ALL_RANKS)
        see(&sight, nccl, q);
    else
        sight.n_absent = sight.is_absent[place.run->peer] = true;
    tell(nccl, &sight, &nccl->wait, err);
    memory_free(sight.is_absent);
    memory_free(sight.is_behind);
    snprintf(text, sizeof text, " (%llu bytes", (unsigned long long)place.run->n_bytes);
    append(err, text);
    if (place.last > place.call) {
        snprintf(text, sizeof text, "; in a record, so perhaps a call up to %s #%llu",
                 call_name((enum call_kind)place.last_run->kind),
                 (unsigned long long)(q->first + place.last));
        append(err, text);
    }
    append(err, ")");
    return false;
}
