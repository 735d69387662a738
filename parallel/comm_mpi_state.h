/* parallel/comm_mpi_state.h: what the files of the communicator between hosts share; nobody else
 * needs it.
 *
 *   comm_mpi.c        messages and waiting; gather, broadcast, send and receive
 *   comm_mpi_sum.c    sums
 */
#pragma once
#include "parallel/call.h"
#include "parallel/comm_mpi.h"

struct messages;
struct mpi {
    struct comm comm; /* first: a struct mpi is a comm */
    struct comm_settings settings;
    struct call call;
    struct tree_layout layout;  /* of the last tree_reduce */
    float *packed;              /* [SEGMENT_FLOATS] parts of this rank, sorted by receiver */
    float *others;              /* [comm_mpi_others_floats()] parts of the other ranks */
    struct messages *under_way; /* comm_mpi.c */
};

static inline struct mpi *mpi_of(struct comm *comm) { return (struct mpi *)comm; }

/* Starts to receive, or to send, one message of the step; 0 bytes are none. */
bool mpi_start_receive(struct mpi *mpi, void *bytes, size_t n_bytes, int from, struct error *err);
bool mpi_start_send(struct mpi *mpi, const void *bytes, size_t n_bytes, int to, struct error *err);
/* Waits for the messages that were started. `idle`: between two steps, so at little cost. */
bool mpi_finish(struct mpi *mpi, bool idle, struct error *err);
/* The end of a call: returns `ok`. */
bool mpi_end(struct mpi *mpi, bool ok);

bool mpi_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                     int n_leaves, size_t count, struct error *err);
