/* parallel/comm_shm_state.h: what the files of the communicator in shared memory share; nobody else
 * needs it.
 *
 *   comm_shm.c        segments; gather and broadcast
 *   comm_shm_sum.c    sums
 *   comm_shm_pair.c   send and receive
 */
#pragma once
#include "parallel/call.h"
#include "parallel/comm.h"
#include "parallel/counter.h"

#include <stdalign.h>
#include <stdatomic.h>

enum {
    SLOT_BYTES = 256 << 10,
    ENVELOPE_BYTES = 128 << 10,
};

/* Two cache lines, because the hardware fetches them in pairs. */
struct seat {
    alignas(128) struct counter segment;
    _Atomic uint64_t call;  /* low half of the segment's number << 32 | signature of the call */
    _Atomic uint64_t board; /* comm_ops.board */
};

/* From one rank to another. The sender fills envelope[n % 2] and length[n % 2], then sends n. */
struct channel {
    alignas(64) struct counter sent;
    struct counter taken;
    uint64_t length[2];
    uint32_t envelope[2]; /* which of the sender's */
};

struct shm {
    struct comm comm; /* first: a struct shm is a comm */
    struct comm_settings settings;
    struct seat *seat;        /* [size] */
    struct channel *channel;  /* [size from][size to] */
    unsigned char *slots;     /* [size][2][SLOT_BYTES] */
    unsigned char *envelopes; /* [size][2][ENVELOPE_BYTES] */

    struct call call;
    uint64_t segment;    /* the last one */
    uint64_t written[2]; /* the last one that this rank wrote in slot 0 and 1; 0: none */
    uint64_t n_posted;   /* envelopes that this rank has sent */
    struct posted {
        int to;
        uint64_t n; /* 0: this envelope was never used */
    } posted[2];
    struct tree_layout layout; /* of the last tree_reduce */
};

static inline struct shm *shm_of(struct comm *comm) { return (struct shm *)comm; }

static inline unsigned char *slot_of(const struct shm *shm, int rank)
{
    return shm->slots + ((size_t)rank * 2 + shm->segment % 2) * SLOT_BYTES;
}

/* False when the counter is not there by the deadline of the call, or a rank of this host is lost.
 */
bool shm_wait_until(struct shm *shm, struct counter *counter, uint64_t value);

/* The next segment begins. With `write`, slot_of(this rank) is then free to be filled. */
bool shm_segment_begin(struct shm *shm, bool write, struct error *err);
void shm_segment_publish(struct shm *shm);
/* Waits until everyone has published it, in the same call. */
bool shm_segment_collect(struct shm *shm, struct error *err);

/* ---- entries of the table ---- */

bool shm_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                     int n_leaves, size_t count, struct error *err);
bool shm_send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes, int to,
              struct error *err);
bool shm_receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes, int from,
                 bool idle, struct error *err);
