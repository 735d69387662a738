/* runtime/schedule/block_pool.h: which KV blocks are in use, and by how many.
 *
 * Block ids only; what memory an id stands for is forward's business. A block that several
 * sequences share (equal prefixes) has as many references; it is free again when the last one is
 * given back.
 *
 * A free block keeps its contents until it is taken, so the one that was free for longest is taken
 * first, and of blocks given back together the last one: more sequences can share a head than a
 * tail. Who finds the contents of a free block of use shares it (prefix_cache.h), and it is free no
 * longer.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct block_pool {
    int32_t *next, *previous; /* [n_blocks + 1] the free blocks, a ring in the order of becoming
                                 free; entry n_blocks is no block but before the first and behind
                                 the last */
    int32_t *reference;       /* [n_blocks] sequences that have the block */
    int n_blocks, n_free;
};

void block_pool_init(struct block_pool *pool, int n_blocks);
void block_pool_release(struct block_pool *pool);

/* n blocks with one reference each, or none at all: false. */
bool block_pool_take(struct block_pool *pool, int n, int32_t *block);
void block_pool_share(struct block_pool *pool, int32_t block); /* one reference more */
void block_pool_give(struct block_pool *pool, const int32_t *block, int n);
