/* gated and softcap, on every level and at awkward sizes: the written order bit for bit, float64
 * within the rounding bound, and what must not be lost. */
#include "kernels/device.h"
#include "kernels/math.h"
#include "tests/kernels/close.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/row_case.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- gated ---- */

struct gated_case {
    const float *gate, *up;
    int ffn;
    enum activation activation;
};

static float gated_want(void *context, int t, int k)
{
    const struct gated_case *c = context;
    const float gate = c->gate[t * c->ffn + k];
    float y = gate;
    if (c->activation == ACTIVATION_GELU_TANH) {
        const float square = gate * gate;
        y = gate * fmaf(square, 0x1.2444f2p-4f, 0x1.988454p+0f);
    }
    const float below = 1.0f + math_exp(0.0f - y);
    const float activated = gate / below;
    return activated * c->up[t * c->ffn + k];
}

static void gated_shape(struct device *device, const char *name, int n_tokens, int ffn, int leaf,
                        enum dtype dtype, enum activation activation)
{
    const size_t n = (size_t)(n_tokens * ffn);
    float *gate = malloc((n + 1) * sizeof *gate), *up = malloc((n + 1) * sizeof *up);
    for (size_t i = 0; i < n; i++) {
        gate[i] = (i % 5 == 0 ? 100 : 8) * number_at(5, i, 0);
        up[i] = number_at(6, i, 0);
        CHECK(fabs((double)math_exp(gate[i]) / exp((double)gate[i]) - 1) <= 0x1p-22 ||
              fabsf(gate[i]) > 87);
    }
    const struct leaves leaves = leaves_every(ffn, leaf);
    struct output out = output_make(dtype, n_tokens, &leaves);
    op_gated(device, &(struct gated_args){.out = out.operand,
                                          .leaves = &leaves,
                                          .gate = gate,
                                          .up = up,
                                          .activation = activation,
                                          .n_tokens = n_tokens,
                                          .ffn = ffn});
    char what[96];
    snprintf(what, sizeof what, "%s gated %d x %d in leaves of %d", name, n_tokens, ffn, leaf);
    output_check(what, &out, gated_want, &(struct gated_case){gate, up, ffn, activation});
    output_free(&out);
    free(up);
    free(gate);
}

static void gated_shapes(struct device *device, const char *name)
{
    for (int t = 0; t < ROW_TOKENS; t++)
        for (int w = 0; w < ROW_WIDTHS; w++)
            for (int a = ACTIVATION_SILU; a <= ACTIVATION_GELU_TANH; a++) {
                const int n = row_tokens[t], ffn = row_widths[w], leaf = 9 + ffn / 16;
                const enum activation activation = (enum activation)a;
                gated_shape(device, name, n, ffn, 4096, DTYPE_BF16, activation);
                gated_shape(device, name, n, ffn, 4096, DTYPE_F32, activation);
                gated_shape(device, name, n, ffn, leaf, DTYPE_BF16, activation);
                gated_shape(device, name, n, ffn, leaf, DTYPE_F32, activation);
            }
}

TEST(gated_is_math_exp_and_plain_operations_in_every_layout) { levels_each(gated_shapes); }

/* One row of n gates beside ones; free with output_free(). */
static struct output gated_row(struct device *device, const float *gate, int n,
                               enum activation activation)
{
    float *up = malloc((size_t)n * sizeof *up);
    for (int i = 0; i < n; i++)
        up[i] = 1;
    const struct leaves leaves = leaves_one(n);
    struct output out = output_make(DTYPE_F32, 1, &leaves);
    op_gated(device, &(struct gated_args){.out = out.operand,
                                          .leaves = &leaves,
                                          .gate = gate,
                                          .up = up,
                                          .activation = activation,
                                          .n_tokens = 1,
                                          .ffn = n});
    output_check(device->ops->name, &out, gated_want,
                 &(struct gated_case){gate, up, n, activation});
    free(up);
    return out;
}

static void gated_dense(struct device *device, const char *name)
{
    (void)name;
    enum { N = 1 << 16 };
    float *gate = malloc(N * sizeof *gate);
    for (uint32_t i = 0; i < N; i++) { /* every sign and exponent */
        const uint32_t bits = i << 16 | (i * 40503u & 0xffffu);
        memcpy(&gate[i], &bits, sizeof bits);
        if (!(fabsf(gate[i]) < INFINITY))
            gate[i] = (float)i;
    }
    for (int a = ACTIVATION_SILU; a <= ACTIVATION_GELU_TANH; a++) {
        struct output out = gated_row(device, gate, N, (enum activation)a);
        output_free(&out);
    }
    free(gate);
}

TEST(exp_in_the_row_kernels_equals_math_exp_over_its_whole_range) { levels_each(gated_dense); }

/* The definitions in float64, in the form that loses nothing: y is off by 4 roundings, which exp
 * makes 4 |y| of, relative; then exp, the sum, the quotient. */
static void gated_near(struct device *device, const char *name)
{
    (void)name;
    enum { N = 12000 };
    float *gate = malloc(N * sizeof *gate);
    for (int i = 0; i < N; i++)
        gate[i] = (float)(i - N / 2) * 0x1p-10f;
    for (int a = ACTIVATION_SILU; a <= ACTIVATION_GELU_TANH; a++) {
        struct output out = gated_row(device, gate, N, (enum activation)a);
        const float *got = out.operand.data;
        for (int i = 0; i < N; i++) {
            const double x = (double)gate[i];
            const double z = sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x);
            const double y = a == ACTIVATION_SILU ? x : 2 * z, want = x / (1 + exp(-y));
            CHECK(fabs((double)got[i] - want) <= (8 + 4 * fabs(y)) * 0x1p-24 * fabs(want));
            if (a == ACTIVATION_GELU_TANH)
                CHECK(fabs(want - x / 2 * (1 + tanh(z))) < 1e-14);
        }
        output_free(&out);
    }
    free(gate);
}

TEST(silu_and_gelu_are_near_their_definitions) { levels_each(gated_near); }

static void gated_nan(struct device *device, const char *name)
{
    (void)name;
    const float gate[3] = {1, NAN, -INFINITY};
    for (int a = ACTIVATION_SILU; a <= ACTIVATION_GELU_TANH; a++) {
        const float up[3] = {1, 1, 1};
        const struct leaves leaves = leaves_one(3);
        struct output out = output_make(DTYPE_F32, 1, &leaves);
        op_gated(device, &(struct gated_args){.out = out.operand,
                                              .leaves = &leaves,
                                              .gate = gate,
                                              .up = up,
                                              .activation = (enum activation)a,
                                              .n_tokens = 1,
                                              .ffn = 3});
        const float *got = out.operand.data;
        CHECK(!isnan(got[0]) && isnan(got[1]) && isnan(got[2]));
        output_free(&out);
    }
}

TEST(a_gate_that_is_no_number_is_not_lost) { levels_each(gated_nan); }

/* ---- softcap ---- */

static void softcap_sizes(struct device *device, const char *name)
{
    static const int sizes[] = {0, 1, 7, 16, 100, 4096, 4097, 20000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const float cap = s % 2 ? 30 : 50;
        struct buffer x = buffer_make((size_t)sizes[s]);
        float *want = malloc(((size_t)sizes[s] + 1) * sizeof *want);
        for (int i = 0; i < sizes[s]; i++) {
            x.data[i] = (i % 3 ? 20 : 300) * number_at(9, (uint64_t)i, s);
            want[i] = cap * math_tanh(x.data[i] / cap);
            const double exact = (double)cap * tanh((double)x.data[i] / (double)cap);
            CHECK(fabs((double)want[i] - exact) <= 8 * 0x1p-24 * fabs(exact));
        }
        op_softcap(device, &(struct softcap_args){.x = x.data, .n = sizes[s], .cap = cap});
        for (int i = 0; i < sizes[s]; i++)
            if (!(x.data[i] == want[i]))
                test_fail(__FILE__, __LINE__, "%s softcap of %d: element %d is %a, want %a", name,
                          sizes[s], i, (double)x.data[i], (double)want[i]);
        buffer_check_guards(&x, "softcap");
        buffer_free(&x);
        free(want);
    }
}

TEST(softcap_is_math_tanh_of_the_quotient) { levels_each(softcap_sizes); }

static void softcap_ends(struct device *device, const char *name)
{
    (void)name;
    float x[4] = {INFINITY, -INFINITY, NAN, 0};
    op_softcap(device, &(struct softcap_args){.x = x, .n = 4, .cap = 30});
    CHECK(x[0] == 30 && x[1] == -30 && isnan(x[2]) && x[3] == 0);
}

TEST(softcap_bounds_infinity_and_keeps_nan) { levels_each(softcap_ends); }
