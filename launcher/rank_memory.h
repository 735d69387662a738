/* launcher/rank_memory.h: how large the steps and the KV cache of a job are.
 *
 * Limits of a plan from the options and the model; blocks of the KV cache from
 * --kv-cache-memory-bytes or from the memory of the machine. All ranks agree on the smallest
 * number that any of them can hold.
 */
#pragma once
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stdint.h>

struct device;
struct error;
struct model;
struct model_config;
struct options;
struct ranks;

/* --max-model-len within the model's positions, --block-size, KV groups, room for `n_drafts`
 * guessed tokens of a sequence; everything but n_kv_blocks. ERROR_INPUT names the option. Needs no
 * memory and no other rank. */
bool rank_limits_make(struct plan_limits *out, const struct options *options,
                      const struct model_config *config, int n_drafts, struct error *err);

struct rank_memory {
    int kv_dtype;         /* enum dtype */
    int64_t kv_bytes;     /* KV cache of this rank */
    int64_t kv_tokens;    /* positions that fit, of sequences of the greatest length */
    int64_t weight_bytes; /* of all ranks */
};

/* Fills limits->n_kv_blocks. A block has room for the draft model too (NULL: there is none).
 * Collective over all ranks. ERROR_INPUT: not even one block fits. */
bool rank_memory_plan(struct rank_memory *out, struct plan_limits *limits,
                      const struct options *options, const struct model *model,
                      const struct model *draft, struct device *device, const struct ranks *ranks,
                      struct error *err);
