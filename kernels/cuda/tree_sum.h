/* kernels/cuda/tree_sum.h: the sum of the parts of all ranks on a GPU, with the bits of tree_sum()
 * of parallel/tree.h.
 */
#pragma once
#include "kernels/tensor.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct device;

/* sum[i] = the parts at i, added as a postfix program says: push part p, then n_merges[p] times
 * replace the two topmost a, b by a + b. */
struct tree_sum_args {
    float *sum;               /* [count]; overlaps no part */
    const float *parts;       /* [n_parts, count] */
    int n_parts;              /* 1 or more */
    int n_merges[MAX_LEAVES]; /* [n_parts] n_parts - 1 together */
    size_t count;
};

/* Queued on the device, and takes progress.h on its way; a failure is told by device_wait(). 0
 * floats do nothing. */
void cuda_tree_sum(struct device *device, const struct tree_sum_args *args);

#ifdef __cplusplus
}
#endif
