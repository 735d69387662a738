/* Norms on a GPU have their own order, docs/numerics.md, "Rows": here it is in plain loops. */
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/row_case.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/both.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 1024, QUAD = 4 };

/* Sums of `n` neighbours, halved: n / 2 apart, n / 4 apart, ... */
static float halved(float *sum, int n)
{
    for (int distance = n / 2; distance > 0; distance /= 2)
        for (int i = 0; i < distance; i++)
            sum[i] += sum[i + distance];
    return sum[0];
}

static float sum_of_squares(const float *x, int n)
{
    float lane[LANES] = {0}, run[LANES / 32];
    for (int i = 0; i < n; i++) {
        float *sum = &lane[i / QUAD % LANES];
        *sum = fmaf(x[i], x[i], *sum);
    }
    for (int r = 0; r < LANES / 32; r++)
        run[r] = halved(lane + 32 * r, 32);
    return halved(run, LANES / 32);
}

static void norm(float *out, const float *x, const struct weight *weight, int n, float eps,
                 float offset)
{
    const float scale = 1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps);
    for (int i = 0; i < n; i++)
        out[i] = x[i] * scale * (offset + weight_at(weight, (size_t)i));
}

/* ---- rows ---- */

enum { TOKENS = 3, ROWS = 5 };

struct norm_case {
    int hidden;
    enum dtype dtype, weight_dtype;
    bool adds, has_bias, has_branch_norm, chooses_rows;
};

struct norm_want {
    float *residual, *out; /* [ROWS, hidden], [TOKENS, hidden] */
};

static const int32_t rows_chosen[TOKENS] = {4, 0, 2};
static const float eps = 1e-5f, offset = 1.0f;

static void expect(struct norm_want *want, const struct norm_case *c, const float *delta,
                   const struct weight *bias, const struct weight *branch,
                   const struct weight *weight)
{
    const size_t hidden = (size_t)c->hidden;
    float *d = malloc(hidden * sizeof *d);
    for (size_t t = 0; t < TOKENS; t++) {
        float *r = want->residual + (c->chooses_rows ? (size_t)rows_chosen[t] : t) * hidden;
        for (size_t i = 0; c->adds && i < hidden; i++)
            d[i] = delta[t * hidden + i] + (c->has_bias ? weight_at(bias, i) : 0);
        if (c->has_branch_norm)
            norm(d, d, branch, c->hidden, eps, offset);
        for (size_t i = 0; c->adds && i < hidden; i++)
            r[i] += d[i];
        norm(want->out + t * hidden, r, weight, c->hidden, eps, offset);
    }
    free(d);
}

static float *numbers(uint64_t seed, size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = number_at(seed, i, 0) * 4;
    return x;
}

static void compare(struct both *both, const struct norm_case *c, const struct rms_norm_args *args,
                    const struct norm_want *want)
{
    const size_t hidden = (size_t)c->hidden, padded = (size_t)args->out.k_padded;
    const size_t out_bytes = TOKENS * padded * dtype_bytes(c->dtype);
    float *residual = malloc(ROWS * hidden * sizeof *residual);
    void *out = malloc(out_bytes);
    gpu_read(both, residual, args->residual, ROWS * hidden * sizeof *residual);
    gpu_read(both, out, args->out.data, out_bytes);
    for (size_t i = 0; i < ROWS * hidden; i++)
        if (!same_number(residual[i], want->residual[i]))
            test_fail(__FILE__, __LINE__, "hidden %d: residual %zu is %a, want %a", c->hidden, i,
                      (double)residual[i], (double)want->residual[i]);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < padded; i++) {
            const float got = widened(out, c->dtype, t * padded + i);
            const float wanted = i < hidden ? rounded(want->out[t * hidden + i], c->dtype) : 0;
            if (!same_number(got, wanted))
                test_fail(__FILE__, __LINE__, "hidden %d: token %zu element %zu is %a, want %a",
                          c->hidden, t, i, (double)got, (double)wanted);
        }
    free(residual);
    free(out);
}

static void check_norm(const struct norm_case *c)
{
    struct both both;
    both_open(&both);
    const size_t hidden = (size_t)c->hidden;
    float *delta = numbers(5, TOKENS * hidden);
    struct weight bias = weight_make(c->weight_dtype, 1, c->hidden, 6);
    struct weight branch = weight_make(c->weight_dtype, 1, c->hidden, 7);
    struct weight weight = weight_make(c->weight_dtype, 1, c->hidden, 8);
    struct norm_want want = {numbers(4, ROWS * hidden), malloc(TOKENS * hidden * sizeof(float))};
    const struct leaves leaves = leaves_one(c->hidden);
    struct rms_norm_args args = {.out = gpu_operand(&both, c->dtype, TOKENS, &leaves),
                                 .residual =
                                     gpu_array(&both, want.residual, ROWS * hidden * sizeof(float)),
                                 .weight = gpu_weight(&both, &weight, 1, c->hidden),
                                 .n_tokens = TOKENS,
                                 .hidden = c->hidden,
                                 .eps = eps,
                                 .offset = offset};
    if (c->adds)
        args.delta = gpu_array(&both, delta, TOKENS * hidden * sizeof *delta);
    if (c->has_bias)
        args.delta_bias = gpu_weight(&both, &bias, 1, c->hidden);
    if (c->has_branch_norm)
        args.delta_norm = gpu_weight(&both, &branch, 1, c->hidden);
    if (c->chooses_rows)
        args.row = gpu_array(&both, rows_chosen, sizeof rows_chosen);
    op_rms_norm(both.device, &args);
    expect(&want, c, delta, &bias, &branch, &weight);
    compare(&both, c, &args, &want);
    free(delta);
    free(want.residual);
    free(want.out);
    free((void *)bias.data);
    free((void *)branch.data);
    free((void *)weight.data);
    both_close(&both);
}

TEST(norms_of_rows_have_the_written_order_at_every_width)
{
    static const int widths[] = {1, 6, 33, 128, 132, 4096, 4100, 8224, 16388};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (uint32_t seed = 1; seed <= (widths[w] > 4096 ? 1 : SEEDS); seed++) {
            emulated_seed(seed);
            check_norm(&(struct norm_case){.hidden = widths[w],
                                           .dtype = DTYPE_BF16,
                                           .weight_dtype = DTYPE_BF16,
                                           .adds = true});
        }
}

TEST(norms_of_rows_add_branches_as_written)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    for (int d = 0; d < 3; d++)
        for (int bits = 0; bits < 4; bits++)
            for (int hidden = 70; hidden <= 72; hidden += 2)
                check_norm(&(struct norm_case){.hidden = hidden,
                                               .dtype = dtypes[d],
                                               .weight_dtype = dtypes[(d + bits) % 3],
                                               .adds = true,
                                               .has_bias = bits & 1,
                                               .has_branch_norm = bits & 2});
}

TEST(norms_of_branches_and_rows_do_not_depend_on_the_order_of_threads)
{
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        emulated_seed(seed);
        check_norm(&(struct norm_case){.hidden = 2000,
                                       .dtype = DTYPE_F32,
                                       .weight_dtype = DTYPE_BF16,
                                       .adds = true,
                                       .has_branch_norm = true});
    }
}

TEST(norms_of_chosen_rows_leave_the_residual_as_it_is)
{
    check_norm(&(struct norm_case){
        .hidden = 96, .dtype = DTYPE_BF16, .weight_dtype = DTYPE_F32, .chooses_rows = true});
}

/* ---- heads ---- */

static void check_heads(int head_dim, int n_heads, int gap)
{
    struct both both;
    both_open(&both);
    const int stride = n_heads * head_dim + gap;
    const size_t n = TOKENS * (size_t)stride;
    float *x = numbers(9, n), *got = malloc(n * sizeof *got);
    struct weight weight = weight_make(DTYPE_BF16, 1, head_dim, 10);
    struct head_norm_args args = {.x = gpu_array(&both, x, n * sizeof *x),
                                  .row_stride = stride,
                                  .weight = gpu_weight(&both, &weight, 1, head_dim),
                                  .n_tokens = TOKENS,
                                  .n_heads = n_heads,
                                  .head_dim = head_dim,
                                  .eps = eps,
                                  .offset = offset};
    op_head_norm(both.device, &args);
    gpu_read(&both, got, args.x, n * sizeof *got);
    for (int t = 0; t < TOKENS; t++)
        for (int h = 0; h < n_heads; h++) {
            float *head = x + t * stride + h * head_dim;
            norm(head, head, &weight, head_dim, eps, offset);
        }
    for (size_t i = 0; i < n; i++) /* what lies between rows, too */
        if (!same_number(got[i], x[i]))
            test_fail(__FILE__, __LINE__, "head_dim %d: number %zu is %a, want %a", head_dim, i,
                      (double)got[i], (double)x[i]);
    free(x);
    free(got);
    free((void *)weight.data);
    both_close(&both);
}

TEST(norms_of_heads_have_the_order_of_rows)
{
    static const int head_dims[] = {1, 6, 64, 80, 128, 130, 256, 300, 512};
    for (size_t i = 0; i < sizeof head_dims / sizeof *head_dims; i++)
        for (int gap = 0; gap <= 4; gap += 2)
            check_heads(head_dims[i], 3 + 7 * (gap == 2), gap);
}
