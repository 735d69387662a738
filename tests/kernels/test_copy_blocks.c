/* Copies of blocks: every byte of the copy, and no byte of another block. */
#include "kernels/ops.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 7, KV_HEADS = 3, HEAD_DIM = 20, BLOCK_TOKENS = 16 };
enum { POSITIONS = KV_HEADS * BLOCK_TOKENS };

/* A plane of so many bytes a block: byte i of block b is a number of its own. */
static unsigned char *plane_make(size_t n_bytes, unsigned seed)
{
    unsigned char *plane = malloc(BLOCKS * n_bytes);
    for (size_t i = 0; i < BLOCKS * n_bytes; i++)
        plane[i] = (unsigned char)((i * 2654435761u + seed) >> 13);
    return plane;
}

/* After copies 2 -> 5, 0 -> 6 and 2 -> 1 */
static void plane_check(unsigned char *plane, size_t n_bytes, unsigned seed)
{
    static const size_t source[BLOCKS] = {0, 2, 2, 3, 4, 2, 0};
    unsigned char *before = plane_make(n_bytes, seed);
    for (size_t b = 0; b < BLOCKS; b++)
        CHECK(memcmp(plane + b * n_bytes, before + source[b] * n_bytes, n_bytes) == 0);
    free(before);
    free(plane);
}

static void copy(struct device *device, enum dtype dtype, bool has_scales)
{
    const size_t n = POSITIONS * HEAD_DIM * dtype_bytes(dtype),
                 n_scales = POSITIONS * sizeof(float);
    struct kv_cache cache = {.k = plane_make(n, 1),
                             .v = plane_make(n, 2),
                             .dtype = dtype,
                             .n_kv_heads = KV_HEADS,
                             .head_dim = HEAD_DIM,
                             .block_tokens = BLOCK_TOKENS};
    if (has_scales) {
        cache.k_scale = (float *)(void *)plane_make(n_scales, 3);
        cache.v_scale = (float *)(void *)plane_make(n_scales, 4);
    }
    const int32_t pair[] = {2, 5, 0, 6, 2, 1};
    op_copy_blocks(device, &(struct copy_blocks_args){.cache = &cache, .pair = pair, .n_pairs = 3});
    op_copy_blocks(device, &(struct copy_blocks_args){.cache = &cache, .n_pairs = 0});
    plane_check(cache.k, n, 1);
    plane_check(cache.v, n, 2);
    if (has_scales) {
        plane_check((unsigned char *)cache.k_scale, n_scales, 3);
        plane_check((unsigned char *)cache.v_scale, n_scales, 4);
    }
}

static void copies(struct device *device, const char *name)
{
    (void)name;
    copy(device, DTYPE_BF16, false);
    copy(device, DTYPE_F32, false);
    copy(device, DTYPE_I8, true);
}

TEST(copied_blocks_equal_their_sources_and_no_other_block_changes) { levels_each(copies); }
