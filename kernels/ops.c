/* The contract of every operation, checked once for all backends and in every build.
 *
 * Only what the host knows is looked at: shapes, pointers and leaves. What the arrays of indices
 * say (tokens, rows, slots, blocks) was checked when the plan was made; on a GPU it is not here. */
#include "kernels/ops.h"

#include "base/check.h"
#include "kernels/device.h"

#include <stddef.h>

static bool overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    const uintptr_t p = (uintptr_t)a, q = (uintptr_t)b;
    return p < q + b_bytes && q < p + a_bytes;
}

static size_t f32_bytes(int rows, int columns)
{
    return (size_t)rows * (size_t)columns * sizeof(float);
}

static bool is_aligned(const void *p, size_t to) { return (uintptr_t)p % to == 0; }

static bool weight_valid(const struct weight *weight, int n_columns)
{
    return weight->data != NULL && (unsigned)weight->dtype < DTYPE_COUNT &&
           weight->dtype != DTYPE_I8 && is_aligned(weight->data, dtype_bytes(weight->dtype)) &&
           weight->row_stride >= n_columns;
}

static bool operand_valid(const struct operand *operand, int n_tokens, const struct leaves *leaves)
{
    if (!leaves_valid(leaves) || operand->dtype == DTYPE_I8 ||
        (unsigned)operand->dtype >= DTYPE_COUNT)
        return false;
    const struct operand want = operand_make(operand->data, operand->dtype, n_tokens, leaves);
    return operand->data != NULL && is_aligned(operand->data, 64) &&
           operand->n_tokens == n_tokens && operand->k == want.k &&
           operand->k_padded == want.k_padded;
}

static bool cache_valid(const struct kv_cache *cache)
{
    const int tokens = cache->block_tokens;
    return cache->k != NULL && cache->v != NULL && (unsigned)cache->dtype < DTYPE_COUNT &&
           (cache->dtype != DTYPE_I8 || (cache->k_scale != NULL && cache->v_scale != NULL)) &&
           cache->n_kv_heads > 0 && cache->head_dim > 0 && cache->head_dim <= MAX_HEAD_DIM &&
           (tokens == 16 || tokens == 32 || tokens == 64 || tokens == 128 || tokens == 256);
}

void op_embed(struct device *device, const struct embed_args *args)
{
    check(args->n_tokens >= 0 && args->hidden > 0 && args->first >= 0 && args->count >= 0);
    check(args->scale > 0);
    if (args->n_tokens == 0)
        return;
    check(args->out != NULL && args->token != NULL);
    check(args->count == 0 || weight_valid(&args->table, args->hidden));
    check(!overlap(args->out, f32_bytes(args->n_tokens, args->hidden), args->token,
                   (size_t)args->n_tokens * sizeof *args->token));
    device->ops->embed(device, args);
}

void op_rms_norm(struct device *device, const struct rms_norm_args *args)
{
    check(args->n_tokens >= 0 && args->hidden > 0 && args->eps > 0);
    if (args->n_tokens == 0)
        return;
    const struct leaves leaves = leaves_one(args->hidden);
    check(operand_valid(&args->out, args->n_tokens, &leaves));
    check(args->residual != NULL && weight_valid(&args->weight, args->hidden));
    check(args->row == NULL || args->delta == NULL);
    check(args->delta_bias.data == NULL ||
          (args->delta != NULL && weight_valid(&args->delta_bias, args->hidden)));
    check(args->delta_norm.data == NULL ||
          (args->delta != NULL && weight_valid(&args->delta_norm, args->hidden)));
    check(!overlap(args->out.data, operand_bytes(args->out.dtype, args->n_tokens, &leaves),
                   args->delta, args->delta ? f32_bytes(args->n_tokens, args->hidden) : 0));
    device->ops->rms_norm(device, args);
}

void op_head_norm(struct device *device, const struct head_norm_args *args)
{
    check(args->n_tokens >= 0 && args->n_heads > 0 && args->head_dim > 0 && args->eps > 0);
    if (args->n_tokens == 0)
        return;
    check(args->x != NULL && weight_valid(&args->weight, args->head_dim));
    check(args->row_stride >= (int64_t)args->n_heads * args->head_dim);
    device->ops->head_norm(device, args);
}

void op_matmul(struct device *device, const struct matmul_args *args)
{
    check(args->n_tokens >= 0 && args->n_out > 0 && args->out_stride >= args->n_out);
    if (args->n_tokens == 0)
        return;
    check(operand_valid(&args->x, args->n_tokens, args->leaves));
    check(weight_valid(&args->weight, args->x.k));
    check(args->x.dtype == DTYPE_F32 || args->weight.dtype == args->x.dtype);
    if (args->bias.data != NULL)
        check(args->leaves->n_leaves == 1 && weight_valid(&args->bias, args->n_out));

    /* from the first to the last number: what lies beside a row is of others */
    const size_t n_rows = (size_t)args->leaves->n_parts * (size_t)args->n_tokens;
    const size_t out_bytes =
        ((n_rows - 1) * (size_t)args->out_stride + (size_t)args->n_out) * sizeof(float);
    check(args->out != NULL);
    check(!overlap(args->out, out_bytes, args->x.data,
                   operand_bytes(args->x.dtype, args->n_tokens, args->leaves)));
    device->ops->matmul(device, args);
}

void op_rope_angles(struct device *device, const struct rope_angles_args *args)
{
    check(args->n_tokens >= 0 && args->half > 0);
    if (args->n_tokens == 0)
        return;
    check(args->cos_sin != NULL && args->position != NULL && args->inv_freq != NULL);
    check(!overlap(args->cos_sin, 2 * f32_bytes(args->n_tokens, args->half), args->inv_freq,
                   f32_bytes(1, args->half)));
    device->ops->rope_angles(device, args);
}

void op_rope_store(struct device *device, const struct rope_store_args *args)
{
    check(args->n_tokens >= 0 && args->n_heads > 0 && args->half > 0);
    check(cache_valid(args->cache) && 2 * args->half <= args->cache->head_dim);
    if (args->n_tokens == 0)
        return;
    check(args->q_out != NULL && args->q != NULL && args->k != NULL && args->v != NULL);
    check(args->cos_sin != NULL && args->slot != NULL);
    const size_t q_row = (size_t)args->n_heads * (size_t)args->cache->head_dim;
    check(args->row_stride >= (int64_t)q_row);
    const size_t n = (size_t)args->n_tokens;
    check(!overlap(args->q_out, n * q_row * dtype_bytes(kv_query_dtype(args->cache->dtype)),
                   args->q, ((n - 1) * (size_t)args->row_stride + q_row) * sizeof(float)));
    device->ops->rope_store(device, args);
}

void op_attention_work(struct device *device, const struct attention_work_args *args)
{
    check(args->n_tokens >= 0 && args->n_sequences >= 0 && args->n_heads > 0);
    check(args->n_kv_heads > 0 && args->window >= 0);
    if (args->n_tokens == 0)
        return;
    check(args->kv_of_head != NULL && args->first_row != NULL && args->n_computed != NULL);
    check(args->n_sequences > 0);
    device->ops->attention_work(device, args);
}

void op_attention(struct device *device, const struct attention_args *args)
{
    check(args->n_tokens >= 0 && args->n_sequences >= 0 && args->n_heads > 0);
    check(cache_valid(args->cache) && args->window >= 0 && args->softcap >= 0);
    if (args->n_tokens == 0)
        return;
    check(operand_valid(&args->out, args->n_tokens, args->leaves));
    check(args->out.k == args->n_heads * args->cache->head_dim);
    check(args->q != NULL && args->kv_of_head != NULL && args->n_sequences > 0);
    check(args->first_row != NULL && args->n_computed != NULL && args->first_block != NULL &&
          args->block != NULL);
    device->ops->attention(device, args);
}

void op_gated(struct device *device, const struct gated_args *args)
{
    check(args->n_tokens >= 0 && args->ffn > 0);
    check(args->activation == ACTIVATION_SILU || args->activation == ACTIVATION_GELU_TANH);
    if (args->n_tokens == 0)
        return;
    check(operand_valid(&args->out, args->n_tokens, args->leaves) && args->out.k == args->ffn);
    check(args->gate != NULL && args->up != NULL && args->row_stride >= args->ffn);
    const size_t out_bytes = operand_bytes(args->out.dtype, args->n_tokens, args->leaves);
    const size_t in_bytes =
        ((size_t)(args->n_tokens - 1) * (size_t)args->row_stride + (size_t)args->ffn) *
        sizeof(float);
    check(!overlap(args->out.data, out_bytes, args->gate, in_bytes) &&
          !overlap(args->out.data, out_bytes, args->up, in_bytes));
    device->ops->gated(device, args);
}

void op_softcap(struct device *device, const struct softcap_args *args)
{
    check(args->n >= 0 && args->cap > 0);
    if (args->n == 0)
        return;
    check(args->x != NULL);
    device->ops->softcap(device, args);
}

void op_copy_blocks(struct device *device, const struct copy_blocks_args *args)
{
    check(cache_valid(args->cache) && args->n_pairs >= 0);
    if (args->n_pairs == 0)
        return;
    check(args->pair != NULL);
    device->ops->copy_blocks(device, args);
}

void op_log_sum_exp(struct device *device, const struct log_sum_exp_args *args)
{
    check(args->n_rows >= 0 && args->n_columns > 0 && args->row_stride >= args->n_columns);
    if (args->n_rows == 0)
        return;
    check(args->max != NULL && args->lse != NULL && args->logits != NULL);
    device->ops->log_sum_exp(device, args);
}

void op_pick(struct device *device, const struct pick_args *args)
{
    check(device->ops->pick != NULL);
    check(args->n_rows >= 0 && args->vocab > 0 && args->row_stride >= args->vocab);
    if (args->n_rows == 0)
        return;
    check(args->out != NULL && args->logits != NULL && args->spec != NULL);
    device->ops->pick(device, args);
}
