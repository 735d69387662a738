/* kernels/cuda/attention_kernel.cuh: the kernels for caches of 8 and 16 bits, one in which blocks
 * share the tiles of many rows and one for the units of few, and their launch.
 *
 * attention_bf16.cu, attention_f16.cu and attention_i8.cu have one format each, because nvcc takes
 * its time with them.
 */
#pragma once
#include "kernels/cuda/attention_few.cuh"
#include "kernels/cuda/attention_many.cuh"
#include "kernels/cuda/attention_units.cuh"

/* What was in shared memory is used no more. */
static __device__ inline void begin_tile(struct block_state *block, const struct row_tile &tile)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        block->tile = tile;
        block->flag = 0;
    }
    __syncthreads();
}

template <class Cache, int dim>
static __global__
__launch_bounds__(ATTENTION_THREADS) void attention_many(struct attention_launch a)
{
    gpu_begin();
    DYNAMIC_SHARED(unsigned char, memory);
    SHARED(struct block_state, block, 1);
    const int n_tiles = a.work->n_tiles;
    for (int turn = 0; turn * (int)gridDim.x < n_tiles; turn++) {
        const int64_t t = tile_of_turn(turn);
        if (t >= n_tiles)
            continue;
        const struct row_tile tile = tile_of_many(a, (int)t);
        if (tile.n_rows <= 0)
            continue;
        begin_tile(block, tile);
        attend_many<Cache, dim>(a, block, memory);
    }
}

/* The units [unit, end) of a tile, as far as they are of this block, which has those before `end`
 * of all. */
template <class Cache, int dim>
static __device__ inline void attend_tile(const struct attention_launch &a,
                                          const struct unit_tile &tile, int unit, int end,
                                          bool may_part, int *flag, unsigned char *memory)
{
    const bool is_whole = unit == tile.first && (tile.end <= end || !may_part);
    if (tile.rows.n_rows <= 0 || !(is_whole || may_part))
        return;
    struct few_chunks chunks = {first_chunk_of(tile.rows), end_chunk_of(tile.rows), NULL,
                                a.work->unit_rows};
    if (!is_whole) {
        chunks.first = max(chunks.first, unit - tile.chunk_0);
        chunks.end = min(chunks.end, min(end, tile.end) - tile.chunk_0);
        chunks.partial = partial_of(a, tile.chunk_0 + chunks.first, 0);
    }
    if (chunks.first < chunks.end)
        attend_few<Cache, dim>(a, tile.rows, chunks, flag, memory);
    if (!is_whole && is_last_part(a, tile, flag))
        join_parts(a, tile);
}

template <class Cache, int dim>
static __global__ __launch_bounds__(ATTENTION_THREADS) void attention_few(struct attention_launch a)
{
    gpu_begin();
    DYNAMIC_SHARED(unsigned char, memory);
    SHARED(int, flag, 1); /* of clean_values() and is_last_part() */
    if (threadIdx.x == 0)
        flag[0] = 0;
    const struct few_start start = few_starts(a.work)[blockIdx.x];
    const bool may_part = units_may_part(a);
    struct unit_tile tile = tile_of_start(a, start);
    for (int unit = start.unit; unit < start.end;) {
        attend_tile<Cache, dim>(a, tile, unit, start.end, may_part, flag, memory);
        unit = tile.end;
        if (unit < start.end)
            tile = tile_of_unit(a, unit);
    }
    /* the last blocks are those without work */
    const int n_blocks = (int)gridDim.x, from_last = n_blocks - 1 - (int)blockIdx.x;
    for (int row = from_last; row < a.args.n_tokens; row += n_blocks)
        store_padding(a, row);
}

template <class Cache, int dim>
static void launch(struct device *device, const struct attention_launch &a)
{
    typedef many_shape<Cache, dim> many;
    typedef few_shape<Cache, dim> few;
    if (!step_has_few(a.args.n_tokens, a.args.n_sequences))
        GPU_LAUNCH(device, (attention_many<Cache, dim>), dim3((unsigned)a.n_blocks),
                   dim3(ATTENTION_THREADS), (size_t)(many::BYTES + many::RING_BYTES), a);
    GPU_LAUNCH(device, (attention_few<Cache, dim>), dim3((unsigned)few_blocks(device)),
               dim3(ATTENTION_THREADS), (size_t)few::ALL_BYTES, a);
}

template <class Cache>
static void launch_attention(struct device *device, const struct attention_launch &a)
{
    const int dim = a.cache.head_dim;
    if (dim <= 64)
        launch<Cache, 64>(device, a);
    else if (dim <= 128)
        launch<Cache, 128>(device, a);
    else if (dim <= 256)
        launch<Cache, 256>(device, a);
    else
        launch<Cache, MAX_HEAD_DIM>(device, a);
}
