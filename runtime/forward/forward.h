/* runtime/forward/forward.h: one plan on this rank: plan -> logits and hidden states.
 *
 * Reads like the paper: embedding, then for each layer attention and MLP, then the vocabulary;
 * between them the sums over the tensor-parallel group. Knows tensors and ranks, no requests.
 *
 * A pipeline stage runs its own layers. What goes from one to the next is the residual, float32
 * [n_tokens, hidden] with every branch added, from each rank to the one in its place:
 *
 *   stage 0      embed, layers                  forward_run()
 *                residual -> stage 1            forward_pass_on()
 *   stage 1      residual <- stage 0, layers    forward_run()
 *   ...
 *   the last     residual <-, layers, project   forward_run(): has the result
 */
#pragma once
#include "runtime/step_plan.h"

struct device;
struct error;
struct forward;
struct model;
struct ranks;

/* What a step gives, on tp rank 0 of the last stage; elsewhere there are no rows. Valid until the
 * next forward_run() of the same forward. */
struct step_result {
    const float *logits; /* [n_logits, vocab], in the order of the plan's logits_row */
    int n_logits, vocab;
    const float *hidden; /* [n_hidden, hidden_size], in the order of the plan's hidden_row */
    int n_hidden, hidden_size;
};

/* Allocates activations and the KV cache of this rank by `limits`, once. The model, device and
 * ranks are borrowed and must outlive it; the ranks are those that the model runs on, in the place
 * that it was opened as. kv_dtype: enum dtype, BF16, F32 or I8. The KV groups of
 * the limits are those of kv_groups_make(), or one that has all layers (a draft model).
 * ERROR_SYSTEM when the memory cannot be had: says how much for what. */
bool forward_create(struct forward **out, const struct model *model, struct device *device,
                    const struct ranks *ranks, const struct plan_limits *limits, int kv_dtype,
                    struct error *err);
/* Runs a checked plan (plan_check) through the layers of this rank's stage; on a later stage it
 * first receives the residual, which the stage before must be about to send: the deadline of the
 * ranks holds, longer by what was learnt from the plans before (patience.h). Allocates nothing.
 * ERROR_INPUT: rows of logits of a model that does not generate (config.h). ERROR_PEER when another
 * rank is gone. */
bool forward_run(struct forward *forward, const struct step_plan *plan,
                 const struct step_view *view, struct step_result *result, struct error *err);
/* After forward_run() of the plan and before the next one: sends the residual to the next stage. It
 * may wait for that stage to receive. On the last stage, and of a plan without tokens, there is
 * nothing to send. ERROR_PEER when the other rank is gone. */
bool forward_pass_on(struct forward *forward, const struct step_plan *plan, struct error *err);
void forward_destroy(struct forward *forward); /* NULL is fine */

/* What it has allocated for tensors. */
struct forward_bytes {
    size_t activations, kv;
};
struct forward_bytes forward_bytes(const struct forward *forward);

/* What forward_create() will allocate on a rank: for admission and `phalanx plan`. The model may be
 * a measured one; of the ranks only their numbers count. A block has the layers of one KV group
 * that are of this stage, with one group all of them. */
size_t forward_kv_block_bytes(const struct model *model, const struct plan_limits *limits,
                              int kv_dtype);
size_t forward_activation_bytes(const struct model *model, const struct ranks *ranks,
                                const struct plan_limits *limits);
