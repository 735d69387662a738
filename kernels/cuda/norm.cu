/* RMS norm of rows and of heads. Both have one order (docs/numerics.md, "Rows"): 1024 lanes that
 * take four neighbours each, of every 4096; then the lanes of a run of 32 are halved, and the runs.
 * Lanes without elements add +0, so a shorter row needs fewer threads.
 *
 * A row is a block, which holds it in registers: one pass over memory. In decoding that is a few
 * rows and a chain of waits, so everything that is read is asked for before the sum. */
#include "kernels/cuda/progress.cuh"
#include "kernels/cuda/quad.cuh"

extern "C" {
#include "base/check.h"
#include "kernels/cuda/cuda_ops.h"
}

enum {
    NORM_LANES = 1024,
    LANES_ELEMENTS = NORM_LANES * QUAD, /* of a row that all lanes take at a time */
    HEAD_WARPS = 8,                     /* of a block of head_norm, a head each */
    RUN_ELEMENTS = WARP * QUAD,
};

static __device__ inline float add_squares(struct quad x, float sum)
{
    for (int e = 0; e < QUAD; e++)
        sum = fmaf(x.v[e], x.v[e], sum);
    return sum;
}

static __device__ inline struct quad scaled(struct quad x, float scale, float offset,
                                            struct quad weight)
{
    for (int e = 0; e < QUAD; e++)
        x.v[e] = x.v[e] * scale * (offset + weight.v[e]);
    return x;
}

static __device__ inline float rms_scale(float squares, int n, float eps)
{
    return 1.0f / sqrtf(squares / (float)n + eps);
}

/* ---- rows ---- */

/* It comes after each sum of a step, and says that the sum is done. */
struct norm_launch {
    struct rms_norm_args args;
    struct progress progress;
};

/* Of all lanes, to all threads. */
static __device__ inline float sum_of_lanes(float x)
{
    SHARED(float, of_run, WARP);
    const int lane = (int)threadIdx.x % WARP, run = (int)threadIdx.x / WARP;
    x = gpu_warp_sum(x);
    __syncthreads(); /* the sum before may still be read */
    if (lane == 0)
        of_run[run] = x;
    __syncthreads();
    return gpu_warp_sum(lane < (int)blockDim.x / WARP ? of_run[lane] : 0.0f);
}

/* delta (+ bias) */
static __device__ inline struct quad load_delta(const struct rms_norm_args &a, const float *delta,
                                                int at, bool aligned)
{
    struct quad d = quad_load(delta, at, a.hidden, aligned);
    if (a.delta_bias.data != NULL) {
        const struct quad bias = quad_load_weight(a.delta_bias, 0, at, a.hidden);
        for (int e = 0; e < QUAD; e++)
            d.v[e] += bias.v[e];
    }
    return d;
}

/* What is added to the residual. */
static __device__ inline struct quad branch_at(const struct rms_norm_args &a, const float *delta,
                                               float scale, int at, bool aligned)
{
    const struct quad d = load_delta(a, delta, at, aligned);
    if (a.delta_norm.data == NULL)
        return d;
    return scaled(d, scale, a.offset, quad_load_weight(a.delta_norm, 0, at, a.hidden));
}

/* First element of this thread's quad q: those of a thread are 4096 elements apart. */
static __device__ inline int place_of(int q)
{
    return q * LANES_ELEMENTS + (int)threadIdx.x * QUAD;
}

/* The scale of a branch by itself; 1 where it is not normed. */
static __device__ inline float branch_scale(const struct rms_norm_args &a, const float *delta,
                                            bool aligned)
{
    if (delta == NULL || a.delta_norm.data == NULL)
        return 1.0f;
    float squares = 0.0f;
    for (int q = 0; place_of(q) < a.hidden; q++)
        squares = add_squares(load_delta(a, delta, place_of(q), aligned), squares);
    return rms_scale(sum_of_lanes(squares), a.hidden, a.eps);
}

/* Four elements of the residual with what is added to them. */
static __device__ inline struct quad sum_at(const struct rms_norm_args &a, const float *residual,
                                            const float *delta, float scale, int at, bool aligned)
{
    struct quad r = quad_load(residual, at, a.hidden, aligned);
    if (delta == NULL)
        return r;
    const struct quad d = branch_at(a, delta, scale, at, aligned);
    for (int e = 0; e < QUAD; e++)
        r.v[e] += d.v[e];
    return r;
}

/* Four elements of the result, zeros behind the end of the row. */
static __device__ inline void write_normed(const struct rms_norm_args &a, int at, struct quad r,
                                           float scale, struct quad weight)
{
    struct quad y = scaled(r, scale, a.offset, weight);
    for (int e = 0; e < QUAD; e++)
        y.v[e] = at + e < a.hidden ? y.v[e] : 0.0f;
    quad_store_as(a.out.data, a.out.dtype, (int64_t)blockIdx.x * a.out.k_padded, at, a.out.k_padded,
                  a.out.k_padded % QUAD == 0, y);
}

static __device__ inline float *residual_row(const struct rms_norm_args &a)
{
    const int64_t t = blockIdx.x, row = a.row != NULL ? a.row[t] : t;
    return a.residual + row * a.hidden;
}

static __device__ inline const float *delta_row(const struct rms_norm_args &a)
{
    return a.delta != NULL ? a.delta + (int64_t)blockIdx.x * a.hidden : NULL;
}

/* A row that a block can hold. All loads come before the first store, so that they wait for memory
 * together. */
template <int quads>
static __global__ __launch_bounds__(NORM_LANES) void rms_norm(struct norm_launch l)
{
    gpu_begin();
    progress_tell(l.progress);
    const struct rms_norm_args &a = l.args;
    float *residual = residual_row(a);
    const float *delta = delta_row(a);
    const float by = branch_scale(a, delta, true);
    struct quad r[quads], weight[quads];
#pragma unroll
    for (int q = 0; q < quads; q++)
        r[q] = sum_at(a, residual, delta, by, place_of(q), true);
#pragma unroll
    for (int q = 0; q < quads; q++)
        weight[q] = quad_load_weight(a.weight, 0, place_of(q), a.hidden);
    float squares = 0.0f;
#pragma unroll
    for (int q = 0; q < quads; q++) {
        squares = add_squares(r[q], squares);
        if (delta != NULL)
            quad_store(residual, place_of(q), a.hidden, true, r[q]);
    }
    const float scale = rms_scale(sum_of_lanes(squares), a.hidden, a.eps);
#pragma unroll
    for (int q = 0; q < quads; q++)
        if (place_of(q) < a.out.k_padded)
            write_normed(a, place_of(q), r[q], scale, weight[q]);
}

/* Any other: too long, or not aligned. Each thread reads again what it wrote itself. */
static __global__ __launch_bounds__(NORM_LANES) void rms_norm_any(struct norm_launch l)
{
    gpu_begin();
    progress_tell(l.progress);
    const struct rms_norm_args &a = l.args;
    float *residual = residual_row(a), squares = 0.0f;
    const float *delta = delta_row(a);
    const float by = branch_scale(a, delta, false);
    for (int q = 0; place_of(q) < a.hidden; q++) {
        const struct quad r = sum_at(a, residual, delta, by, place_of(q), false);
        squares = add_squares(r, squares);
        if (delta != NULL)
            quad_store(residual, place_of(q), a.hidden, false, r);
    }
    const float scale = rms_scale(sum_of_lanes(squares), a.hidden, a.eps);
    for (int q = 0; place_of(q) < a.out.k_padded; q++)
        write_normed(a, place_of(q), quad_load(residual, place_of(q), a.hidden, false), scale,
                     quad_load_weight(a.weight, 0, place_of(q), a.hidden));
}

void cuda_rms_norm(struct device *device, const struct rms_norm_args *args)
{
    const int n = args->out.k_padded;
    const bool aligned = quad_rows_aligned(args->residual, args->hidden) &&
                         quad_rows_aligned(args->delta, args->hidden);
    const unsigned n_runs = n < LANES_ELEMENTS ? divide_up(n, RUN_ELEMENTS) : NORM_LANES / WARP;
    const dim3 grid((unsigned)args->n_tokens), block(n_runs * WARP);
    struct norm_launch launch = {};
    launch.args = *args;
    launch.progress = cuda_progress_take(device);
    if (!aligned || n > 4 * LANES_ELEMENTS)
        GPU_LAUNCH(device, rms_norm_any, grid, block, 0, launch);
    else if (n > 2 * LANES_ELEMENTS)
        GPU_LAUNCH(device, rms_norm<4>, grid, block, 0, launch);
    else if (n > LANES_ELEMENTS)
        GPU_LAUNCH(device, rms_norm<2>, grid, block, 0, launch);
    else
        GPU_LAUNCH(device, rms_norm<1>, grid, block, 0, launch);
}

/* ---- heads ---- */

struct head_norm_launch {
    struct head_norm_args args;
    int64_t aligned;
};

/* The runs of a head are a lane's quads, and are halved as those of a row. */
enum { HEAD_RUNS = 4 }; /* MAX_HEAD_DIM / RUN_ELEMENTS */

static __global__ __launch_bounds__(HEAD_WARPS *WARP) void head_norm(struct head_norm_launch l)
{
    gpu_begin();
    const int head = (int)(blockIdx.y * HEAD_WARPS + threadIdx.x / WARP), n = l.args.head_dim;
    const int lane = (int)threadIdx.x % WARP;
    if (head >= l.args.n_heads)
        return;
    float *x = l.args.x + blockIdx.x * l.args.row_stride + (int64_t)head * n;
    struct quad part[HEAD_RUNS];
    float squares[HEAD_RUNS];
#pragma unroll
    for (int run = 0; run < HEAD_RUNS; run++) {
        part[run] = quad_load(x, run * RUN_ELEMENTS + lane * QUAD, n, l.aligned);
        squares[run] = gpu_warp_sum(add_squares(part[run], 0.0f));
    }
    const float scale =
        rms_scale((squares[0] + squares[2]) + (squares[1] + squares[3]), n, l.args.eps);
#pragma unroll
    for (int run = 0; run < HEAD_RUNS; run++) {
        const int at = run * RUN_ELEMENTS + lane * QUAD;
        quad_store(
            x, at, n, l.aligned,
            scaled(part[run], scale, l.args.offset, quad_load_weight(l.args.weight, 0, at, n)));
    }
}

void cuda_head_norm(struct device *device, const struct head_norm_args *args)
{
    check(args->head_dim <= HEAD_RUNS * RUN_ELEMENTS);
    const bool aligned = quad_rows_aligned(args->x, args->row_stride) && args->head_dim % QUAD == 0;
    const struct head_norm_launch launch = {*args, aligned};
    GPU_LAUNCH(device, head_norm, dim3(args->n_tokens, divide_up(args->n_heads, HEAD_WARPS)),
               dim3(HEAD_WARPS * WARP), 0, launch);
}
