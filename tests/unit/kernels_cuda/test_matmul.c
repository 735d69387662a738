/* The matmuls of a GPU against float64, and, in the exact mode, row against row bit for bit. */
#include "kernels/device.h"
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/kernels/close.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/ref_f64.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/gpu_matmul.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void against_f64(struct device *device, const struct gpu_matmul_shape *shape)
{
    struct gpu_matmul m = gpu_matmul_make(device, shape);
    const size_t n = (size_t)shape->leaves.n_parts * (size_t)shape->n_tokens * (size_t)shape->n_out;
    float *out = malloc(n * sizeof *out);
    double *want = malloc(n * sizeof *want), *size = malloc(n * sizeof *size);
    char what[160];
    ref_matmul(want, size,
               &(struct ref_matmul){.x = m.x,
                                    .w = m.w,
                                    .bias = m.bias,
                                    .leaves = &shape->leaves,
                                    .n_tokens = shape->n_tokens,
                                    .n_out = shape->n_out});
    gpu_matmul_run(&m, out);
    snprintf(what, sizeof what, "%s [%d, %d] x %s [%d, %d] in %d leaves, %d parts",
             dtype_name(shape->dtype), shape->n_tokens, m.k, dtype_name(shape->weight_dtype),
             shape->n_out, m.k, shape->leaves.n_leaves, shape->leaves.n_parts);
    if (shape->x_number == whole_at)
        check_exact(what, out, want, n);
    else /* every product and sum, one rounding each; a link of 16 at most as many */
        check_close(what, out, want, size, n, m.k + m.k / 512 + 2 * shape->leaves.n_leaves + 1);
    free(size);
    free(want);
    free(out);
    gpu_matmul_free(&m);
}

static void both_kinds(struct device *device, struct gpu_matmul_shape shape)
{
    shape.x_number = shape.w_number = whole_at;
    against_f64(device, &shape);
    shape.x_number = shape.w_number = number_at;
    against_f64(device, &shape);
}

/* 9, 17 and 33 rows are the first of other kernels, or of other forms of one. */
TEST(a_gpu_multiplies_all_awkward_shapes)
{
    static const int tokens[] = {1, 2, 8, 9, 17, 33, 65, 130};
    static const struct {
        int n_out, k;
    } sizes[] = {{1, 1}, {16, 32}, {17, 33}, {33, 512}, {40, 513}, {70, 1100}, {130, 95}};
    for (int exact = 0; exact < 2; exact++) {
        struct device *device = gpu_open(exact);
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                both_kinds(device, (struct gpu_matmul_shape){.dtype = DTYPE_BF16,
                                                             .weight_dtype = DTYPE_BF16,
                                                             .n_tokens = tokens[t],
                                                             .n_out = sizes[i].n_out,
                                                             .leaves = leaves_one(sizes[i].k),
                                                             .bias = i % 2});
        device_close(device);
    }
}

TEST(a_gpu_multiplies_in_every_format)
{
    static const enum dtype formats[][2] = {{DTYPE_F16, DTYPE_F16},
                                            {DTYPE_F32, DTYPE_F32},
                                            {DTYPE_F32, DTYPE_BF16},
                                            {DTYPE_F32, DTYPE_F16}};
    static const int tokens[] = {1, 7, 12, 35, 70}, inputs[] = {1, 31, 100, 545};
    for (int exact = 0; exact < 2; exact++) {
        struct device *device = gpu_open(exact);
        for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
            for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
                for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
                    both_kinds(device, (struct gpu_matmul_shape){.dtype = formats[f][0],
                                                                 .weight_dtype = formats[f][1],
                                                                 .n_tokens = tokens[t],
                                                                 .n_out = 37,
                                                                 .leaves = leaves_one(inputs[i]),
                                                                 .bias = i % 2});
        device_close(device);
    }
}

TEST(a_gpu_gives_every_part_of_a_sum_over_leaves)
{
    static const struct {
        int n_leaves, lengths[MAX_LEAVES];
    } cuts[] = {
        {2, {1, 1}},
        {3, {128, 96, 96}},
        {5, {33, 31, 65, 1, 600}},
        {16, {48, 48, 48, 48, 32, 32, 32, 32, 32, 32, 32, 32, 31, 31, 31, 31}},
    };
    static const int tokens[] = {1, 9, 17, 70};
    for (int exact = 0; exact < 2; exact++) {
        struct device *device = gpu_open(exact);
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
            for (int n_parts = 1; n_parts <= 4 && n_parts <= cuts[i].n_leaves; n_parts += 3)
                for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
                    for (int f32 = 0; f32 < 2; f32++)
                        both_kinds(device, (struct gpu_matmul_shape){
                                               .dtype = f32 ? DTYPE_F32 : DTYPE_BF16,
                                               .weight_dtype = f32 ? DTYPE_F32 : DTYPE_BF16,
                                               .n_tokens = tokens[t],
                                               .n_out = 50,
                                               .leaves = leaves_of(cuts[i].lengths,
                                                                   cuts[i].n_leaves, n_parts)});
        device_close(device);
    }
}

static const int uneven[] = {70, 33, 600, 1, 31};

static struct gpu_matmul_shape shape_of(enum dtype dtype, int n_tokens, int n_out)
{
    return (struct gpu_matmul_shape){.dtype = dtype,
                                     .weight_dtype = dtype,
                                     .n_tokens = n_tokens,
                                     .n_out = n_out,
                                     .leaves = leaves_of(uneven, 5, 2),
                                     .x_number = number_at,
                                     .w_number = number_at};
}

/* The rows of a batch of n, beginning anywhere, are the rows of the large batch. */
static void rows_equal(const struct gpu_matmul *m, const float *whole, int first, int n)
{
    const size_t n_out = (size_t)m->shape.n_out, n_parts = (size_t)m->shape.leaves.n_parts;
    float *part = malloc(n_parts * (size_t)n * n_out * sizeof *part);
    char what[80];
    snprintf(what, sizeof what, "%s, %d rows from %d", dtype_name(m->shape.dtype), n, first);
    gpu_matmul_run_rows(m, first, n, part);
    for (size_t p = 0; p < n_parts; p++)
        check_bits(what, part + p * (size_t)n * n_out,
                   whole + (p * (size_t)m->shape.n_tokens + (size_t)first) * n_out,
                   (size_t)n * n_out);
    free(part);
}

TEST(in_the_exact_mode_a_row_does_not_depend_on_the_others)
{
    enum { TOKENS = 300 };
    static const int counts[] = {2,  7,  8,  9,   16,  17,  31,  32, 33,
                                 64, 65, 66, 127, 128, 129, 200, 257};
    static const enum dtype formats[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    struct device *device = gpu_open(true);
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (int n_out = 45; n_out <= 250; n_out += 205) { /* small tiles, and all the others */
            const struct gpu_matmul_shape shape = shape_of(formats[f], TOKENS, n_out);
            struct gpu_matmul m = gpu_matmul_make(device, &shape);
            float *whole = malloc(2 * TOKENS * (size_t)n_out * sizeof *whole);
            gpu_matmul_run(&m, whole);
            for (int t = 0; t<TOKENS; t += n_out> 45 ? 23 : 1)
                rows_equal(&m, whole, t, 1);
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
                rows_equal(&m, whole, (TOKENS - counts[i]) * (int)(i % 3) / 2, counts[i]);
            free(whole);
            gpu_matmul_free(&m);
        }
    device_close(device);
}

/* Leaves [first, first + 4 / n_ranks) of a tree over four. */
static struct leaves cut_of(const int *lengths, int first, int n_ranks)
{
    return leaves_of(lengths + first, 4 / n_ranks, 1);
}

/* Strips of 32 outputs, where there are enough of them. */
TEST(in_the_exact_mode_wide_strips_give_the_bits_of_narrow_ones)
{
    enum { TOKENS = 40, OUTPUTS = 300 };
    static const int counts[] = {1, 8, 9, 13, 16, 17, 33};
    struct device *device = gpu_open(true);
    struct gpu_matmul_shape shape = shape_of(DTYPE_BF16, TOKENS, OUTPUTS);
    shape.leaves = leaves_one(1100);
    struct gpu_matmul m = gpu_matmul_make(device, &shape);
    float *whole = malloc(TOKENS * OUTPUTS * sizeof *whole);
    gpu_matmul_run(&m, whole);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        rows_equal(&m, whole, TOKENS - counts[i], counts[i]);
    free(whole);
    gpu_matmul_free(&m);
    device_close(device);
}

TEST(in_the_exact_mode_ranks_that_share_k_add_up_to_the_same_bits)
{
    enum { OUTPUTS = 40 };
    static const int lengths[] = {96, 70, 576, 33}, tokens[] = {1, 12, 70};
    struct device *device = gpu_open(true);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        const size_t n = (size_t)tokens[i] * OUTPUTS;
        struct gpu_matmul_shape shape = shape_of(DTYPE_BF16, tokens[i], OUTPUTS);
        shape.leaves = leaves_of(lengths, 4, 1);
        struct gpu_matmul m = gpu_matmul_make(device, &shape);
        float *whole = malloc(n * sizeof *whole), *rank = malloc(4 * n * sizeof *rank);
        gpu_matmul_run(&m, whole);
        for (int n_ranks = 2; n_ranks <= 4; n_ranks += 2) {
            for (int r = 0; r < n_ranks; r++) {
                const int first = r * 4 / n_ranks;
                const struct leaves leaves = cut_of(lengths, first, n_ranks);
                gpu_matmul_run_leaves(&m, first, &leaves, rank + (size_t)r * n);
            }
            for (int step = 1; step < n_ranks; step *= 2) /* the tree over the ranks */
                for (int r = 0; r < n_ranks; r += 2 * step)
                    for (size_t e = 0; e < n; e++)
                        rank[(size_t)r * n + e] += rank[(size_t)(r + step) * n + e];
            check_bits("the sum of the ranks", rank, whole, n);
        }
        free(rank);
        free(whole);
        gpu_matmul_free(&m);
    }
    device_close(device);
}

TEST(a_nan_of_a_weight_reaches_its_output_and_no_other)
{
    enum { OUTPUTS = 35 };
    static const int tokens[] = {3, 20, 70};
    struct device *device = gpu_open(true);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        const struct gpu_matmul_shape shape = shape_of(DTYPE_BF16, tokens[i], OUTPUTS);
        struct gpu_matmul m = gpu_matmul_make(device, &shape);
        float *out = malloc(2 * (size_t)tokens[i] * OUTPUTS * sizeof *out);
        const bf16 nan = bf16_from_f32(NAN);
        device_upload(device, (bf16 *)m.weight_gpu + 34 * m.weight_stride, &nan, sizeof nan);
        gpu_matmul_run(&m, out);
        for (int e = 0; e < 2 * tokens[i] * OUTPUTS; e++)
            CHECK_EQ(isnan(out[e]) != 0, e < tokens[i] * OUTPUTS && e % OUTPUTS == 34);
        free(out);
        gpu_matmul_free(&m);
    }
    device_close(device);
}

TEST(the_order_of_threads_does_not_show)
{
    enum { OUTPUTS = 70 };
    static const int tokens[] = {1, 12, 20, 70};
    static const enum dtype formats[] = {DTYPE_BF16, DTYPE_F32};
    struct device *device = gpu_open(true);
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
            const struct gpu_matmul_shape shape = shape_of(formats[f], tokens[i], OUTPUTS);
            const size_t n = 2 * (size_t)tokens[i] * OUTPUTS;
            struct gpu_matmul m = gpu_matmul_make(device, &shape);
            float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
            for (uint32_t seed = 1; seed <= 8; seed++) {
                emulated_seed(seed);
                gpu_matmul_run(&m, seed == 1 ? want : got);
                if (seed > 1)
                    check_bits("another order of threads", got, want, n);
            }
            free(got);
            free(want);
            gpu_matmul_free(&m);
        }
    device_close(device);
}
