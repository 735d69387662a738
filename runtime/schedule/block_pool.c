#include "runtime/schedule/block_pool.h"

#include "base/check.h"
#include "base/memory.h"

void block_pool_init(struct block_pool *pool, int n_blocks)
{
    check(n_blocks > 0);
    *pool = (struct block_pool){
        .next = memory_alloc((size_t)n_blocks + 1, sizeof *pool->next),
        .previous = memory_alloc((size_t)n_blocks + 1, sizeof *pool->previous),
        .reference = memory_alloc((size_t)n_blocks, sizeof *pool->reference),
        .n_blocks = n_blocks,
        .n_free = n_blocks,
    };
    for (int32_t i = 0; i <= n_blocks; i++) { /* block 0 is the first */
        pool->next[i] = i < n_blocks ? i + 1 : 0;
        pool->previous[i] = i > 0 ? i - 1 : n_blocks;
    }
}

void block_pool_release(struct block_pool *pool)
{
    memory_free(pool->next);
    memory_free(pool->previous);
    memory_free(pool->reference);
    *pool = (struct block_pool){0};
}

static void unlink_free(struct block_pool *pool, int32_t block)
{
    check(pool->reference[block] == 0 && pool->n_free > 0);
    pool->next[pool->previous[block]] = pool->next[block];
    pool->previous[pool->next[block]] = pool->previous[block];
    pool->n_free--;
}

static void append_free(struct block_pool *pool, int32_t block)
{
    const int32_t end = pool->n_blocks, last = pool->previous[end];
    pool->next[last] = block;
    pool->previous[block] = last;
    pool->next[block] = end;
    pool->previous[end] = block;
    pool->n_free++;
}

bool block_pool_take(struct block_pool *pool, int n, int32_t *block)
{
    check(n >= 0);
    if (n > pool->n_free)
        return false;
    for (int i = 0; i < n; i++) {
        block[i] = pool->next[pool->n_blocks];
        unlink_free(pool, block[i]);
        pool->reference[block[i]] = 1;
    }
    return true;
}

void block_pool_share(struct block_pool *pool, int32_t block)
{
    check(block >= 0 && block < pool->n_blocks);
    if (pool->reference[block] == 0)
        unlink_free(pool, block);
    pool->reference[block]++;
}

void block_pool_give(struct block_pool *pool, const int32_t *block, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        check(block[i] >= 0 && block[i] < pool->n_blocks && pool->reference[block[i]] > 0);
        if (--pool->reference[block[i]] == 0)
            append_free(pool, block[i]);
    }
}
