/* kernels/cuda/attention_many.cuh: prompts: 64 rows against all that they see, 16 for each warp.
 *
 * A warp keeps the scores of its rows and a whole chunk in registers, and then the weights, which
 * are half as large, beside the sums of the chunk; also its queries, where a head is one slice.
 * Sums of all chunks are in shared memory, each element where the thread that owns it finds it
 * again without a bank conflict: they are touched once in 256 positions. (Tiles and fragments as in
 * FlashAttention-2, Dao 2023, arXiv:2307.08691; the order of the sums is that of docs/numerics.md.)
 */
#pragma once
#include "kernels/cuda/attention_many_tile.cuh"

template <class Cache, int dim> struct many_shape : head_shape<Cache, dim> {
    typedef head_shape<Cache, dim> base;
    enum {
        HOLDS_QUERIES =
            base::SLICES == 1,    /* in registers; until then they are where sums will be */
        STEPS = base::WIDTH / 16, /* of gpu_mma(), along a slice */
        QUERY_BYTES = HOLDS_QUERIES ? 0 : MANY_ROWS * dim * 2,
        SUM_BYTES = MANY_ROWS * base::WIDTH * base::PASS_SLICES * (int)sizeof(float),
        TABLE_BYTES = many_stream<Cache, dim>::TABLE_BYTES,
        BYTES = QUERY_BYTES + SUM_BYTES + TABLE_BYTES,
    };
};

enum { MANY_COLUMNS = CHUNK / 8, QUARTER_COLUMNS = QUARTER / 8 }; /* of gpu_mma() in a chunk */

/* 16 elements of the head: products of 16 queries with the 64 keys of a tile, added to s. */
template <class Cache, int dim>
static __device__ inline void add_step(float (*s)[4], const uint32_t q[4], unsigned char *keys,
                                       uint32_t lane, int step)
{
    enum { PER_ROW = many_shape<Cache, dim>::WIDTH / SEGMENT_NUMBERS };
    const unsigned char *from = place_b<PER_ROW>(keys, lane, step);
#pragma unroll
    for (int n = 0; n < QUARTER_COLUMNS; n += 2) {
        uint32_t k[4];
        gpu_load_matrix(k, from + n * 8 * PER_ROW * SEGMENT);
        gpu_mma(typename Cache::format(), s[n], q, k);
        gpu_mma(typename Cache::format(), s[n + 1], q, k + 2);
    }
}

/* From products to scores before to_log2, of 64 positions. k_scale: of these, or NULL. */
static __device__ inline void finish_scores(float (*s)[4], const struct attention_launch &a,
                                            const float *k_scale)
{
    const int i = (int)threadIdx.x % 4 * 2;
#pragma unroll
    for (int n = 0; n < QUARTER_COLUMNS; n++) {
        if (k_scale != NULL)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[n][e] *= k_scale[n * 8 + i + e % 2];
        if (a.to_cap > 0.0f)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[n][e] = tanh_of(s[n][e] * a.to_cap);
    }
}

/* From the scores of a chunk to weights in the format of the queries, pairs of row g and of row
 * g + 8; max and sum of both rows. v_scale: of the chunk, or NULL. */
template <class Cache>
static __device__ inline void weights_of_chunk(uint32_t (*w)[2], float (*s)[4], float max[2],
                                               float sum[2], float to_log2, const float *v_scale)
{
    const int i = (int)threadIdx.x % 4 * 2;
    float lane[2][ATTENTION_WARPS] = {};
    max[0] = max[1] = -INFINITY;
#pragma unroll
    for (int n = 0; n < MANY_COLUMNS; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            max[e / 2] = fmaxf(max[e / 2], s[n][e]);
    max[0] = quad_max(max[0]);
    max[1] = quad_max(max[1]);
#pragma unroll
    for (int n = 0; n < MANY_COLUMNS; n++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float x = weight_of(s[n][2 * r], max[r], to_log2);
            float y = weight_of(s[n][2 * r + 1], max[r], to_log2);
            float *l = &lane[r][n / 2 % ATTENTION_WARPS];
            *l += x;
            *l += y;
            if (Cache::IS_I8) { /* the scale of what is not seen may be NaN */
                x = s[n][2 * r] == -INFINITY ? 0.0f : x * v_scale[n * 8 + i];
                y = s[n][2 * r + 1] == -INFINITY ? 0.0f : y * v_scale[n * 8 + i + 1];
            }
            w[n][r] = Cache::format::pack(x, y);
        }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        sum[r] = quad_sum((lane[r][0] + lane[r][1]) + (lane[r][2] + lane[r][3]));
        max[r] *= to_log2;
    }
}

/* The weights of a quarter times its values, added to o: all columns of a tile. */
template <class Cache, int dim>
static __device__ inline void add_values(float (*o)[4], const uint32_t (*w)[2],
                                         unsigned char *values)
{
    enum { PER_ROW = head_shape<Cache, dim>::WIDTH / SEGMENT_NUMBERS };
    const uint32_t lane = lane_anew();
    const unsigned char *from[PER_ROW / 2]; /* of 16 columns each */
#pragma unroll
    for (int n = 0; n < PER_ROW / 2; n++)
        from[n] = place_a<PER_ROW>(values, lane, n);
#pragma unroll
    for (int step = 0; step < QUARTER / 16; step++) {
        const uint32_t p[4] = {w[2 * step][0], w[2 * step][1], w[2 * step + 1][0],
                               w[2 * step + 1][1]};
#pragma unroll
        for (int n = 0; n < PER_ROW / 2; n++) {
            uint32_t v[4];
            gpu_load_matrix_transposed(v, from[n] + step * 16 * PER_ROW * SEGMENT);
            gpu_mma(typename Cache::format(), o[2 * n], p, v);
            gpu_mma(typename Cache::format(), o[2 * n + 1], p, v + 2);
        }
    }
}

/* The row of a tile that gpu_mma() gives this thread; another is 8 behind it. */
static __device__ inline int thread_row()
{
    return (int)threadIdx.x / WARP * 16 + (int)threadIdx.x % WARP / 4;
}

template <class Cache, int dim> struct many_rows {
    typedef many_shape<Cache, dim> shape;
    enum { COLUMNS = shape::WIDTH / 8, PER_ROW = shape::WIDTH / SEGMENT_NUMBERS };

    const struct attention_launch &a;
    const struct row_tile &tile;
    unsigned char *queries; /* [MANY_ROWS][dim] in segments */
    float4 *sums;           /* [PASS_SLICES * COLUMNS][ATTENTION_THREADS] */
    int64_t *table;
    int *flag;
    uint32_t held[shape::HOLDS_QUERIES ? shape::STEPS : 1][4];
    typedef many_stream<Cache, dim> tiles;

    __device__ inline void load_query(uint32_t q[4], int step)
    {
        enum { N_SEGMENTS = dim / SEGMENT_NUMBERS };
        unsigned char *mine = queries + threadIdx.x / WARP * 16 * N_SEGMENTS * SEGMENT;
        gpu_load_matrix(q, place_a<N_SEGMENTS>(mine, threadIdx.x % WARP, step));
    }

    /* Where queries were are sums from now on. */
    __device__ inline void hold_queries()
    {
#pragma unroll
        for (int step = 0; step < shape::STEPS; step++)
            load_query(held[step], step);
        __syncthreads();
    }

    /* Of a slice of the head, with 64 keys. */
    __device__ inline void add_products(float (*s)[4], unsigned char *keys, int slice)
    {
        const uint32_t lane = lane_anew();
        if constexpr (shape::HOLDS_QUERIES) {
#pragma unroll
            for (int step = 0; step < shape::STEPS; step++)
                add_step<Cache, dim>(s, held[step], keys, lane, step);
        } else {
#pragma unroll 2 /* addresses of all steps at once would take the registers of scores */
            for (int step = 0; step < shape::STEPS; step++) {
                uint32_t q[4];
                load_query(q, slice * shape::STEPS + step);
                add_step<Cache, dim>(s, q, keys, lane, step);
            }
        }
    }

    __device__ inline void score_quarter(tiles &stream, float (*s)[4], int chunk, int quarter)
    {
        const int begin = chunk * CHUNK + quarter * QUARTER;
        for (int slice = 0; slice < shape::SLICES; slice++) {
            unsigned char *keys = stream.take(quarter, slice == 0);
            add_products(s, keys, slice);
        }
        const float *scale = Cache::IS_I8 ? stream.scales() + quarter * QUARTER : NULL;
        finish_scores(s, a, scale);
        if (is_seen_by_all(tile, begin))
            return;
        const struct sight row[2] = {row_at(a.args, tile, thread_row()).sees,
                                     row_at(a.args, tile, thread_row() + 8).sees};
#pragma unroll
        for (int n = 0; n < QUARTER_COLUMNS; n++)
            hide(s[n], begin + n * 8 + (int)threadIdx.x % 4 * 2, row);
    }

    __device__ inline void score_chunk(tiles &stream, float (*s)[4], int chunk)
    {
        const int begin = first_quarter(tile.begin, chunk), end = last_quarter(tile.end, chunk);
#pragma unroll
        for (int q = 0; q < QUARTERS; q++) {
            const bool there = q >= begin && q < end;
#pragma unroll
            for (int n = 0; n < QUARTER_COLUMNS; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    s[q * QUARTER_COLUMNS + n][e] = there ? 0.0f : -INFINITY;
            if (there)
                score_quarter(stream, s + q * QUARTER_COLUMNS, chunk, q);
        }
    }

    __device__ inline void sum_slice(tiles &stream, const uint32_t (*w)[2], int chunk, int slice,
                                     const struct shares share[2])
    {
        const int begin = first_quarter(tile.begin, chunk), end = last_quarter(tile.end, chunk);
        float o[COLUMNS][4] = {};
#pragma unroll
        for (int q = 0; q < QUARTERS; q++) {
            if (q < begin || q >= end)
                continue;
            unsigned char *values = stream.take(q, false);
            const int at = chunk * CHUNK + q * QUARTER;
            if (!Cache::IS_I8 && !is_seen_alike(tile, at))
                clean_values<typename Cache::format, PER_ROW, COLUMNS>(a.args, tile, thread_row(),
                                                                       o, values, 0, at, flag);
            add_values<Cache, dim>(o, w + q * QUARTER_COLUMNS, values);
        }
#pragma unroll
        for (int n = 0; n < COLUMNS; n++)
            join_sums(sums_at(sums, slice * COLUMNS + n), o[n], share);
    }

    __device__ inline void store(int first_slice, const struct running state[2])
    {
        const int i = (int)threadIdx.x % 4 * 2;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const struct attention_row of = row_at(a.args, tile, thread_row() + 8 * half);
            if (of.sees.end == 0)
                continue;
            const int64_t to = output_of(a, of);
            const float by = 1.0f / state[half].sum;
            for (int n = 0; n < shape::PASS_SLICES * COLUMNS; n++) {
                const float4 sum = *sums_at(sums, n);
                const int d = first_slice * shape::WIDTH + n * 8 + i;
                store_two(a, to, d, (half ? sum.z : sum.x) * by, (half ? sum.w : sum.y) * by);
            }
        }
    }

    /* Slices [first_slice, + PASS_SLICES) of the output, over all chunks. */
    __device__ inline void pass(unsigned char *ring, int first_slice)
    {
        const int first_chunk = first_chunk_of(tile), end_chunk = end_chunk_of(tile);
        tiles stream =
            many_stream_of<Cache, dim>(a, tile, ring, table, first_slice, shape::PASS_SLICES);
        stream.start();
        if (shape::HOLDS_QUERIES)
            hold_queries();
        for (int n = 0; n < shape::PASS_SLICES * COLUMNS; n++)
            *sums_at(sums, n) = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        struct running state[2] = {running_none(), running_none()};
        for (int chunk = first_chunk; chunk < end_chunk; chunk++) {
            float s[MANY_COLUMNS][4], max[2], sum[2];
            uint32_t w[MANY_COLUMNS][2];
            score_chunk(stream, s, chunk);
            weights_of_chunk<Cache>(w, s, max, sum, a.to_log2,
                                    Cache::IS_I8 ? stream.scales() + CHUNK : NULL);
            const struct shares share[2] = {join(&state[0], max[0], sum[0]),
                                            join(&state[1], max[1], sum[1])};
            for (int slice = 0; slice < shape::PASS_SLICES; slice++)
                sum_slice(stream, w, chunk, slice, share);
        }
        store(first_slice, state);
    }
};

/* Which tile a block has next: there and back again, so that over several turns blocks have about
 * as much to do, although the tiles become smaller. */
static __device__ inline int64_t tile_of_turn(int turn)
{
    const int there = (int)blockIdx.x, back = (int)gridDim.x - 1 - there;
    return (int64_t)turn * (int)gridDim.x + (turn % 2 == 0 ? there : back);
}

/* `memory` has BYTES of many_shape and then the ring. */
template <class Cache, int dim>
static __device__ inline void attend_many(const struct attention_launch &a,
                                          struct block_state *block, unsigned char *memory)
{
    typedef many_shape<Cache, dim> shape;
    unsigned char *behind_sums = memory + shape::SUM_BYTES;
    unsigned char *queries = shape::HOLDS_QUERIES ? memory : behind_sums;
    many_rows<Cache, dim> rows = {a,
                                  block->tile,
                                  queries,
                                  reinterpret_cast<float4 *>(memory),
                                  reinterpret_cast<int64_t *>(behind_sums + shape::QUERY_BYTES),
                                  &block->flag,
                                  {}};
    load_queries<dim, MANY_ROWS>(a, block->tile, queries);
    for (int slice = 0; slice < shape::SLICES; slice += shape::PASS_SLICES)
        rows.pass(memory + shape::BYTES, slice);
}
