/* parallel/ranks_place.h: places of ranks and of their shared memory. Private to parallel/, where
 * ranks_open() is written once with MPI and once without.
 */
#pragma once
#include "parallel/ranks.h"

/* Coordinates of one rank of the world; no groups yet. */
struct ranks ranks_place(int world_rank, const struct ranks_settings *settings);

/* ERROR_INPUT unless the world is as large as the settings want and `comm` is a known word. */
bool ranks_check_world(int world_size, const struct ranks_settings *settings, struct error *err);

/* A world of one: two communicators of one rank. */
bool ranks_open_alone(struct ranks *out, const struct ranks_settings *settings, struct error *err);

bool ranks_refuse_srun(struct error *err); /* ERROR_INPUT with the remedy; always false */

/* settings->settings.spin_ns, or 0 where n_ranks keep more than n_cpus busy. */
int64_t ranks_spin_ns(const struct ranks_settings *settings, int n_ranks, int n_cpus);

/* What one block of shared memory holds: the watchdog of the host, the world's communicator, and
 * those of the stages. */
struct ranks_memory {
    int n_watched;     /* ranks of this host; 0: without a watchdog */
    bool world;        /* all ranks are here */
    const bool *stage; /* [pp_stages] all ranks of the stage are here; NULL: every stage */
};
/* Bytes of the block. *world_at and *tp_at are where the groups of `stage` begin, or stay as they
 * are when the group is not in the block; groups of one rank need none. */
size_t ranks_memory_layout(const struct ranks_settings *settings, const struct ranks_memory *memory,
                           int stage, size_t *world_at, size_t *tp_at);
