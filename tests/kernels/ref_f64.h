/* tests/kernels/ref_f64.h: what a matmul must give, in float64.
 *
 * One obvious loop, never optimised, never linked into the product. */
#pragma once
#include "kernels/tensor.h"

/* For every part p, token t and output o: want = the sum over the leaves of the part of
 * x[t, k] * w[o, k], plus bias[o], and size = the sum of the absolute values of what was added:
 * what bounds the rounding. */
struct ref_matmul {
    const float *x;    /* [n_tokens, k] */
    const float *w;    /* [n_out, k] */
    const float *bias; /* [n_out] or NULL */
    const struct leaves *leaves;
    int n_tokens, n_out;
};
void ref_matmul(double *want, double *size, const struct ref_matmul *args); /* [n_parts, t, o] */
