/* tests/unit/kernels_cuda/gpu_attention.h: an attention_case on a GPU.
 *
 * The result goes where the CPU would have put it, so all that is said of a case in
 * tests/kernels/attention_case.h can be asked of it. */
#pragma once
#include "tests/kernels/attention_case.h"

struct gpu_attention {
    bool f16;          /* a case of BF16 as one of F16, its output too; the case has F32 for that */
    bool no_workspace; /* blocks cannot pass on partial results */
    int more_rows, more_sequences; /* as a record has them: of nobody, and without rows */
    uint32_t seed;                 /* of the order of threads; 0: as it is */
};

/* Runs op_attention_work() and op_attention(), as two layers do. Also checks that what belongs to
 * nobody is zero: columns between leaves and rows behind the last sequence. */
void gpu_attention_run(struct attention_case *c, const struct gpu_attention *how);
/* case_make() and gpu_attention_run(). */
struct attention_case *gpu_attention_of(const struct attention_shape *shape,
                                        const struct gpu_attention *how);
