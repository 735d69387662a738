/* parallel/comm_nccl_state.h: what the files of the communicator over NCCL share; nobody else needs
 * it.
 *
 *   comm_nccl.c         open and close
 *   comm_nccl_calls.c   the operations
 *   comm_nccl_watch.c   what is queued, and who waits for it in vain
 *   comm_nccl_tell.c    boards, and what is said of a wait in vain
 */
#pragma once
#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "parallel/call.h"
#include "parallel/comm.h"

#include <nccl.h>
#include <pthread.h>

enum {
    QUEUED_AT_MOST = 512, /* calls of two steps that are not recorded; more count as one */
    PROGRESS_EVERY = 8, /* calls of a record, where no kernel tells of each on its way: one for that
                           alone at each call would be 2 to 3 % of a step */
    ALL_RANKS = -1,
};

/* A call that the device has yet to do, or the calls of a record. */
struct queued {
    struct comm_record calls;
    bool is_replay;          /* nccl->reached is about it */
    uint64_t first;          /* number of the first call */
    uint32_t common_before;  /* calls of all ranks that were queued until then, */
    uint32_t common_after;   /* and with these */
    cudaEvent_t begun, done; /* the device has come to the first one (unless it is a replay); has
                                done them */
};

struct nccl {
    struct comm comm; /* first: a struct nccl is a comm */
    struct comm *host;
    struct nccl *beside, *ahead; /* of the same device, opened before and after it; or NULL */
    struct device *device;
    int gpu;
    struct comm_settings settings;
    struct call call; /* the last one */
    bool exact;
    float *gathered; /* [parts of all ranks][columns] of the device; NULL unless exact */
    size_t gathered_bytes, piece_floats;
    struct tree_layout layout; /* of the last tree_reduce */
    /* Memory of the host, written by the device: how far it is in the record that it replays. 0: it
     * has not begun; 2 i + 1: has come to call i, from 0; 2 i + 2: has done it. */
    uint32_t *reached;

    /* Of this thread and that of the watchdog. */
    pthread_mutex_t lock;
    ncclComm_t group; /* NULL: given up */
    struct queued queue[QUEUED_AT_MOST];
    uint64_t n_queued, n_done; /* of the queue, ever; entry i is at i % QUEUED_AT_MOST */
    /* Calls of all ranks, from the beginning: what was queued, and what the device has done. The
     * board says both. */
    uint32_t common_queued, common_done;
    uint64_t waiting_for; /* entry + 1; 0: for none */
    uint32_t waiting_at;  /* where in it */
    struct call wait;     /* for that: since when, and until when */
    struct error error;   /* the first; final */
    ncclResult_t result;  /* of NCCL, where that was it: the board says so */
    atomic_bool failed;   /* there is one: known without the lock */
};

static inline struct nccl *nccl_of(struct comm *comm) { return (struct nccl *)comm; }

/* ---- comm_nccl_calls.c: entries of the table, for memory of the device ---- */

bool nccl_tree_reduce(struct nccl *nccl, float *sum, float *parts, int n_leaves, size_t count,
                      struct error *err);
bool nccl_all_gather(struct nccl *nccl, void *all, const void *mine, const size_t *n_bytes,
                     struct error *err);
bool nccl_send(struct nccl *nccl, const void *bytes, size_t n_bytes, int to, struct error *err);
bool nccl_receive(struct nccl *nccl, void *bytes, size_t n_bytes, int from, struct error *err);

/* ---- comm_nccl_watch.c ---- */

/* Waits until NCCL has taken a call, whose result was `result`: with non-blocking communicators it
 * may say that it is in progress. By the deadline of nccl->call. */
bool nccl_settle(struct nccl *nccl, ncclResult_t result, struct error *err);

/* The next call is about to be queued. */
void nccl_begun(struct nccl *nccl);
/* These calls are in the queue of the device now, by themselves or as the replay of a record; the
 * last one is nccl->call. */
void nccl_queued(struct nccl *nccl, const struct comm_record *calls, bool is_replay);

/* What the device has done is forgotten, and the board says so. */
void nccl_note_done(struct nccl *nccl);

/* False with the error, final, when a queued call of this group or the one beside it failed or
 * waits in vain; both have then been given up. */
bool nccl_watch(struct nccl *nccl, struct error *err);
/* The same from the thread of the watchdog: it never waits for this one. */
bool nccl_watch_aside(void *nccl, struct error *err);

/* The first failure of the groups of this device: all are given up. False. */
bool nccl_fail(struct nccl *nccl, const struct error *err);
/* NCCL shall end what it does, and free what it has. */
void nccl_give_up(struct nccl *nccl);

/* ---- comm_nccl_tell.c; all with the lock ---- */

/* How far the device is in the calls of the oldest entry that it has not done, as nccl->reached. */
uint32_t nccl_reached(const struct nccl *nccl, const struct queued *q);
/* Kind and number of the call of that entry that the device is in, as far as is known. */
void nccl_name(const struct nccl *nccl, const struct queued *q, struct call *call);
/* This rank's board says what is queued and how far the device is. */
void nccl_write_board(struct nccl *nccl);
/* All false, with the error. */
bool nccl_error(struct nccl *nccl, const struct call *call, ncclResult_t result, struct error *err);
bool nccl_missing(struct nccl *nccl, const struct queued *q, struct error *err);
/* False when NCCL has told another rank of an error, and perhaps not this one. */
bool nccl_check_others(const struct nccl *nccl, const struct call *call, struct error *err);
