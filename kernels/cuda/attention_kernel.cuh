/* kernels/cuda/attention_kernel.cuh: the kernel for caches of 8 and 16 bits, in which blocks first
 * share the tiles of many rows and then the units of few, and its launch.
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
static __device__ inline void attend_units(const struct attention_launch &a,
                                           struct block_state *block, unsigned char *memory)
{
    const int n_units = a.work->n_units, run = units_of_block(n_units, (int)gridDim.x);
    const int64_t first = (int64_t)blockIdx.x * run;
    const int end = (int)min(first + run, (int64_t)n_units);
    const bool may_part = units_may_part(a);
    struct unit_tile tile;
    for (int unit = (int)min(first, (int64_t)n_units); unit < end; unit = tile.end) {
        tile = tile_of_unit(a, unit);
        const bool is_whole = unit == tile.first && (tile.end <= end || !may_part);
        if (tile.rows.n_rows <= 0 || !(is_whole || may_part))
            continue;
        struct few_chunks chunks = {first_chunk_of(tile.rows), end_chunk_of(tile.rows), NULL,
                                    a.work->unit_rows};
        if (!is_whole) {
            chunks.first = max(chunks.first, unit - tile.chunk_0);
            chunks.end = min(chunks.end, min(end, tile.end) - tile.chunk_0);
            chunks.partial = partial_of(a, tile.chunk_0 + chunks.first, 0);
        }
        if (chunks.first >= chunks.end)
            continue;
        begin_tile(block, tile.rows);
        attend_few<Cache, dim>(a, block, chunks, memory);
    }
}

template <class Cache, int dim>
static __global__ __launch_bounds__(ATTENTION_THREADS) void attention(struct attention_launch a)
{
    gpu_begin();
    DYNAMIC_SHARED(unsigned char, memory);
    SHARED(struct block_state, block, 1);
    for (int row = (int)blockIdx.x; row < a.args.n_tokens; row += (int)gridDim.x)
        store_padding(a, row);
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
    attend_units<Cache, dim>(a, block, memory);
}

template <class Cache, int dim>
static void launch(struct device *device, const struct attention_launch &a)
{
    typedef head_shape<Cache, dim> shape;
    const int many = many_shape<Cache, dim>::BYTES, few = few_shape<Cache, dim>::BYTES;
    const size_t shared = (size_t)(shape::RING_BYTES + (many > few ? many : few));
    GPU_LAUNCH(device, (attention<Cache, dim>), dim3((unsigned)a.n_blocks), dim3(ATTENTION_THREADS),
               shared, a);
    GPU_LAUNCH(device, attention_combine, dim3((unsigned)a.n_blocks, COMBINE_ROWS),
               dim3(COMBINE_THREADS), 0, a);
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
