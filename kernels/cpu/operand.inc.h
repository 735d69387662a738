/* kernels/cpu/operand.inc.h: writing activations in the layout of kernels/tensor.h.
 * Include one of vec_*.inc.h first. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "kernels/tensor.h"

/* K_BLOCK elements of K where they lie in an operand: those from k on are written from
 * k_padded on, zeros after the first n. Blocks never cross a leaf. */
struct k_block {
    int k, n, k_padded;
};

static inline int operand_blocks(const struct operand *x)
{
    return (x->k_padded + K_BLOCK - 1) / K_BLOCK;
}

static inline struct k_block operand_block(const struct operand *x, const struct leaves *leaves,
                                           int index)
{
    int begin = 0, end = x->k, first = 0; /* of a leaf: its elements, and its first block */
    for (int i = 0; x->dtype == DTYPE_BF16 && i < leaves->n_leaves; i++) {
        end = leaves->leaf[i].k_end;
        const int n_blocks = (end - begin + K_BLOCK - 1) / K_BLOCK;
        if (index < first + n_blocks)
            break;
        first += n_blocks;
        begin = end;
    }
    const int k = begin + (index - first) * K_BLOCK, left = end - k;
    return (struct k_block){
        .k = k, .n = left < K_BLOCK ? left : K_BLOCK, .k_padded = index * K_BLOCK};
}

/* Where pairs of K of one token lie: pair i is first[i * step]. A pair is two BF16. */
struct operand_pairs {
    uint32_t *first;
    size_t step;
};

static inline struct operand_pairs operand_pairs(const struct operand *x, int token)
{
    const int in_group = token % TOKEN_GROUP, group_begin = token - in_group;
    const int left = x->n_tokens - group_begin;
    const size_t group_at = (size_t)group_begin * ((size_t)x->k_padded / 2);
    return (struct operand_pairs){.first = (uint32_t *)x->data + group_at + in_group,
                                  .step = left < TOKEN_GROUP ? (size_t)left : TOKEN_GROUP};
}

/* values[r] is the block of token first + r, with zeros from block.n on. The n_rows tokens are
 * of one group. */
static inline void operand_store_block(const struct operand *out, struct k_block block, int first,
                                       int n_rows, float (*values)[K_BLOCK])
{
    if (out->dtype == DTYPE_F32) {
        float *row = (float *)out->data + (size_t)first * (size_t)out->k + block.k;
        for (int r = 0; r < n_rows; r++, row += out->k)
            memcpy(row, values[r], (size_t)block.n * sizeof *row);
        return;
    }
    uint32_t pairs[TOKEN_GROUP][K_BLOCK / 2];
    for (int r = 0; r < n_rows; r++) {
        bf16 *row = (bf16 *)pairs[r];
        vec_store_bf16(row, vec_load(values[r]));
        vec_store_bf16(row + 16, vec_load(values[r] + 16));
    }
    const struct operand_pairs at = operand_pairs(out, first);
    uint32_t *to = at.first + (size_t)block.k_padded / 2 * at.step;
    if (n_rows == TOKEN_GROUP) {
        struct vec m[TOKEN_GROUP];
        for (int r = 0; r < TOKEN_GROUP; r++)
            m[r] = vec_load(pairs[r]);
        vec_transpose(m);
        for (int i = 0; i < TOKEN_GROUP; i++)
            vec_store(to + i * TOKEN_GROUP, m[i]);
        return;
    }
    for (int r = 0; r < n_rows; r++)
        for (size_t i = 0; i < K_BLOCK / 2; i++)
            to[i * at.step + (size_t)r] = pairs[r][i];
}

/* Elements [k, k + n) of one token, which may cross leaves; `values` has room for 16 more.
 * Padding is left alone: operand_store_padding(). */
static inline void operand_store_run(const struct operand *out, const struct leaves *leaves,
                                     int token, int k, const float *values, int n)
{
    if (out->dtype == DTYPE_F32) {
        memcpy((float *)out->data + (size_t)token * (size_t)out->k + k, values,
               (size_t)n * sizeof *values);
        return;
    }
    const struct operand_pairs at = operand_pairs(out, token);
    int begin = 0, begin_padded = 0; /* of a leaf */
    for (int i = 0; i < leaves->n_leaves; i++) {
        const int end = leaves->leaf[i].k_end;
        for (int from = k > begin ? k : begin; from < end && from < k + n;) {
            bf16 rounded[16];
            const int left = (end < k + n ? end : k + n) - from, m = left < 16 ? left : 16;
            vec_store_bf16(rounded, vec_load(values + (from - k)));
            const int to = begin_padded + (from - begin);
            if (to % 2 == 0 && m == 16) {
                uint32_t pairs[8];
                memcpy(pairs, rounded, sizeof pairs);
                for (size_t j = 0; j < 8; j++)
                    at.first[((size_t)to / 2 + j) * at.step] = pairs[j];
            } else {
                for (int j = 0; j < m; j++) {
                    bf16 *pair = (bf16 *)(at.first + (size_t)((to + j) / 2) * at.step);
                    pair[(to + j) % 2] = rounded[j];
                }
            }
            from += m;
        }
        begin_padded += (end - begin + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
        begin = end;
    }
}

/* Zeros in what operand_store_run() leaves out: the end of each leaf of one token. */
static inline void operand_store_padding(const struct operand *out, const struct leaves *leaves,
                                         int token)
{
    if (out->k_padded == out->k)
        return;
    const struct operand_pairs at = operand_pairs(out, token);
    for (int i = 0, end = 0, begin = 0; i < leaves->n_leaves; i++) {
        const int n = leaves->leaf[i].k_end - begin;
        const int padded = (n + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
        for (int k = end + n; k < end + padded; k++)
            ((bf16 *)(at.first + (size_t)(k / 2) * at.step))[k % 2] = (bf16){0};
        end += padded;
        begin += n;
    }
}
