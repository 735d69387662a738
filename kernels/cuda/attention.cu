/* Attention: the choice of a kernel, and the kernel for caches of 8 and 16 bits, in which blocks
 * first share the tiles of many rows and then the units of few. The order of every sum:
 * docs/numerics.md, "Attention on a GPU". */
#include "kernels/cuda/attention_f32.cuh"
#include "kernels/cuda/attention_few.cuh"
#include "kernels/cuda/attention_many.cuh"
#include "kernels/cuda/attention_units.cuh"

extern "C" {
#include "base/check.h"
#include "kernels/cuda/cuda_ops.h"
}

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
    for (int t = (int)blockIdx.x; t < a.work->n_tiles; t += (int)gridDim.x) {
        const struct row_tile tile = tile_of_many(a, t);
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
static void launch_dim(struct device *device, const struct attention_launch &a)
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

static bool rows_are_segments(const struct kv_cache *cache)
{
    const size_t row_bytes = (size_t)cache->head_dim * dtype_bytes(cache->dtype);
    return row_bytes % SEGMENT == 0;
}

/* As many blocks as run at once: those of narrow heads two on a multiprocessor. */
static int blocks_of(const struct device *device, int head_dim)
{
    return cuda_multiprocessors(device) * (head_dim <= 128 ? 2 : 1);
}

static struct attention_launch launch_of(struct device *device, const struct attention_args *args)
{
    const float log2e = 0x1.715476p0f;
    struct attention_launch a = {};
    a.args = *args;
    a.cache = *args->cache;
    a.leaves = *args->leaves;
    a.args.cache = NULL; /* these two are of the host: kernels have the copies */
    a.args.leaves = NULL;
    a.work = static_cast<const struct attention_work *>(args->work);
    a.to_cap = args->softcap > 0.0f ? args->scale / args->softcap : 0.0f;
    a.to_log2 = (args->softcap > 0.0f ? args->softcap : args->scale) * log2e;
    while (1 << a.block_shift < a.cache.block_tokens)
        a.block_shift++;
    a.aligned = rows_are_segments(&a.cache);
    const size_t row_bytes = (size_t)(2 + a.cache.head_dim) * sizeof(float);
    a.partial = static_cast<float *>(cuda_workspace(device));
    a.n_partial_rows = (int64_t)(cuda_workspace_bytes_reserved(device) / row_bytes);
    a.n_blocks = blocks_of(device, a.cache.head_dim);
    return a;
}

void cuda_attention(struct device *device, const struct attention_args *args)
{
    check(args->work != NULL && args->scale > 0.0f);
    for (int l = 0; l < args->leaves->n_leaves; l++) /* whole heads */
        check(args->leaves->leaf[l].k_end % args->cache->head_dim == 0);
    const struct attention_launch a = launch_of(device, args);
    if (a.cache.dtype == DTYPE_BF16)
        launch_dim<struct cache_bf16>(device, a);
    else if (a.cache.dtype == DTYPE_F16)
        launch_dim<struct cache_f16>(device, a);
    else if (a.cache.dtype == DTYPE_I8)
        launch_dim<struct cache_i8>(device, a);
    else
        GPU_LAUNCH(device, attention_f32, dim3((unsigned)args->n_tokens, (unsigned)args->n_heads),
                   dim3(CHUNK), 0, a);
}
