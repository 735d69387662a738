/* tests/nccl_emulator/nccl_emulator.h: NCCL for tests, without a GPU and without NVIDIA's library.
 *
 * Ranks are threads of a process or processes of a host; they meet in memory that the id names,
 * which has no name of its own and is gone with the last of them. Calls are work on a stream of the
 * CUDA emulator: a rank that has come goes on with other things, and its stream stands still until
 * all have. So a rank that never comes looks as it does with a GPU: an event that is never reached.
 *
 * These stop the process, with a line that names both: ranks in different calls, or in the same
 * with other sizes, types or roots; a message that is received as another size. So do calls on a
 * group that is not open yet, is closed, or has not taken the call before (ncclInProgress): one of
 * the first calls and every 50th answers so, and is queued only when it was asked for again.
 *
 * Limits. 16 ranks; sums of float32, added in the order of the ranks; a group holds 32 calls. One
 * stream a communicator. No bandwidth, no network, no real windows.
 *
 * Environment: NCCL_EMULATOR=FAULT:RANK:CALL[:MS], for each communicator's rank RANK:
 *   absent  does not come to its CALL (from 1; 0: to the opening), until it is told to give up
 *   hang    does not come out of it, when the others have what they need of it
 *   fail    reports a system error in its CALL, and does not come
 *   delay   comes to its CALL after MS
 *   stall   never takes its CALL: ncclInProgress
 */
#pragma once
#include "tests/cuda_emulator/cuda_emulator.h"

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    EMULATED_RANKS = 16,
    GROUP_CALLS = 32,
    PIECE_BYTES = 64 << 10, /* what a rank shows the others at a time */
};

enum nccl_kind { NCCL_ALL_REDUCE, NCCL_ALL_GATHER, NCCL_BROADCAST, NCCL_SEND, NCCL_RECEIVE };

/* One call, as the others must make it too. */
struct nccl_call {
    enum nccl_kind kind;
    ncclDataType_t type;
    int peer; /* root, or whom a message is from or to */
    size_t count;
    const void *send;
    void *receive;
};

/* Calls that a stream does together. */
struct nccl_work {
    ncclComm_t comm;
    cudaStream_t stream;
    int n;
    struct nccl_call call[GROUP_CALLS];
};

/* ---- memory.c: what the ranks share ---- */

/* A rank shows the piece of round n in piece[n % 2], when all have seen round n - 2; `round` is the
 * last one that it shows, so it has seen all before. */
struct nccl_seat {
    _Atomic uint64_t round;
    struct nccl_call call[2]; /* that the piece belongs to; pointers are the owner's */
    unsigned char piece[2][PIECE_BYTES];
};

/* From one rank to another, a piece at a time. */
struct nccl_mailbox {
    _Atomic uint64_t sent, taken;
    struct nccl_call call;
    unsigned char piece[PIECE_BYTES];
};

struct nccl_memory {
    _Atomic int n_here;
    struct nccl_seat seat[EMULATED_RANKS];
    struct nccl_mailbox mailbox[EMULATED_RANKS][EMULATED_RANKS]; /* [from][to] */
};

bool nccl_memory_make(ncclUniqueId *id);
struct nccl_memory *nccl_memory_map(const ncclUniqueId *id); /* NULL: the id leads nowhere */
void nccl_memory_unmap(struct nccl_memory *memory);
void nccl_memory_forget(const ncclUniqueId *id); /* by the process that made it: all have it */

/* ---- faults.c ---- */

enum nccl_fault_kind { FAULT_NONE, FAULT_ABSENT, FAULT_HANG, FAULT_FAIL, FAULT_DELAY, FAULT_STALL };
struct nccl_fault {
    enum nccl_fault_kind kind;
    uint64_t call;
    int64_t delay_ms;
};
struct nccl_fault nccl_fault_of(int rank); /* from the environment */
/* Writes the line and stops the process. */
void nccl_stop(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- comm.c ---- */

struct ncclComm {
    pthread_mutex_t lock;
    int rank, n_ranks;
    ncclUniqueId id;
    struct nccl_memory *memory; /* NULL: closed */
    struct nccl_fault fault;
    bool open; /* all ranks have met */
    bool blocking;
    ncclResult_t state;
    const char *last_error;

    /* Calls that were made, and one that is not taken yet. */
    uint64_t n_calls;
    bool has_deferred;
    int n_asked; /* since it was deferred */
    struct nccl_work deferred;

    /* What the stream does. */
    bool works;             /* in the middle of a struct nccl_work */
    uint64_t n_done;        /* calls, before that */
    uint64_t round;         /* that this rank shows or showed last */
    bool shown;             /* the round of the collective at work */
    size_t at[GROUP_CALLS]; /* bytes that are done */
    bool done[GROUP_CALLS];
    int64_t delayed_until_ns; /* 0: not yet */
    ncclComm_t next; /* of this process, ever: work on a stream may outlive a communicator */
};

/* ---- work.c ---- */

/* An emulated_work_fn: goes on with the calls of `context`, a struct nccl_work. */
enum emulated_progress nccl_work_on(void *context);
const char *nccl_call_text(const struct nccl_call *call, char *text, size_t n_bytes);
/* Puts it on its stream. */
ncclResult_t nccl_queue(const struct nccl_work *work);
size_t nccl_type_bytes(ncclDataType_t type);
