/* The bias of a matmul that cuBLASLt computed. */
#include "kernels/cuda/matmul.cuh"

namespace
{

enum { THREADS = 256 };

__global__ void __launch_bounds__(THREADS) bias_added(struct matmul_job job)
{
    gpu_begin();
    const int o = (int)(blockIdx.x * THREADS + threadIdx.x);
    if (o >= job.n_out)
        return;
    const float bias = bias_of(job, o);
    for (int t = (int)blockIdx.y; t < job.n_tokens; t += (int)gridDim.y) {
        float *out = out_at(job, 0, t, o);
        *out = *out + bias;
    }
}

} // namespace

void add_bias(struct device *device, const struct matmul_job *job)
{
    enum { MOST_ROWS_OF_BLOCKS = 1024 };
    const int n_rows = job->n_tokens < MOST_ROWS_OF_BLOCKS ? job->n_tokens : MOST_ROWS_OF_BLOCKS;
    const dim3 grid((unsigned)(job->n_out + THREADS - 1) / THREADS, (unsigned)n_rows);
    gpu_launch(device, "bias of a matmul", bias_added, grid, dim3(THREADS), 0, *job);
}
