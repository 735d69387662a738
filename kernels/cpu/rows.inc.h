/* kernels/cpu/rows.inc.h: embed, the norms and log_sum_exp, once for all levels.
 *
 * A file per instruction set includes one of vec_*.inc.h and then this; LEVEL(name) is the name
 * of a kernel there. The order of every sum is that of docs/numerics.md, "Rows". */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "kernels/cpu/exp.inc.h"
#include "kernels/cpu/row_parts.inc.h"
#include "kernels/math.h"

/* ---- embed ---- */

static void embed_item(void *context, int t, int thread)
{
    (void)thread;
    const struct embed_args *a = context;
    float *out = a->out + (size_t)t * (size_t)a->hidden;
    const int64_t row = (int64_t)a->token[t] - a->first;
    if (row < 0 || row >= a->count) {
        memset(out, 0, (size_t)a->hidden * sizeof *out);
        return;
    }
    const struct vec zero = vec_set(0.0f), scale = vec_set(a->scale);
    for (int i = 0; i < a->hidden; i += K_BLOCK) {
        float block[K_BLOCK];
        const int n = min_of(a->hidden - i, K_BLOCK);
        widen(block, &a->table, row * a->table.row_stride + i, n);
        for (int j = 0; j < n; j += VEC_LANES) { /* adding 0 turns -0 into +0 */
            const struct vec scaled = vec_mul(load_part(block + j, n - j), scale);
            store_part(out + i + j, vec_add(zero, scaled), n - j);
        }
    }
}

void LEVEL(embed)(struct device *device, const struct embed_args *args)
{
    struct embed_args context = *args;
    team_run(device->team, embed_item, &context, args->n_tokens);
}

/* ---- rms_norm ---- */

/* delta (+ bias) */
static struct vec delta_part(const struct rms_norm_args *a, const float *delta, int i)
{
    const struct vec d = load_part(delta + i, a->hidden - i);
    return a->delta_bias.data ? vec_add(d, widen_part(&a->delta_bias, i, a->hidden - i)) : d;
}

/* 1 / sqrt(mean(d^2) + eps) of the delta alone */
static float delta_scale(const struct rms_norm_args *a, const float *delta)
{
    struct vec sum = vec_set(0.0f);
    for (int i = 0; i < a->hidden; i += VEC_LANES) {
        const struct vec d = delta_part(a, delta, i);
        sum = vec_fma(d, d, sum);
    }
    return rms_of(sum, a->hidden, a->eps);
}

/* residual += the delta, where there is one; then 1 / sqrt(mean(r^2) + eps). */
static float rms_scale(const struct rms_norm_args *a, float *residual, const float *delta)
{
    const bool is_normed = delta && a->delta_norm.data;
    const struct vec by = vec_set(is_normed ? delta_scale(a, delta) : 1.0f);
    const struct vec offset = vec_set(a->offset);
    struct vec sum = vec_set(0.0f);
    for (int i = 0; i < a->hidden; i += VEC_LANES) {
        const int n = a->hidden - i;
        struct vec r = load_part(residual + i, n);
        if (delta) {
            struct vec d = delta_part(a, delta, i);
            if (is_normed)
                d = vec_mul(vec_mul(d, by), vec_add(offset, widen_part(&a->delta_norm, i, n)));
            r = vec_add(r, d);
            store_part(residual + i, r, n);
        }
        sum = vec_fma(r, r, sum);
    }
    return rms_of(sum, a->hidden, a->eps);
}

static void rms_norm_item(void *context, int item, int thread)
{
    (void)thread;
    const struct groups *groups = context;
    const struct rms_norm_args *a = groups->args;
    const struct leaves leaves = leaves_one(a->hidden);
    const int first = item * groups->tokens_per_item;
    const int n_rows = min_of(groups->tokens_per_item, a->n_tokens - first);

    const float *row[TOKEN_GROUP]; /* [n_rows][hidden] */
    struct vec scale[TOKEN_GROUP];
    for (int r = 0; r < n_rows; r++) {
        const size_t hidden = (size_t)a->hidden, t = (size_t)(first + r);
        float *residual = a->residual + (a->row ? (size_t)a->row[t] : t) * hidden;
        const float *delta = a->delta ? a->delta + t * hidden : NULL;
        scale[r] = vec_set(rms_scale(a, residual, delta));
        row[r] = residual;
    }
    const int n_blocks = operand_blocks(&a->out);
    for (int b = 0; b < n_blocks; b++) {
        const struct k_block block = operand_block(&a->out, &leaves, b);
        float weight[K_BLOCK] = {0}, values[TOKEN_GROUP][K_BLOCK];
        widen(weight, &a->weight, block.k, block.n);
        for (int j = 0; j < K_BLOCK; j += VEC_LANES)
            vec_store(weight + j, vec_add(vec_set(a->offset), vec_load(weight + j)));
        for (int r = 0; r < n_rows; r++)
            for (int j = 0; j < K_BLOCK; j += VEC_LANES) {
                const int n = block.n - j > 0 ? block.n - j : 0;
                const struct vec x = load_part(row[r] + block.k + (n > 0 ? j : 0), n);
                vec_store(values[r] + j, vec_mul(vec_mul(x, scale[r]), vec_load(weight + j)));
            }
        operand_store_block(&a->out, block, first, n_rows, values);
    }
}

void LEVEL(rms_norm)(struct device *device, const struct rms_norm_args *args)
{
    struct groups groups = groups_make(device, args, args->n_tokens);
    team_run(device->team, rms_norm_item, &groups, groups.items);
}

/* ---- head_norm ---- */

static void head_norm_item(void *context, int t, int thread)
{
    (void)thread;
    const struct head_norm_args *a = context;
    const int dim = a->head_dim;
    struct vec weight[MAX_HEAD_DIM / VEC_LANES];
    for (int i = 0; i < dim; i += VEC_LANES)
        weight[i / VEC_LANES] = vec_add(vec_set(a->offset), widen_part(&a->weight, i, dim - i));
    for (int h = 0; h < a->n_heads; h++) {
        float *x = a->x + ((size_t)t * (size_t)a->n_heads + (size_t)h) * (size_t)dim;
        struct vec sum = vec_set(0.0f);
        for (int i = 0; i < dim; i += VEC_LANES) {
            const struct vec part = load_part(x + i, dim - i);
            sum = vec_fma(part, part, sum);
        }
        const struct vec scale = vec_set(rms_of(sum, dim, a->eps));
        for (int i = 0; i < dim; i += VEC_LANES) {
            const struct vec scaled = vec_mul(load_part(x + i, dim - i), scale);
            store_part(x + i, vec_mul(scaled, weight[i / VEC_LANES]), dim - i);
        }
    }
}

void LEVEL(head_norm)(struct device *device, const struct head_norm_args *args)
{
    struct head_norm_args context = *args;
    team_run(device->team, head_norm_item, &context, args->n_tokens);
}

/* ---- log_sum_exp ---- */

/* Sum of exp(x - max) over one block. */
static float block_sum(const float *x, int n, float max)
{
    struct vec sum = vec_set(0.0f);
    for (int i = 0; i < n; i += VEC_LANES) {
        const struct vec e = vec_exp(vec_sub(load_part(x + i, n - i), vec_set(max)));
        sum = vec_add(sum, vec_keep(e, 0, n - i, vec_set(0.0f)));
    }
    return vec_sum(sum);
}

static float tree_sum(const float *x, int n_columns, float max, int lo, int hi)
{
    if (hi - lo == 1) {
        const int at = lo * LOGITS_BLOCK;
        return block_sum(x + at, min_of(LOGITS_BLOCK, n_columns - at), max);
    }
    const int mid = lo + (hi - lo + 1) / 2;
    return tree_sum(x, n_columns, max, lo, mid) + tree_sum(x, n_columns, max, mid, hi);
}

static void log_sum_exp_item(void *context, int r, int thread)
{
    (void)thread;
    const struct log_sum_exp_args *a = context;
    const float *x = a->logits + (int64_t)r * a->row_stride;
    const struct vec lowest = vec_set(-INFINITY);
    struct vec largest = lowest;
    for (int i = 0; i < a->n_columns; i += VEC_LANES) {
        const int n = a->n_columns - i;
        largest = vec_max(vec_keep(load_part(x + i, n), 0, n, lowest), largest);
    }
    const float max = vec_largest(largest);
    const int n_blocks = (a->n_columns + LOGITS_BLOCK - 1) / LOGITS_BLOCK;
    const float lse = max + math_log(tree_sum(x, a->n_columns, max, 0, n_blocks));
    a->max[r] = lse == lse ? max : lse;
    a->lse[r] = lse;
}

void LEVEL(log_sum_exp)(struct device *device, const struct log_sum_exp_args *args)
{
    struct log_sum_exp_args context = *args;
    team_run(device->team, log_sum_exp_item, &context, args->n_rows);
}
