/* The operations on rows, on every level and at awkward sizes: the written order bit for bit,
 * float64 within the rounding bound, and what must not show. */
#include "kernels/cpu/cpu_ops.h"
#include "kernels/math.h"
#include "tests/kernels/close.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/written_order.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int tokens[] = {0, 1, 3, 16, 17, 33};
static const int widths[] = {1, 7, 16, 64, 100, 2048};
enum { N_TOKENS = sizeof tokens / sizeof *tokens, N_WIDTHS = sizeof widths / sizeof *widths };
enum { GUARD_BYTES = 64, GUARD_BYTE = 0xa5 };

static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};

/* ---- weights and operands ---- */

/* n numbers of `dtype` that depend on the seed; whole ones also suit F16. Free with free(). */
static struct weight weight_make(enum dtype dtype, int rows, int stride, uint64_t seed)
{
    const size_t n = (size_t)rows * (size_t)stride;
    void *data = malloc((n + 1) * dtype_bytes(dtype));
    for (size_t i = 0; i < n; i++) {
        if (dtype == DTYPE_F32)
            ((float *)data)[i] = number_at(seed, i, 0);
        else if (dtype == DTYPE_BF16)
            ((bf16 *)data)[i] = bf16_from_f32(number_at(seed, i, 0));
        else /* any sign, exponents of 2^-8 to 2^7, any mantissa */
            ((uint16_t *)data)[i] = (uint16_t)(0x1c00 + 977 * i % 0x4000 + (i % 2 << 15));
    }
    return (struct weight){.data = data, .dtype = dtype, .row_stride = stride};
}

static float weight_at(const struct weight *w, size_t i)
{
    switch (w->dtype) {
    case DTYPE_BF16:
        return bf16_to_f32(((const bf16 *)w->data)[i]);
    case DTYPE_F16:
        return f16_to_f32(((const uint16_t *)w->data)[i]);
    default:
        return ((const float *)w->data)[i];
    }
}

struct output { /* an operand between guards, filled with NaN */
    unsigned char *all;
    size_t n_bytes;
    struct operand operand;
    struct leaves leaves;
};

static struct output output_make(enum dtype dtype, int n_tokens, const struct leaves *leaves)
{
    struct output o = {.n_bytes = operand_bytes(dtype, n_tokens, leaves), .leaves = *leaves};
    o.all = aligned_alloc(64, (o.n_bytes + 2 * GUARD_BYTES + 63) / 64 * 64);
    memset(o.all, GUARD_BYTE, GUARD_BYTES);
    memset(o.all + GUARD_BYTES, 0xff, o.n_bytes);
    memset(o.all + GUARD_BYTES + o.n_bytes, GUARD_BYTE, GUARD_BYTES);
    o.operand = operand_make(o.all + GUARD_BYTES, dtype, n_tokens, leaves);
    return o;
}

static void output_free(struct output *o)
{
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (o->all[i] != GUARD_BYTE || o->all[GUARD_BYTES + o->n_bytes + i] != GUARD_BYTE)
            test_fail(__FILE__, __LINE__, "wrote outside the operand");
    free(o->all);
}

/* Element k of token t, padding counted: the formula of kernels/tensor.h. */
static float padded_at(const struct output *o, int t, int k)
{
    const struct operand *x = &o->operand;
    if (x->dtype == DTYPE_F32)
        return ((const float *)x->data)[t * x->k + k];
    const int group = t / 16, left = x->n_tokens - group * 16, n = left < 16 ? left : 16;
    const bf16 *data = (const bf16 *)x->data + group * 16 * x->k_padded;
    return bf16_to_f32(data[k / 2 * n * 2 + t % 16 * 2 + k % 2]);
}

/* Every element of the operand is want(t, k), rounded once; padding is zero. */
static void check_output(const char *what, const struct output *o,
                         float (*want)(void *context, int t, int k), void *context)
{
    for (int t = 0; t < o->operand.n_tokens; t++) {
        int begin = 0, at = 0;
        for (int l = 0; l < o->leaves.n_leaves; l++) {
            for (int k = begin; k < o->leaves.leaf[l].k_end; k++, at++) {
                float wanted = want(context, t, k);
                if (o->operand.dtype == DTYPE_BF16)
                    wanted = bf16_to_f32(bf16_from_f32(wanted));
                if (!(padded_at(o, t, at) == wanted))
                    test_fail(__FILE__, __LINE__, "%s: token %d element %d is %a, want %a", what, t,
                              k, (double)padded_at(o, t, at), (double)wanted);
            }
            begin = o->leaves.leaf[l].k_end;
            for (; o->operand.dtype == DTYPE_BF16 && at % 32 != 0; at++)
                if (padded_at(o, t, at) != 0)
                    test_fail(__FILE__, __LINE__, "%s: padding of token %d is not zero", what, t);
        }
    }
}

/* Runs check() on every level, with one thread and with three. */
static void on_every_level(void (*check_level)(struct device *, const char *name))
{
    for (int level = 0; level < n_cpu_levels; level++)
        for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
            struct device *device = level_open(level, n_threads);
            if (device != NULL)
                check_level(device, cpu_levels[level].ops.name);
            device_close(device);
        }
}

/* ---- embed ---- */

static void embed_shape(struct device *device, int n_tokens, int hidden, enum dtype dtype,
                        float scale)
{
    enum { FIRST = 5, COUNT = 9 };
    struct weight table = weight_make(dtype, COUNT, hidden + 3, 1);
    int32_t token[33];
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
    for (int t = 0; t < N_TOKENS; t++)
        for (int w = 0; w < N_WIDTHS; w++)
            for (int d = 0; d < 3; d++)
                embed_shape(device, tokens[t], widths[w], dtypes[d], d == w % 3 ? 45.25f : 1);
}

TEST(embed_takes_the_scaled_rows_of_its_range_and_zeros_elsewhere) { on_every_level(embed_shapes); }

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

/* ---- rms_norm ---- */

struct norm_case {
    const float *row[33]; /* after delta was added */
    float scale[33];
    struct weight weight;
};

static float norm_want(void *context, int t, int k)
{
    const struct norm_case *c = context;
    const float scaled = c->row[t][k] * c->scale[t];
    return scaled * weight_at(&c->weight, (size_t)k);
}

static void norm_shape(struct device *device, const char *name, int n_tokens, int hidden,
                       enum dtype out_dtype, enum dtype weight_dtype, int variant)
{
    enum { PLAIN, DELTA, ROWS, BIAS };
    const size_t n = (size_t)(n_tokens * hidden);
    struct buffer residual = buffer_make(n);
    float *delta = malloc((n + 1) * sizeof *delta), *sum = malloc((n + 1) * sizeof *sum);
    int32_t row[33];
    const struct weight bias = weight_make(weight_dtype, 1, hidden, 5);
    for (size_t i = 0; i < n; i++) {
        residual.data[i] = 3 * number_at(2, i, 0);
        delta[i] = number_at(3, i, 0);
        const float biased = delta[i] + weight_at(&bias, i % (size_t)hidden);
        sum[i] = residual.data[i];
        if (variant == DELTA || variant == BIAS)
            sum[i] += variant == BIAS ? biased : delta[i];
    }
    const float eps = 1e-5f;
    struct norm_case want = {.weight = weight_make(weight_dtype, 1, hidden, 4)};
    for (int t = 0; t < n_tokens; t++) {
        row[t] = n_tokens - 1 - t;
        want.row[t] = sum + (variant == ROWS ? row[t] : t) * hidden;
        want.scale[t] = written_rms_scale(want.row[t], hidden, eps);
        double squares = 0;
        for (int i = 0; i < hidden; i++)
            squares += (double)want.row[t][i] * (double)want.row[t][i];
        const double exact = 1 / sqrt(squares / hidden + (double)eps);
        CHECK(fabs((double)want.scale[t] - exact) <= (hidden + 4) * 0x1p-24 * exact);
    }
    const struct leaves leaves = leaves_one(hidden);
    struct output out = output_make(out_dtype, n_tokens, &leaves);
    const bool adds = variant == DELTA || variant == BIAS;
    op_rms_norm(device,
                &(struct rms_norm_args){.out = out.operand,
                                        .residual = residual.data,
                                        .delta = adds ? delta : NULL,
                                        .delta_bias = variant == BIAS ? bias : (struct weight){0},
                                        .row = variant == ROWS ? row : NULL,
                                        .weight = want.weight,
                                        .n_tokens = n_tokens,
                                        .hidden = hidden,
                                        .eps = eps});
    char what[96];
    snprintf(what, sizeof what, "%s rms_norm %d x %d variant %d", name, n_tokens, hidden, variant);
    check_output(what, &out, norm_want, &want);
    CHECK(n == 0 || memcmp(residual.data, sum, n * sizeof *sum) == 0);
    buffer_check_guards(&residual, what);
    output_free(&out);
    buffer_free(&residual);
    free((void *)want.weight.data);
    free((void *)bias.data);
    free(sum);
    free(delta);
}

static void norm_shapes(struct device *device, const char *name)
{
    for (int t = 0; t < N_TOKENS; t++)
        for (int w = 0; w < N_WIDTHS; w++)
            for (int variant = 0; variant < 4; variant++) {
                const enum dtype dtype = dtypes[variant % 3];
                norm_shape(device, name, tokens[t], widths[w], DTYPE_BF16, dtype, variant);
                norm_shape(device, name, tokens[t], widths[w], DTYPE_F32, dtype, variant);
            }
}

TEST(rms_norm_is_the_written_order_and_adds_the_delta_first) { on_every_level(norm_shapes); }

/* ---- gated ---- */

struct silu_case {
    const float *gate, *up;
    int ffn;
};

static float silu_want(void *context, int t, int k)
{
    const struct silu_case *c = context;
    const float gate = c->gate[t * c->ffn + k];
    const float below = 1.0f + math_exp(0.0f - gate);
    const float silu = gate / below;
    return silu * c->up[t * c->ffn + k];
}

/* Leaves of `step` elements, a shorter last one. */
static struct leaves leaves_of(int k, int step)
{
    struct leaves leaves = {.n_parts = 1};
    for (int end = 0, i = 0; end < k; i++) {
        end = end + step < k && i < MAX_LEAVES - 1 ? end + step : k;
        leaves.leaf[leaves.n_leaves++] = (struct leaf){.k_end = end, .n_merges = i > 0};
    }
    return leaves;
}

static void silu_shape(struct device *device, const char *name, int n_tokens, int ffn, int leaf,
                       enum dtype dtype)
{
    const size_t n = (size_t)(n_tokens * ffn);
    float *gate = malloc((n + 1) * sizeof *gate), *up = malloc((n + 1) * sizeof *up);
    for (size_t i = 0; i < n; i++) {
        gate[i] = (i % 5 == 0 ? 100 : 8) * number_at(5, i, 0);
        up[i] = number_at(6, i, 0);
        CHECK(fabs((double)math_exp(gate[i]) / exp((double)gate[i]) - 1) <= 0x1p-22 ||
              fabsf(gate[i]) > 87);
    }
    const struct leaves leaves = leaves_of(ffn, leaf);
    struct output out = output_make(dtype, n_tokens, &leaves);
    op_gated(device, &(struct gated_args){.out = out.operand,
                                          .leaves = &leaves,
                                          .gate = gate,
                                          .up = up,
                                          .n_tokens = n_tokens,
                                          .ffn = ffn});
    char what[96];
    snprintf(what, sizeof what, "%s gated %d x %d in leaves of %d", name, n_tokens, ffn, leaf);
    check_output(what, &out, silu_want, &(struct silu_case){gate, up, ffn});
    output_free(&out);
    free(up);
    free(gate);
}

static void silu_shapes(struct device *device, const char *name)
{
    for (int t = 0; t < N_TOKENS; t++)
        for (int w = 0; w < N_WIDTHS; w++) {
            silu_shape(device, name, tokens[t], widths[w], 4096, DTYPE_BF16);
            silu_shape(device, name, tokens[t], widths[w], 4096, DTYPE_F32);
            silu_shape(device, name, tokens[t], widths[w], 9 + widths[w] / 16, DTYPE_BF16);
            silu_shape(device, name, tokens[t], widths[w], 9 + widths[w] / 16, DTYPE_F32);
        }
}

TEST(silu_mul_is_math_exp_and_plain_operations_in_every_layout) { on_every_level(silu_shapes); }

static void silu_dense(struct device *device, const char *name)
{
    enum { N = 1 << 16 };
    float *gate = malloc(N * sizeof *gate), *up = malloc(N * sizeof *up);
    for (uint32_t i = 0; i < N; i++) { /* every sign and exponent */
        const uint32_t bits = i << 16 | (i * 40503u & 0xffffu);
        memcpy(&gate[i], &bits, sizeof bits);
        if (!(fabsf(gate[i]) < INFINITY))
            gate[i] = (float)i;
        up[i] = 1;
    }
    const struct leaves leaves = leaves_one(N);
    struct output out = output_make(DTYPE_F32, 1, &leaves);
    op_gated(device, &(struct gated_args){.out = out.operand,
                                          .leaves = &leaves,
                                          .gate = gate,
                                          .up = up,
                                          .n_tokens = 1,
                                          .ffn = N});
    check_output(name, &out, silu_want, &(struct silu_case){gate, up, N});
    output_free(&out);
    free(up);
    free(gate);
}

TEST(exp_in_the_row_kernels_equals_math_exp_over_its_whole_range) { on_every_level(silu_dense); }

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
