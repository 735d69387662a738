/* One answer: every level, every batch and every number of threads gives the bits that
 * docs/numerics.md writes down, of all numbers there are. */
#include "kernels/device.h"
#include "tests/kernels/levels.h"
#include "tests/kernels/matmul_case.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Magnitudes over the whole range, zeros of both signs and denormals; products overflow, vanish
 * and cancel. */
static float wild_at(uint64_t seed, uint64_t a, uint64_t b)
{
    const float x = number_at(seed, a, b);
    switch ((int)(8 * fabsf(number_at(seed + 100, a, b)))) {
    case 0:
        return x < 0 ? -0.0f : 0.0f;
    case 1:
        return x * 0x1p-130f; /* a denormal, of both formats */
    case 2:
        return x * 0x1p-64f; /* its products are denormal */
    case 3:
        return x * 0x1p-60f;
    case 4:
        return x * 0x1p40f;
    default:
        return x;
    }
}

/* The same, and once in a while what spoils a sum. */
static float spoiled_at(uint64_t seed, uint64_t a, uint64_t b)
{
    const int which = (int)(400 * fabsf(number_at(seed + 200, a, b)));
    return which == 0   ? NAN
           : which == 1 ? INFINITY
           : which == 2 ? -INFINITY
           : which == 3 ? 0x1p127f
                        : wild_at(seed, a, b);
}

static const int uneven[] = {70, 33, 128, 200, 1, 31};

static struct matmul_shape shape_of(int n_tokens, int n_out, number_fn *number)
{
    return (struct matmul_shape){.x_dtype = DTYPE_BF16,
                                 .weight_dtype = DTYPE_BF16,
                                 .n_tokens = n_tokens,
                                 .n_out = n_out,
                                 .leaves = leaves_of(uneven, 6, 2),
                                 .x_number = number,
                                 .w_number = number};
}

static void as_written(const struct matmul_shape *shape)
{
    struct matmul_case c = matmul_case_make(shape);
    float *want = malloc(c.n_out_numbers * sizeof *want);
    float *got = malloc(c.n_out_numbers * sizeof *got);
    cpu_float_mode_set();
    matmul_case_written(&c, want);
    for (int level = 0; level < n_levels(); level++) {
        struct device *device = level_open(level, 1);
        if (device == NULL)
            continue;
        matmul_case_run(&c, device, got);
        check_bits(device->ops->name, got, want, c.n_out_numbers);
        device_close(device);
    }
    free(got);
    free(want);
    matmul_case_free(&c);
}

TEST(every_level_gives_the_written_bits)
{
    static const int tokens[] = {1, 2, 6, 8, 9, 16, 21, 35};
    static number_fn *const numbers[] = {number_at, wild_at, spoiled_at};
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            struct matmul_shape shape = shape_of(tokens[t], 37, numbers[i]);
            as_written(&shape);
            shape.x_dtype = DTYPE_F32;
            as_written(&shape);
            shape.weight_dtype = DTYPE_F32;
            as_written(&shape);
            shape.weight_dtype = DTYPE_F16;
            as_written(&shape);
        }
}

TEST(a_nan_anywhere_reaches_its_results_and_no_others)
{
    enum { TOKENS = 20, OUTPUTS = 35 };
    for (int level = 0; level < n_levels(); level++) {
        struct device *device = level_open(level, 1);
        if (device == NULL)
            continue;
        const struct matmul_shape shape = shape_of(TOKENS, OUTPUTS, whole_at);
        struct matmul_case c = matmul_case_make(&shape);
        float *out = malloc(c.n_out_numbers * sizeof *out);
        bf16 *w = (bf16 *)c.weight + 34 * c.k; /* the last output, k = 0: in part 0 */
        w[0] = bf16_from_f32(NAN);
        matmul_case_run(&c, device, out);
        for (size_t i = 0; i < c.n_out_numbers; i++)
            CHECK_EQ(isnan(out[i]) != 0, i < TOKENS * OUTPUTS && i % OUTPUTS == 34);
        free(out);
        matmul_case_free(&c);
        device_close(device);
    }
}

TEST(a_row_of_a_batch_equals_the_row_alone)
{
    enum { TOKENS = 33, OUTPUTS = 45 };
    for (int level = 0; level < n_levels(); level++) {
        struct device *device = level_open(level, 1);
        if (device == NULL)
            continue;
        const struct matmul_shape shape = shape_of(TOKENS, OUTPUTS, wild_at);
        struct matmul_case c = matmul_case_make(&shape);
        float *batch = malloc(c.n_out_numbers * sizeof *batch), alone[2 * OUTPUTS];
        matmul_case_run(&c, device, batch);
        for (int t = 0; t < TOKENS; t++) {
            struct matmul_case row = matmul_case_row(&c, t);
            matmul_case_run(&row, device, alone);
            for (size_t part = 0; part < 2; part++)
                check_bits("a row alone", alone + part * OUTPUTS,
                           batch + (part * TOKENS + (size_t)t) * OUTPUTS, OUTPUTS);
            matmul_case_free(&row);
        }
        free(batch);
        matmul_case_free(&c);
        device_close(device);
    }
}

TEST(the_number_of_threads_does_not_show)
{
    const struct matmul_shape shape = shape_of(SANITIZED ? 35 : 70, SANITIZED ? 150 : 500, wild_at);
    struct matmul_case c = matmul_case_make(&shape);
    float *want = malloc(c.n_out_numbers * sizeof *want);
    float *got = malloc(c.n_out_numbers * sizeof *got);
    for (int level = 0; level < n_levels(); level++)
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            struct device *device = level_open(level, n_threads);
            if (device == NULL)
                continue;
            matmul_case_run(&c, device, n_threads == 1 ? want : got);
            if (n_threads > 1)
                check_bits(device->ops->name, got, want, c.n_out_numbers);
            device_close(device);
        }
    free(got);
    free(want);
    matmul_case_free(&c);
}
