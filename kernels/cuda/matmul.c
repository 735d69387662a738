/* op_matmul() on a GPU: who computes it. */
#include "kernels/cuda/matmul.h"

#include "base/check.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_ops.h"

/* Up to so many rows few_rows.cu is used. Its rivals overtake it there: cuBLASLt in the fast mode,
 * and exact_matmul.cu, which has the same bits, in the other. In the fast mode cuBLASLt is also
 * faster for a single row where K is long, and where it is short for the outputs. All measured on
 * an H200 by tests/gpu/bench_matmul.c (docs/benchmarks/). */
enum { FEW_ROWS_FAST = 8, FEW_ROWS_EXACT = 16, LONG_SEGMENTS = 16, SHORT_SEGMENTS = 4 };
enum { MANY_OUTPUTS = 8192 };

static bool few_rows_are_best(const struct matmul_job *job, bool is_exact)
{
    const int n_segments = job->order.n_segments;
    if (is_exact || job->order.n_leaves > 1)
        return job->n_tokens <= FEW_ROWS_EXACT;
    return job->n_tokens <= FEW_ROWS_FAST && n_segments < LONG_SEGMENTS &&
           (n_segments > SHORT_SEGMENTS || job->n_out < MANY_OUTPUTS);
}

static struct matmul_job job_of(const struct matmul_args *args)
{
    const bool is_padded = args->x.dtype != DTYPE_F32;
    return (struct matmul_job){.out = args->out,
                               .x = args->x.data,
                               .weight = args->weight.data,
                               .bias = args->bias.data,
                               .out_stride = args->out_stride,
                               .x_stride = args->x.k_padded,
                               .weight_stride = args->weight.row_stride,
                               .n_tokens = args->n_tokens,
                               .n_out = args->n_out,
                               .dtype = args->x.dtype,
                               .weight_dtype = args->weight.dtype,
                               .bias_dtype = args->bias.dtype,
                               .order = k_order_of(args->leaves, is_padded)};
}

/* Leaves are for equal bits on any number of ranks. Where that is not asked for, those of one sum
 * are one: padding between them is zero on both sides. */
static void join_leaves(struct matmul_job *job, const struct matmul_args *args)
{
    const struct leaves one = leaves_one(args->x.k_padded);
    job->order = k_order_of(&one, true);
}

void cuda_matmul(struct device *device, const struct matmul_args *args)
{
    struct matmul_job job = job_of(args);
    if (job.dtype == DTYPE_F32) {
        f32_matmul(device, &job);
        return;
    }
    check((uintptr_t)job.weight % 16 == 0 && job.weight_stride % 8 == 0);
    check(job.weight_stride >= args->x.k_padded);
    const bool is_exact = cuda_is_exact(device);
    if (!is_exact && args->leaves->n_parts == 1)
        join_leaves(&job, args);
    if (few_rows_are_best(&job, is_exact)) {
        few_rows_matmul(device, &job);
    } else if (is_exact || job.order.n_leaves > 1) {
        exact_matmul(device, &job);
    } else {
        lt_matmul(device, &job);
        if (job.bias != NULL)
            add_bias(device, &job);
    }
}
