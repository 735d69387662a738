/* parallel/call.h: one call of a communicator, for deadlines and for errors. Private to parallel/.
 */
#pragma once
#include "parallel/comm.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct heart;

enum call_kind {
    CALL_NONE,
    CALL_TREE_REDUCE,
    CALL_ALL_GATHER,
    CALL_BROADCAST,
    CALL_SEND,
    CALL_RECEIVE,
    N_CALL_KINDS
};

struct call {
    enum call_kind kind;
    uint64_t number;    /* of this group, from 1, as this rank counts */
    uint64_t size;      /* what the ranks must agree on: bytes, floats and leaves, or a hash */
    int64_t give_up_at; /* clock_now_ns; INT64_MAX: never */
    int64_t deadline_ns;
    int64_t looked_at;   /* when this rank last asked whether it is over, or the wait began */
    struct heart *heart; /* of the settings */
    bool failed;         /* this one or one before it: the group can only be closed */
};

const char *call_name(enum call_kind kind);
/* The next call of a group whose last one was `call`. False, and ERROR_PEER, after a failure. */
bool call_begin(struct call *call, enum call_kind kind, uint64_t size, const struct comm *comm,
                const struct comm_settings *settings, struct error *err);
/* Returns `ok`, and remembers a failure. */
bool call_end(struct call *call, bool ok);
/* Piece by piece: an idle call waits for its first one for ever; then the other side has come, and
 * hurries. */
void call_wait_or_hurry(struct call *call, const struct comm *comm,
                        const struct comm_settings *settings, bool idle, bool is_first);

/* Has the call waited in vain? To be asked several times a second: where this rank did not, it was
 * stopped itself, perhaps with all others, and that time does not count. */
bool call_is_over(struct call *call, int64_t now);

/* "tree_reduce #4711: " and what watchdog_check() says; true when it says nothing. */
bool call_check_watchdog(const struct call *call, const struct comm_settings *settings,
                         struct error *err);

/* "rank 3", "ranks 1, 3", "a rank" where none is in it; cut with dots where it is long. */
enum { CALL_LIST_BYTES = 256 };
void call_list_ranks(char list[CALL_LIST_BYTES], const bool *is_in, int n_ranks);

/* Both ERROR_PEER and false: "tree_reduce #4711: ranks 1, 3 did not come within 10.0 s"; "a rank"
 * where the last one came while we looked, and too late. */
bool call_missing(const struct call *call, const bool *is_missing, int n_ranks, struct error *err);
/* "all_gather #12: rank 3 came to broadcast: the ranks are out of step". */
bool call_differs(const struct call *call, int rank, enum call_kind theirs, struct error *err);
