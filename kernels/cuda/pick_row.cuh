/* kernels/cuda/pick_row.cuh: a row of logits as the kernels of op_pick() see it: what is wanted of
 * it, its chunks, its values after temperature and filters, and what blocks agree on.
 *
 * A block has one chunk of one row. Values are never written down: a quad is made out of the
 * logits where it is read, by the operations of runtime/sample/tempered.c.
 */
#pragma once
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/quad.cuh"

#include <float.h>

extern "C" {
#include "kernels/pick_memory.h"
}

enum {
    PICK_THREADS = 512,
    PICK_WARPS = PICK_THREADS / WARP,
    NO_TOKEN = INT32_MAX, /* behind all */
    NOWHERE = -1,         /* no token, no bin */
};
#define PICK_KERNEL static __global__ __launch_bounds__(PICK_THREADS) void

struct pick_launch {
    struct pick_args args; /* of the rows of this group */
    struct pick_memory memory;
    int chunk; /* columns of a chunk, a multiple of LOGITS_BLOCK */
    bool aligned;
};

/* ---- what is wanted ---- */

struct pick_row {
    const struct pick_spec *spec;
    struct pick_state *state;
    const float *logits;
    int n, begin, end; /* of the row, and of this chunk */
    bool aligned;
    bool is_sampled;       /* by noise */
    bool is_described;     /* log-probabilities are wanted */
    bool is_processed;     /* and those of the row after all filters */
    float temperature;     /* 1: the values are the logits */
    float max, least;      /* values less max below least are out */
    struct candidate last; /* and all behind this */
};

static __device__ inline bool wants_top_k(const struct pick_row &r)
{
    return r.is_sampled && r.spec->top_k > 0 && r.spec->top_k < r.n;
}

static __device__ inline bool wants_top_p(const struct pick_row &r)
{
    return r.is_sampled && r.spec->top_p < 1.0f;
}

/* Without filters: see pick_row_filter(). */
static __device__ inline struct pick_row pick_row_make(const struct pick_launch &l)
{
    const int64_t i = blockIdx.y;
    struct pick_row r;
    r.spec = l.args.spec + i;
    r.state = l.memory.state + i;
    r.logits = l.args.logits + i * l.args.row_stride;
    r.n = l.args.vocab;
    r.begin = (int)blockIdx.x * l.chunk;
    r.end = r.begin + l.chunk < r.n ? r.begin + l.chunk : r.n;
    r.aligned = l.aligned;
    const bool is_token = r.spec->want == PICK_WANT_TOKEN;
    r.is_sampled = is_token && !(r.spec->temperature < 1e-5f);
    r.is_described = r.spec->want != PICK_WANT_NOTHING && (!is_token || r.spec->n_best >= 0);
    r.is_processed = l.args.processed_logprobs && is_token && r.is_described;
    const float least_temperature = 0.01f;
    r.temperature = !r.is_sampled                             ? 1.0f
                    : r.spec->temperature > least_temperature ? r.spec->temperature
                                                              : least_temperature;
    r.max = r.least = -INFINITY;
    r.last.value = -INFINITY;
    r.last.token = NO_TOKEN;
    return r;
}

/* Drops what the filters that are known by now dropped. */
static __device__ inline void pick_row_filter(struct pick_row *r)
{
    r->max = r->state->top.value;
    r->least = r->is_sampled && r->spec->min_p > 0.0f ? gpu_log(r->spec->min_p) : -INFINITY;
    r->last = r->state->last;
}

/* ---- values ---- */

static __device__ inline float tempered(const struct pick_row &r, float logit)
{
    const float value = r.temperature == 1.0f ? logit : logit / r.temperature;
    return value > FLT_MAX ? FLT_MAX : value; /* still to be compared and subtracted */
}

static __device__ inline float filtered(const struct pick_row &r, float value, int token)
{
    const bool is_in = value - r.max >= r.least &&
                       (value > r.last.value || (value == r.last.value && token <= r.last.token));
    return is_in ? value : -INFINITY;
}

/* -inf where one is out. */
static __device__ inline float value_at(const struct pick_row &r, int token)
{
    return filtered(r, tempered(r, r.logits[token]), token);
}

static __device__ inline struct quad values_at(const struct pick_row &r, int at)
{
    struct quad v = quad_load(r.logits, at, r.n, r.aligned, -INFINITY);
#pragma unroll
    for (int e = 0; e < QUAD; e++)
        v.v[e] = filtered(r, tempered(r, v.v[e]), at + e);
    return v;
}

/* f(at) for each quad of this thread in [begin, end). */
template <class F> static __device__ inline void each_quad(int begin, int end, F f)
{
    for (int at = begin + (int)threadIdx.x * QUAD; at < end; at += PICK_THREADS * QUAD)
        f(at);
}

/* ---- candidates ---- */

static __device__ inline struct candidate no_candidate()
{
    struct candidate c;
    c.value = -INFINITY;
    c.token = NO_TOKEN;
    return c;
}

static __device__ inline bool is_before(struct candidate a, struct candidate b)
{
    return a.value > b.value || (a.value == b.value && a.token < b.token);
}

static __device__ inline struct candidate better(struct candidate a, struct candidate b)
{
    return is_before(b, a) ? b : a;
}

static __device__ inline struct candidate best_of_warp(struct candidate c)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        struct candidate other;
        other.value = __shfl_xor_sync(0xffffffffu, c.value, distance);
        other.token = __shfl_xor_sync(0xffffffffu, c.token, distance);
        c = better(c, other);
    }
    return c;
}

/* To all threads. */
static __device__ inline struct candidate best_of_block(struct candidate c)
{
    SHARED(struct candidate, of_warp, PICK_WARPS);
    c = best_of_warp(c);
    __syncthreads(); /* the search before may still read */
    if (threadIdx.x % WARP == 0)
        of_warp[threadIdx.x / WARP] = c;
    __syncthreads();
    const int lane = (int)threadIdx.x % WARP;
    return best_of_warp(lane < PICK_WARPS ? of_warp[lane] : no_candidate());
}

/* The best of what the chunks of this row left, to all threads. */
static __device__ inline struct candidate best_of_chunks(const struct candidate *of_chunk)
{
    const int i = (int)threadIdx.x;
    return best_of_block(i < (int)gridDim.x ? of_chunk[blockIdx.y * PICK_CHUNKS + i]
                                            : no_candidate());
}

/* ---- all threads ---- */

/* The sum, to all threads; whole numbers have no order. */
static __device__ inline unsigned long long sum_of_block(unsigned long long x)
{
    SHARED(unsigned long long, sum, 1);
    __syncthreads();
    if (threadIdx.x == 0)
        sum[0] = 0;
    __syncthreads();
    if (x != 0)
        atomicAdd(&sum[0], x);
    __syncthreads();
    return sum[0];
}

/* True, for all threads, in the block that comes last of all chunks of a row: it sees what the
 * others wrote, and ends what they have begun. */
static __device__ inline bool is_last_block(unsigned *n_arrived)
{
    SHARED(bool, is_last, 1);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        is_last[0] = atomicAdd(n_arrived, 1u) == gridDim.x - 1;
    __syncthreads();
    __threadfence();
    return is_last[0];
}
