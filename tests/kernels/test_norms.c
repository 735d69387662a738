/* RMS norms of rows, of branches before they are added, and of heads: on every level and at awkward
 * sizes, the written order bit for bit and float64 within the rounding bound. */
#include "kernels/ops.h"
#include "tests/kernels/close.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/row_case.h"
#include "tests/kernels/written_order.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float EPS = 1e-5f;

/* One row by the written order, in place or not; also near float64: the sum has n roundings, then
 * come a quotient, a sum, a root, a quotient, the sum with the offset and two products. */
static void norm_row(float *out, const float *x, const struct weight *weight, float offset, int n)
{
    const float scale = written_rms_scale(x, n, EPS);
    double squares = 0;
    for (int i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    const double exact = 1 / sqrt(squares / n + (double)EPS);
    for (int i = 0; i < n; i++) {
        const float w = weight_at(weight, (size_t)i), by = offset + w, scaled = x[i] * scale;
        const double want = (double)x[i] * exact * ((double)offset + (double)w);
        const double size = fabs((double)x[i]) * exact * (fabs((double)offset) + fabs((double)w));
        out[i] = scaled * by;
        CHECK(fabs((double)out[i] - want) <= (n + 8) * 0x1p-24 * size);
    }
}

/* ---- rms_norm ---- */

enum variant { PLAIN, DELTA, ROWS, BIAS, NORMED, NORMED_BIAS, N_VARIANTS };

struct norm_case {
    int n_tokens, hidden;
    enum variant variant;
    float offset;
    struct weight weight, bias, delta_norm;
    float *delta;
    float *sum;  /* [n_tokens, hidden]: the residual after the delta, as written */
    float *want; /* [n_tokens, hidden], of the output before its rounding */
    int32_t row[MAX_ROW_TOKENS];
};

static bool has_delta(const struct norm_case *c)
{
    return c->variant != PLAIN && c->variant != ROWS;
}

static bool has_bias(const struct norm_case *c)
{
    return c->variant == BIAS || c->variant == NORMED_BIAS;
}

static bool has_delta_norm(const struct norm_case *c)
{
    return c->variant == NORMED || c->variant == NORMED_BIAS;
}

static void add_delta(struct norm_case *c, int t)
{
    const int n = c->hidden;
    float *d = malloc((size_t)n * sizeof *d), *sum = c->sum + t * n;
    for (int i = 0; i < n; i++) {
        d[i] = c->delta[t * n + i];
        if (has_bias(c))
            d[i] = d[i] + weight_at(&c->bias, (size_t)i);
    }
    if (has_delta_norm(c))
        norm_row(d, d, &c->delta_norm, c->offset, n);
    for (int i = 0; i < n; i++)
        sum[i] = sum[i] + d[i];
    free(d);
}

static struct norm_case norm_make(int n_tokens, int hidden, enum dtype dtype, enum variant variant)
{
    struct norm_case c = {.n_tokens = n_tokens,
                          .hidden = hidden,
                          .variant = variant,
                          .offset = variant == PLAIN || variant >= NORMED ? 1 : 0,
                          .weight = weight_make(dtype, 1, hidden, 4),
                          .bias = weight_make(dtype, 1, hidden, 5),
                          .delta_norm = weight_make(dtype, 1, hidden, 6)};
    const size_t n = (size_t)(n_tokens * hidden);
    c.delta = malloc((n + 1) * sizeof *c.delta);
    c.sum = malloc((n + 1) * sizeof *c.sum);
    c.want = malloc((n + 1) * sizeof *c.want);
    for (size_t i = 0; i < n; i++) {
        c.sum[i] = 3 * number_at(2, i, 0);
        c.delta[i] = number_at(3, i, 0);
    }
    return c;
}

static void norm_free(struct norm_case *c)
{
    free((void *)c->weight.data);
    free((void *)c->bias.data);
    free((void *)c->delta_norm.data);
    free(c->delta);
    free(c->sum);
    free(c->want);
}

static float norm_want(void *context, int t, int k)
{
    const struct norm_case *c = context;
    return c->want[t * c->hidden + k];
}

static void norm_shape(struct device *device, const char *name, struct norm_case *c,
                       enum dtype out_dtype)
{
    const size_t n = (size_t)(c->n_tokens * c->hidden);
    struct buffer residual = buffer_make(n);
    for (size_t i = 0; i < n; i++)
        residual.data[i] = c->sum[i];
    for (int t = 0; t < c->n_tokens; t++) {
        c->row[t] = c->n_tokens - 1 - t;
        if (has_delta(c))
            add_delta(c, t);
    }
    for (int t = 0; t < c->n_tokens; t++)
        norm_row(c->want + t * c->hidden, c->sum + (c->variant == ROWS ? c->row[t] : t) * c->hidden,
                 &c->weight, c->offset, c->hidden);
    const struct leaves leaves = leaves_one(c->hidden);
    struct output out = output_make(out_dtype, c->n_tokens, &leaves);
    op_rms_norm(device, &(struct rms_norm_args){
                            .out = out.operand,
                            .residual = residual.data,
                            .delta = has_delta(c) ? c->delta : NULL,
                            .delta_bias = has_bias(c) ? c->bias : (struct weight){0},
                            .row = c->variant == ROWS ? c->row : NULL,
                            .delta_norm = has_delta_norm(c) ? c->delta_norm : (struct weight){0},
                            .weight = c->weight,
                            .n_tokens = c->n_tokens,
                            .hidden = c->hidden,
                            .eps = EPS,
                            .offset = c->offset});
    char what[96];
    snprintf(what, sizeof what, "%s rms_norm %d x %d variant %d", name, c->n_tokens, c->hidden,
             (int)c->variant);
    check_output(what, &out, norm_want, c);
    if (n > 0 && memcmp(residual.data, c->sum, n * sizeof *c->sum) != 0)
        test_fail(__FILE__, __LINE__, "%s: the residual is not the written sum", what);
    buffer_check_guards(&residual, what);
    output_free(&out);
    buffer_free(&residual);
}

static void norm_shapes(struct device *device, const char *name)
{
    for (int t = 0; t < N_ROW_TOKENS; t++)
        for (int w = 0; w < N_ROW_WIDTHS; w++)
            for (int v = 0; v < N_VARIANTS; v++)
                for (int f32 = 0; f32 < 2; f32++) {
                    struct norm_case c = norm_make(row_tokens[t], row_widths[w],
                                                   weight_dtypes[v % 3], (enum variant)v);
                    norm_shape(device, name, &c, f32 ? DTYPE_F32 : DTYPE_BF16);
                    norm_free(&c);
                }
}

TEST(rms_norm_is_the_written_order_and_adds_the_delta_first) { on_every_level(norm_shapes); }

/* ---- head_norm ---- */

static void head_shape(struct device *device, const char *name, int n_tokens, int n_heads,
                       int head_dim, enum dtype dtype, float offset)
{
    const size_t n = (size_t)(n_tokens * n_heads * head_dim);
    const struct weight weight = weight_make(dtype, 1, head_dim, 8);
    struct buffer x = buffer_make(n);
    float *want = malloc((n + 1) * sizeof *want);
    for (size_t i = 0; i < n; i++)
        want[i] = x.data[i] = 5 * number_at(9, i, 0);
    for (int h = 0; h < n_tokens * n_heads; h++)
        norm_row(want + h * head_dim, want + h * head_dim, &weight, offset, head_dim);
    op_head_norm(device, &(struct head_norm_args){.x = x.data,
                                                  .row_stride = (int64_t)n_heads * head_dim,
                                                  .weight = weight,
                                                  .n_tokens = n_tokens,
                                                  .n_heads = n_heads,
                                                  .head_dim = head_dim,
                                                  .eps = EPS,
                                                  .offset = offset});
    for (size_t i = 0; i < n; i++)
        if (memcmp(&x.data[i], &want[i], sizeof *want) != 0)
            test_fail(__FILE__, __LINE__, "%s, %d tokens of %d heads of %d: %zu is %a, want %a",
                      name, n_tokens, n_heads, head_dim, i, (double)x.data[i], (double)want[i]);
    buffer_check_guards(&x, "head_norm");
    buffer_free(&x);
    free(want);
    free((void *)weight.data);
}

static void head_shapes(struct device *device, const char *name)
{
    static const int dims[] = {1, 7, 16, 20, 64, 80, 128, 256};
    for (int t = 0; t < N_ROW_TOKENS; t++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
            for (int w = 0; w < N_WEIGHT_DTYPES; w++)
                head_shape(device, name, row_tokens[t], 1 + (int)d % 3, dims[d], weight_dtypes[w],
                           (float)(w % 2));
}

TEST(head_norm_is_the_rms_norm_of_every_head_in_place) { on_every_level(head_shapes); }

static void head_nan(struct device *device, const char *name)
{
    (void)name;
    enum { HEADS = 3, DIM = 20 };
    const struct weight weight = weight_make(DTYPE_F32, 1, DIM, 8);
    for (int at = 0; at < HEADS * DIM; at += 7) {
        float x[HEADS * DIM];
        for (int i = 0; i < HEADS * DIM; i++)
            x[i] = i == at ? NAN : 1;
        op_head_norm(device, &(struct head_norm_args){.x = x,
                                                      .row_stride = HEADS * DIM,
                                                      .weight = weight,
                                                      .n_tokens = 1,
                                                      .n_heads = HEADS,
                                                      .head_dim = DIM,
                                                      .eps = EPS});
        for (int i = 0; i < HEADS * DIM; i++)
            CHECK_EQ(isnan(x[i]) != 0, i / DIM == at / DIM);
    }
    free((void *)weight.data);
}

TEST(a_nan_spoils_its_head_and_no_other) { on_every_level(head_nan); }
