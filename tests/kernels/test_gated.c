/* Gated activations and the soft cap, on every level and in every layout: the written order bit for
 * bit, and float64. */
#include "kernels/math.h"
#include "kernels/ops.h"
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
    const float gate = c->gate[t * c->ffn + k], square = gate * gate;
    float w = gate;
    if (c->activation == ACTIVATION_GELU_TANH)
        w = gate * fmaf(square, 0x1.2444f2p-4f, 0x1.988454p+0f);
    const float below = 1.0f + math_exp(0.0f - w);
    const float activated = gate / below;
    return activated * c->up[t * c->ffn + k];
}

/* As kernels/ops.h has it. */
static double gated_f64(enum activation activation, double x)
{
    if (activation == ACTIVATION_SILU)
        return x / (1 + exp(-x));
    return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
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

static void run_gated(struct device *device, const struct output *out, const struct gated_case *c)
{
    op_gated(device, &(struct gated_args){.out = out->operand,
                                          .leaves = &out->leaves,
                                          .gate = c->gate,
                                          .up = c->up,
                                          .row_stride = c->ffn,
                                          .activation = c->activation,
                                          .n_tokens = out->operand.n_tokens,
                                          .ffn = c->ffn});
}

static void gated_shape(struct device *device, const char *name, enum activation activation,
                        int n_tokens, int ffn, int leaf, enum dtype dtype)
{
    const size_t n = (size_t)(n_tokens * ffn);
    float *gate = malloc((n + 1) * sizeof *gate), *up = malloc((n + 1) * sizeof *up);
    for (size_t i = 0; i < n; i++) {
        gate[i] = (i % 5 == 0 ? 100 : 8) * number_at(5, i, 0);
        up[i] = number_at(6, i, 0);
    }
    struct gated_case c = {.gate = gate, .up = up, .ffn = ffn, .activation = activation};
    const struct leaves leaves = leaves_of(ffn, leaf);
    struct output out = output_make(dtype, n_tokens, &leaves);
    run_gated(device, &out, &c);
    char what[96];
    snprintf(what, sizeof what, "%s gated %d: %d x %d in leaves of %d", name, activation, n_tokens,
             ffn, leaf);
    check_output(what, &out, gated_want, &c);
    output_free(&out);
    free(up);
    free(gate);
}

static void gated_shapes(struct device *device, const char *name)
{
    for (int t = 0; t < N_ROW_TOKENS; t++)
        for (int w = 0; w < N_ROW_WIDTHS; w++)
            for (int a = ACTIVATION_SILU; a <= ACTIVATION_GELU_TANH; a++) {
                const int n = row_tokens[t], ffn = row_widths[w], leaf = 9 + ffn / 16;
                gated_shape(device, name, (enum activation)a, n, ffn, 4096, DTYPE_BF16);
                gated_shape(device, name, (enum activation)a, n, ffn, 4096, DTYPE_F32);
                gated_shape(device, name, (enum activation)a, n, ffn, leaf, DTYPE_BF16);
                gated_shape(device, name, (enum activation)a, n, ffn, leaf, DTYPE_F32);
            }
}

TEST(gated_is_math_exp_and_plain_operations_in_every_layout) { on_every_level(gated_shapes); }

enum { N_DENSE = SANITIZED ? 1 << 12 : 1 << 16 };

/* Every sign and exponent, infinities and NaN left out. */
static float *dense_numbers(void)
{
    float *x = malloc(N_DENSE * sizeof *x);
    for (uint32_t i = 0; i < N_DENSE; i++) {
        const uint32_t bits = i * (uint32_t)((1ull << 32) / N_DENSE) + (i * 40503u & 0xffffu);
        memcpy(&x[i], &bits, sizeof bits);
        if (!(fabsf(x[i]) < INFINITY))
            x[i] = (float)i;
    }
    return x;
}

static void gated_dense(struct device *device, const char *name)
{
    float *gate = dense_numbers(), *up = malloc(N_DENSE * sizeof *up);
    for (int i = 0; i < N_DENSE; i++)
        up[i] = 1;
    const struct leaves leaves = leaves_one(N_DENSE);
    for (int a = ACTIVATION_SILU; a <= ACTIVATION_GELU_TANH; a++) {
        struct gated_case c = {gate, up, N_DENSE, (enum activation)a};
        struct output out = output_make(DTYPE_F32, 1, &leaves);
        run_gated(device, &out, &c);
        check_output(name, &out, gated_want, &c);
        output_free(&out);
    }
    free(up);
    free(gate);
}

TEST(exp_in_the_row_kernels_equals_math_exp_over_its_whole_range) { on_every_level(gated_dense); }

/* w is off by 4 roundings, which exp makes |w| times as large beside 2 ulp of its own; then come a
 * sum, a quotient and a product. Beyond the range of exp the result is 0. */
static void gated_near(struct device *device, const char *name)
{
    enum { N = 4001 };
    float gate[N], up[N];
    for (int i = 0; i < N; i++) {
        gate[i] = (float)(i - N / 2) * 0.0061f;
        up[i] = 1;
    }
    const struct leaves leaves = leaves_one(N);
    for (int a = ACTIVATION_SILU; a <= ACTIVATION_GELU_TANH; a++) {
        struct output out = output_make(DTYPE_F32, 1, &leaves);
        run_gated(device, &out, &(struct gated_case){gate, up, N, (enum activation)a});
        for (int i = 0; i < N; i++) {
            const double x = (double)gate[i], want = gated_f64((enum activation)a, x);
            const double w = a == ACTIVATION_SILU ? x : 1.6 * (x + 0.045 * x * x * x);
            const double bound = fabs(want) * (4 * fabs(w) + 8) * 0x1p-24 + fabs(x) * 1e-15;
            const double got = (double)operand_at(&out.operand, 0, i);
            if (!(fabs(got - want) <= bound))
                test_fail(__FILE__, __LINE__, "%s, activation %d of %g is %.9g, want %.9g +- %.2g",
                          name, a, x, got, want, bound);
        }
        output_free(&out);
    }
}

TEST(gated_is_near_silu_and_gelu_in_float64) { on_every_level(gated_near); }

/* ---- softcap ---- */

static void softcap_sizes(struct device *device, const char *name)
{
    static const int sizes[] = {0, 1, 15, 16, 17, 100, 4095, 4096, 4097, 9001};
    static const float caps[] = {30, 0.7f, 1};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t c = 0; c < sizeof caps / sizeof *caps; c++) {
            const int n = sizes[s];
            const float cap = caps[c];
            struct buffer x = buffer_make((size_t)n);
            float *before = malloc(((size_t)n + 1) * sizeof *before);
            for (int i = 0; i < n; i++)
                before[i] = x.data[i] = (i % 3 ? 1 : 200) * number_at(11, (uint64_t)i, 0);
            op_softcap(device, &(struct softcap_args){.x = x.data, .n = n, .cap = cap});
            for (int i = 0; i < n; i++) {
                const float written = cap * math_tanh(before[i] / cap);
                const double want = (double)cap * tanh((double)before[i] / (double)cap);
                if (!(x.data[i] == written))
                    test_fail(__FILE__, __LINE__, "%s: %a capped at %a is %a, want %a", name,
                              (double)before[i], (double)cap, (double)x.data[i], (double)written);
                CHECK(fabs(want - (double)x.data[i]) <= 8 * 0x1p-24 * fabs(want));
            }
            buffer_check_guards(&x, "softcap");
            buffer_free(&x);
            free(before);
        }
}

TEST(softcap_is_cap_times_math_tanh) { on_every_level(softcap_sizes); }

static void softcap_dense(struct device *device, const char *name)
{
    float *x = dense_numbers(), *before = dense_numbers();
    op_softcap(device, &(struct softcap_args){.x = x, .n = N_DENSE, .cap = 1});
    for (int i = 0; i < N_DENSE; i++) {
        const float want = math_tanh(before[i]);
        if (memcmp(&x[i], &want, sizeof want) != 0)
            test_fail(__FILE__, __LINE__, "%s: tanh of %a is %a, want %a", name, (double)before[i],
                      (double)x[i], (double)want);
    }
    free(before);
    free(x);
}

TEST(tanh_in_the_row_kernels_equals_math_tanh_over_its_whole_range)
{
    on_every_level(softcap_dense);
}

static void softcap_limits(struct device *device, const char *name)
{
    (void)name;
    float x[] = {NAN, INFINITY, -INFINITY, 0x1p127f, -0x1p127f, 0, -0.0f};
    op_softcap(device, &(struct softcap_args){.x = x, .n = sizeof x / sizeof *x, .cap = 30});
    CHECK(isnan(x[0]));
    CHECK(x[1] == 30 && x[2] == -30 && x[3] == 30 && x[4] == -30);
    CHECK(x[5] == 0 && !signbit(x[5]) && x[6] == 0 && signbit(x[6]));
}

TEST(softcap_keeps_a_nan_and_caps_infinity) { on_every_level(softcap_limits); }
