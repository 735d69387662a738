/* kernels/cuda/attention_units.cuh: which block has which units of few rows, and how the partial
 * results of tiles that were cut become one.
 */
#pragma once
#include "kernels/cuda/attention_rows.cuh"

/* The tile that a unit belongs to. Its units are [first, end), one for each chunk that a token of
 * the sequence sees, be it in the tile or not: unit u is chunk u - chunk_0. */
struct unit_tile {
    struct row_tile rows;
    int first, end, chunk_0;
};

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

/* ---- the second kernel: one column of one row of a tile for each thread ---- */

enum { COMBINE_THREADS = 128, COMBINE_ROWS = 4, COMBINE_BATCH = 32 };

/* Chunks [0, n) of a column, many loads at once. */
static __device__ inline float combine_column(const struct attention_launch &a, int unit, int row,
                                              int n, int column)
{
    struct running state = running_none();
    float sum = 0.0f, m[COMBINE_BATCH], l[COMBINE_BATCH], o[COMBINE_BATCH];
    for (int begin = 0; begin < n; begin += COMBINE_BATCH) {
#pragma unroll
        for (int i = 0; i < COMBINE_BATCH; i++)
            if (begin + i < n) {
                const float *from = partial_of(a, unit + begin + i, row);
                m[i] = from[0];
                l[i] = from[1];
                o[i] = from[2 + column];
            }
#pragma unroll
        for (int i = 0; i < COMBINE_BATCH; i++)
            if (begin + i < n) {
                const struct shares share = join(&state, m[i], l[i]);
                sum = joined(sum, o[i], share);
            }
    }
    return sum * (1.0f / state.sum);
}

/* Block (b, y): rows y, y + COMBINE_ROWS ... of the tile that begins in the run of units of block
 * b - 1 of the first kernel and goes on in that of b. */
static __global__
__launch_bounds__(COMBINE_THREADS) void attention_combine(struct attention_launch a)
{
    gpu_begin();
    const int n_units = a.work->n_units, run = units_of_block(n_units, a.n_blocks);
    const int64_t unit = (int64_t)(blockIdx.x + 1) * run;
    if (unit >= n_units || !units_may_part(a))
        return;
    const struct unit_tile tile = tile_of_unit(a, (int)unit);
    if (tile.first == unit || tile.first < unit - run || tile.rows.n_rows <= 0)
        return;
    const int first = first_chunk_of(tile.rows), n = end_chunk_of(tile.rows) - first;
    for (int r = (int)blockIdx.y; r < tile.rows.n_rows; r += COMBINE_ROWS) {
        const int64_t to = output_of(a, row_at(a.args, tile.rows, r));
        for (int d = (int)threadIdx.x; d < a.cache.head_dim; d += COMBINE_THREADS)
            store_as(a.args.out.data, a.args.out.dtype, to + d,
                     combine_column(a, tile.chunk_0 + first, r, n, d));
    }
}
