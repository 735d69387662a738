/* kernels/cpu/rows.inc.h: the operations on rows, once for all levels.
 *
 * A file per instruction set includes one of vec_*.inc.h and then this; LEVEL(name) is the name
 * of a kernel there. The order of every sum is that of docs/numerics.md, "Rows".
 *
 * Operands are written in groups of 16 tokens, because a cache line of theirs holds a pair of
 * each: one item is one group, unless there are fewer groups than threads (decoding), where it is
 * one token. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/exp.inc.h"
#include "kernels/cpu/operand.inc.h"
#include "kernels/cpu/part.inc.h"
#include "kernels/device.h"
#include "kernels/math.h"

/* ---- embed ---- */

static void embed_item(void *context, int t, int thread)
{
    (void)thread;
    const struct embed_args *a = context;
    float *out = a->out + (size_t)t * (size_t)a->hidden;
    const int32_t token = a->token[t] < 0 ? a->carried[-1 - a->token[t]] : a->token[t];
    const int64_t row = (int64_t)token - a->first;
    if (row < 0 || row >= a->count) {
        memset(out, 0, (size_t)a->hidden * sizeof *out);
        return;
    }
    const struct vec zero = vec_set(0.0f), scale = vec_set(a->scale);
    for (int i = 0; i < a->hidden; i += K_BLOCK) {
        float block[K_BLOCK];
        const int n = min_of(a->hidden - i, K_BLOCK);
        widen(block, &a->table, row * a->table.row_stride + i, n);
        for (int j = 0; j < n; j += VEC_LANES) /* adding 0 turns -0 into +0 */
            store_part(out + i + j, vec_add(zero, vec_mul(load_part(block + j, n - j), scale)),
                       n - j);
    }
}

void LEVEL(embed)(struct device *device, const struct embed_args *args)
{
    struct embed_args context = *args;
    team_run(device->team, embed_item, &context, args->n_tokens);
}

/* ---- work on groups of tokens ---- */

struct groups {
    const void *args;
    int n_tokens, tokens_per_item, items; /* items over the tokens */
};

static struct groups groups_make(const struct device *device, const void *args, int n_tokens)
{
    const int n_groups = (n_tokens + TOKEN_GROUP - 1) / TOKEN_GROUP;
    const int per_item = n_groups < team_size(device->team) ? 1 : TOKEN_GROUP;
    return (struct groups){.args = args,
                           .n_tokens = n_tokens,
                           .tokens_per_item = per_item,
                           .items = (n_tokens + per_item - 1) / per_item};
}

/* ---- rms_norm and head_norm ---- */

/* 16 numbers of a weight, or the first n and zeros. */
static inline struct vec weight_part(const struct weight *w, int at, int n)
{
    float part[VEC_LANES] = {0};
    widen(part, w, at, min_of(n, VEC_LANES));
    return vec_load(part);
}

/* 1 / sqrt(mean + eps) of n squares in 16 lanes. */
static inline float rms_scale(struct vec squares, int n, float eps)
{
    return 1.0f / sqrtf(vec_sum(squares) / (float)n + eps);
}

/* delta (+ bias), as it is added to the residual or normalised before that. */
static inline struct vec delta_part(const struct rms_norm_args *a, const float *delta, int at)
{
    const int n = a->hidden - at;
    const struct vec d = load_part(delta + at, n);
    return a->delta_bias.data ? vec_add(d, weight_part(&a->delta_bias, at, n)) : d;
}

static float delta_scale(const struct rms_norm_args *a, const float *delta)
{
    struct vec squares = vec_set(0.0f);
    for (int i = 0; i < a->hidden; i += VEC_LANES) {
        const struct vec d = delta_part(a, delta, i);
        squares = vec_fma(d, d, squares);
    }
    return rms_scale(squares, a->hidden, a->eps);
}

/* residual += delta, and the scale of the sum; delta may be NULL. */
static float add_and_scale(const struct rms_norm_args *a, float *residual, const float *delta)
{
    const bool normed = delta && a->delta_norm.data;
    const struct vec offset = vec_set(a->offset);
    const struct vec scale = vec_set(normed ? delta_scale(a, delta) : 1.0f);
    struct vec squares = vec_set(0.0f);
    for (int i = 0; i < a->hidden; i += VEC_LANES) {
        const int n = a->hidden - i;
        struct vec r = load_part(residual + i, n);
        if (delta) {
            struct vec d = delta_part(a, delta, i);
            if (normed)
                d = vec_mul(vec_mul(d, scale), vec_add(offset, weight_part(&a->delta_norm, i, n)));
            r = vec_add(r, d);
            store_part(residual + i, r, n);
        }
        squares = vec_fma(r, r, squares);
    }
    return rms_scale(squares, a->hidden, a->eps);
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
        scale[r] = vec_set(add_and_scale(a, residual, a->delta ? a->delta + t * hidden : NULL));
        row[r] = residual;
    }
    const int n_blocks = operand_blocks(&a->out);
    const struct vec offset = vec_set(a->offset);
    for (int b = 0; b < n_blocks; b++) {
        const struct k_block block = operand_block(&a->out, &leaves, b);
        float weight[K_BLOCK] = {0}, values[TOKEN_GROUP][K_BLOCK];
        widen(weight, &a->weight, block.k, block.n);
        for (int j = 0; j < K_BLOCK; j += VEC_LANES)
            vec_store(weight + j, vec_add(offset, vec_load(weight + j)));
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

static void head_norm_item(void *context, int t, int thread)
{
    (void)thread;
    const struct head_norm_args *a = context;
    const struct vec offset = vec_set(a->offset);
    float *x = a->x + t * a->row_stride;
    for (int h = 0; h < a->n_heads; h++, x += a->head_dim) {
        struct vec squares = vec_set(0.0f);
        for (int i = 0; i < a->head_dim; i += VEC_LANES) {
            const struct vec r = load_part(x + i, a->head_dim - i);
            squares = vec_fma(r, r, squares);
        }
        const struct vec scale = vec_set(rms_scale(squares, a->head_dim, a->eps));
        for (int i = 0; i < a->head_dim; i += VEC_LANES) {
            const int n = a->head_dim - i;
            const struct vec by = vec_add(offset, weight_part(&a->weight, i, n));
            store_part(x + i, vec_mul(vec_mul(load_part(x + i, n), scale), by), n);
        }
    }
}

void LEVEL(head_norm)(struct device *device, const struct head_norm_args *args)
{
    struct head_norm_args context = *args;
    team_run(device->team, head_norm_item, &context, args->n_tokens);
}

/* ---- gated ---- */

enum {
    GATED_BLOCKS = 16, /* 512 columns an item, so that few tokens make enough items */
    GATED_STEP = 4,    /* blocks of a row at a time: memory likes runs of 512 bytes */
};

/* x / (1 + exp(-w)): w = x is SiLU. x / 2 (1 + tanh(u)) is the same with w = 2 u, without the
 * cancellation of 1 + tanh for negative x. */
static inline struct vec gated(struct vec gate, struct vec up, enum activation activation)
{
    struct vec w = gate;
    if (activation == ACTIVATION_GELU_TANH) /* 2 sqrt(2 / pi), and that times 0.044715 */
        w = vec_mul(gate,
                    vec_fma(vec_mul(gate, gate), vec_set(0x1.2444f2p-4f), vec_set(0x1.988454p+0f)));
    const struct vec e = vec_exp(vec_sub(vec_set(0.0f), w));
    return vec_mul(vec_div(gate, vec_add(vec_set(1.0f), e)), up);
}

static void gated_item(void *context, int item, int thread)
{
    (void)thread;
    const struct groups *groups = context;
    const struct gated_args *a = groups->args;
    const int first = item % groups->items * groups->tokens_per_item;
    const int n_rows = min_of(groups->tokens_per_item, a->n_tokens - first);
    const int b_begin = item / groups->items * GATED_BLOCKS;
    const int b_end = min_of(b_begin + GATED_BLOCKS, operand_blocks(&a->out));

    for (int b = b_begin; b < b_end; b += GATED_STEP) {
        const int n_blocks = min_of(GATED_STEP, b_end - b);
        struct k_block block[GATED_STEP];
        float values[GATED_STEP][TOKEN_GROUP][K_BLOCK];
        for (int i = 0; i < n_blocks; i++)
            block[i] = operand_block(&a->out, a->leaves, b + i);
        for (int r = 0; r < n_rows; r++)
            for (int i = 0; i < n_blocks; i++)
                for (int j = 0; j < K_BLOCK; j += VEC_LANES) {
                    const int n = block[i].n > j ? block[i].n - j : 0;
                    const int64_t at = (first + r) * a->row_stride + block[i].k + (n > 0 ? j : 0);
                    vec_store(values[i][r] + j, gated(load_part(a->gate + at, n),
                                                      load_part(a->up + at, n), a->activation));
                }
        for (int i = 0; i < n_blocks; i++)
            operand_store_block(&a->out, block[i], first, n_rows, values[i]);
    }
}

void LEVEL(gated)(struct device *device, const struct gated_args *args)
{
    struct groups groups = groups_make(device, args, args->n_tokens);
    const int n_spans = (operand_blocks(&args->out) + GATED_BLOCKS - 1) / GATED_BLOCKS;
    team_run(device->team, gated_item, &groups, groups.items * n_spans);
}

/* ---- softcap ---- */

enum { SOFTCAP_NUMBERS = 4096 }; /* of an item */

static void softcap_item(void *context, int item, int thread)
{
    (void)thread;
    const struct softcap_args *a = context;
    const int64_t begin = (int64_t)item * SOFTCAP_NUMBERS;
    const int n = (int)(a->n - begin < SOFTCAP_NUMBERS ? a->n - begin : SOFTCAP_NUMBERS);
    const struct vec cap = vec_set(a->cap);
    float *x = a->x + begin;
    for (int i = 0; i < n; i += VEC_LANES)
        store_part(x + i, vec_softcap(load_part(x + i, n - i), cap), n - i);
}

void LEVEL(softcap)(struct device *device, const struct softcap_args *args)
{
    struct softcap_args context = *args;
    const int64_t n_items = (args->n + SOFTCAP_NUMBERS - 1) / SOFTCAP_NUMBERS;
    team_run(device->team, softcap_item, &context, (int)n_items);
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
