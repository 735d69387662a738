/* parallel/comm.h: what the ranks of a group do together.
 *
 * A group is the ranks that hold the shards of the same tensors, or all ranks of the job. Every
 * rank of the group makes the same calls in the same order with the same sizes (send and receive
 * apart: they are between two). A rank that does not is a bug; it shows as an error that names the
 * call and the ranks that did not come, or that came to another call.
 *
 * Buffers belong to the caller and are memory of `device`; NULL: memory of the host, and the same
 * as a CPU device. A call returns when its work is done on this rank; with a GPU, when it is
 * queued, and device_wait() tells of a rank that never came. A failure is ERROR_PEER or
 * ERROR_SYSTEM and final: after it the group can only be closed. One thread at a time.
 *
 * Steps and bytes of each algorithm: parallel/README.md.
 */
#pragma once
#include "parallel/tree.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct comm;
struct comm_record;
struct device;
struct error;
struct heart;
struct watchdog;

/* A sum over a fixed tree whose leaves are spread over the ranks of a group; the same on every
 * rank. The run of each rank is tree_run(n_leaves, size, rank). */
struct comm_ops {
    const char *name; /* "self", "shm", "mpi", "nccl": as logged and as --comm */

    /* sum[i] = tree over all leaves; the same bits on every rank, and for every size of the group.
     * parts: [n_parts of this rank][count], the maximal subtrees of its run in order; they may be
     * overwritten, and `sum` may be parts. float32. The calling thread's floating point mode is
     * that of device_open_cpu(). */
    bool (*tree_reduce)(struct comm *, struct device *, float *sum, float *parts, int n_leaves,
                        size_t count, struct error *);

    /* all = the `mine` of every rank end to end; n_bytes[r] from rank r, which may be 0. `mine` may
     * be its own place in `all`. */
    bool (*all_gather)(struct comm *, struct device *, void *all, const void *mine,
                       const size_t *n_bytes, struct error *);

    /* Bytes of rank `root` to everyone, host memory: it carries step plans. With `idle` the others
     * may wait for ever and at little cost (a worker between two steps); otherwise the deadline of
     * the group holds. The root does not wait for anyone to come to this broadcast while its
     * bytes fit the group's buffers: so an idle broadcast of one byte from each rank in turn is a
     * barrier without a deadline (after loading). 0 bytes do nothing. */
    bool (*broadcast)(struct comm *, void *bytes, size_t n_bytes, int root, bool idle,
                      struct error *);

    /* To and from one other rank of the group, in order: pipeline stages. A send may return before
     * its receive has begun, or wait for it: two ranks that first send to each other may hang. With
     * `idle` (host memory) the receiver may wait for ever, as in broadcast. */
    bool (*send)(struct comm *, struct device *, const void *bytes, size_t n_bytes, int to,
                 struct error *);
    bool (*receive)(struct comm *, struct device *, void *bytes, size_t n_bytes, int from,
                    bool idle, struct error *);

    /* The device was told to do the calls of a record once more. */
    void (*replayed)(struct comm *, const struct comm_record *);

    /* A number of `rank` that it alone writes and the others may read at any time, from any thread;
     * 0 at first. What it says is up to who uses the group. NULL: of that rank nothing is seen. */
    _Atomic uint64_t *(*board)(struct comm *, int rank);

    void (*close)(struct comm *); /* frees the comm; never waits for a peer */
};

/* Equal calls, one after the other. */
struct comm_run {
    int kind;            /* enum call_kind */
    int peer;            /* of send and receive; -1: all ranks */
    uint64_t n, n_bytes; /* calls, and bytes of each */
    uint64_t n_told;     /* of n: a GPU says when it has done them */
};

/* Calls that a GPU records instead of doing them (kernels/device.h, "records"). */
enum { COMM_RECORD_RUNS = 6 }; /* a step is some hundred equal sums, and a gather or two */
struct comm_record {
    uint64_t n_calls, n_bytes;
    uint64_t n_common; /* those of all ranks: not send, not receive */
    int n_runs;
    struct comm_run run[COMM_RECORD_RUNS]; /* more count to the last one, whatever they are */
};

/* Of this rank, in the calls of a group below: what was handed over or came, and the time until the
 * call was done (with a GPU: queued), in which it also waited for ranks that were later. Waiting
 * idle does not count. */
struct comm_spent {
    uint64_t n_calls, n_bytes;
    int64_t ns;
};

struct comm {
    const struct comm_ops *ops; /* complete: no entry is NULL */
    int rank, size;             /* within this group */
    struct comm_spent spent;    /* whoever wants less than all since the opening takes a copy */
    struct comm_record *record; /* what is being recorded; NULL: calls are done */
    int64_t patience_ns; /* longer than the deadline that a call waits, where the caller knows that
                            its peers compute meanwhile; 0 unless set */
};

struct comm_settings {
    int64_t deadline_ns;       /* of one call that is not idle */
    int64_t spin_ns;           /* before sleeping; 0 when ranks outnumber CPUs */
    struct watchdog *watchdog; /* of the ranks of this host: ends waits when one is lost; outlives
                                  the comm. NULL: none */
    struct heart *heart;       /* beats while a call waits; borrowed. NULL: none */
};

/* One rank alone: every call is a copy or a local sum. Calls with a device are in place: there is
 * nothing to do. */
bool comm_open_self(struct comm **out, struct error *err);

/* Ranks that share memory. The caller brings the memory: one mapping of comm_shm_bytes(size),
 * zeroed, the same for all ranks, aligned to a page (an anonymous shared mapping between threads
 * or after fork, a POSIX shared memory object between processes). It must outlive the comm. */
size_t comm_shm_bytes(int size);
bool comm_open_shm(struct comm **out, void *memory, int rank, int size,
                   const struct comm_settings *settings, struct error *err);

/* What everybody calls: the operations of the table, counted in comm->spent. */
bool comm_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                      int n_leaves, size_t count, struct error *err);
bool comm_all_gather(struct comm *comm, struct device *device, void *all, const void *mine,
                     const size_t *n_bytes, struct error *err);
bool comm_broadcast(struct comm *comm, void *bytes, size_t n_bytes, int root, bool idle,
                    struct error *err);
bool comm_send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes, int to,
               struct error *err);
bool comm_receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes, int from,
                  bool idle, struct error *err);

/* Around device_record_begin() and device_record_end(), for a group that is used between them:
 * calls are counted in *record, and in comm->spent when the device has been told to replay them. */
void comm_record_begin(struct comm *comm, struct comm_record *record);
void comm_record_end(struct comm *comm);
void comm_replayed(struct comm *comm, const struct comm_record *record);
/* Appends calls. */
void comm_record_add(struct comm_record *record, const struct comm_run *run);

/* Makes a communicator of ranks that have a GPU each, over one that they have for memory of the
 * host: comm_open_nccl() of parallel/comm_nccl.h. It is in the module of CUDA, so who opens GPUs
 * brings it. */
struct comm_gpu_settings {
    struct comm *host; /* broadcasts, and calls without a device; borrowed, outlives the comm */
    struct device *device;
    struct comm *beside; /* another of these on the same device, which outlives this one; or NULL */
    size_t most_floats;  /* largest count of a tree_reduce */
    bool exact; /* --numerics exact: tree_reduce follows the tree. Else it is any sum, of one
                   leaf a rank, and not the same for every size of the group */
};
typedef bool comm_open_gpu_fn(struct comm **out, const struct comm_gpu_settings *gpu,
                              const struct comm_settings *settings, struct error *err);

void comm_close(struct comm *comm); /* NULL is fine */
