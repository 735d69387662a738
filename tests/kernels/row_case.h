/* tests/kernels/row_case.h: weights and operands for the tests of the row kernels. */
#pragma once
#include "kernels/ops.h"

#include <stdint.h>

/* The awkward sizes: tokens around a group, widths around a vector and a block. */
enum { ROW_TOKENS = 6, ROW_WIDTHS = 6, ROW_DTYPES = 3, ROW_TOKENS_MAX = 33 };
extern const int row_tokens[ROW_TOKENS], row_widths[ROW_WIDTHS];
extern const enum dtype row_dtypes[ROW_DTYPES]; /* of weights */

/* n numbers of `dtype` that depend on the seed; whole ones also suit F16. Free with free(). */
struct weight weight_make(enum dtype dtype, int rows, int stride, uint64_t seed);
float weight_at(const struct weight *w, size_t i);

/* Leaves of `step` elements, a shorter last one. */
struct leaves leaves_every(int k, int step);

struct output { /* an operand between guards, filled with NaN */
    unsigned char *all;
    size_t n_bytes;
    struct operand operand;
    struct leaves leaves;
};

struct output output_make(enum dtype dtype, int n_tokens, const struct leaves *leaves);
void output_free(struct output *o); /* fails the test where a guard was written */
/* Every element of the operand is want(t, k), rounded once; padding is zero. */
void output_check(const char *what, const struct output *o,
                  float (*want)(void *context, int t, int k), void *context);
