/* tests/unit/kernels_cuda/gpu_matmul.h: one matmul with made-up numbers in the memory of a GPU.
 *
 * Behind every row of the weight lie 8 numbers that are NaN, and behind every row of the output 3
 * that must stay NaN; these, and that nothing else was written, each run checks.
 */
#pragma once
#include "kernels/ops.h"
#include "tests/kernels/matmul_case.h" /* number_fn, leaves_of(), check_bits() */

#include <stdbool.h>
#include <stddef.h>

struct device;

struct gpu_matmul_shape {
    enum dtype dtype, weight_dtype; /* of a 16-bit dtype both are the same */
    int n_tokens, n_out;
    struct leaves leaves;
    number_fn *x_number, *w_number;
    bool bias;
};

struct gpu_matmul {
    struct gpu_matmul_shape shape;
    struct device *device;
    int k, k_padded;
    float *x, *w, *bias; /* [n_tokens, k], [n_out, k], [n_out] or NULL: rounded to their formats */
    void *x_gpu, *weight_gpu, *bias_gpu;
    size_t x_bytes, weight_bytes, row_bytes; /* a row of x */
    int64_t weight_stride;
};

/* A GPU in the mode of --numerics, with memory for every shape of these tests. */
struct device *gpu_open(bool exact);
/* One of --numerics fast that keeps its choices of algorithms in a file. */
struct device *gpu_open_with_file(const char *algorithms);

struct gpu_matmul gpu_matmul_make(struct device *device, const struct gpu_matmul_shape *shape);
void gpu_matmul_free(struct gpu_matmul *m);
/* out: [n_parts, n_tokens, n_out] */
void gpu_matmul_run(const struct gpu_matmul *m, float *out);
/* Of n tokens from `first` on alone. */
void gpu_matmul_run_rows(const struct gpu_matmul *m, int first, int n, float *out);
/* The same, recorded once and replayed twice. */
void gpu_matmul_run_recorded(const struct gpu_matmul *m, float *out);
/* Over the leaves [leaf, leaf + leaves->n_leaves) of the shape: what a rank computes that has this
 * part of K. */
void gpu_matmul_run_leaves(const struct gpu_matmul *m, int leaf, const struct leaves *leaves,
                           float *out);
