/* tests/unit/runtime_schedule/world.h: random users of a scheduler.
 *
 * They submit requests of all kinds, cancel some, wait for others, while plans run on a picture of
 * the KV cache, one to three at a time, some of them ahead of the tokens of the plan before.
 * Everything that comes back is held against what the oracle says of the request alone; every
 * deviation ends the test. */
#pragma once
#include <stdint.h>

/* What happened, so that a test can say that something did. */
struct world_counts {
    long n_steps, n_submitted, n_replayed, n_refused, n_ended, n_failed, n_cancelled, n_expired,
        n_chunks;
    long n_preempted, n_hits, n_right_drafts, n_wrong_drafts, n_prompt_rows, n_pooled, n_beams,
        n_copies, n_given_early, n_ahead, n_dropped;
    long n_allocations; /* from a choice to its commit: never one */
};

/* A world with random limits, `n_steps` steps, and then until everything has ended. */
void world_live(struct world_counts *counts, uint64_t seed, long n_steps);
