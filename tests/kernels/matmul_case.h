/* tests/kernels/matmul_case.h: one matmul with made-up numbers, in every form that a test needs:
 * as plain float32 (after rounding to its format) and as the kernels take it. */
#pragma once
#include "kernels/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;

typedef float number_fn(uint64_t seed, uint64_t a, uint64_t b); /* tests/kernels/levels.h */

/* Writes element i of an array in a format, and gives what it then is. */
float number_put(void *data, enum dtype dtype, size_t i, float value);

struct matmul_shape {
    enum dtype x_dtype, weight_dtype;
    int n_tokens, n_out;
    struct leaves leaves;
    number_fn *x_number, *w_number;
    int stride_extra; /* elements between the rows of the weight; they hold NaN */
    int offset;       /* elements that the weight is away from an aligned address */
    bool bias;
};

struct matmul_case {
    struct matmul_shape shape;
    int k;
    float *x, *w, *bias; /* [n_tokens, k], [n_out, k], [n_out] or NULL */
    void *operand, *weight;
    struct matmul_args args; /* out is not set */
    size_t n_out_numbers;    /* of the whole output */
};

struct matmul_case matmul_case_make(const struct matmul_shape *shape);
void matmul_case_free(struct matmul_case *c);
/* A case of one of its tokens; borrows the weight. Free it before the case. */
struct matmul_case matmul_case_row(const struct matmul_case *c, int token);
/* out: [n_parts, n_tokens, n_out]; checks that nothing beside it was written. */
void matmul_case_run(const struct matmul_case *c, struct device *device, float *out);
/* The same sums one number at a time, as docs/numerics.md writes them. */
void matmul_case_written(const struct matmul_case *c, float *out);
/* Fails the test unless all bits are equal; a NaN equals a NaN. */
void check_bits(const char *what, const float *got, const float *want, size_t n);

/* Leaves with these lengths, merged as far as the tree goes from the left: n_merges of leaf i is
 * the number of trailing ones of i, at the end all but n_parts are merged. */
struct leaves leaves_of(const int *lengths, int n_leaves, int n_parts);
