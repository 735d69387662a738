/* kernels/cuda/attention_units.cuh: which block has which units of few rows, and how the results
 * of tiles that were cut become one.
 */
#pragma once
#include "kernels/cuda/attention_rows.cuh"

/* The tile that a unit belongs to; units as in struct few_start. */
struct unit_tile {
    struct row_tile rows;
    int first, end, chunk_0;
};

static __device__ inline struct unit_tile tile_of_start(const struct attention_launch &a,
                                                        const struct few_start &start)
{
    struct unit_tile of;
    of.rows.sequence = start.sequence;
    of.rows.kv_head = start.kv_head;
    of.rows.first_head = start.first_head;
    of.rows.group = start.group;
    of.rows.first_token = start.first_token;
    of.rows.n_computed = start.n_computed;
    see(&of.rows, start.n_new, a.args.window, start.index, FEW_ROWS);
    of.first = start.first;
    of.end = start.tile_end;
    of.chunk_0 = start.chunk_0;
    return of;
}

static __device__ inline struct unit_tile tile_of_unit(const struct attention_launch &a, int unit)
{
    const struct attention_args &args = a.args;
    const int32_t *first_unit = first_units(a.work);
    const int s = run_of(first_unit, args.n_sequences, unit);
    const struct sequence_span span = span_of(args.first_row, args.n_computed, s, args.window);
    const int tile = (unit - first_unit[s]) / span.n_chunks, n_kv = a.cache.n_kv_heads;
    struct unit_tile of;
    of.rows = tile_at(args, s, tile % n_kv, tile / n_kv, FEW_ROWS);
    of.first = first_unit[s] + tile * span.n_chunks;
    of.end = of.first + span.n_chunks;
    of.chunk_0 = of.first - span.first_chunk;
    return of;
}

static __device__ inline struct row_tile tile_of_many(const struct attention_launch &a, int tile)
{
    const int32_t *first_tile = first_tiles(a);
    const int n_kv = a.cache.n_kv_heads, s = run_of(first_tile, a.args.n_sequences, tile);
    const int n = (first_tile[s + 1] - first_tile[s]) / n_kv, i = tile - first_tile[s];
    /* the last rows see most, and come first: what is left at the end is small */
    return tile_at(a.args, s, i % n_kv, n - 1 - i / n_kv, MANY_ROWS);
}

/* Tiles may be cut among blocks: there is memory for the results of all units. */
static __device__ inline bool units_may_part(const struct attention_launch &a)
{
    return (int64_t)a.work->n_units * a.work->unit_rows <= a.n_partial_rows;
}

static __device__ inline float *partial_of(const struct attention_launch &a, int unit, int row)
{
    const int64_t at = (int64_t)unit * a.work->unit_rows + row;
    return a.partial + at * (2 + a.cache.head_dim);
}

/* ---- a tile that several blocks have ----
 *
 * Each leaves the results of its chunks in the workspace; who comes last joins them, from left to
 * right, whoever it is. */

/* Every thread of every block that has units of the tile calls it when its results are written.
 * True: those of all blocks are there. */
static __device__ inline bool is_last_part(const struct attention_launch &a,
                                           const struct unit_tile &tile, int *flag)
{
    const int run = units_of_block(a.work->n_units, (int)gridDim.x), at = tile.first / run;
    const int n_parts = (tile.end - 1) / run - at + 1;
    int32_t *done = parts_done(static_cast<struct attention_work *>(a.args.work)) + at;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        *flag = atomicAdd(done, 1) == n_parts - 1;
        if (*flag)
            *done = 0; /* for the next layer */
    }
    __syncthreads();
    const bool is_last = *flag != 0;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
        *flag = 0;
    return is_last;
}

enum {
    JOIN_COLUMNS = 4,
    JOIN_CHUNKS = 8
}; /* of a thread at once: so many loads are on their way */

/* Columns begin, begin + ATTENTION_THREADS ... of all rows of a tile, counted row by row, of n
 * chunks from `unit` on. */
static __device__ inline void join_columns(const struct attention_launch &a,
                                           const struct row_tile &tile, int unit, int n, int begin)
{
    const int head_dim = a.cache.head_dim, n_all = tile.n_rows * head_dim;
    struct running state[JOIN_COLUMNS];
    float sum[JOIN_COLUMNS];
    int row[JOIN_COLUMNS], column[JOIN_COLUMNS];
#pragma unroll
    for (int j = 0; j < JOIN_COLUMNS; j++) {
        const int at = min(begin + j * ATTENTION_THREADS, n_all - 1);
        row[j] = at / head_dim;
        column[j] = at - row[j] * head_dim;
        state[j] = running_none();
        sum[j] = 0.0f;
    }
#pragma unroll 1
    for (int chunk = 0; chunk < n; chunk += JOIN_CHUNKS) {
        float m[JOIN_CHUNKS][JOIN_COLUMNS], l[JOIN_CHUNKS][JOIN_COLUMNS];
        float o[JOIN_CHUNKS][JOIN_COLUMNS];
#pragma unroll
        for (int i = 0; i < JOIN_CHUNKS; i++)
#pragma unroll
            for (int j = 0; j < JOIN_COLUMNS && chunk + i < n; j++) {
                const float *from = partial_of(a, unit + chunk + i, row[j]);
                m[i][j] = from[0];
                l[i][j] = from[1];
                o[i][j] = from[2 + column[j]];
            }
#pragma unroll
        for (int i = 0; i < JOIN_CHUNKS; i++)
#pragma unroll
            for (int j = 0; j < JOIN_COLUMNS && chunk + i < n; j++)
                sum[j] = joined(sum[j], o[i][j], join(&state[j], m[i][j], l[i][j]));
    }
#pragma unroll
    for (int j = 0; j < JOIN_COLUMNS; j++)
        if (begin + j * ATTENTION_THREADS < n_all)
            store_as(a.args.out.data, a.args.out.dtype,
                     output_of(a, row_at(a.args, tile, row[j])) + column[j],
                     sum[j] * (1.0f / state[j].sum));
}

static __device__ inline void join_parts(const struct attention_launch &a,
                                         const struct unit_tile &tile)
{
    const int first = first_chunk_of(tile.rows), n = end_chunk_of(tile.rows) - first;
    const int n_all = tile.rows.n_rows * a.cache.head_dim;
#pragma unroll 1
    for (int begin = (int)threadIdx.x; begin < n_all; begin += JOIN_COLUMNS * ATTENTION_THREADS)
        join_columns(a, tile.rows, tile.chunk_0 + first, n, begin);
}
