/* Embedding and log-sum-exp, on every level and at awkward sizes: the written order bit for bit,
 * float64 within the rounding bound, and what must not show. */
#include "kernels/ops.h"
#include "tests/kernels/close.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/row_case.h"
#include "tests/kernels/written_order.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

/* ---- embed ---- */

static void embed_shape(struct device *device, int n_tokens, int hidden, enum dtype dtype,
                        float scale)
{
    enum { FIRST = 5, COUNT = 9 };
    struct weight table = weight_make(dtype, COUNT, hidden + 3, 1);
    int32_t token[MAX_ROW_TOKENS];
    for (int t = 0; t < n_tokens; t++)
        token[t] = t * 7 % 20;
    struct buffer out = buffer_make((size_t)(n_tokens * hidden));
    op_embed(device, &(struct embed_args){.out = out.data,
                                          .token = token,
                                          .table = table,
                                          .first = FIRST,
                                          .count = COUNT,
                                          .n_tokens = n_tokens,
                                          .hidden = hidden,
                                          .scale = scale});
    for (int t = 0; t < n_tokens; t++)
        for (int i = 0; i < hidden; i++) {
            const float got = out.data[t * hidden + i];
            const int row = token[t] - FIRST;
            const float want = row < 0 || row >= COUNT
                                   ? 0
                                   : weight_at(&table, (size_t)(row * (hidden + 3) + i)) * scale;
            CHECK(got == want && !(got == 0 && signbit(got)));
        }
    buffer_check_guards(&out, "embed");
    buffer_free(&out);
    free((void *)table.data);
}

static void embed_shapes(struct device *device, const char *name)
{
    (void)name;
    for (int t = 0; t < N_ROW_TOKENS; t++)
        for (int w = 0; w < N_ROW_WIDTHS; w++)
            for (int d = 0; d < N_WEIGHT_DTYPES; d++)
                embed_shape(device, row_tokens[t], row_widths[w], weight_dtypes[d],
                            d == 2 ? 33.94112f : 1);
}

TEST(embed_takes_the_rows_of_its_range_times_the_scale_and_zeros_elsewhere)
{
    on_every_level(embed_shapes);
}

static void embed_minus_zero(struct device *device, const char *name)
{
    (void)name;
    const bf16 minus[40] = {[0 ... 39] = {0x8000}};
    const int32_t token = 0;
    float out[40];
    op_embed(device, &(struct embed_args){.out = out,
                                          .token = &token,
                                          .table = {minus, DTYPE_BF16, 40},
                                          .count = 1,
                                          .n_tokens = 1,
                                          .hidden = 40,
                                          .scale = 1});
    for (int i = 0; i < 40; i++)
        CHECK(out[i] == 0 && !signbit(out[i]));
}

TEST(embed_has_no_minus_zero) { on_every_level(embed_minus_zero); }

/* ---- log_sum_exp ---- */

static void lse_shapes(struct device *device, const char *name)
{
    static const int columns[] = {1, 7, 16, 255, 256, 257, 700, 1000, 1700, 2048, 2777, 3300, 5003};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        enum { ROWS = 3 };
        const int n = columns[i], stride = n + 5;
        float *x = malloc((size_t)(ROWS * stride) * sizeof *x);
        for (int j = 0; j < ROWS * stride; j++)
            x[j] = j % stride < n ? 20 * number_at(7, (uint64_t)j, 0) : NAN;
        x[stride / 2] = n > 1 ? -INFINITY : x[0]; /* a token that is not allowed */
        for (int j = 0; j < n; j++) /* one near 1: log hides nothing of the order of the sum */
            x[stride + j] = j == n / 3 ? 0 : 3 * number_at(8, (uint64_t)j, 0) - 9;
        struct buffer max = buffer_make(ROWS), lse = buffer_make(ROWS);
        op_log_sum_exp(device, &(struct log_sum_exp_args){.max = max.data,
                                                          .lse = lse.data,
                                                          .logits = x,
                                                          .n_rows = ROWS,
                                                          .n_columns = n,
                                                          .row_stride = stride});
        for (int r = 0; r < ROWS; r++) {
            float want_max, want_lse;
            written_log_sum_exp(x + r * stride, n, &want_max, &want_lse);
            if (!(max.data[r] == want_max && lse.data[r] == want_lse))
                test_fail(__FILE__, __LINE__, "%s log_sum_exp of %d: %a %a, want %a %a", name, n,
                          (double)max.data[r], (double)lse.data[r], (double)want_max,
                          (double)want_lse);
            double sum = 0;
            for (int j = 0; j < n; j++)
                sum += exp((double)x[r * stride + j] - (double)want_max);
            const double exact = (double)want_max + log(sum);
            CHECK(fabs((double)lse.data[r] - exact) <=
                  (40 + n) * 0x1p-24 + 4 * 0x1p-24 * (fabs(exact) + fabs((double)want_max)));
        }
        buffer_check_guards(&max, "log_sum_exp max");
        buffer_check_guards(&lse, "log_sum_exp");
        buffer_free(&max);
        buffer_free(&lse);
        free(x);
    }
}

TEST(log_sum_exp_is_the_written_order) { on_every_level(lse_shapes); }

static void lse_nan(struct device *device, const char *name)
{
    (void)name;
    float x[700], max, lse;
    for (int at = 0; at < 700; at += 23) {
        for (int i = 0; i < 700; i++)
            x[i] = i == at ? NAN : (float)(i % 13);
        op_log_sum_exp(device, &(struct log_sum_exp_args){.max = &max,
                                                          .lse = &lse,
                                                          .logits = x,
                                                          .n_rows = 1,
                                                          .n_columns = 700,
                                                          .row_stride = 700});
        CHECK(isnan(max) && isnan(lse));
    }
}

TEST(a_nan_anywhere_in_a_row_of_logits_is_not_lost) { on_every_level(lse_nan); }
