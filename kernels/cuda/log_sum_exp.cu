/* max and log(sum(exp)) of rows of logits: a block a row, which keeps the sums of its blocks of
 * columns in shared memory. What is asked of rows where tokens are picked is in pick.cu. */
#include "kernels/cuda/row_sum.cuh"

extern "C" {
#include "base/check.h"
#include "kernels/cuda/cuda_ops.h"
}

enum { THREADS = 512, MAX_SHARED_BYTES = 48 * 1024 };

/* Of the numbers: a NaN is passed over, and shows in the sum. */
static __device__ inline float largest_of_row(const float *row, int n)
{
    SHARED(float, of_warp, THREADS / WARP);
    float largest = -INFINITY;
    for (int i = (int)threadIdx.x; i < n; i += THREADS)
        largest = row[i] > largest ? row[i] : largest;
    largest = gpu_warp_max(largest);
    if (threadIdx.x % WARP == 0)
        of_warp[threadIdx.x / WARP] = largest;
    __syncthreads();
    for (int w = 0; w < THREADS / WARP; w++)
        largest = gpu_max(largest, of_warp[w]);
    return largest;
}

static __global__ __launch_bounds__(THREADS) void log_sum_exp(struct log_sum_exp_args a)
{
    gpu_begin();
    DYNAMIC_SHARED(float, sum);
    const int64_t r = blockIdx.x;
    const float *row = a.logits + r * a.row_stride;
    const int n_blocks = (a.n_columns + LOGITS_BLOCK - 1) / LOGITS_BLOCK;
    const float max = largest_of_row(row, a.n_columns);
    sum_exp_of_blocks(sum, row, a.n_columns, max, 0, n_blocks);
    const float lse = max + gpu_log(tree_sum(sum, n_blocks));
    if (threadIdx.x == 0) {
        a.max[r] = lse == lse ? max : lse;
        a.lse[r] = lse;
    }
}

void cuda_log_sum_exp(struct device *device, const struct log_sum_exp_args *args)
{
    const size_t n_blocks = ((size_t)args->n_columns + LOGITS_BLOCK - 1) / LOGITS_BLOCK;
    check(n_blocks * sizeof(float) <= MAX_SHARED_BYTES);
    GPU_LAUNCH(device, log_sum_exp, dim3(args->n_rows), dim3(THREADS), n_blocks * sizeof(float),
               *args);
}
