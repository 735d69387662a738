/* runtime/schedule/block_pool.h: which KV blocks are in use, and by how many.
 *
 * Block ids only; what memory an id stands for is forward's business. A block that several
 * sequences share (equal prefixes) has as many references; it is free again when the last one is
 * given back.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct block_pool {
    int32_t *free;      /* [n_blocks] a stack: n_free blocks that nobody has */
    int32_t *reference; /* [n_blocks] sequences that have the block */
    int n_blocks, n_free;
};

void block_pool_init(struct block_pool *pool, int n_blocks);
void block_pool_release(struct block_pool *pool);

/* n blocks with one reference each, or none at all: false. */
bool block_pool_take(struct block_pool *pool, int n, int32_t *block);
void block_pool_share(struct block_pool *pool, int32_t block); /* one reference more */
void block_pool_give(struct block_pool *pool, const int32_t *block, int n);
