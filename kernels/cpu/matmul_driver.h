/* kernels/cpu/matmul_driver.h: what the matmuls of all levels have in common.
 *
 * The driver cuts the output into items for the team (some outputs x some tokens, all of K), walks
 * the leaves of K, keeps their partial sums in the scratch memory of the thread, merges them there,
 * adds the bias and writes the result. A level only adds one block of products to C, in the
 * canonical order (docs/numerics.md, "How", 1):
 *
 *     for each K_BLOCK of 32 elements, ascending:
 *         even = fmaf chain over the 16 even elements, from +0
 *         odd  = fmaf chain over the 16 odd elements, from +0
 *         c   += even + odd
 *
 * A block of K that ends a leaf and is shorter than 32 goes on with zeros on both sides. */
#pragma once
#include "kernels/ops.h"

#include <stddef.h>

enum {
    PANEL = 32,           /* outputs that are worked on together; rows of C come in these */
    ITEM_ROWS = 256,      /* most outputs of an item */
    ITEM_TOKENS = 512,    /* most tokens of an item, a multiple of TOKEN_GROUP */
    C_BYTES = 1280 << 10, /* room for all partial sums of an item */
    KERNEL_SCRATCH_BYTES = 768 << 10,
};

/* c[t, o] += sum over n_k elements of x[t, k] * weight[o, k]. */
struct matmul_block {
    float *c; /* n_tokens, rounded up to groups, x n_rows, rounded up to PANEL: see `store` */
    size_t c_numbers;   /* of C */
    bool is_first;      /* C is undefined: it begins at zero */
    int n_merges;       /* then so often: the C before this one, c_numbers down, += this one */
    const void *weight; /* element k of output o: [o * row_stride + k] */
    enum dtype weight_dtype;
    int64_t row_stride;
    const void *x; /* the operand from the first token on, which begins a group */
    enum dtype x_dtype;
    int x_k;      /* where K begins in it, padding counted */
    int k_padded; /* elements of a token */
    int n_rows, n_tokens;
    int n_k;       /* > 0 and <= k_step; not a multiple of K_BLOCK only at the end of a leaf */
    int n_k_left;  /* elements of a row that are read from here on, this block's too: to prefetch */
    void *scratch; /* KERNEL_SCRATCH_BYTES, aligned to 64 bytes; undefined at the start */
};

struct matmul_kernel {
    void (*accumulate)(const struct matmul_block *);
    /* out[t * out_stride + o] = C[t, o]. How C lies in memory is known to these two only; the
     * driver clears it and adds one to another. */
    void (*store)(float *out, int64_t out_stride, const float *c, int n_rows, int n_tokens);
    int k_step;      /* most elements of K in a block, a multiple of K_BLOCK */
    int item_tokens; /* most tokens in a block, a multiple of TOKEN_GROUP, <= ITEM_TOKENS */
    int unit_rows;   /* most outputs in a block, a multiple of PANEL: they go through all of K
                        before others of their item */
    int c_bytes;     /* for all partial sums of an item, so that they stay in L2; <= C_BYTES */
    bool merges;     /* heeds is_first and n_merges; else the driver does both */
};

void matmul_drive(struct device *, const struct matmul_args *, const struct matmul_kernel *);

/* The plain layout of C: [n_tokens][round_up(n_rows, PANEL)]. */
void matmul_store_rows(float *out, int64_t out_stride, const float *c, int n_rows, int n_tokens);

static inline int min_int(int a, int b) { return a < b ? a : b; }
static inline int round_up_int(int n, int step) { return (n + step - 1) / step * step; }

static inline int block_group_tokens(const struct matmul_block *block, int group)
{
    return min_int(TOKEN_GROUP, block->n_tokens - group * TOKEN_GROUP);
}

/* x BF16: [pairs of this block][tokens of the group][2]. */
static inline const bf16 *block_group(const struct matmul_block *block, int group)
{
    return (const bf16 *)block->x + (int64_t)group * TOKEN_GROUP * block->k_padded +
           (int64_t)block->x_k * block_group_tokens(block, group);
}

/* x F32: [n_k]. */
static inline const float *block_row(const struct matmul_block *block, int token)
{
    return (const float *)block->x + (int64_t)token * block->k_padded + block->x_k;
}

/* Element i of an array of any format, widened exactly. */
static inline float widened(const void *data, enum dtype dtype, int64_t i)
{
    switch (dtype) {
    case DTYPE_BF16:
        return bf16_to_f32(((const bf16 *)data)[i]);
    case DTYPE_F16:
        return f16_to_f32(((const uint16_t *)data)[i]);
    default:
        return ((const float *)data)[i];
    }
}
