/* softmax(q kT / sqrt(head_dim)) v, over the heads of this rank. Vaswani et al. 2017; grouped KV
 * heads, Ainslie et al. 2023, arXiv:2305.13245. */
#include "base/error.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

float *cos_sin_of(const struct forward *f, int n_tokens, int rope)
{
    return f->act.cos_sin +
           (size_t)rope * (size_t)n_tokens * 2 * (size_t)f->model->config.rope_half;
}

static void norm_heads(const struct forward *f, int n_tokens, float *x, int row_stride, int n_heads,
                       const struct weight *weight)
{
    const struct model_config *config = &f->model->config;
    if (weight->data != NULL)
        op_head_norm(f->device, &(struct head_norm_args){.x = x,
                                                         .row_stride = row_stride,
                                                         .weight = *weight,
                                                         .n_tokens = n_tokens,
                                                         .n_heads = n_heads,
                                                         .head_dim = config->head_dim,
                                                         .eps = config->norm_eps,
                                                         .offset = config->norm_offset});
}

static void *work_of(const struct forward *f, int window)
{
    int i = 0;
    while (f->window[i] != window)
        i++;
    return f->on_gpu ? (char *)f->act.attention_work + (size_t)i * f->act.attention_work_bytes
                     : NULL;
}

void attention_prepare(struct forward *f, const struct step_rows *rows)
{
    const struct model_share *share = &f->model->share;
    for (int i = 0; i < f->n_windows; i++)
        op_attention_work(f->device,
                          &(struct attention_work_args){.work = work_of(f, f->window[i]),
                                                        .kv_of_head = f->kv_of_head,
                                                        .first_row = rows->first_row,
                                                        .n_computed = rows->n_computed,
                                                        .n_sequences = rows->n.n_sequences,
                                                        .n_tokens = rows->n.n_tokens,
                                                        .n_heads = span_length(share->heads),
                                                        .n_kv_heads = span_length(share->kv_heads),
                                                        .window = f->window[i]});
}

bool attention_run(struct forward *f, const struct step_rows *rows, int layer, struct error *err)
{
    const struct model_config *config = &f->model->config;
    const struct model_share *share = &f->model->share;
    const struct layer_weights *weights = &f->model->layer[layer];
    const struct kv_cache *cache = &f->kv.place[f->groups.at[layer]];
    const struct activations *act = &f->act;
    const int n_tokens = rows->n.n_tokens;
    const size_t group = f->groups.of_layer[layer];
    const int n_heads = span_length(share->heads);
    const int q_width = n_heads * config->head_dim;
    const int kv_width = span_length(share->kv_heads) * config->head_dim;
    const int width = q_width + 2 * kv_width;
    float *const q = act->qkv, *const k = q + q_width, *const v = k + kv_width;

    project(f, n_tokens, act->qkv,
            (struct projection[]){{weights->q_proj, weights->q_bias, q_width},
                                  {weights->k_proj, weights->k_bias, kv_width},
                                  {weights->v_proj, weights->v_bias, kv_width}},
            3);
    norm_heads(f, n_tokens, q, width, n_heads, &weights->q_norm);
    norm_heads(f, n_tokens, k, width, span_length(share->kv_heads), &weights->k_norm);
    op_rope_store(f->device, &(struct rope_store_args){
                                 .q_out = act->q_rotated,
                                 .q = q,
                                 .k = k,
                                 .v = v,
                                 .row_stride = width,
                                 .cos_sin = cos_sin_of(f, n_tokens, config->rope_of[layer]),
                                 .slot = rows->slot + group * (size_t)n_tokens,
                                 .cache = cache,
                                 .n_tokens = n_tokens,
                                 .n_heads = n_heads,
                                 .half = config->rope_half});

    const struct operand attended =
        operand_make(act->attended, f->model->compute, n_tokens, &share->attention_leaves);
    op_attention(f->device, &(struct attention_args){
                                .work = work_of(f, config->window[layer]),
                                .out = attended,
                                .leaves = &share->attention_leaves,
                                .q = act->q_rotated,
                                .cache = cache,
                                .kv_of_head = f->kv_of_head,
                                .first_row = rows->first_row,
                                .n_computed = rows->n_computed,
                                .first_block = rows->first_block + group * rows->first_block_stride,
                                .block = rows->block + group * rows->block_stride,
                                .n_sequences = rows->n.n_sequences,
                                .n_tokens = n_tokens,
                                .n_heads = n_heads,
                                .window = config->window[layer],
                                .scale = config->attention_scale,
                                .softcap = config->attention_softcap});

    return project_and_sum(f, n_tokens, &attended, &weights->o_proj, &share->attention_leaves,
                           share->head_leaves, err);
}
