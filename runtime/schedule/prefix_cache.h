/* runtime/schedule/prefix_cache.h: blocks that are computed already, found by what is in them.
 *
 * A full block is known by the hash of its tokens and of everything before them:
 *
 *   hash[0] = H(cache key, tokens of block 0)      hash[i] = H(hash[i - 1], tokens of block i)
 *
 * H is XXH3-128 with a secret of this process (so nobody can look for collisions), and a block that
 * is found is only taken when its tokens and the hash before it are equal too. The cache key
 * (cache_salt, adapter, media) keeps apart what must not be shared or does not have equal bits.
 *
 * Entries are of (hash, KV group). The cache owns no blocks: a block stays listed while it is in
 * use and after it was given back, until the pool hands it out for something else (block_pool.h,
 * the one that was free for longest first).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct prefix_cache;

struct block_hash {
    uint64_t lo, hi;
};

/* secret: any 32 random bytes. n_blocks of the pool. */
void prefix_cache_create(struct prefix_cache **out, int n_blocks, int block_tokens,
                         const uint8_t secret[32]);
void prefix_cache_destroy(struct prefix_cache *cache); /* NULL is fine */

/* Of the block after `before` (NULL: the first one, of a sequence with this key). */
struct block_hash prefix_cache_hash(const struct prefix_cache *cache,
                                    const struct block_hash *before, const uint8_t *key, int n_key,
                                    const int32_t *tokens);
/* Lists a block that is full and computed, or is by the end of the step that is being planned.
 * Nothing happens when the same contents are listed already, or the block is. */
void prefix_cache_add(struct prefix_cache *cache, int32_t block, int group, struct block_hash hash,
                      const struct block_hash *before, const int32_t *tokens);
/* The block with these contents, or -1. */
int32_t prefix_cache_find(const struct prefix_cache *cache, int group, struct block_hash hash,
                          const struct block_hash *before, const int32_t *tokens);
/* The block gets other contents: it is listed no longer. */
void prefix_cache_forget(struct prefix_cache *cache, int32_t block);
