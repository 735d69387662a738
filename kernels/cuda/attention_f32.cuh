/* kernels/cuda/attention_f32.cuh: attention over a cache of float32: the reference mode.
 *
 * One block for one query head of one row, one thread for one position and then for one column:
 * plain, and in the order of the other kernels, but that products are chains of fmaf().
 */
#pragma once
#include "kernels/cuda/attention_rows.cuh"

enum { F32_COLUMNS = MAX_HEAD_DIM / CHUNK }; /* of the output, of a thread */

/* The row of a block; `tile` becomes one of this row alone. */
static __device__ inline struct attention_row f32_row(const struct attention_launch &a,
                                                      struct row_tile *tile)
{
    const struct attention_args &args = a.args;
    const int t = (int)blockIdx.x, head = (int)blockIdx.y;
    const int s = run_of(args.first_row, args.n_sequences, t);
    const int position = args.n_computed[s] + t - args.first_row[s];
    tile->sequence = s;
    tile->kv_head = args.kv_of_head[head];
    tile->begin = first_seen(position, args.window);
    tile->end = position + 1;
    return {t, head, {tile->begin, tile->end}};
}

/* Where a position of the row's KV head is in K and V. */
static __device__ inline int64_t f32_place(const struct attention_launch &a,
                                           const struct row_tile &tile, int position)
{
    const int32_t *blocks = a.args.block + a.args.first_block[tile.sequence];
    const int64_t block = blocks[position >> a.block_shift];
    const int in_block = position & (a.cache.block_tokens - 1);
    const int64_t row = ((block * a.cache.n_kv_heads + tile.kv_head) << a.block_shift) + in_block;
    return row * a.cache.head_dim;
}

static __device__ inline float f32_score(const struct attention_launch &a,
                                         const struct row_tile &tile, const float *q, int position)
{
    if (position < tile.begin || position >= tile.end)
        return -INFINITY;
    const float *k = static_cast<const float *>(a.cache.k) + f32_place(a, tile, position);
    float s = 0.0f;
    for (int d = 0; d < a.cache.head_dim; d++)
        s = fmaf(q[d], k[d], s);
    return a.to_cap > 0.0f ? tanh_of(s * a.to_cap) : s;
}

/* Of the scores of a chunk: those of the matrix unit's thread i of warp w are the positions with
 * p / 16 % 4 = w and p / 2 % 4 = i. */
static __device__ inline float f32_sum(const float *weight)
{
    float of_lane[4];
    for (int i = 0; i < 4; i++) {
        float of_warp[ATTENTION_WARPS] = {};
        for (int p = 0; p < CHUNK; p++)
            if (p / 2 % 4 == i)
                of_warp[p / 16 % ATTENTION_WARPS] += weight[p];
        of_lane[i] = (of_warp[0] + of_warp[1]) + (of_warp[2] + of_warp[3]);
    }
    return (of_lane[0] + of_lane[1]) + (of_lane[2] + of_lane[3]);
}

/* Everything of a chunk but its values: its weights and its shares. Every thread calls it. */
static __device__ inline struct shares f32_weights(const struct attention_launch &a,
                                                   const struct row_tile &tile, int chunk,
                                                   const float *q, struct running *state,
                                                   float *weight)
{
    SHARED(float, maxima, CHUNK / WARP);
    SHARED(float, sum, 1);
    const int t = (int)threadIdx.x;
    const float s = f32_score(a, tile, q, chunk * CHUNK + t);
    float max = s;
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        max = fmaxf(max, __shfl_xor_sync(0xffffffffu, max, distance));
    if (t % WARP == 0)
        maxima[t / WARP] = max;
    __syncthreads();
    for (int w = 0; w < CHUNK / WARP; w++)
        max = fmaxf(max, maxima[w]);
    weight[t] = weight_of(s, max, a.to_log2);
    __syncthreads();
    if (t == 0)
        sum[0] = f32_sum(weight);
    __syncthreads();
    return join(state, max * a.to_log2, sum[0]);
}

static __global__ __launch_bounds__(CHUNK) void attention_f32(struct attention_launch a)
{
    gpu_begin();
    SHARED(float, weight, CHUNK);
    const int t = (int)threadIdx.x, head_dim = a.cache.head_dim;
    if (blockIdx.y == 0)
        store_padding(a, (int)blockIdx.x);
    if ((int)blockIdx.x >= a.args.first_row[a.args.n_sequences])
        return;
    struct row_tile tile;
    const struct attention_row row = f32_row(a, &tile);
    const float *q =
        static_cast<const float *>(a.args.q) + (row.token * a.args.n_heads + row.head) * head_dim;
    struct running state = running_none();
    float sum[F32_COLUMNS] = {};
    for (int chunk = first_chunk_of(tile); chunk < end_chunk_of(tile); chunk++) {
        const struct shares share = f32_weights(a, tile, chunk, q, &state, weight);
        const int begin = max(tile.begin, chunk * CHUNK);
        const int end = min(tile.end, (chunk + 1) * CHUNK);
        for (int c = 0; c < F32_COLUMNS && c * CHUNK + t < head_dim; c++) {
            const float *v = static_cast<const float *>(a.cache.v) + c * CHUNK + t;
            float o = 0.0f;
            for (int p = begin; p < end; p++)
                o = fmaf(weight[p - chunk * CHUNK], v[f32_place(a, tile, p)], o);
            sum[c] = joined(sum[c], o, share);
        }
        __syncthreads(); /* the weights are used no more */
    }
    for (int c = 0; c < F32_COLUMNS && c * CHUNK + t < head_dim; c++)
        store_as(a.args.out.data, a.args.out.dtype, output_of(a, row) + c * CHUNK + t,
                 sum[c] * (1.0f / state.sum));
}
