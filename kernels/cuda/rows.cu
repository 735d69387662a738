/* Operations on rows that treat each element by itself: embed, gated, softcap. A thread has four
 * neighbours. The order of docs/numerics.md, "Rows": the bits of the CPU. */
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/quad.cuh"

extern "C" {
#include "kernels/cuda/cuda_ops.h"
}

enum { THREADS = 256, BLOCK_ELEMENTS = THREADS * QUAD };

/* First element of this thread; blocks along y are the parts of a row. */
static __device__ inline int first_of_thread()
{
    return (int)(blockIdx.y * THREADS + threadIdx.x) * QUAD;
}

/* ---- embed ---- */

struct embed_launch {
    struct embed_args args;
    int64_t aligned;
};

static __global__ __launch_bounds__(THREADS) void embed(struct embed_launch l)
{
    gpu_begin();
    const struct embed_args &a = l.args;
    const int64_t t = blockIdx.x;
    const int at = first_of_thread();
    if (at >= a.hidden)
        return;
    const int32_t given = a.token[t], token = given < 0 ? a.carried[-1 - given] : given;
    const int64_t row = (int64_t)token - a.first;
    struct quad x = quad_of(0.0f);
    if (row >= 0 && row < a.count) {
        x = quad_load_weight(a.table, row * a.table.row_stride, at, a.hidden);
        for (int e = 0; e < QUAD; e++)
            x.v[e] = 0.0f + x.v[e] * a.scale; /* a zero is +0 */
    }
    quad_store(a.out + t * a.hidden, at, a.hidden, l.aligned, x);
}

void cuda_embed(struct device *device, const struct embed_args *args)
{
    const struct embed_launch launch = {*args, quad_rows_aligned(args->out, args->hidden)};
    GPU_LAUNCH(device, embed, dim3(args->n_tokens, divide_up(args->hidden, BLOCK_ELEMENTS)),
               dim3(THREADS), 0, launch);
}

/* ---- gated ---- */

struct gated_launch {
    struct gated_args args;
    struct leaves leaves;
    int64_t aligned; /* gate and up; only where leaves need no padding does that say anything */
};

static __device__ inline float gated_of(float gate, float up, enum activation activation)
{
    float w = gate;
    if (activation == ACTIVATION_GELU_TANH)
        w = gate * fmaf(gate * gate, 0x1.2444f2p-4f, 0x1.988454p+0f);
    return gate / (1.0f + gpu_exp(0.0f - w)) * up;
}

/* Where the four elements at `at` of the operand come from; `n` becomes the end of their leaf. */
static __device__ inline int source_of(const struct leaves &leaves, int at, int *n)
{
    int first = 0, first_padded = 0;
    for (int i = 0; i < leaves.n_leaves; i++) {
        const int end = leaves.leaf[i].k_end;
        const int padded = (end - first + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
        if (at < first_padded + padded) {
            *n = end;
            break;
        }
        first = end;
        first_padded += padded;
    }
    return first + at - first_padded;
}

static __global__ __launch_bounds__(THREADS) void gated(struct gated_launch l)
{
    gpu_begin();
    const struct gated_args &a = l.args;
    const struct operand &out = a.out;
    const int64_t t = blockIdx.x;
    const int at = first_of_thread();
    if (at >= out.k_padded)
        return;
    int from = at, n = out.k;
    if (out.k_padded != out.k)
        from = source_of(l.leaves, at, &n);
    const struct quad gate = quad_load(a.gate + t * a.row_stride, from, n, l.aligned);
    const struct quad up = quad_load(a.up + t * a.row_stride, from, n, l.aligned);
    struct quad y;
    for (int e = 0; e < QUAD; e++)
        y.v[e] = from + e < n ? gated_of(gate.v[e], up.v[e], a.activation) : 0.0f;
    quad_store_as(out.data, out.dtype, t * out.k_padded, at, out.k_padded, out.k_padded % QUAD == 0,
                  y);
}

void cuda_gated(struct device *device, const struct gated_args *args)
{
    const bool aligned = args->out.k_padded == args->out.k &&
                         quad_rows_aligned(args->gate, args->row_stride) &&
                         quad_rows_aligned(args->up, args->row_stride);
    struct gated_launch launch = {*args, *args->leaves, aligned};
    launch.args.leaves = NULL; /* of the host */
    GPU_LAUNCH(device, gated, dim3(args->n_tokens, divide_up(args->out.k_padded, BLOCK_ELEMENTS)),
               dim3(THREADS), 0, launch);
}

/* ---- softcap ---- */

static __global__ __launch_bounds__(THREADS) void softcap(struct softcap_args a)
{
    gpu_begin();
    const int64_t first = (int64_t)blockIdx.x * BLOCK_ELEMENTS;
    const int64_t left = a.n - first;
    const int n = left < BLOCK_ELEMENTS ? (int)left : (int)BLOCK_ELEMENTS;
    for (int i = (int)threadIdx.x; i < n; i += THREADS)
        a.x[first + i] = a.cap * gpu_tanh(a.x[first + i] / a.cap);
}

void cuda_softcap(struct device *device, const struct softcap_args *args)
{
    GPU_LAUNCH(device, softcap, dim3(divide_up(args->n, BLOCK_ELEMENTS)), dim3(THREADS), 0, *args);
}
