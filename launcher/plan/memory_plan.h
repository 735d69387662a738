/* launcher/plan/memory_plan.h: what every rank of a job would hold, from the headers of the model
 * alone.
 *
 * Counted by the functions that the ranks allocate by, so it is what they then have
 * (rank/bytes.h); tests/commands/test_plan.py holds it against running jobs. No weight is read and
 * no rank is started. All ranks are taken to be on one host, as phalanx starts them.
 */
#pragma once
#include "launcher/plan/wire_bytes.h"
#include "launcher/rank/bytes.h"
#include "launcher/rank/gpu_memory.h"
#include "launcher/rank/models.h"
#include "parallel/ranks.h"
#include "runtime/model/model.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct options;

struct planned_rank {
    struct ranks place; /* its numbers; there are no groups */
    struct span layers;
    int head_leaves, ffn_leaves; /* of its run: parallel/tree.h */
    int64_t kind_bytes[WEIGHT_KINDS];
    int64_t block_bytes; /* of the KV cache */
    struct rank_bytes bytes;
    struct wire_bytes wire;
};

struct memory_plan {
    struct rank_models models; /* measured, as rank 0 */
    int tp_size, pp_stages, n_threads;
    int n_ranks;
    struct planned_rank *rank; /* [n_ranks] */
    int64_t kv_tokens;         /* positions, of sequences of the greatest length */
    int64_t n_sequences;       /* of the greatest length, that fit at once */
    int64_t longest;           /* positions of the longest sequence that fits */
};

/* The KV cache is what the job would choose, or with options->memory what a rank can hold of so
 * many bytes in all. ERROR_INPUT: what the job would refuse, in its words; and --memory is too
 * small for the weights: says the smallest layout for which it is not. Release also after a
 * failure. */
bool memory_plan_make(struct memory_plan *out, const struct options *options, struct error *err);
/* What --kv-cache-memory-bytes gives this cache to a job: that of the rank with the largest blocks.
 */
int64_t memory_plan_kv_bytes(const struct memory_plan *plan);
void memory_plan_release(struct memory_plan *plan);
