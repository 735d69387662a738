#include "parallel/call.h"

#include "base/check.h"
#include "base/error.h"
#include "base/system.h"
#include "parallel/heart.h"
#include "parallel/watchdog.h"

#include <stdio.h>

static const int64_t STOPPED_NS = 500000000; /* between two looks: nobody sleeps so long */

const char *call_name(enum call_kind kind)
{
    static const char *const name[N_CALL_KINDS] = {
        "no call", "tree_reduce", "all_gather", "broadcast", "send", "receive",
    };
    check(kind < N_CALL_KINDS);
    return name[kind];
}

static void set_deadline(struct call *call, const struct comm *comm,
                         const struct comm_settings *settings)
{
    call->deadline_ns = settings->deadline_ns + comm->patience_ns;
    call->looked_at = clock_now_ns();
    call->give_up_at = call->looked_at + call->deadline_ns;
}

bool call_begin(struct call *call, enum call_kind kind, uint64_t size, const struct comm *comm,
                const struct comm_settings *settings, struct error *err)
{
    call->kind = kind;
    call->number++;
    call->size = size;
    call->heart = settings->heart;
    set_deadline(call, comm, settings);
    watchdog_enter(settings->watchdog, kind, call->number);
    return !call->failed ||
           error_set(err, ERROR_PEER, "%s after this group of ranks has failed", call_name(kind));
}

bool call_end(struct call *call, bool ok)
{
    call->failed = !ok;
    return ok;
}

void call_wait_or_hurry(struct call *call, const struct comm *comm,
                        const struct comm_settings *settings, bool idle, bool is_first)
{
    if (idle && is_first)
        call->give_up_at = INT64_MAX;
    else if (idle)
        set_deadline(call, comm, settings);
}

bool call_is_over(struct call *call, int64_t now)
{
    const int64_t since_ns = now - call->looked_at;
    heart_look(call->heart, true);
    call->looked_at = now;
    if (since_ns > STOPPED_NS && call->give_up_at < INT64_MAX)
        call->give_up_at += since_ns;
    return now >= call->give_up_at;
}

bool call_check_watchdog(const struct call *call, const struct comm_settings *settings,
                         struct error *err)
{
    return watchdog_check(settings->watchdog, err) ||
           error_in(err, "%s #%llu", call_name(call->kind), (unsigned long long)call->number);
}

void call_list_ranks(char list[CALL_LIST_BYTES], const bool *is_in, int n_ranks)
{
    int n_listed = 0, len = 0;
    for (int rank = 0; rank < n_ranks; rank++)
        n_listed += is_in[rank];
    len = snprintf(list, CALL_LIST_BYTES, "%s",
                   n_listed == 0   ? "a rank"
                   : n_listed == 1 ? "rank"
                                   : "ranks");
    const char *separator = " ";
    for (int rank = 0; rank < n_ranks && list[len - 1] != '.'; rank++) {
        const size_t left = CALL_LIST_BYTES - (size_t)len;
        if (!is_in[rank])
            continue;
        len += left > 16 ? snprintf(list + len, left, "%s%d", separator, rank)
                         : snprintf(list + len, left, ", ...");
        separator = ", ";
    }
}

bool call_missing(const struct call *call, const bool *is_missing, int n_ranks, struct error *err)
{
    char list[CALL_LIST_BYTES];
    call_list_ranks(list, is_missing, n_ranks);
    return error_set(err, ERROR_PEER, "%s #%llu: %s did not come within %.1f s",
                     call_name(call->kind), (unsigned long long)call->number, list,
                     (double)call->deadline_ns * 1e-9);
}

bool call_differs(const struct call *call, int rank, enum call_kind theirs, struct error *err)
{
    const char *what = theirs == call->kind ? "the same with another size" : call_name(theirs);
    return error_set(err, ERROR_PEER, "%s #%llu: rank %d came to %s: the ranks are out of step",
                     call_name(call->kind), (unsigned long long)call->number, rank, what);
}
