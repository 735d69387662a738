/* tests/kernels/row_case.h: weights and outputs of the operations on rows, and their sizes. */
#pragma once
#include "kernels/device.h"
#include "kernels/tensor.h"

#include <stdint.h>

static const int row_tokens[] = {0, 1, 3, 16, 17, 33};
/* The last has several items in every operation. */
extern const int row_widths[];
static const enum dtype weight_dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
enum {
    N_ROW_TOKENS = sizeof row_tokens / sizeof *row_tokens,
    N_ROW_WIDTHS = 6,
    N_WEIGHT_DTYPES = sizeof weight_dtypes / sizeof *weight_dtypes,
    MAX_ROW_TOKENS = 33,
};

/* Numbers of `dtype` that depend on the seed; whole ones also suit F16. Free with free(). */
struct weight weight_make(enum dtype dtype, int rows, int stride, uint64_t seed);
float weight_at(const struct weight *w, size_t i);

struct output { /* an operand between guards, filled with NaN */
    unsigned char *all;
    size_t n_bytes;
    struct operand operand;
    struct leaves leaves;
};
struct output output_make(enum dtype dtype, int n_tokens, const struct leaves *leaves);
void output_free(struct output *o); /* checks the guards */

/* Element k of token t, padding counted: the formula of kernels/tensor.h. */
float operand_at(const struct operand *x, int t, int k);

/* Every element of the operand is want(t, k), rounded once; padding is zero. */
void check_output(const char *what, const struct output *o,
                  float (*want)(void *context, int t, int k), void *context);

/* Runs check_level() on every level, with one thread and with three. */
void on_every_level(void (*check_level)(struct device *, const char *name));
