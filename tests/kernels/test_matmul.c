/* Matmul of every level against float64: all shapes around the widths of blocks, vectors, tiles and
 * panels; leaves of all kinds; every format. Whole numbers must be exact, reals within the bound
 * of tests/kernels/close.h. */
#include "kernels/device.h"
#include "tests/kernels/close.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/matmul_case.h"
#include "tests/kernels/ref_f64.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_LEVELS = 8 };

static struct device *device_of[MAX_LEVELS];

static void open_levels(int n_threads)
{
    CHECK(n_levels() <= MAX_LEVELS);
    int n_open = 0;
    for (int level = 0; level < n_levels(); level++) {
        device_of[level] = level_open(level, n_threads);
        n_open += device_of[level] != NULL;
    }
    CHECK(n_open > 0);
}

static void close_levels(void)
{
    for (int level = 0; level < n_levels(); level++)
        device_close(device_of[level]);
}

/* With sanitizers, which look at addresses and not at bits, the slow levels have these sizes alone:
 * they are on both sides of a group of tokens, of a vector of outputs and of a block of K. */
static bool is_for(int level, const struct matmul_shape *shape, int k)
{
    if (!SANITIZED || !level_is_slow(level))
        return true;
    const int tokens = shape->n_tokens, outputs = shape->n_out;
    return (tokens == 1 || tokens == 7 || tokens == 17) && (outputs <= 7 || outputs == 33) &&
           (k < 32 || k == 33 || k == 100 || shape->leaves.n_leaves > 2);
}

/* Runs a shape on every level; reals unless the numbers are whole_at(). */
static void against_f64(const struct matmul_shape *shape)
{
    struct matmul_case c = matmul_case_make(shape);
    const size_t n = c.n_out_numbers;
    float *out = malloc((n + 1) * sizeof *out);
    double *want = malloc((n + 1) * sizeof *want), *size = malloc((n + 1) * sizeof *size);
    ref_matmul(want, size,
               &(struct ref_matmul){.x = c.x,
                                    .w = c.w,
                                    .bias = c.bias,
                                    .leaves = &shape->leaves,
                                    .n_tokens = shape->n_tokens,
                                    .n_out = shape->n_out});
    for (int level = 0; level < n_levels(); level++) {
        if (device_of[level] == NULL || !is_for(level, shape, c.k))
            continue;
        char what[160];
        snprintf(what, sizeof what, "%s %s [%d, %d] x %s [%d, %d] in %d leaves, %d parts",
                 device_of[level]->ops->name, dtype_name(shape->x_dtype), shape->n_tokens, c.k,
                 dtype_name(shape->weight_dtype), shape->n_out, c.k, shape->leaves.n_leaves,
                 shape->leaves.n_parts);
        matmul_case_run(&c, device_of[level], out);
        if (shape->x_number == whole_at)
            check_exact(what, out, want, n);
        else /* every element, the even + odd, the sums of leaves, the bias */
            check_close(what, out, want, size, n, c.k + 1 + shape->leaves.n_leaves + 1);
    }
    free(size);
    free(want);
    free(out);
    matmul_case_free(&c);
}

static void both_kinds(struct matmul_shape shape)
{
    shape.x_number = shape.w_number = whole_at;
    against_f64(&shape);
    shape.x_number = shape.w_number = number_at;
    if (!SANITIZED) /* the same addresses */
        against_f64(&shape);
}

TEST(matmul_of_all_awkward_shapes)
{
    static const int tokens[] = {0, 1, 2, 3, 15, 16, 17, 31, 33, 64, 100};
    static const int outputs[] = {1, 7, 16, 17, 33, 64, 100};
    static const int inputs[] = {1, 2, 31, 32, 33, 63, 64, 100, 256, 1024};
    open_levels(1);
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
        for (size_t o = 0; o < sizeof outputs / sizeof *outputs; o++)
            for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
                if (inputs[i] == 1024 && tokens[t] > 33 && outputs[o] > 33)
                    continue; /* nothing new, and most of the time */
                both_kinds((struct matmul_shape){.x_dtype = DTYPE_BF16,
                                                 .weight_dtype = DTYPE_BF16,
                                                 .n_tokens = tokens[t],
                                                 .n_out = outputs[o],
                                                 .leaves = leaves_one(inputs[i])});
            }
    close_levels();
}

TEST(matmul_in_every_format_with_gaps_between_rows_and_odd_addresses)
{
    static const struct {
        enum dtype x, weight;
    } formats[] = {{DTYPE_BF16, DTYPE_BF16},
                   {DTYPE_F32, DTYPE_F32},
                   {DTYPE_F32, DTYPE_BF16},
                   {DTYPE_F32, DTYPE_F16}};
    static const int tokens[] = {1, 4, 7, 18}, inputs[] = {1, 31, 100, 129, 160};
    open_levels(1);
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
            for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
                for (int n_out = 31; n_out <= 33; n_out++)
                    for (int odd = 0; odd < 2; odd++)
                        both_kinds((struct matmul_shape){.x_dtype = formats[f].x,
                                                         .weight_dtype = formats[f].weight,
                                                         .n_tokens = tokens[t],
                                                         .n_out = n_out,
                                                         .leaves = leaves_one(inputs[i]),
                                                         .stride_extra = odd * 7,
                                                         .offset = odd,
                                                         .bias = odd});
    close_levels();
}

TEST(matmul_over_leaves_gives_every_part)
{
    static const struct {
        int n_leaves, lengths[MAX_LEAVES];
    } cuts[] = {
        {2, {1, 1}},
        {2, {64, 32}},
        {3, {128, 96, 96}},
        {5, {33, 31, 65, 1, 200}}, /* all padded but the first block of each */
        {7, {320, 300, 288, 32, 32, 32, 5}},
        {16, {48, 48, 48, 48, 32, 32, 32, 32, 32, 32, 32, 32, 31, 31, 31, 31}},
    };
    static const int tokens[] = {1, 5, 17, 40}, outputs[] = {1, 33, 70};
    open_levels(1);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        for (int n_parts = 1; n_parts <= 4 && n_parts <= cuts[i].n_leaves; n_parts++)
            for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
                for (size_t o = 0; o < sizeof outputs / sizeof *outputs; o++)
                    for (int f32 = 0; f32 < 2; f32++)
                        both_kinds((struct matmul_shape){
                            .x_dtype = f32 ? DTYPE_F32 : DTYPE_BF16,
                            .weight_dtype = f32 ? DTYPE_F32 : DTYPE_BF16,
                            .n_tokens = tokens[t],
                            .n_out = outputs[o],
                            .leaves = leaves_of(cuts[i].lengths, cuts[i].n_leaves, n_parts)});
    close_levels();
}

TEST(matmul_of_many_tokens_and_outputs_is_cut_into_items_that_fit)
{
    static const int halves[] = {40, 24};
    open_levels(2);
    both_kinds((struct matmul_shape){.x_dtype = DTYPE_BF16,
                                     .weight_dtype = DTYPE_BF16,
                                     .n_tokens = 1030, /* over two strips of the longest kind */
                                     .n_out = 70,
                                     .leaves = leaves_of(halves, 2, 2)});
    both_kinds((struct matmul_shape){.x_dtype = DTYPE_BF16,
                                     .weight_dtype = DTYPE_BF16,
                                     .n_tokens = 20,
                                     .n_out = 5000,
                                     .leaves = leaves_one(33)});
    close_levels();
}
