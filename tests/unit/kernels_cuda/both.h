/* tests/unit/kernels_cuda/both.h: a GPU beside a CPU, and arrays that are on the GPU.
 *
 * Every failure fails the test. What is allocated is given back by both_close().
 */
#pragma once
#include "kernels/ops.h"

enum { BOTH_ARRAYS = 64, SEEDS = 8 };

struct both {
    struct device *device, *cpu; /* the CPU: scalar kernels, one thread */
    void *array[BOTH_ARRAYS];
    size_t n_bytes[BOTH_ARRAYS];
    int n_arrays;
};

void both_open(struct both *both);
void both_close(struct both *both); /* also waits, and checks that nothing failed */

/* A new array with the bytes of `host`; NULL: full of 0xff, which is NaN in every format. */
void *gpu_array(struct both *both, const void *host, size_t n_bytes);
/* What is there when everything queued is done. */
void gpu_read(struct both *both, void *host, const void *array, size_t n_bytes);

/* The weight with its rows on the GPU, each at a multiple of 16 bytes, NaN between them. */
struct weight gpu_weight(struct both *both, const struct weight *weight, int n_rows, int n_columns);
/* An operand of rows, full of NaN. */
struct operand gpu_operand(struct both *both, enum dtype dtype, int n_tokens,
                           const struct leaves *leaves);
/* Number i of an array as float32. */
float widened(const void *array, enum dtype dtype, size_t i);
/* x as `dtype` holds it. */
float rounded(float x, enum dtype dtype);
/* The same bits, or both NaN. */
bool same_number(float a, float b);
