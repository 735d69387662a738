/* runtime/forward/layers.h: the parts of a step, one function each, and the memory they share.
 *
 * Only runtime/forward includes this. Every part reads the activations that the part before it
 * left and says what it leaves. Rows are the tokens of the step; `_local` is this rank's share.
 */
#pragma once
#include "kernels/ops.h"
#include "runtime/forward/buckets.h"
#include "runtime/forward/forward.h"
#include "runtime/forward/kv_groups.h"
#include "runtime/forward/kv_store.h"
#include "runtime/forward/patience.h"
#include "runtime/forward/step_rows.h"
#include "runtime/forward/turns.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;
struct error;
struct layer_weights;
struct model;
struct ranks;

/* Memory of the device, with room for plan_limits.max_tokens rows. Those of attention and of the
 * MLP share memory: they are never needed at once. */
struct activations {
    void *rows;      /* what struct step_rows points to, but the plan itself */
    float *cos_sin;  /* [n_ropes, n_tokens, 2, rope_half] */
    float *residual; /* [n_tokens, hidden] */
    void *normed;    /* operand [n_tokens, hidden] */
    float *parts;    /* [n_parts, n_tokens, hidden] before a sum, [n_tokens, hidden] after; after
                      * the last layer the hidden states that are wanted */

    float *qkv;      /* [n_tokens, (n_heads_local + 2 n_kv_heads_local) * head_dim]: q, k, v of a
                        token side by side */
    void *q_rotated; /* [n_tokens, n_heads_local, head_dim] in the dtype of the cache */
    void *attended;  /* operand [n_tokens, n_heads_local * head_dim] */
    float *gate_up;  /* [n_tokens, 2 ffn_local]: gate and up side by side */
    void *gated;     /* operand [n_tokens, ffn_local] */

    /* Of the last stage. */
    float *logits_parts; /* [max_logits * vocab]: the columns of each rank; NULL for one rank */
    float *logits;       /* [max_logits, vocab] on tp rank 0 */

    /* Of a GPU. */
    float *inv_freq;      /* [n_ropes, rope_half] as the model has them */
    int32_t *kv_of_head;  /* [n_heads_local] likewise */
    void *attention_work; /* [n_windows] of attention_work_bytes */
    size_t attention_work_bytes;
    struct pick_result *pick; /* [max_logits] */
    int32_t *carried;         /* [max_logits] the tokens of these, for the next step */
};

struct forward {
    const struct model *model;
    struct device *device;
    bool on_gpu; /* the device has memory of its own */
    const struct ranks *ranks;
    struct plan_limits limits;
    bool processed_logprobs, carries_tokens; /* of the settings */
    struct kv_groups groups;                 /* with the places of this stage */
    struct kv_store kv;
    struct activations act;
    void *memory; /* of all activations */
    size_t memory_bytes;
    const float *inv_freq;                   /* [n_ropes, rope_half], for the device */
    const int32_t *kv_of_head;               /* [n_heads_local], for the device */
    int n_windows, window[MODEL_MAX_LAYERS]; /* of the layers of this stage */
    struct buckets buckets;
    struct turns turns;
    size_t *gather_bytes; /* [tp_size] */
    struct patience patience;
};

/* Does this rank have the results of a step? */
bool has_results(const struct forward *f);

/* ---- activations.c ---- */

/* The most that a step has, with padding. */
struct row_counts forward_most_rows(const struct plan_limits *limits);
/* The different windows of the layers of a stage; their number. */
int forward_windows(const struct model *model, int window[MODEL_MAX_LAYERS]);
/* Points *act into memory, which is of the size that is returned; NULL: only counts. */
size_t activations_cut(struct activations *act, void *memory, const struct model *model,
                       const struct ranks *ranks, const struct plan_limits *limits);

/* ---- the parts of a step ---- */

/* The angles of one of the sets of frequencies, [n_tokens, 2, rope_half]. */
float *cos_sin_of(const struct forward *f, int n_tokens, int rope);

/* What a branch adds to the residual: act->parts, and the bias of its last layer. It is added where
 * the residual is read next, by the norm. */
struct delta {
    const float *rows;  /* [n_tokens, hidden]; NULL: nothing */
    struct weight bias; /* [hidden]; data NULL: none */
    struct weight norm; /* [hidden]: of rows and bias, before they are added; data NULL: none */
};

/* act->residual = the embeddings of the tokens. The first stage. */
bool vocabulary_embed(struct forward *f, const struct step_rows *rows, struct error *err);
/* act->residual and the last delta -> logits and hidden states of the wanted rows, on tp rank 0,
 * and on a GPU what is picked from them. The last stage. */
bool vocabulary_project(struct forward *f, const struct step_rows *rows, const struct delta *delta,
                        struct error *err);
/* Where vocabulary_project() leaves n_rows of logits, and the hidden states. */
const float *logits_of(const struct forward *f, int n_rows);
const float *hidden_of(const struct forward *f);

/* Before the layers: what the attention of all layers of a window shares. */
void attention_prepare(struct forward *f, const struct step_rows *rows);
/* act->normed -> act->parts, the sum over all heads of all ranks. */
bool attention_run(struct forward *f, const struct step_rows *rows, int layer, struct error *err);
/* act->normed -> act->parts, the sum over all of ffn of all ranks. */
bool mlp_run(struct forward *f, int n_tokens, int layer, struct error *err);

/* act->normed = norm of (act->residual += delta). */
void normalise(struct forward *f, int n_tokens, const struct delta *delta,
               const struct weight *norm);
/* A column-parallel layer: n_out outputs, with a bias where it has data. */
struct projection {
    struct weight weight, bias;
    int n_out;
};
/* out[n_tokens, sum of n_out] = act->normed * the weights (+ biases), side by side. Weights that
 * lie one behind the other in memory are one matmul. */
void project(struct forward *f, int n_tokens, float *out, const struct projection *layer,
             int n_layers);
/* act->parts = the sum over the leaves of all ranks of `x` * weight: a row-parallel layer and the
 * sum over the group. Its bias counts once and not once a rank: struct delta takes it along. */
bool project_and_sum(struct forward *f, int n_tokens, const struct operand *x,
                     const struct weight *weight, const struct leaves *leaves, int n_leaves,
                     struct error *err);
