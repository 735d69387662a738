#include "runtime/schedule/block_pool.h"

#include "base/check.h"
#include "base/memory.h"

void block_pool_init(struct block_pool *pool, int n_blocks)
{
    check(n_blocks > 0);
    *pool = (struct block_pool){
        .free = memory_alloc((size_t)n_blocks, sizeof *pool->free),
        .reference = memory_alloc((size_t)n_blocks, sizeof *pool->reference),
        .n_blocks = n_blocks,
        .n_free = n_blocks,
    };
    for (int i = 0; i < n_blocks; i++)
        pool->free[i] = n_blocks - 1 - i; /* block 0 is on top */
}

void block_pool_release(struct block_pool *pool)
{
    memory_free(pool->free);
    memory_free(pool->reference);
    *pool = (struct block_pool){0};
}

bool block_pool_take(struct block_pool *pool, int n, int32_t *block)
{
    check(n >= 0);
    if (n > pool->n_free)
        return false;
    for (int i = 0; i < n; i++) {
        block[i] = pool->free[--pool->n_free];
        check(pool->reference[block[i]] == 0);
        pool->reference[block[i]] = 1;
    }
    return true;
}

void block_pool_share(struct block_pool *pool, int32_t block)
{
    check(block >= 0 && block < pool->n_blocks && pool->reference[block] > 0);
    pool->reference[block]++;
}

void block_pool_give(struct block_pool *pool, const int32_t *block, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        check(block[i] >= 0 && block[i] < pool->n_blocks && pool->reference[block[i]] > 0);
        if (--pool->reference[block[i]] == 0)
            pool->free[pool->n_free++] = block[i];
    }
}
