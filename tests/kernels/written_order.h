/* tests/kernels/written_order.h: the sums of docs/numerics.md, one number at a time.
 *
 * Written from the document and not from the kernels: the tests want the very same bits.
 * Needs cpu_float_mode_set() in the calling thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* "Dot products": blocks of 32, even and odd chains. Element k of b is b[k * b_step]. */
float written_dot(const float *a, const float *b, size_t b_step, int n);
/* "Rows": 16 lanes and their halving. */
float written_rms_scale(const float *x, int hidden, float eps);
void written_log_sum_exp(const float *x, int n_columns, float *max, float *lse);
/* "Attention": one query head of one row over positions [first, n), whose keys and values are
 * [n, head_dim] as the cache holds them, for I8 with a scale [n] of each position. */
struct written_attention {
    const float *q, *keys, *values;
    const float *k_scale, *v_scale; /* NULL: none */
    int head_dim, first, n;
    float scale, softcap;
    bool bf16_weights; /* the format of queries is BF16 */
};
void written_attention(float *out, const struct written_attention *a);
