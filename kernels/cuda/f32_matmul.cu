/* Operands in float32, in the order of matmul.h with fmaf() for a link: the reference mode, and
 * what checkpoints in float32 are computed with. Plain and not tuned.
 *
 * A block computes EDGE outputs for EDGE tokens; a thread has PER * PER of them, 8 apart. K comes
 * in slices of EDGE elements through shared memory, which hold the weight as float32.
 */
#include "kernels/cuda/matmul.cuh"

namespace
{

enum { EDGE = 32, PER = 4, APART = EDGE / PER, THREADS = APART * APART, ROW = EDGE + 1 };

/* rows of EDGE elements from row `first` and element `at` on; zeros behind the last of both */
__device__ inline void load_slice(float *to, const void *from, enum dtype dtype, int64_t stride,
                                  int first, int n_rows, int at, int end)
{
    for (int i = (int)threadIdx.x; i < EDGE * EDGE; i += THREADS) {
        const int row = i / EDGE, k = i % EDGE;
        const bool exists = first + row < n_rows && at + k < end;
        to[row * ROW + k] =
            exists ? number_of(from, dtype, (int64_t)(first + row) * stride + at + k) : 0.0f;
    }
}

/* d = fma over one slice, ascending; tokens behind the last are left out. */
__device__ inline void multiply_slice(float d[PER][PER], const float *w, const float *x, int length,
                                      int n_tokens)
{
    const int o = (int)threadIdx.x % APART, t = (int)threadIdx.x / APART;
    for (int k = 0; k < length; k++) {
        float column[PER];
#pragma unroll
        for (int i = 0; i < PER; i++)
            column[i] = w[(o + i * APART) * ROW + k];
#pragma unroll
        for (int j = 0; j < PER; j++) {
            if (t + j * APART >= n_tokens)
                continue;
            const float value = x[(t + j * APART) * ROW + k];
#pragma unroll
            for (int i = 0; i < PER; i++)
                d[j][i] = fmaf(value, column[i], d[j][i]);
        }
    }
}

/* sum = the sum over one leaf. w, x: [EDGE, ROW] of shared memory. */
__device__ inline void add_leaf(float sum[PER][PER], const struct matmul_job &job, int leaf,
                                int output, int token, float *w, float *x)
{
    const int end = job.order.leaf_begin[leaf + 1];
    for (int begin = job.order.leaf_begin[leaf]; begin < end; begin += K_SEGMENT) {
        const int segment_end = min(begin + K_SEGMENT, end);
        float d[PER][PER] = {};
        for (int at = begin; at < segment_end; at += EDGE) {
            __syncthreads(); /* the slice before was multiplied by all */
            load_slice(w, job.weight, job.weight_dtype, job.weight_stride, output, job.n_out, at,
                       segment_end);
            load_slice(x, job.x, DTYPE_F32, job.x_stride, token, job.n_tokens, at, segment_end);
            __syncthreads();
            multiply_slice(d, w, x, min((int)EDGE, segment_end - at), job.n_tokens - token);
        }
#pragma unroll
        for (int i = 0; i < PER * PER; i++) {
            float &total = sum[i / PER][i % PER];
            total = begin == job.order.leaf_begin[leaf] ? d[i / PER][i % PER]
                                                        : total + d[i / PER][i % PER];
        }
    }
}

__device__ inline void store(const struct matmul_job &job, int part, int output, int token, int i,
                             float sum)
{
    const int o = output + (int)threadIdx.x % APART + i % PER * APART;
    const int t = token + (int)threadIdx.x / APART + i / PER * APART;
    if (o < job.n_out && t < job.n_tokens)
        *out_at(job, part, t, o) = job.bias != NULL ? sum + bias_of(job, o) : sum;
}

/* Shared memory: sums of leaves that wait, [depth][PER * PER][THREADS], each of its own thread. */
__global__ void __launch_bounds__(THREADS) f32_tiles(struct matmul_job job)
{
    DYNAMIC_SHARED(float, waiting);
    SHARED(float, w, EDGE *ROW);
    SHARED(float, x, EDGE *ROW);
    const int output = (int)blockIdx.y * EDGE, token = (int)blockIdx.x * EDGE;
    gpu_begin();
    int level = 0;
    for (int leaf = 0; leaf < job.order.n_leaves; leaf++) {
        float sum[PER][PER];
        add_leaf(sum, job, leaf, output, token, w, x);
        const int after = level - job.order.n_merges[leaf];
#pragma unroll
        for (int i = 0; i < PER * PER; i++) {
            float *mine = waiting + i * THREADS + threadIdx.x;
            float total = sum[i / PER][i % PER];
            for (int l = level - 1; l >= after; l--)
                total = mine[l * PER * PER * THREADS] + total;
            mine[after * PER * PER * THREADS] = total;
        }
        level = after + 1;
    }
    for (int part = 0; part < job.order.n_parts; part++)
        for (int i = 0; i < PER * PER; i++)
            store(job, part, output, token, i,
                  waiting[(part * PER * PER + i) * THREADS + (int)threadIdx.x]);
}

} // namespace

void f32_matmul(struct device *device, const struct matmul_job *job)
{
    const dim3 grid((unsigned)(job->n_tokens + EDGE - 1) / EDGE,
                    (unsigned)(job->n_out + EDGE - 1) / EDGE);
    gpu_launch(device, "float32 matmul", f32_tiles, grid, dim3(THREADS),
               (size_t)job->order.depth * PER * PER * THREADS * sizeof(float), *job);
}
