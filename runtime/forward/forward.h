/* runtime/forward/forward.h: one plan on this rank: plan -> logits and hidden states.
 *
 * Reads like the paper: embedding, then for each layer attention and MLP, then the vocabulary;
 * between them the sums over the tensor-parallel group. Knows tensors and ranks, no requests.
 */
#pragma once
#include "runtime/step_plan.h"

struct device;
struct error;
struct forward;
struct model;
struct ranks;

/* What a step gives, on rank 0; elsewhere there are no rows. Valid until the next forward_run() of
 * the same forward. */
struct step_result {
    const float *logits; /* [n_logits, vocab], in the order of the plan's logits_row */
    int n_logits, vocab;
    const float *hidden; /* [n_hidden, hidden_size], in the order of the plan's hidden_row */
    int n_hidden, hidden_size;
};

/* Allocates activations and the KV cache of this rank by `limits`, once. The model, device and
 * ranks are borrowed and must outlive it. kv_dtype: enum dtype, BF16, F32 or I8. The KV groups of
 * the limits are those of kv_groups_make(), or one that has all layers (a draft model).
 * ERROR_SYSTEM when the memory cannot be had: says how much for what. */
bool forward_create(struct forward **out, const struct model *model, struct device *device,
                    const struct ranks *ranks, const struct plan_limits *limits, int kv_dtype,
                    struct error *err);
/* Runs a checked plan (plan_check). Allocates nothing. ERROR_INPUT: rows of logits of a
 * model that does not generate (config.h). ERROR_PEER when another rank is gone. */
bool forward_run(struct forward *forward, const struct step_plan *plan,
                 const struct step_view *view, struct step_result *result, struct error *err);
void forward_destroy(struct forward *forward); /* NULL is fine */

/* What it has allocated for tensors. */
struct forward_bytes {
    size_t activations, kv;
};
struct forward_bytes forward_bytes(const struct forward *forward);

/* What forward_create() will allocate on a rank: for admission and `phalanx plan`. The model may be
 * a measured one; of the ranks only their numbers count. A block has the layers of one KV group,
 * with one group all layers. */
size_t forward_kv_block_bytes(const struct model *model, const struct plan_limits *limits,
                              int kv_dtype);
size_t forward_activation_bytes(const struct model *model, const struct ranks *ranks,
                                const struct plan_limits *limits);
