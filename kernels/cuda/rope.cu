/* Rotary position embedding: the angles of a step, and q, k and v of a layer on their way to
 * attention. The order of docs/numerics.md, "Rows" and "Attention": the bits of the CPU. */
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/quad.cuh"

extern "C" {
#include "base/check.h"
#include "kernels/cuda/cuda_ops.h"
}

/* ---- angles ---- */

enum { ANGLE_THREADS = 128 };

static __global__ __launch_bounds__(ANGLE_THREADS) void rope_angles(struct rope_angles_args a)
{
    gpu_begin();
    const int64_t t = blockIdx.x;
    const int i = (int)(blockIdx.y * ANGLE_THREADS + threadIdx.x);
    if (i >= a.half)
        return;
    float *cos = a.cos_sin + t * 2 * a.half, *sin = cos + a.half, s, c;
    gpu_sincos(a.inv_freq[i] * (float)a.position[t], &s, &c);
    cos[i] = c * a.scale;
    sin[i] = s * a.scale;
}

void cuda_rope_angles(struct device *device, const struct rope_angles_args *args)
{
    GPU_LAUNCH(device, rope_angles, dim3(args->n_tokens, divide_up(args->half, ANGLE_THREADS)),
               dim3(ANGLE_THREADS), 0, *args);
}

/* ---- rotate and store ----
 *
 * A warp has one head of one token, be it of q, k or v, and a thread elements of it by four. An
 * element is computed where it is written, so each is read twice, the second time from the first
 * cache; in return q, k and v, with and without rotation, are one loop. */

enum { HEAD_WARPS = 8, WARP_ELEMENTS = WARP * QUAD };

struct rope_store_launch {
    struct rope_store_args args;
    struct kv_cache cache;
    int64_t aligned; /* all that is read, and each half of a head; so what is written too */
};

struct head {
    const float *x, *cos_sin; /* [head_dim], [2, half] */
    int half, head_dim;       /* half 0: not rotated */
    int64_t aligned;
};

static __device__ inline float rotated(const struct head &h, int i)
{
    if (i >= 2 * h.half)
        return h.x[i];
    if (i < h.half)
        return h.x[i] * h.cos_sin[i] - h.x[i + h.half] * h.cos_sin[h.half + i];
    const int j = i - h.half;
    return h.x[i] * h.cos_sin[j] + h.x[j] * h.cos_sin[h.half + j];
}

/* Four elements of the rotated head, which in an aligned one are of one half. */
static __device__ inline struct quad rotated_quad(const struct head &h, int at)
{
    if (!h.aligned) {
        struct quad y = quad_of(0.0f);
        for (int e = 0; e < QUAD && at + e < h.head_dim; e++)
            y.v[e] = rotated(h, at + e);
        return y;
    }
    struct quad x = quad_load(h.x, at, h.head_dim, true);
    if (at >= 2 * h.half)
        return x;
    const bool is_first = at < h.half;
    const int other = is_first ? at + h.half : at - h.half, angle = is_first ? at : other;
    const struct quad y = quad_load(h.x, other, h.head_dim, true);
    const struct quad cos = quad_load(h.cos_sin, angle, h.half, true);
    const struct quad sin = quad_load(h.cos_sin + h.half, angle, h.half, true);
    for (int e = 0; e < QUAD; e++) {
        const float along = x.v[e] * cos.v[e], across = y.v[e] * sin.v[e];
        x.v[e] = is_first ? along - across : along + across;
    }
    return x;
}

/* To elements first .. of `to`, in one of the formats of floating point. */
static __device__ inline void store_head(const struct head &h, void *to, enum dtype dtype,
                                         int64_t first)
{
    for (int at = (int)threadIdx.x % WARP * QUAD; at < h.head_dim; at += WARP_ELEMENTS)
        quad_store_as(to, dtype, first, at, h.head_dim, h.aligned, rotated_quad(h, at));
}

/* Whole numbers in [-127, 127], and their scale: 0 where all are 0, NaN where one is not finite. */
static __device__ inline void store_quantised(const struct head &h, int8_t *to, float *scale_out)
{
    const int lane = (int)threadIdx.x % WARP;
    float largest = 0.0f;
    for (int at = lane * QUAD; at < h.head_dim; at += WARP_ELEMENTS) {
        const struct quad x = rotated_quad(h, at);
        for (int e = 0; e < QUAD; e++)
            largest = gpu_max(largest, fabsf(x.v[e]));
    }
    largest = gpu_warp_max(largest);
    const float scale = largest < INFINITY ? largest / 127.0f : gpu_bits_f32(0x7fc00000u);
    if (lane == 0)
        *scale_out = scale;
    for (int at = lane * QUAD; at < h.head_dim; at += WARP_ELEMENTS) {
        const struct quad x = rotated_quad(h, at);
        uint32_t bytes = 0;
        for (int e = 0; e < QUAD; e++) { /* the low bits are the nearest whole number, ties even */
            const float q = scale > 0.0f ? x.v[e] / scale : 0.0f;
            bytes |= (gpu_f32_bits(q + 0x1.8p23f) & 0xffu) << 8 * e;
        }
        if (h.aligned)
            *reinterpret_cast<uint32_t *>(to + at) = bytes;
        else
            for (int e = 0; e < QUAD && at + e < h.head_dim; e++)
                to[at + e] = (int8_t)(bytes >> 8 * e);
    }
}

/* k or v of one KV head. */
static __device__ inline void store_in_cache(const struct kv_cache &cache, const struct head &h,
                                             int32_t slot, int kv_head, bool is_key)
{
    const int64_t block = slot / cache.block_tokens, in_block = slot % cache.block_tokens;
    const int64_t place = (block * cache.n_kv_heads + kv_head) * cache.block_tokens + in_block;
    void *to = is_key ? cache.k : cache.v;
    if (cache.dtype == DTYPE_I8)
        store_quantised(h, static_cast<int8_t *>(to) + place * h.head_dim,
                        (is_key ? cache.k_scale : cache.v_scale) + place);
    else
        store_head(h, to, cache.dtype, place * h.head_dim);
}

static __global__ __launch_bounds__(HEAD_WARPS *WARP) void rope_store(struct rope_store_launch l)
{
    gpu_begin();
    const struct rope_store_args &a = l.args;
    const struct kv_cache &cache = l.cache;
    const int64_t t = blockIdx.x;
    const int item = (int)(blockIdx.y * HEAD_WARPS + threadIdx.x / WARP); /* heads of q, k, v */
    const int n_kv = cache.n_kv_heads, kv_item = item - a.n_heads;
    struct head h = {NULL, a.cos_sin + t * 2 * a.half, a.half, cache.head_dim, l.aligned};

    if (kv_item < 0) {
        h.x = a.q + t * a.row_stride + (int64_t)item * h.head_dim;
        const enum dtype dtype = cache.dtype == DTYPE_I8 ? DTYPE_BF16 : cache.dtype;
        store_head(h, a.q_out, dtype, (t * a.n_heads + item) * h.head_dim);
    } else if (kv_item < 2 * n_kv && a.slot[t] >= 0) {
        const bool is_key = kv_item < n_kv;
        const int kv_head = is_key ? kv_item : kv_item - n_kv;
        h.x = (is_key ? a.k : a.v) + t * a.row_stride + (int64_t)kv_head * h.head_dim;
        h.half = is_key ? a.half : 0;
        store_in_cache(cache, h, a.slot[t], kv_head, is_key);
    }
}

void cuda_rope_store(struct device *device, const struct rope_store_args *args)
{
    const struct kv_cache *cache = args->cache;
    const int64_t stride = args->row_stride;
    const bool aligned = args->half % QUAD == 0 && cache->head_dim % QUAD == 0 &&
                         quad_rows_aligned(args->q, stride) && quad_rows_aligned(args->k, stride) &&
                         quad_rows_aligned(args->v, stride) && quad_rows_aligned(args->cos_sin, 0);
    struct rope_store_launch launch = {*args, *cache, aligned};
    launch.args.cache = NULL; /* of the host */
    const int n_items = args->n_heads + 2 * cache->n_kv_heads;
    GPU_LAUNCH(device, rope_store, dim3(args->n_tokens, divide_up(n_items, HEAD_WARPS)),
               dim3(HEAD_WARPS * WARP), 0, launch);
}
