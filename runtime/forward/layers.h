/* runtime/forward/layers.h: the parts of a step, one function each, and the memory they share.
 *
 * Only runtime/forward includes this. Every part reads the activations that the part before it
 * left and says what it leaves. Rows are the tokens of the step; `_local` is this rank's share.
 */
#pragma once
#include "kernels/ops.h"
#include "runtime/forward/forward.h"
#include "runtime/forward/kv_groups.h"
#include "runtime/forward/kv_store.h"
#include "runtime/forward/patience.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;
struct error;
struct layer_weights;
struct model;
struct ranks;

/* Room for plan_limits.max_tokens rows. Those of attention and of the MLP share memory: they are
 * never needed at once. */
struct activations {
    int32_t *position; /* [n_tokens] */
    int32_t *slot;     /* [n_kv_groups, n_tokens] */
    float *cos_sin;    /* [n_ropes, n_tokens, 2, rope_half] */
    float *residual;   /* [n_tokens, hidden] */
    void *normed;      /* operand [n_tokens, hidden] */
    float *parts;      /* [n_parts, n_tokens, hidden] before a sum, [n_tokens, hidden] after; after
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
};

struct forward {
    const struct model *model;
    struct device *device;
    const struct ranks *ranks;
    struct plan_limits limits;
    struct kv_groups groups; /* with the places of this stage */
    struct kv_store kv;
    struct activations act;
    void *memory; /* of all activations */
    size_t memory_bytes;
    size_t *gather_bytes; /* [tp_size] */
    struct patience patience;
};

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
bool vocabulary_embed(struct forward *f, const struct step_plan *plan, const struct step_view *view,
                      struct error *err);
/* act->residual and the last delta -> logits and hidden states of the wanted rows, on tp rank 0.
 * The last stage. */
bool vocabulary_project(struct forward *f, const struct step_plan *plan,
                        const struct step_view *view, const struct delta *delta,
                        struct step_result *out, struct error *err);

/* act->normed -> act->parts, the sum over all heads of all ranks. */
bool attention_run(struct forward *f, const struct step_plan *plan, const struct step_view *view,
                   int layer, struct error *err);
/* act->normed -> act->parts, the sum over all of ffn of all ranks. */
bool mlp_run(struct forward *f, const struct step_plan *plan, int layer, struct error *err);

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
