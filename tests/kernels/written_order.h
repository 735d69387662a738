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
 * [n, head_dim], already rounded to the cache dtype. */
void written_attention(float *out, const float *q, const float *keys, const float *values,
                       int head_dim, int first, int n, float scale, bool bf16_cache);
