/* A hash table over arrays: entry[b] is of block b, since a block has one contents at most, and
 * entries of one bucket are a list. All memory is there after prefix_cache_create(): about 52 bytes
 * a block, and its tokens, which are compared. */
#include "runtime/schedule/prefix_cache.h"

#include "base/check.h"
#include "base/memory.h"

#include <string.h>
#include <xxhash.h>

enum { SECRET_BYTES = 192, NONE = -1 };

struct entry {
    struct block_hash hash, before; /* before: all zero for the first block of a sequence */
    int32_t group;
    int32_t next, previous; /* blocks of the same bucket, or NONE */
    bool is_listed;
};

struct prefix_cache {
    int n_blocks, block_tokens;
    struct entry *entry; /* [n_blocks] */
    int32_t *tokens;     /* [n_blocks, block_tokens] */
    int32_t *bucket;     /* [n_buckets] the first block of each */
    uint64_t n_buckets;  /* a power of two */
    uint8_t secret[SECRET_BYTES];
    uint64_t *text; /* what is hashed: a text_head, and the tokens */
};

/* The first block of a sequence is told from a later one, so that no key can pretend to be the
 * hash of a block. */
struct text_head {
    uint64_t is_first;
    struct block_hash before; /* of a first block: the hash of the key */
};

/* XXH3 wants a long secret of bytes that look random: hashes of the short one. */
static void fill_secret(uint8_t out[SECRET_BYTES], const uint8_t secret[32])
{
    for (uint64_t i = 0; i < SECRET_BYTES / sizeof(XXH128_canonical_t); i++) {
        uint8_t text[32 + sizeof i];
        XXH128_canonical_t part;
        memcpy(text, secret, 32);
        memcpy(text + 32, &i, sizeof i);
        XXH128_canonicalFromHash(&part, XXH3_128bits(text, sizeof text));
        memcpy(out + i * sizeof part, &part, sizeof part);
    }
}

void prefix_cache_create(struct prefix_cache **out, int n_blocks, int block_tokens,
                         const uint8_t secret[32])
{
    check(n_blocks > 0 && block_tokens > 0);
    struct prefix_cache *c = memory_alloc(1, sizeof *c);
    c->n_blocks = n_blocks;
    c->block_tokens = block_tokens;
    c->entry = memory_alloc((size_t)n_blocks, sizeof *c->entry);
    c->tokens = memory_alloc((size_t)n_blocks * (size_t)block_tokens, sizeof *c->tokens);
    c->n_buckets = 1;
    while (c->n_buckets < (uint64_t)n_blocks)
        c->n_buckets *= 2;
    c->bucket = memory_alloc(c->n_buckets, sizeof *c->bucket);
    for (uint64_t i = 0; i < c->n_buckets; i++)
        c->bucket[i] = NONE;
    c->text = memory_alloc(1, sizeof(struct text_head) + (size_t)block_tokens * sizeof(int32_t));
    fill_secret(c->secret, secret);
    *out = c;
}

void prefix_cache_destroy(struct prefix_cache *c)
{
    if (c == NULL)
        return;
    memory_free(c->entry);
    memory_free(c->tokens);
    memory_free(c->bucket);
    memory_free(c->text);
    memory_free(c);
}

static struct block_hash hash_bytes(const struct prefix_cache *c, const void *bytes, size_t n)
{
    const XXH128_hash_t hash = XXH3_128bits_withSecret(bytes, n, c->secret, sizeof c->secret);
    return (struct block_hash){hash.low64, hash.high64};
}

struct block_hash prefix_cache_hash(const struct prefix_cache *c, const struct block_hash *before,
                                    const uint8_t *key, int n_key, const int32_t *tokens)
{
    const struct text_head head = {
        .is_first = before == NULL,
        .before =
            before == NULL ? hash_bytes(c, n_key > 0 ? key : c->secret, (size_t)n_key) : *before,
    };
    const size_t n_token_bytes = (size_t)c->block_tokens * sizeof *tokens;
    memcpy(c->text, &head, sizeof head);
    memcpy((uint8_t *)c->text + sizeof head, tokens, n_token_bytes);
    return hash_bytes(c, c->text, sizeof head + n_token_bytes);
}

static int32_t *bucket_of(const struct prefix_cache *c, int group, struct block_hash hash)
{
    return &c->bucket[(hash.lo + (uint64_t)group) & (c->n_buckets - 1)];
}

static bool hashes_are_equal(struct block_hash a, struct block_hash b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static struct block_hash before_or_zero(const struct block_hash *before)
{
    return before == NULL ? (struct block_hash){0} : *before;
}

int32_t prefix_cache_find(const struct prefix_cache *c, int group, struct block_hash hash,
                          const struct block_hash *before, const int32_t *tokens)
{
    const size_t n_token_bytes = (size_t)c->block_tokens * sizeof *tokens;
    for (int32_t b = *bucket_of(c, group, hash); b != NONE; b = c->entry[b].next) {
        const struct entry *e = &c->entry[b];
        if (e->group == group && hashes_are_equal(e->hash, hash) &&
            hashes_are_equal(e->before, before_or_zero(before)) &&
            memcmp(c->tokens + (size_t)b * (size_t)c->block_tokens, tokens, n_token_bytes) == 0)
            return b;
    }
    return NONE;
}

void prefix_cache_add(struct prefix_cache *c, int32_t block, int group, struct block_hash hash,
                      const struct block_hash *before, const int32_t *tokens)
{
    check(block >= 0 && block < c->n_blocks);
    if (c->entry[block].is_listed || prefix_cache_find(c, group, hash, before, tokens) != NONE)
        return;
    int32_t *bucket = bucket_of(c, group, hash);
    c->entry[block] = (struct entry){.hash = hash,
                                     .before = before_or_zero(before),
                                     .group = group,
                                     .next = *bucket,
                                     .previous = NONE,
                                     .is_listed = true};
    memcpy(c->tokens + (size_t)block * (size_t)c->block_tokens, tokens,
           (size_t)c->block_tokens * sizeof *tokens);
    if (*bucket != NONE)
        c->entry[*bucket].previous = block;
    *bucket = block;
}

void prefix_cache_forget(struct prefix_cache *c, int32_t block)
{
    check(block >= 0 && block < c->n_blocks);
    struct entry *e = &c->entry[block];
    if (!e->is_listed)
        return;
    if (e->previous != NONE)
        c->entry[e->previous].next = e->next;
    else
        *bucket_of(c, e->group, e->hash) = e->next;
    if (e->next != NONE)
        c->entry[e->next].previous = e->previous;
    e->is_listed = false;
}
