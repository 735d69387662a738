/* Copies of blocks of the cache: all of a block and nothing else, in every format. */
#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 7, KV_HEADS = 2, BLOCK_TOKENS = 16, HEAD_DIM = 5 };
enum { POSITIONS = KV_HEADS * BLOCK_TOKENS };

/* Block b becomes block source[b] of what it was. */
static const int source[BLOCKS] = {0, 1, 0, 3, 5, 5, 0};
static const int32_t pairs[][2] = {{0, 6}, {5, 4}, {0, 2}};
enum { N_PAIRS = sizeof pairs / sizeof *pairs };

struct memory {
    unsigned char *now, *before;
    size_t block_bytes;
};

static struct memory memory_make(size_t block_bytes, unsigned seed)
{
    const size_t n = BLOCKS * block_bytes;
    struct memory m = {malloc(n), malloc(n), block_bytes};
    for (size_t i = 0; i < n; i++)
        m.now[i] = m.before[i] = (unsigned char)((i * 2654435761u + seed) >> 8);
    return m;
}

static void check_and_free(struct memory *m)
{
    for (size_t b = 0; b < BLOCKS; b++)
        CHECK(memcmp(m->now + b * m->block_bytes, m->before + (size_t)source[b] * m->block_bytes,
                     m->block_bytes) == 0);
    free(m->now);
    free(m->before);
}

static void copy(struct device *device, enum dtype dtype)
{
    struct memory k = memory_make(POSITIONS * HEAD_DIM * dtype_bytes(dtype), 1);
    struct memory v = memory_make(POSITIONS * HEAD_DIM * dtype_bytes(dtype), 2);
    struct memory k_scale = memory_make(POSITIONS * sizeof(float), 3);
    struct memory v_scale = memory_make(POSITIONS * sizeof(float), 4);
    const bool scaled = dtype == DTYPE_I8;
    const struct kv_cache cache = {.k = k.now,
                                   .v = v.now,
                                   .k_scale = scaled ? (float *)(void *)k_scale.now : NULL,
                                   .v_scale = scaled ? (float *)(void *)v_scale.now : NULL,
                                   .dtype = dtype,
                                   .n_kv_heads = KV_HEADS,
                                   .head_dim = HEAD_DIM,
                                   .block_tokens = BLOCK_TOKENS};
    op_copy_blocks(device, &(struct copy_blocks_args){.cache = &cache});
    op_copy_blocks(
        device, &(struct copy_blocks_args){.cache = &cache, .pair = pairs[0], .n_pairs = N_PAIRS});
    check_and_free(&k);
    check_and_free(&v);
    if (scaled) {
        check_and_free(&k_scale);
        check_and_free(&v_scale);
        return;
    }
    free(k_scale.now);
    free(k_scale.before);
    free(v_scale.now);
    free(v_scale.before);
}

TEST(a_block_becomes_a_copy_and_the_others_stay_in_every_format)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_I8};
    for (int level = 0; level < n_cpu_levels; level++) {
        struct device *device = level_open(level, 1 + level % 3);
        for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes && device != NULL; i++)
            copy(device, dtypes[i]);
        device_close(device);
    }
}
