/* A table entry is a reference of the pool, and 0 where the sequence has none. The rounding of
 * windows: an attention kernel walks over whole runs of WALK positions counted from 0, and what it
 * reads before the window is masked but must be there. */
#include "runtime/schedule/sequence_blocks.h"

#include "base/check.h"
#include "base/memory.h"

#include <string.h>

enum { WALK = 32 }; /* a power of two */

void sequence_blocks_init(struct sequence_blocks *blocks, const struct plan_limits *limits,
                          const uint8_t *secret)
{
    *blocks = (struct sequence_blocks){.limits = *limits};
    block_pool_init(&blocks->pool, limits->n_kv_blocks);
    blocks->has_draft = memory_alloc((size_t)limits->n_kv_blocks, sizeof *blocks->has_draft);
    if (secret != NULL)
        prefix_cache_create(&blocks->cache, limits->n_kv_blocks, limits->block_tokens, secret);
}

void sequence_blocks_release(struct sequence_blocks *blocks)
{
    prefix_cache_destroy(blocks->cache);
    block_pool_release(&blocks->pool);
    memory_free(blocks->has_draft);
    *blocks = (struct sequence_blocks){0};
}

/* ---- how many ---- */

int blocks_of(const struct sequence_blocks *blocks, int n_positions)
{
    return (int)kv_blocks_of(n_positions, blocks->limits.block_tokens);
}

int64_t blocks_needed(const struct sequence_blocks *blocks, int n_positions, int shared)
{
    const struct plan_limits *limits = &blocks->limits;
    const int all = blocks_of(blocks, n_positions);
    int64_t n = 0;
    for (int g = 0; g < limits->n_kv_groups; g++) {
        if (limits->kv_window[g] == 0) {
            n += all - shared / limits->block_tokens;
            continue;
        }
        /* a row and what it sees may begin and end inside a block */
        const int64_t span = (int64_t)limits->kv_window[g] + WALK - 1;
        const int64_t seen = (span + limits->block_tokens - 2) / limits->block_tokens + 1;
        n += blocks->fills_at_once || all < seen ? all : seen;
    }
    return n;
}

int blocks_held(const struct sequence_blocks *blocks, const struct request *sequence)
{
    int n = 0;
    for (int g = 0; g < blocks->limits.n_kv_groups; g++)
        n += sequence->n_blocks - sequence->first_block[g];
    return n;
}

int blocks_first_seen(const struct sequence_blocks *blocks, int group, int position)
{
    const int window = blocks->limits.kv_window[group];
    if (window == 0 || position < window)
        return 0;
    return ((position - window + 1) & ~(WALK - 1)) / blocks->limits.block_tokens;
}

/* ---- take and give ---- */

static int32_t *table_of(const struct request *sequence, int group)
{
    return sequence->block + (size_t)group * (size_t)sequence->n_blocks_limit;
}

/* For new contents. */
static void take(struct sequence_blocks *blocks, int n, int32_t *block)
{
    const bool are_there = block_pool_take(&blocks->pool, n, block);
    check(are_there);
    for (int i = 0; i < n; i++) {
        blocks->has_draft[block[i]] = false;
        if (blocks->cache != NULL)
            prefix_cache_forget(blocks->cache, block[i]);
    }
}

void blocks_extend(struct sequence_blocks *blocks, struct request *sequence, int n_positions)
{
    const int n_blocks = blocks_of(blocks, n_positions);
    if (n_blocks <= sequence->n_blocks)
        return;
    check(n_blocks <= sequence->n_blocks_limit);
    for (int g = 0; g < blocks->limits.n_kv_groups; g++)
        take(blocks, n_blocks - sequence->n_blocks, table_of(sequence, g) + sequence->n_blocks);
    sequence->n_blocks = n_blocks;
}

static void give_before(struct sequence_blocks *blocks, struct request *sequence, int group,
                        int end)
{
    int32_t *table = table_of(sequence, group);
    const int first = sequence->first_block[group];
    if (end <= first)
        return;
    block_pool_give(&blocks->pool, table + first, end - first);
    memset(table + first, 0, (size_t)(end - first) * sizeof *table);
    sequence->first_block[group] = end;
}

void blocks_trim(struct sequence_blocks *blocks, struct request *sequence)
{
    for (int g = 0; g < blocks->limits.n_kv_groups; g++)
        if (blocks->limits.kv_window[g] > 0)
            give_before(blocks, sequence, g, blocks_first_seen(blocks, g, sequence->n_computed));
}

void blocks_give(struct sequence_blocks *blocks, struct request *sequence)
{
    for (int g = 0; g < blocks->limits.n_kv_groups; g++) {
        give_before(blocks, sequence, g, sequence->n_blocks);
        sequence->first_block[g] = 0;
    }
    sequence->n_blocks = sequence->n_listed = sequence->n_computed = 0;
}

/* ---- shared by beams ---- */

void blocks_share(struct sequence_blocks *blocks, struct request *to, const struct request *from)
{
    check(to->n_blocks == 0);
    for (int g = 0; g < blocks->limits.n_kv_groups; g++) {
        memcpy(table_of(to, g), table_of(from, g), (size_t)from->n_blocks * sizeof *to->block);
        to->first_block[g] = from->first_block[g];
        for (int i = from->first_block[g]; i < from->n_blocks; i++)
            block_pool_share(&blocks->pool, table_of(from, g)[i]);
    }
    to->n_blocks = from->n_blocks;
    to->n_listed = to->n_hashed = from->n_listed; /* hashes of other tokens are void */
    memcpy(to->hash, from->hash, 2 * (size_t)from->n_listed * sizeof *to->hash);
    to->n_computed = from->n_computed;
}

/* The block of this group that the next row writes to, if it is shared; else NULL. */
static int32_t *shared_now(const struct sequence_blocks *blocks, const struct request *sequence,
                           int group)
{
    const int at = sequence->n_computed / blocks->limits.block_tokens;
    if (at >= sequence->n_blocks)
        return NULL;
    int32_t *block = table_of(sequence, group) + at;
    return blocks->pool.reference[*block] > 1 ? block : NULL;
}

int blocks_shared_now(const struct sequence_blocks *blocks, const struct request *sequence)
{
    int n = 0;
    for (int g = 0; g < blocks->limits.n_kv_groups; g++)
        n += shared_now(blocks, sequence, g) != NULL;
    return n;
}

int blocks_part(struct sequence_blocks *blocks, struct request *sequence, int32_t *copy)
{
    int n = 0;
    for (int g = 0; g < blocks->limits.n_kv_groups; g++) {
        int32_t *block = shared_now(blocks, sequence, g);
        if (block == NULL)
            continue;
        copy[2 * n] = *block;
        take(blocks, 1, &copy[2 * n + 1]);
        block_pool_give(&blocks->pool, block, 1);
        *block = copy[2 * n + 1];
        n++;
    }
    return n;
}

/* ---- the prefix cache ---- */

static struct block_hash hash_of(const struct request *sequence, int i)
{
    return (struct block_hash){sequence->hash[2 * i], sequence->hash[2 * i + 1]};
}

/* What block i has, as the prefix cache knows it. */
struct contents {
    struct block_hash hash, before;
    const struct block_hash *before_or_null;
    const int32_t *token;
};

static void contents_find(struct contents *out, const struct sequence_blocks *blocks,
                          struct request *sequence, int i)
{
    out->token = sequence->token + (size_t)i * (size_t)blocks->limits.block_tokens;
    out->before_or_null = NULL;
    if (i > 0) {
        out->before = hash_of(sequence, i - 1);
        out->before_or_null = &out->before;
    }
    if (i == sequence->n_hashed) {
        const struct block_hash hash =
            prefix_cache_hash(blocks->cache, out->before_or_null, sequence->cache_key,
                              sequence->n_cache_key, out->token);
        sequence->hash[2 * i] = hash.lo;
        sequence->hash[2 * i + 1] = hash.hi;
        sequence->n_hashed++;
    }
    out->hash = hash_of(sequence, i);
}

static int32_t find(const struct sequence_blocks *blocks, int group, const struct contents *c)
{
    return prefix_cache_find(blocks->cache, group, c->hash, c->before_or_null, c->token);
}

/* The most leading blocks whose successor finds all that it sees. */
static int count_cached(const struct sequence_blocks *blocks, struct request *sequence, int most)
{
    const struct plan_limits *limits = &blocks->limits;
    int run[KV_MAX_GROUPS] = {0}; /* blocks found in a row, up to the present one */
    int n = 0;
    for (int i = 0; i < most; i++) {
        struct contents contents;
        contents_find(&contents, blocks, sequence, i);
        bool is_whole = true;
        for (int g = 0; g < limits->n_kv_groups; g++) {
            run[g] = find(blocks, g, &contents) >= 0 ? run[g] + 1 : 0;
            if (run[g] == 0 && limits->kv_window[g] == 0)
                return n;
            if (i + 1 - run[g] > blocks_first_seen(blocks, g, (i + 1) * limits->block_tokens))
                is_whole = false;
        }
        if (is_whole)
            n = i + 1;
    }
    return n;
}

void blocks_take_cached(struct sequence_blocks *blocks, struct request *sequence, int most)
{
    check(sequence->n_blocks == 0 && sequence->n_computed == 0);
    if (blocks->cache == NULL)
        return;
    const int block_tokens = blocks->limits.block_tokens;
    const int n = count_cached(blocks, sequence, most / block_tokens);
    for (int g = 0; g < blocks->limits.n_kv_groups; g++) {
        int32_t *table = table_of(sequence, g);
        const int first = blocks_first_seen(blocks, g, n * block_tokens);
        for (int i = first; i < n; i++) {
            struct contents contents;
            contents_find(&contents, blocks, sequence, i);
            table[i] = find(blocks, g, &contents);
            block_pool_share(&blocks->pool, table[i]);
        }
        sequence->first_block[g] = first;
    }
    sequence->n_blocks = sequence->n_listed = n;
    sequence->n_computed = n * block_tokens;
}

void blocks_list(struct sequence_blocks *blocks, struct request *sequence, int n_final)
{
    const int end = n_final / blocks->limits.block_tokens;
    for (int i = sequence->n_listed; blocks->cache != NULL && i < end; i++) {
        struct contents contents;
        contents_find(&contents, blocks, sequence, i);
        for (int g = 0; g < blocks->limits.n_kv_groups; g++)
            if (i >= sequence->first_block[g])
                prefix_cache_add(blocks->cache, table_of(sequence, g)[i], g, contents.hash,
                                 contents.before_or_null, contents.token);
        sequence->n_listed = i + 1;
    }
}
