#include "runtime/schedule/prefix_cache.h"
#include "tests/test.h"

#include <stddef.h>

enum { N_BLOCKS = 16, BLOCK_TOKENS = 4 };

static const uint8_t secret[32] = {1, 2, 3};
static const int32_t one[BLOCK_TOKENS] = {1, 2, 3, 4}, two[BLOCK_TOKENS] = {5, 6, 7, 8};

static struct prefix_cache *make_cache(void)
{
    struct prefix_cache *cache;
    prefix_cache_create(&cache, N_BLOCKS, BLOCK_TOKENS, secret);
    return cache;
}

static bool are_equal(struct block_hash a, struct block_hash b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

TEST(a_block_is_found_by_its_tokens_and_what_is_before_them)
{
    struct prefix_cache *cache = make_cache();
    const struct block_hash a = prefix_cache_hash(cache, NULL, NULL, 0, one);
    const struct block_hash b = prefix_cache_hash(cache, &a, NULL, 0, two);
    prefix_cache_add(cache, 3, 0, a, NULL, one);
    prefix_cache_add(cache, 9, 0, b, &a, two);
    CHECK_EQ(prefix_cache_find(cache, 0, a, NULL, one), 3);
    CHECK_EQ(prefix_cache_find(cache, 0, b, &a, two), 9);

    const struct block_hash first = prefix_cache_hash(cache, NULL, NULL, 0, two);
    CHECK_EQ(prefix_cache_find(cache, 0, first, NULL, two), -1); /* two, at the begin */
    const struct block_hash third = prefix_cache_hash(cache, &b, NULL, 0, two);
    CHECK_EQ(prefix_cache_find(cache, 0, third, &b, two), -1); /* two, behind two */
    prefix_cache_destroy(cache);
}

TEST(the_hash_is_of_the_contents_and_of_the_secret)
{
    struct prefix_cache *cache = make_cache(), *same = make_cache(), *other;
    uint8_t other_secret[32] = {1, 2, 3};
    other_secret[31] = 1;
    prefix_cache_create(&other, N_BLOCKS, BLOCK_TOKENS, other_secret);
    const struct block_hash a = prefix_cache_hash(cache, NULL, NULL, 0, one);
    CHECK(are_equal(a, prefix_cache_hash(same, NULL, NULL, 0, one)));
    CHECK(!are_equal(a, prefix_cache_hash(other, NULL, NULL, 0, one)));
    for (int i = 0; i < BLOCK_TOKENS; i++) {
        int32_t changed[BLOCK_TOKENS] = {1, 2, 3, 4};
        changed[i] ^= 1 << 20;
        CHECK(!are_equal(a, prefix_cache_hash(cache, NULL, NULL, 0, changed)));
    }
    prefix_cache_destroy(cache);
    prefix_cache_destroy(same);
    prefix_cache_destroy(other);
}

TEST(keys_keep_equal_tokens_apart)
{
    struct prefix_cache *cache = make_cache();
    const uint8_t key[] = {7, 8, 9};
    const struct block_hash none = prefix_cache_hash(cache, NULL, NULL, 0, one);
    const struct block_hash two_bytes = prefix_cache_hash(cache, NULL, key, 2, one);
    const struct block_hash three_bytes = prefix_cache_hash(cache, NULL, key, 3, one);
    CHECK(!are_equal(none, two_bytes) && !are_equal(none, three_bytes));
    CHECK(!are_equal(two_bytes, three_bytes));
    CHECK(are_equal(two_bytes, prefix_cache_hash(cache, NULL, (uint8_t[]){7, 8}, 2, one)));
    prefix_cache_add(cache, 0, 0, two_bytes, NULL, one);
    CHECK_EQ(prefix_cache_find(cache, 0, three_bytes, NULL, one), -1);
    CHECK_EQ(prefix_cache_find(cache, 0, two_bytes, NULL, one), 0);
    prefix_cache_destroy(cache);
}

TEST(a_key_that_is_a_hash_does_not_continue_it)
{
    struct prefix_cache *cache = make_cache();
    const struct block_hash a = prefix_cache_hash(cache, NULL, NULL, 0, one);
    const struct block_hash behind = prefix_cache_hash(cache, &a, NULL, 0, two);
    CHECK(!are_equal(behind,
                     prefix_cache_hash(cache, NULL, (const uint8_t *)&a, (int)sizeof a, two)));
    prefix_cache_destroy(cache);
}

TEST(groups_have_blocks_of_their_own)
{
    struct prefix_cache *cache = make_cache();
    const struct block_hash a = prefix_cache_hash(cache, NULL, NULL, 0, one);
    prefix_cache_add(cache, 4, 0, a, NULL, one);
    CHECK_EQ(prefix_cache_find(cache, 1, a, NULL, one), -1);
    prefix_cache_add(cache, 5, 1, a, NULL, one);
    CHECK_EQ(prefix_cache_find(cache, 0, a, NULL, one), 4);
    CHECK_EQ(prefix_cache_find(cache, 1, a, NULL, one), 5);
    prefix_cache_destroy(cache);
}

TEST(an_equal_hash_of_other_contents_is_refused)
{
    struct prefix_cache *cache = make_cache();
    const struct block_hash forged = {42, 43}, before = {1, 2}, other_before = {1, 3};
    prefix_cache_add(cache, 1, 0, forged, &before, one);
    CHECK_EQ(prefix_cache_find(cache, 0, forged, &before, two), -1);
    CHECK_EQ(prefix_cache_find(cache, 0, forged, &other_before, one), -1);
    CHECK_EQ(prefix_cache_find(cache, 0, forged, NULL, one), -1);
    prefix_cache_add(cache, 2, 0, forged, &before, two); /* both can be there */
    CHECK_EQ(prefix_cache_find(cache, 0, forged, &before, one), 1);
    CHECK_EQ(prefix_cache_find(cache, 0, forged, &before, two), 2);
    CHECK_EQ(prefix_cache_find(cache, 0, (struct block_hash){42, 44}, &before, one), -1);
    prefix_cache_destroy(cache);
}

TEST(the_same_contents_are_listed_once)
{
    struct prefix_cache *cache = make_cache();
    const struct block_hash a = prefix_cache_hash(cache, NULL, NULL, 0, one);
    prefix_cache_add(cache, 6, 0, a, NULL, one);
    prefix_cache_add(cache, 7, 0, a, NULL, one);
    CHECK_EQ(prefix_cache_find(cache, 0, a, NULL, one), 6);
    prefix_cache_forget(cache, 7); /* was never listed */
    CHECK_EQ(prefix_cache_find(cache, 0, a, NULL, one), 6);
    prefix_cache_forget(cache, 6);
    CHECK_EQ(prefix_cache_find(cache, 0, a, NULL, one), -1);
    prefix_cache_destroy(cache);
}

TEST(a_listed_block_keeps_its_contents_until_it_is_forgotten)
{
    struct prefix_cache *cache = make_cache();
    const struct block_hash a = prefix_cache_hash(cache, NULL, NULL, 0, one);
    const struct block_hash b = prefix_cache_hash(cache, NULL, NULL, 0, two);
    prefix_cache_add(cache, 6, 0, a, NULL, one);
    prefix_cache_add(cache, 6, 0, b, NULL, two);
    CHECK_EQ(prefix_cache_find(cache, 0, a, NULL, one), 6);
    CHECK_EQ(prefix_cache_find(cache, 0, b, NULL, two), -1);
    prefix_cache_forget(cache, 6);
    prefix_cache_add(cache, 6, 0, b, NULL, two);
    CHECK_EQ(prefix_cache_find(cache, 0, a, NULL, one), -1);
    CHECK_EQ(prefix_cache_find(cache, 0, b, NULL, two), 6);
    prefix_cache_destroy(cache);
}

/* All of one bucket, in and out in many orders, against a plain array. */
TEST(blocks_of_one_bucket_do_not_lose_each_other)
{
    struct prefix_cache *cache = make_cache();
    bool listed[N_BLOCKS] = {false};
    uint32_t random = 7;
    for (int round = 0; round < 5000; round++) {
        random = random * 1664525 + 1013904223;
        const int32_t block = (int32_t)(random >> 20) % N_BLOCKS;
        const int32_t tokens[BLOCK_TOKENS] = {block};
        if (random >> 31 == 0)
            prefix_cache_add(cache, block, 0, (struct block_hash){5, (uint64_t)block % 3}, NULL,
                             tokens);
        else
            prefix_cache_forget(cache, block);
        listed[block] = random >> 31 == 0;
        for (int32_t i = 0; i < N_BLOCKS; i++)
            CHECK_EQ(prefix_cache_find(cache, 0, (struct block_hash){5, (uint64_t)i % 3}, NULL,
                                       (int32_t[BLOCK_TOKENS]){i}),
                     listed[i] ? i : -1);
    }
    prefix_cache_destroy(cache);
}
