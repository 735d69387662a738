/* The memory of a step: taken once, for the largest plan of the job, and cut by activations_cut(),
 * which only counts when it is called with no memory. */
#include "kernels/cuda_bytes.h"
#include "kernels/device.h"
#include "parallel/ranks.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

enum { ALIGN = 64 };

struct cut {
    char *base; /* NULL: only count */
    size_t used;
};

static void *take(struct cut *cut, size_t n_items, size_t item_bytes)
{
    char *const p = cut->base ? cut->base + cut->used : NULL;
    cut->used += (n_items * item_bytes + ALIGN - 1) / ALIGN * ALIGN;
    return p;
}

static void *take_operand(struct cut *cut, enum dtype dtype, int n_tokens,
                          const struct leaves *leaves)
{
    return take(cut, operand_bytes(dtype, n_tokens, leaves), 1);
}

static int max_of(int a, int b) { return a > b ? a : b; }

struct row_counts forward_most_rows(const struct plan_limits *limits)
{
    return (struct row_counts){.n_tokens = limits->max_tokens,
                               .n_sequences = max_of(limits->max_sequences, buckets_most(limits)),
                               .n_logits = limits->max_logits};
}

struct step_needs forward_needs(const struct model *model, const struct plan_limits *limits)
{
    const struct model_share *share = &model->share;
    const struct row_counts most = forward_most_rows(limits);
    return (struct step_needs){
        .n_tokens = most.n_tokens,
        .n_sequences = most.n_sequences,
        .n_logits = share->is_last ? most.n_logits : 0,
        .n_heads = span_length(share->heads),
        .n_kv_heads = span_length(share->kv_heads),
        .head_dim = model->config.head_dim,
        .n_out = model->config.hidden,
        .n_leaves = max_of(share->attention_leaves.n_leaves, share->mlp_leaves.n_leaves),
        .vocab = model->config.vocab,
        .max_positions = limits->max_model_len};
}

int forward_windows(const struct model *model, int window[MODEL_MAX_LAYERS])
{
    const struct span layers = model->share.layers;
    int n = 0;
    for (int layer = layers.lo; layer < layers.hi; layer++) {
        int i = 0;
        while (i < n && window[i] != model->config.window[layer])
            i++;
        if (i == n)
            window[n++] = model->config.window[layer];
    }
    return n;
}

static void take_attention(struct activations *act, struct cut *cut, const struct model *model,
                           int n_tokens)
{
    const size_t n = (size_t)n_tokens, head_dim = (size_t)model->config.head_dim;
    const size_t q = n * (size_t)span_length(model->share.heads) * head_dim;
    const size_t kv = n * (size_t)span_length(model->share.kv_heads) * head_dim;
    act->qkv = take(cut, q + 2 * kv, sizeof *act->qkv);
    act->q_rotated = take(cut, q, sizeof(float)); /* of any dtype */
    act->attended = take_operand(cut, model->compute, n_tokens, &model->share.attention_leaves);
}

static void take_mlp(struct activations *act, struct cut *cut, const struct model *model,
                     int n_tokens)
{
    const size_t n = (size_t)n_tokens * (size_t)span_length(model->share.ffn);
    act->gate_up = take(cut, 2 * n, sizeof *act->gate_up);
    act->gated = take_operand(cut, model->compute, n_tokens, &model->share.mlp_leaves);
}

static void take_logits(struct activations *act, struct cut *cut, const struct model *model,
                        const struct ranks *ranks, int max_logits)
{
    if (!model->share.is_last)
        return;
    const size_t n = (size_t)max_logits * (size_t)model->config.vocab;
    act->logits_parts = ranks->tp_size > 1 ? take(cut, n, sizeof *act->logits_parts) : NULL;
    act->logits = ranks->tp_rank == 0 ? take(cut, n, sizeof *act->logits) : NULL;
}

/* What a GPU cannot read where the host has it, and what it alone needs. */
static void take_for_gpu(struct activations *act, struct cut *cut, const struct model *model,
                         const struct plan_limits *limits)
{
    int window[MODEL_MAX_LAYERS];
    const struct model_config *config = &model->config;
    const struct row_counts most = forward_most_rows(limits);
    const struct step_needs needs = forward_needs(model, limits);
    act->rows = take(cut, step_rows_gpu_bytes(limits, &most), 1);
    act->inv_freq = take(cut, (size_t)config->n_ropes * (size_t)config->rope_half, sizeof(float));
    act->kv_of_head = take(cut, (size_t)span_length(model->share.heads), sizeof(int32_t));
    act->attention_work_bytes = (attention_work_bytes(&needs) + ALIGN - 1) / ALIGN * ALIGN;
    act->attention_work =
        take(cut, (size_t)forward_windows(model, window), act->attention_work_bytes);
    act->pick = take(cut, (size_t)most.n_logits, sizeof *act->pick);
    act->carried = take(cut, (size_t)most.n_logits, sizeof *act->carried);
}

size_t activations_cut(struct activations *act, void *memory, const struct model *model,
                       const struct ranks *ranks, const struct plan_limits *limits)
{
    struct cut cut = {.base = memory};
    *act = (struct activations){0};
    const struct model_config *config = &model->config;
    const struct leaves all = leaves_one(config->hidden);
    const size_t n = (size_t)limits->max_tokens, hidden = (size_t)config->hidden;
    const int attention_parts = model->share.attention_leaves.n_parts;
    const int mlp_parts = model->share.mlp_leaves.n_parts;
    const size_t n_parts = (size_t)max_of(attention_parts, mlp_parts);
    const int max_rows =
        model->share.is_last ? max_of(limits->max_logits, limits->max_tokens) : limits->max_tokens;

    if (model->share.on_gpu)
        take_for_gpu(act, &cut, model, limits);
    else
        act->rows = take(&cut, step_rows_host_bytes(limits), 1);
    act->cos_sin = take(&cut, (size_t)config->n_ropes * n * 2 * (size_t)config->rope_half,
                        sizeof *act->cos_sin);
    act->residual = take(&cut, n * hidden, sizeof *act->residual);
    act->normed = take_operand(&cut, model->compute, max_rows, &all);
    act->parts = take(&cut, n_parts * n * hidden, sizeof *act->parts);
    take_logits(act, &cut, model, ranks, limits->max_logits);

    struct cut attention = cut, mlp = cut; /* one place, used in turn */
    take_attention(act, &attention, model, limits->max_tokens);
    take_mlp(act, &mlp, model, limits->max_tokens);
    return attention.used > mlp.used ? attention.used : mlp.used;
}

size_t forward_activation_bytes(const struct model *model, const struct ranks *ranks,
                                const struct plan_limits *limits)
{
    struct activations act;
    return activations_cut(&act, NULL, model, ranks, limits);
}
