/* tests/unit/runtime_engine/mix.h: requests that together ask for everything that could tell how an
 * engine computed it, and the ways in which an engine may: the answers must be the same.
 *
 * 32 prompts, some repetitive, some that begin alike, with parameters of every kind; eight of them
 * also with three more choices. */
#pragma once
#include "runtime/schedule/scheduler.h"
#include "tests/unit/runtime_engine/job.h"

#include <stdbool.h>

enum {
    MIX_PROMPTS = 32,
    MIX_WITH_CHOICES = 8, /* the first prompts */
    MIX_CHOICES = 4,
    MIX_AHEAD = -1,
    MIX_REQUESTS = MIX_PROMPTS + MIX_WITH_CHOICES * (MIX_CHOICES - 1)
};

enum mix_cache {
    MIX_NO_CACHE, /* of prefixes; a large pool of blocks */
    MIX_COLD,     /* empty at first: the requests share what they begin with */
    MIX_WARM,     /* all requests twice: the second time what is cached is not computed */
    MIX_TINY      /* a pool for little more than one request: they preempt each other */
};

struct mix_layout {
    int chunk; /* tokens of a step */
    enum mix_cache cache;
    int concurrency;
    enum drafter drafter;
    int n; /* choices: 1 for all prompts, or MIX_CHOICES for the first ones */
    int tp_size, n_threads;
    int n_flights; /* 0: as many as stages; MIX_AHEAD: two, the second ahead of the first */
    bool kv_int8;
    int pp_stages; /* 0: one */
};
struct mix_layout mix_plain(void); /* one rank, one thread, all at once, nothing else */

/* What the requests of a run cost together. */
struct mix_costs {
    struct scheduler_counts counts;
    int cached_tokens, n_drafted, n_accepted;
};

/* Runs the layout and fails the test where an answer is not that of want[MIX_REQUESTS]. `record`:
 * sets it instead. Says the layout in the message. */
struct mix_costs mix_run(const struct mix_layout *layout, struct answer *want, bool record);
/* Submits request r of MIX_REQUESTS by itself, as request `id` of the job, with what may not show.
 */
void mix_submit(struct job *job, int id, int r, int priority, uint64_t tenant);
/* The settings of a job that runs the layout. */
struct job_settings mix_settings(const struct mix_layout *layout);
/* Checks that `want` is worth comparing with: all requests ended well, as long as they may. */
void mix_check_answers(const struct answer *want);
/* One hash of all tokens and the bits of all log-probabilities. */
unsigned long long mix_hash(const struct answer *want);
