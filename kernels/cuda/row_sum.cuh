/* kernels/cuda/row_sum.cuh: sums of exp() along a row of logits, in the order of docs/numerics.md:
 * blocks of LOGITS_BLOCK columns, 16 lanes in each, and the fixed tree over the blocks. The bits
 * of the CPU.
 */
#pragma once
#include "kernels/cuda/math.cuh"

extern "C" {
#include "kernels/ops.h"
}

enum { SUM_LANES = 16 };

/* Sum of exp(x - max) over n <= LOGITS_BLOCK columns, by 16 neighbours of a warp that come here
 * together; to the first of them. All threads of the warp must come. */
static __device__ inline float sum_exp_of_block(const float *x, int n, float max)
{
    float sum = 0.0f;
    for (int i = (int)threadIdx.x % SUM_LANES; i < n; i += SUM_LANES)
        sum += gpu_exp(x[i] - max);
    for (int half = SUM_LANES / 2; half > 0; half /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, half);
    return sum;
}

/* sum[b] of blocks begin <= b < end of a row, by all threads of the block. */
static __device__ inline void sum_exp_of_blocks(float *sum, const float *row, int n_columns,
                                                float max, int begin, int end)
{
    const int n_groups = (int)blockDim.x / SUM_LANES, group = (int)threadIdx.x / SUM_LANES;
    const int n_rounds = (end - begin + n_groups - 1) / n_groups;
    for (int round = 0; round < n_rounds; round++) {
        const int b = begin + round * n_groups + group, at = b * LOGITS_BLOCK;
        const int left = b < end ? n_columns - at : 0;
        const float of_block =
            sum_exp_of_block(row + at, left < LOGITS_BLOCK ? left : (int)LOGITS_BLOCK, max);
        if (b < end && threadIdx.x % SUM_LANES == 0)
            sum[b] = of_block;
    }
}

/* The tree over n numbers, by all threads of the block; what is read and written are sum[0 .. n),
 * which the block may have in any memory. The result, sum[0], is there for all threads.
 *
 * A node of the tree keeps its sum in the place of its first leaf. On each level, from the leaves
 * up, a thread finds its node by the bits of its number, from the root down. */
static __device__ inline float tree_sum(float *sum, int n)
{
    int level = 0;
    while (1 << level < n)
        level++;
    __syncthreads();
    while (--level >= 0) {
        for (int node = (int)threadIdx.x; node < 1 << level; node += (int)blockDim.x) {
            int lo = 0, hi = n;
            for (int bit = level - 1; bit >= 0 && hi - lo > 1; bit--) {
                const int mid = lo + (hi - lo + 1) / 2;
                lo = node >> bit & 1 ? mid : lo;
                hi = node >> bit & 1 ? hi : mid;
            }
            if (hi - lo > 1)
                sum[lo] += sum[lo + (hi - lo + 1) / 2];
        }
        __syncthreads();
    }
    return sum[0];
}
