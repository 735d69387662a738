/* tests/unit/runtime_forward/runner.h: one rank that runs plans made here, for tests and benches.
 */
#pragma once
#include "parallel/ranks.h"
#include "runtime/forward/forward.h"
#include "tests/unit/runtime_forward/gpu_setup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;
struct error;
struct model;
struct ops;

enum { MAX_COPIES = 16 };

struct setup {
    const struct gpu_setup *gpu; /* NULL: CPUs */
    const char *folder, *dtype;
    int tp_size, n_threads;
    int pp_stages;         /* 0: one */
    const struct ops *ops; /* NULL: the best of the machine */
    int kv_dtype, block_tokens;
    bool carries_tokens; /* of GPUs: plans may refer to the tokens of the one before */
    bool single_group;   /* all layers in one KV group, as a draft model has them */
    int64_t deadline_ns; /* of the ranks; 0: a minute */
};

struct runner {
    struct model *model;
    struct device *device;
    struct ranks ranks;
    struct plan_limits limits;
    struct forward *forward;
    struct step_plan *plan;
    uint64_t step;
    int32_t copy[MAX_COPIES][2]; /* blocks to copy before the next step */
    int n_copies;
};

/* The part of one sequence in a step. Its KV blocks follow from its number; those out of sight of
 * their group are block 0, which belongs to nobody. */
struct feed {
    int sequence; /* 0 .. max_sequences - 1 */
    const int32_t *ids;
    int n_computed, n_new; /* ids[n_computed .. n_computed + n_new - 1] are new */
    int n_logits;          /* of the last rows that are new */
    int n_hidden;
};

int setup_stages(const struct setup *setup);
/* `memory`: of ranks_threads_bytes(), NULL for one rank. `rank`: in the world. */
bool runner_open(struct runner *out, const struct setup *setup, void *memory, int rank,
                 int max_tokens, int max_sequences, int max_model_len, struct error *err);
/* The layers of this stage; every rank makes the same plan for itself. */
bool runner_step(struct runner *runner, const struct feed *feeds, int n_feeds,
                 struct step_result *result, struct error *err);
/* The number of block i of a sequence. */
int32_t runner_block(const struct runner *runner, int group, int sequence, int i);
void runner_close(struct runner *runner);
