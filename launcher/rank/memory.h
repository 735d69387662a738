/* launcher/rank/memory.h: how large the steps and the KV cache of a job are.
 *
 * Limits of a plan from the options and the model; blocks of the KV cache from
 * --kv-cache-memory-bytes or from the memory of the machine or of the GPU. All ranks agree on the
 * smallest number that any of them can hold.
 */
#pragma once
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct model;
struct model_config;
struct options;
struct ranks;

/* --max-model-len within the model's positions, --block-size, KV groups, room for `n_drafts`
 * guessed tokens of a sequence; everything but n_kv_blocks. How large a step is where
 * --max-num-seqs and --max-num-batched-tokens do not say: as for CPUs. ERROR_INPUT names the
 * option. Needs no memory and no other rank. */
bool rank_limits_make(struct plan_limits *out, const struct options *options,
                      const struct model_config *config, int n_drafts, struct error *err);
/* The same limits on GPUs, of which the smallest has so much memory: what the options do not say
 * is as in vLLM, 256 sequences and 2048 tokens, from 70 GB on 8192. */
void rank_limits_for_gpus(struct plan_limits *limits, const struct options *options, int n_drafts,
                          int64_t gpu_bytes);

/* ---- what a rank can tell by itself, and phalanx plan for it ---- */

int rank_kv_dtype(const struct options *options, const struct model *model); /* enum dtype */
/* A block on a rank that has these models (draft: NULL for none), which may be measured ones. */
int64_t rank_kv_block_bytes(const struct plan_limits *limits, int kv_dtype,
                            const struct model *model, const struct model *draft);
/* How many bytes the KV cache of a rank may take. */
struct kv_room {
    int64_t n_bytes;
    bool on_gpu;
    /* Of a GPU: all its memory, and what of it is or will be taken by all but the cache. */
    int64_t gpu_bytes, taken_bytes;
};
/* On CPUs a share of what is free now. */
struct kv_room rank_kv_room_cpu(const struct options *options, int ranks_of_host);
/* On a GPU what is left of --gpu-memory-utilization. */
struct kv_room rank_kv_room_gpu(const struct options *options, int64_t gpu_bytes,
                                int64_t taken_bytes);
/* Blocks that this rank can hold and a job can use. ERROR_INPUT: not even one, or more were asked
 * for than the GPU has room for. */
bool rank_kv_blocks(int64_t *out, const struct plan_limits *limits, const struct options *options,
                    int64_t block_bytes, const struct kv_room *room, struct error *err);
int64_t rank_kv_blocks_most(const struct plan_limits *limits); /* that a job can use */
/* Blocks that a sequence of so many positions holds at once: of a group with a window those that
 * a step sees or writes. */
int64_t rank_kv_blocks_of(const struct plan_limits *limits, int64_t n_positions);
/* Positions that fit into limits->n_kv_blocks, of sequences of the greatest length. */
int64_t rank_kv_tokens(const struct plan_limits *limits);

/* ---- what all ranks agree on ---- */

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
                      const struct model *draft, const struct kv_room *room,
                      const struct ranks *ranks, struct error *err);
