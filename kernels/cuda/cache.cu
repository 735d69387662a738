/* Copies of blocks of the KV cache: memory only. */
#include "kernels/cuda/quad.cuh"

extern "C" {
#include "kernels/cuda/cuda_ops.h"
}

enum { THREADS = 256, COPY_BLOCKS = 8 }; /* blocks of threads for each array of each pair */

struct copy_launch {
    unsigned char *array[4]; /* k, v and their scales */
    int64_t block_bytes[4]; /* of a block of the cache; multiples of 64, because it has 16 positions
                               or more */
    const int32_t *pair;    /* [n_pairs, 2] */
};

static __global__
__launch_bounds__(THREADS) void copy_blocks(const __grid_constant__ struct copy_launch l)
{
    gpu_begin();
    const int32_t *pair = l.pair + 2 * (int64_t)blockIdx.x;
    const int64_t bytes = l.block_bytes[blockIdx.z];
    const unsigned char *from = l.array[blockIdx.z] + pair[0] * bytes;
    unsigned char *to = l.array[blockIdx.z] + pair[1] * bytes;
    const int64_t n = bytes / (int64_t)sizeof(uint4), step = COPY_BLOCKS * THREADS;
    for (int64_t i = blockIdx.y * THREADS + threadIdx.x; i < n; i += step)
        reinterpret_cast<uint4 *>(to)[i] = reinterpret_cast<const uint4 *>(from)[i];
}

void cuda_copy_blocks(struct device *device, const struct copy_blocks_args *args)
{
    const struct kv_cache *c = args->cache;
    const int64_t positions = (int64_t)c->n_kv_heads * c->block_tokens;
    const int64_t bytes = positions * c->head_dim * (int64_t)dtype_bytes(c->dtype);
    const int64_t scale_bytes = positions * (int64_t)sizeof(float);
    const struct copy_launch launch = {{static_cast<unsigned char *>(c->k),
                                        static_cast<unsigned char *>(c->v),
                                        reinterpret_cast<unsigned char *>(c->k_scale),
                                        reinterpret_cast<unsigned char *>(c->v_scale)},
                                       {bytes, bytes, scale_bytes, scale_bytes},
                                       args->pair};
    const unsigned n_arrays = c->dtype == DTYPE_I8 ? 4 : 2;
    GPU_LAUNCH(device, copy_blocks, dim3(args->n_pairs, COPY_BLOCKS, n_arrays), dim3(THREADS), 0,
               launch);
}
