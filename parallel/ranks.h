/* parallel/ranks.h: which rank this process is, and the groups it belongs to.
 *
 * Rank order: tensor innermost, then pipeline: world_rank = pp_stage * tp_size + tp_rank.
 * MPI is initialised only under a launcher (mpirun, srun with PMIx), which is told from the
 * environment; a process started by hand is a world of one.
 *
 * ranks_open() is in the library parallel_mpi, which alone links MPI; the rest is in parallel.
 */
#pragma once
#include "parallel/comm.h"

#include <stdbool.h>

struct error;

struct ranks_settings {
    int tp_size, pp_stages;
    const char *comm; /* how ranks of one host talk: "auto", "shm", "mpi"; "nccl": as auto, and it
                         is an error unless their devices are GPUs */
    bool gpus;        /* they are: then this is how memory of the host travels */
    struct comm_settings settings; /* but the watchdog, which ranks_open() makes */
    int cpus_each;                 /* that a rank keeps busy, with its like of other jobs; 0: one */
    void (*leave)(const char *text); /* watchdog.h: of the ranks of a host that are processes */
};

struct ranks {
    int world_rank, world_size;
    int local_rank, local_size; /* on this host */
    int tp_rank, tp_size;
    int pp_stage, pp_stages;
    struct comm *world;        /* all ranks: step plans from rank 0, activations between stages */
    struct comm *tp;           /* the ranks of this pipeline stage: sums of partial outputs */
    struct watchdog *watchdog; /* of the ranks of this host; NULL: alone, threads, or no memory */
    struct comm *host_world, *host_tp; /* where world and tp are of GPUs: what they stand on */
    struct comm_settings settings;     /* of all groups */
    void *shared; /* memory of watchdog and communicators on this host; NULL: none of its own */
    size_t shared_bytes;
    void (*finish)(void); /* ends MPI; NULL where it never began */
};

/* ERROR_INPUT, with the remedy, where srun started several tasks that cannot find each other:
 * each would be a world of one. From the environment alone. */
bool ranks_check_launcher(struct error *err);

/* Collective over all processes of the job; fails on all of them or on none. ERROR_INPUT when the
 * world has not tp_size * pp_stages ranks (says both, and the remedy), or `comm` is unknown or
 * cannot be; ERROR_UNSUPPORTED when shared memory is too small (says how much is needed), and
 * under a launcher in a build without MPI. spin_ns counts as 0 where a host has
 * fewer CPUs than its ranks keep busy. After a failure tell the error, then close as after a clean
 * end. */
bool ranks_open(struct ranks *out, const struct ranks_settings *settings, struct error *err);
/* What it takes of each rank where all are on one host: an equal part of the memory that they
 * share, and buffers of its own. */
size_t ranks_bytes_each(const struct ranks_settings *settings);
/* The ranks of this rank's stage as a world of their own, with one stage: for what only they do
 * (the draft model). Borrows the group; not to be closed. */
struct ranks ranks_of_stage(const struct ranks *ranks);
/* All ranks come here, each as late as it likes and maybe with an error (mine; NULL: none).
 * *verdict is the same on all of them: the error of the first one that has one, or ERROR_NONE.
 * ERROR_PEER: another rank is gone. */
bool ranks_agree(const struct ranks *ranks, const struct error *mine, struct error *verdict,
                 struct error *err);
/* From here on world and tp also move memory of `device`, a GPU: with its `open` (parallel/comm.h)
 * where ranks share a sum or are stages of a pipeline; a rank alone needs nothing. most_floats: the
 * largest count of a tree_reduce. Collective; fails as `open` does, perhaps on some ranks only:
 * then world is as it was, and they can agree on it. */
struct ranks_gpu {
    struct device *device;
    comm_open_gpu_fn *open;
    size_t most_floats;
    bool exact;
};
bool ranks_use_gpu(struct ranks *ranks, const struct ranks_gpu *gpu, struct error *err);
/* The groups are again those of the host alone: before the device is closed. Never waits for a
 * peer. Nothing to do is fine. */
void ranks_leave_gpu(struct ranks *ranks);

/* This rank's number among the tensor-parallel ranks of a neighbouring stage, as a rank of world.
 */
static inline int ranks_in_next_stage(const struct ranks *ranks)
{
    return ranks->world_rank + ranks->tp_size;
}
static inline int ranks_in_previous_stage(const struct ranks *ranks)
{
    return ranks->world_rank - ranks->tp_size;
}

/* Collective in an end that all ranks come to, an error they share included: it waits for all of
 * them, because mpirun kills the rest when one leaves with an error. A rank that fails by itself
 * passes `alone`, and waits for nobody. All zero is fine. */
void ranks_close(struct ranks *ranks, bool alone);

/* Ranks as threads of one process: fills `out` for thread `rank` over `memory` of
 * ranks_threads_bytes(), zeroed and aligned to a page. For tests. */
size_t ranks_threads_bytes(int tp_size, int pp_stages);
bool ranks_open_threads(struct ranks *out, void *memory, int rank,
                        const struct ranks_settings *settings, struct error *err);
