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
 *   the last     residual <-, layers, project   forward_run()
 *                logits, hidden states, picks   forward_collect()
 */
#pragma once
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stddef.h>

struct device;
struct error;
struct forward;
struct model;
struct pick_result;
struct ranks;
struct step_needs;

/* What a step gives, on tp rank 0 of the last stage; elsewhere there are no rows. Memory of the
 * host. */
struct step_result {
    const float *logits; /* [n_logits, vocab], in the order of the plan's logits_row */
    int n_logits, vocab;
    const float *hidden; /* [n_hidden, hidden_size], in the order of the plan's hidden_row */
    int n_hidden, hidden_size;
    const struct pick_result *pick; /* [n_logits], where the device picks by what the plan says
                                       (PLAN_PICK): then only rows that are wanted whole have their
                                       logits; NULL: it does not, and all have */
};

struct forward_settings {
    const struct model *model;        /* with its weights in memory of the device */
    struct device *device;            /* where the layers run */
    const struct ranks *ranks;        /* that the model runs on, in the place it was opened as */
    const struct plan_limits *limits; /* their KV groups are those of kv_groups_make(), or one that
                                         has all layers (a draft model) */
    int kv_dtype;                     /* enum dtype: BF16, F32 or I8, on a GPU F16 too */
    bool processed_logprobs;          /* --logprobs-mode, of a device that picks by itself */
    bool carries_tokens; /* on a GPU, with one stage: tokens of a plan may be references to what the
                            one before gave (step_plan.h) */
};

/* Allocates activations and the KV cache of this rank by the limits, once. The model, device and
 * ranks are borrowed and must outlive it. ERROR_SYSTEM when the memory cannot be had: says how much
 * for what. */
bool forward_create(struct forward **out, const struct forward_settings *settings,
                    struct error *err);
/* Runs a checked plan (plan_check) through the layers of this rank's stage; on a later stage it
 * first receives the residual, which the stage before must be about to send: the deadline of the
 * ranks holds, longer by what was learnt from the plans before (patience.h). Allocates nothing, but
 * on a GPU when it meets a number of rows for the second time (buckets.h).
 * Where the device works by itself (forward_is_queued) it returns when all is asked for, and a
 * second plan may be run before the first is collected.
 * ERROR_INPUT: rows of logits of a model that does not generate (config.h). ERROR_PEER when another
 * rank is gone. */
bool forward_run(struct forward *forward, const struct step_plan *plan,
                 const struct step_view *view, struct error *err);
bool forward_is_queued(const struct forward *forward);
/* What the oldest plan gave that was not collected yet: waits for it. On the rank that has results
 * every plan must be collected, elsewhere none. *result is valid until the next forward_run(), and
 * where that is queued until the one after it. */
bool forward_collect(struct forward *forward, struct step_result *result, struct error *err);
/* After forward_run() of the plan and before the next one: sends the residual to the next stage. It
 * may wait for that stage to receive. On the last stage, and of a plan without tokens, there is
 * nothing to send. ERROR_PEER when the other rank is gone. */
bool forward_pass_on(struct forward *forward, const struct step_plan *plan, struct error *err);
/* Gives the KV cache back to the device, and forgets what was recorded over it and over the
 * weights: the model may then give those back too (model_device_release()). No plan may be waiting
 * to be collected. Until it is awake, which is when the weights are, only forward_destroy() may
 * follow. Nothing to do is fine, here and there. */
void forward_sleep(struct forward *forward);
/* The cache is as large as it was, and empty: no block has what it had. ERROR_SYSTEM: the memory is
 * no longer there; then it can only be destroyed. */
bool forward_wake(struct forward *forward, struct error *err);
void forward_destroy(struct forward *forward); /* NULL is fine */

/* What it has allocated for tensors. */
struct forward_bytes {
    size_t activations, kv; /* of the device */
    size_t pinned;          /* of the host, beside a GPU */
};
struct forward_bytes forward_bytes(const struct forward *forward);

/* What forward_create() will allocate on a rank: for admission and `phalanx plan`. The model may be
 * a measured one; of the ranks only their numbers count. A block has the layers of one KV group
 * that are of this stage, with one group all of them. */
size_t forward_kv_block_bytes(const struct model *model, const struct plan_limits *limits,
                              int kv_dtype);
size_t forward_activation_bytes(const struct model *model, const struct ranks *ranks,
                                const struct plan_limits *limits);
size_t forward_pinned_bytes(const struct model *model, const struct ranks *ranks,
                            const struct plan_limits *limits); /* beside a GPU */
/* What it will ask the device to reserve for operations: once, for the largest of its models. */
struct step_needs forward_needs(const struct model *model, const struct plan_limits *limits);
