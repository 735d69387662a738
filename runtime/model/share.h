/* runtime/model/share.h: which part of a model each rank has.
 *
 * A pipeline stage has a run of layers, whole ones. The first stage embeds, the last one projects
 * onto the vocabulary. The ranks of a stage share each of its layers.
 *
 * Two tensors of a layer have their inputs cut (o_proj, down_proj). Those cuts are the leaves of
 * the fixed tree (parallel/tree.h), made by the config alone:
 *   attention  min(16, n_heads) runs of whole query heads
 *   mlp        at most 16 runs of units of 32 elements of ffn
 * as equal as possible, the larger first. A rank owns a run of leaves, so every size up to the
 * number of leaves works. The vocabulary is cut at multiples of LOGITS_BLOCK; a rank may have none.
 *
 *   14 heads, tp 4:  leaves  0 1 2 3 | 4 5 6 | 7 8 9 10 | 11 12 13      (tree_run)
 */
#pragma once
#include "parallel/tree.h"

#include <stdbool.h>

struct error;
struct loading_watch;
struct model_config;

/* Which rank it is, what it computes with, and where its weights come from. */
struct model_place {
    int tp_rank, tp_size, pp_stage, pp_stages;
    bool on_gpu;
    bool one_leaf; /* a GPU with --numerics fast: the columns of a rank are one leaf, whatever their
                      number; the cut between ranks stays the same */
    bool dummy;    /* made up, without files (dummy.h) */
    struct loading_watch *watch; /* borrowed as long as the model; NULL: nobody wants it */
};
static const struct model_place model_place_alone = {.tp_size = 1, .pp_stages = 1};

struct model_share {
    struct span layers;          /* of the stage */
    bool is_first, is_last;      /* of the stages; one alone is both */
    bool on_gpu;                 /* the weights go to one */
    struct span heads, kv_heads; /* query heads; the KV heads that they read */
    struct span ffn, vocab;
    int head_leaves, ffn_leaves;                /* of all ranks */
    struct leaves attention_leaves, mlp_leaves; /* of this rank, over its own columns */
    int32_t *kv_of_head;                        /* [heads] local KV head of each local query head */
};

/* The most ranks that can share the model. */
int model_max_tp(const struct model_config *config);
/* ERROR_INPUT when `tp_size` ranks cannot share the model: says the nearest size that can. Before
 * any weight is touched. */
bool model_tp_check(const struct model_config *config, int tp_size, struct error *err);

/* The same for the number of pipeline stages: each has a layer at least. */
bool model_pp_check(const struct model_config *config, int pp_stages, struct error *err);

/* The layers of a stage, by the config alone (as config.json has it). The cut whose slowest stage
 * has the fewest weights to multiply with, the head of the last stage counted as what it is. */
struct span model_stage_layers(const struct model_config *config, int pp_stage, int pp_stages);

/* Of sizes that the checks above allow. */
void model_share_init(struct model_share *out, const struct model_config *config,
                      const struct model_place *place);
void model_share_release(struct model_share *share);

/* The rows of the embedding and of lm_head that `tp_rank` of their stages has; empty where
 * lo == hi. */
struct span model_vocab_span(const struct model_config *config, int tp_rank, int tp_size);

static inline int span_length(struct span span) { return span.hi - span.lo; }
