/* embed, the norms and log_sum_exp, on every level and at awkward sizes: the written order bit for
 * bit, float64 within the rounding bound, and what must not show. */
#include "tests/kernels/close.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/row_case.h"
#include "tests/kernels/written_order.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- embed ---- */

static void embed_shape(struct device *device, int n_tokens, int hidden, enum dtype dtype,
                        float scale)
{
    enum { FIRST = 5, COUNT = 9 };
    struct weight table = weight_make(dtype, COUNT, hidden + 3, 1);
    int32_t token[ROW_TOKENS_MAX];
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
    for (int t = 0; t < ROW_TOKENS; t++)
        for (int w = 0; w < ROW_WIDTHS; w++)
            for (int d = 0; d < 3; d++)
                embed_shape(device, row_tokens[t], row_widths[w], row_dtypes[d],
                            d == w % 3 ? 45.25f : 1);
}

TEST(embed_takes_the_scaled_rows_of_its_range_and_zeros_elsewhere) { levels_each(embed_shapes); }

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

TEST(embed_has_no_minus_zero) { levels_each(embed_minus_zero); }

/* ---- rms_norm ---- */

struct norm_case {
    const float *row[ROW_TOKENS_MAX]; /* after delta was added */
    float scale[ROW_TOKENS_MAX], offset;
    struct weight weight;
};

static float norm_want(void *context, int t, int k)
{
    const struct norm_case *c = context;
    const float scaled = c->row[t][k] * c->scale[t];
    const float weight = c->offset + weight_at(&c->weight, (size_t)k);
    return scaled * weight;
}

static const float eps = 1e-5f;

/* The written order, which float64 confirms. */
static float rms_scale(const float *x, int n)
{
    const float scale = written_rms_scale(x, n, eps);
    double squares = 0;
    for (int i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    const double exact = 1 / sqrt(squares / n + (double)eps);
    CHECK(fabs((double)scale - exact) <= (n + 4) * 0x1p-24 * exact);
    return scale;
}

/* What a call gets: a bit each. ROWS goes with none of those about the delta. */
enum { ROWS = 1, DELTA = 2, BIAS = 4, DELTA_NORM = 8, OFFSET = 16 };
static const int variants[] = {0,
                               ROWS,
                               DELTA,
                               DELTA | BIAS,
                               OFFSET,
                               ROWS | OFFSET,
                               DELTA | DELTA_NORM,
                               DELTA | BIAS | DELTA_NORM | OFFSET,
                               DELTA | DELTA_NORM | OFFSET};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

/* sum = residual + what becomes of the delta. */
static void add_delta(float *sum, const float *residual, const float *delta,
                      const struct rms_norm_args *args)
{
    const int n = args->hidden;
    float *d = malloc((size_t)n * sizeof *d);
    for (int i = 0; i < n; i++)
        d[i] =
            args->delta_bias.data ? delta[i] + weight_at(&args->delta_bias, (size_t)i) : delta[i];
    const float scale = args->delta_norm.data ? rms_scale(d, n) : 1;
    for (int i = 0; i < n; i++) {
        if (args->delta_norm.data) {
            const float scaled = d[i] * scale;
            const float weight = args->offset + weight_at(&args->delta_norm, (size_t)i);
            d[i] = scaled * weight;
        }
        sum[i] = residual[i] + d[i];
    }
    free(d);
}

static void norm_shape(struct device *device, const char *name, int n_tokens, int hidden,
                       enum dtype out_dtype, enum dtype weight_dtype, int variant)
{
    const size_t n = (size_t)(n_tokens * hidden);
    struct buffer residual = buffer_make(n);
    float *delta = malloc((n + 1) * sizeof *delta), *sum = malloc((n + 1) * sizeof *sum);
    int32_t row[ROW_TOKENS_MAX];
    const struct weight none = {0}, bias = weight_make(weight_dtype, 1, hidden, 5);
    const struct weight weight = weight_make(weight_dtype, 1, hidden, 4);
    const struct weight delta_norm = weight_make(weight_dtype, 1, hidden, 6);
    const struct leaves leaves = leaves_one(hidden);
    struct output out = output_make(out_dtype, n_tokens, &leaves);
    const struct rms_norm_args args = {.out = out.operand,
                                       .residual = residual.data,
                                       .delta = variant & DELTA ? delta : NULL,
                                       .delta_bias = variant & BIAS ? bias : none,
                                       .delta_norm = variant & DELTA_NORM ? delta_norm : none,
                                       .row = variant & ROWS ? row : NULL,
                                       .weight = weight,
                                       .n_tokens = n_tokens,
                                       .hidden = hidden,
                                       .eps = eps,
                                       .offset = variant & OFFSET ? 1.0f : 0.0f};
    for (size_t i = 0; i < n; i++) {
        sum[i] = residual.data[i] = 3 * number_at(2, i, 0);
        delta[i] = number_at(3, i, 0);
    }
    struct norm_case want = {.weight = weight, .offset = args.offset};
    for (int t = 0; t < n_tokens; t++) {
        const size_t at = (size_t)(t * hidden);
        row[t] = n_tokens - 1 - t;
        if (args.delta)
            add_delta(sum + at, residual.data + at, delta + at, &args);
    }
    for (int t = 0; t < n_tokens; t++) {
        want.row[t] = sum + (args.row ? row[t] : t) * hidden;
        want.scale[t] = rms_scale(want.row[t], hidden);
    }
    op_rms_norm(device, &args);
    char what[96];
    snprintf(what, sizeof what, "%s rms_norm %d x %d variant %d", name, n_tokens, hidden, variant);
    output_check(what, &out, norm_want, &want);
    CHECK(n == 0 || memcmp(residual.data, sum, n * sizeof *sum) == 0);
    buffer_check_guards(&residual, what);
    output_free(&out);
    buffer_free(&residual);
    free((void *)weight.data);
    free((void *)bias.data);
    free((void *)delta_norm.data);
    free(sum);
    free(delta);
}

static void norm_shapes(struct device *device, const char *name)
{
    for (int t = 0; t < ROW_TOKENS; t++)
        for (int w = 0; w < ROW_WIDTHS; w++)
            for (int v = 0; v < N_VARIANTS; v++) {
                const enum dtype dtype = row_dtypes[(v + w) % ROW_DTYPES];
                norm_shape(device, name, row_tokens[t], row_widths[w], DTYPE_BF16, dtype,
                           variants[v]);
                norm_shape(device, name, row_tokens[t], row_widths[w], DTYPE_F32, dtype,
                           variants[v]);
            }
}

TEST(rms_norm_is_the_written_order_and_adds_the_delta_first) { levels_each(norm_shapes); }

/* ---- head_norm ---- */

static void head_norm_shape(struct device *device, int n_tokens, int n_heads, int head_dim,
                            enum dtype dtype, float offset)
{
    const size_t n = (size_t)(n_tokens * n_heads * head_dim);
    struct buffer x = buffer_make(n);
    float *want = malloc((n + 1) * sizeof *want);
    const struct weight weight = weight_make(dtype, 1, head_dim, 8);
    for (size_t i = 0; i < n; i++)
        x.data[i] = 3 * number_at(7, i, 0);
    for (size_t i = 0; i < n; i++) {
        const size_t in_head = i % (size_t)head_dim;
        const float scaled = x.data[i] * rms_scale(x.data + i - in_head, head_dim);
        const float by = offset + weight_at(&weight, in_head);
        want[i] = scaled * by;
    }
    op_head_norm(device, &(struct head_norm_args){.x = x.data,
                                                  .weight = weight,
                                                  .n_tokens = n_tokens,
                                                  .n_heads = n_heads,
                                                  .head_dim = head_dim,
                                                  .eps = eps,
                                                  .offset = offset});
    CHECK(n == 0 || memcmp(x.data, want, n * sizeof *want) == 0);
    buffer_check_guards(&x, "head_norm");
    buffer_free(&x);
    free((void *)weight.data);
    free(want);
}

static void head_norm_shapes(struct device *device, const char *name)
{
    (void)name;
    static const int dims[] = {1, 7, 16, 20, 64, 128, MAX_HEAD_DIM};
    for (int t = 0; t < 4; t++)
        for (int d = 0; d < 7; d++) {
            head_norm_shape(device, row_tokens[t], 1 + d % 3, dims[d], row_dtypes[d % 3], 0);
            head_norm_shape(device, row_tokens[t], 1 + t, dims[d], row_dtypes[(d + 1) % 3], 1);
        }
}

TEST(head_norm_is_rms_norm_of_every_head) { levels_each(head_norm_shapes); }

/* ---- log_sum_exp ---- */

static void lse_shapes(struct device *device, const char *name)
{
    static const int columns[] = {1, 7, 16, 255, 256, 257, 700, 1000, 1700, 2048, 2777, 3300, 5003};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        enum { N_ROWS = 3 };
        const int n = columns[i], stride = n + 5;
        float *x = malloc((size_t)(N_ROWS * stride) * sizeof *x);
        for (int j = 0; j < N_ROWS * stride; j++)
            x[j] = j % stride < n ? 20 * number_at(7, (uint64_t)j, 0) : NAN;
        x[stride / 2] = n > 1 ? -INFINITY : x[0]; /* a token that is not allowed */
        for (int j = 0; j < n; j++) /* one near 1: log hides nothing of the order of the sum */
            x[stride + j] = j == n / 3 ? 0 : 3 * number_at(8, (uint64_t)j, 0) - 9;
        struct buffer max = buffer_make(N_ROWS), lse = buffer_make(N_ROWS);
        op_log_sum_exp(device, &(struct log_sum_exp_args){.max = max.data,
                                                          .lse = lse.data,
                                                          .logits = x,
                                                          .n_rows = N_ROWS,
                                                          .n_columns = n,
                                                          .row_stride = stride});
        for (int r = 0; r < N_ROWS; r++) {
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

TEST(log_sum_exp_is_the_written_order) { levels_each(lse_shapes); }

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

TEST(a_nan_anywhere_in_a_row_of_logits_is_not_lost) { levels_each(lse_nan); }
