/* runtime/forward/kv_groups.h: which layers share a KV block.
 *
 * Layers that see equally far back use blocks in the same way, so they are put together: a KV group
 * has layers of one window, and a block is memory for the positions of one block in all layers of
 * one group. All groups take blocks from one pool, so all have equally many layers; where the
 * numbers of layers do not divide, the last group of a window leaves places of its blocks unused.
 *
 *   Llama, 32 layers         one group of 32
 *   Mistral, 32 windowed     one group of 32, whose old blocks are given back
 *   Gemma 2, 26 alternating  13 that see all, 13 windowed
 *   Gemma 3 1B, 26, 4 of them see all: 4 + 4 + 4 + 4 + 4 + 4 + 2
 *
 * Groups are of the whole model, so a plan says the same to every rank. A pipeline stage has memory
 * for its own layers of each group only.
 */
#pragma once
#include "parallel/tree.h"
#include "runtime/model/config.h"
#include "runtime/step_plan.h"

#include <stdint.h>

struct kv_groups {
    int n, layers_per_block;
    int window[KV_MAX_GROUPS];          /* 0: its layers see all. Group 0 sees furthest */
    uint8_t of_layer[MODEL_MAX_LAYERS]; /* its group */
    int16_t at[MODEL_MAX_LAYERS];       /* and its place in a block of it; -1: not stored here */
};

/* One group for each window where that is possible, else a few of each; more than KV_MAX_GROUPS are
 * joined into one that sees all. `single`: all layers in one group that sees as far as the furthest
 * (the draft model, whose blocks are those of group 0 of the target). */
void kv_groups_make(struct kv_groups *out, const struct model_config *config, bool single);
/* Keeps these layers of those that have a place: in each group they are numbered anew from 0, and a
 * block has as many places as the group with most of them needs. */
void kv_groups_keep(struct kv_groups *groups, int n_layers, struct span kept);
