/* The log-sum-exp of a row has the bits of the CPU. */
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/both.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS = 4 };

static void check_rows(int n_columns, int gap)
{
    struct both both;
    both_open(&both);
    const size_t stride = (size_t)(n_columns + gap), n = ROWS * stride;
    float *logits = malloc(n * sizeof *logits), max[2][ROWS], lse[2][ROWS];
    for (size_t i = 0; i < n; i++)
        logits[i] = i % stride < (size_t)n_columns ? number_at(51, i, 0) * 30 : NAN;
    logits[stride + (size_t)n_columns / 2] = NAN;
    for (int i = 0; i < n_columns; i++)
        logits[2 * stride + (size_t)i] = -INFINITY;
    logits[3 * stride] = -INFINITY;
    struct log_sum_exp_args args = {.max = max[0],
                                    .lse = lse[0],
                                    .logits = logits,
                                    .n_rows = ROWS,
                                    .n_columns = n_columns,
                                    .row_stride = (int64_t)stride};
    op_log_sum_exp(both.cpu, &args);
    args.max = gpu_array(&both, NULL, sizeof max[1]);
    args.lse = gpu_array(&both, NULL, sizeof lse[1]);
    args.logits = gpu_array(&both, logits, n * sizeof *logits);
    op_log_sum_exp(both.device, &args);
    gpu_read(&both, max[1], args.max, sizeof max[1]);
    gpu_read(&both, lse[1], args.lse, sizeof lse[1]);
    for (int r = 0; r < ROWS; r++) {
        CHECK(same_number(max[1][r], max[0][r]));
        CHECK(same_number(lse[1][r], lse[0][r]));
    }
    free(logits);
    both_close(&both);
}

TEST(log_sum_exp_is_that_of_the_cpu)
{
    static const int columns[] = {1, 15, 256, 257, 1000, 2816, 4099};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        check_rows(columns[i], (int)i);
    for (uint32_t seed = 2; seed <= SEEDS; seed++) {
        emulated_seed(seed);
        check_rows(1290, 1);
    }
}
