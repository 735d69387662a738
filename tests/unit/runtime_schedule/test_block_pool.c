#include "runtime/schedule/block_pool.h"
#include "tests/test.h"

TEST(blocks_are_given_out_once_and_all_or_none)
{
    struct block_pool pool;
    int32_t block[5];
    bool seen[4] = {false};
    block_pool_init(&pool, 4);
    CHECK(!block_pool_take(&pool, 5, block));
    CHECK_EQ(pool.n_free, 4);
    CHECK(block_pool_take(&pool, 3, block) && block_pool_take(&pool, 1, block + 3));
    CHECK(!block_pool_take(&pool, 1, block + 4));
    CHECK(block_pool_take(&pool, 0, block + 4));
    for (int i = 0; i < 4; i++) {
        CHECK(block[i] >= 0 && block[i] < 4 && !seen[block[i]]);
        seen[block[i]] = true;
    }
    block_pool_give(&pool, block, 4);
    CHECK_EQ(pool.n_free, 4);
    block_pool_release(&pool);
}

TEST(a_shared_block_is_free_after_its_last_holder)
{
    struct block_pool pool;
    int32_t block[2];
    block_pool_init(&pool, 2);
    CHECK(block_pool_take(&pool, 2, block));
    block_pool_share(&pool, block[1]);
    block_pool_give(&pool, block, 2);
    CHECK_EQ(pool.n_free, 1);
    block_pool_give(&pool, block + 1, 1);
    CHECK_EQ(pool.n_free, 2);
    block_pool_release(&pool);
}

TEST(the_block_that_is_free_for_longest_is_taken_first)
{
    struct block_pool pool;
    int32_t block[4], again[4];
    block_pool_init(&pool, 4);
    CHECK(block_pool_take(&pool, 4, block));
    block_pool_give(&pool, block + 2, 1);
    block_pool_give(&pool, block, 1);
    block_pool_give(&pool, block + 3, 1);
    CHECK(block_pool_take(&pool, 3, again));
    CHECK_EQ(again[0], block[2]);
    CHECK_EQ(again[1], block[0]);
    CHECK_EQ(again[2], block[3]);
    block_pool_release(&pool);
}

TEST(of_blocks_given_back_together_the_last_is_taken_first)
{
    struct block_pool pool;
    int32_t block[3], again[3];
    block_pool_init(&pool, 3);
    CHECK(block_pool_take(&pool, 3, block));
    block_pool_give(&pool, block, 3);
    CHECK(block_pool_take(&pool, 3, again));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(again[i], block[2 - i]);
    block_pool_release(&pool);
}

TEST(a_free_block_can_be_shared_and_is_then_not_taken)
{
    struct block_pool pool;
    int32_t block[4];
    block_pool_init(&pool, 4);
    block_pool_share(&pool, 2); /* in the middle of the free ones */
    CHECK_EQ(pool.n_free, 3);
    CHECK_EQ(pool.reference[2], 1);
    CHECK(!block_pool_take(&pool, 4, block));
    CHECK(block_pool_take(&pool, 3, block));
    for (int i = 0; i < 3; i++)
        CHECK(block[i] != 2);
    block_pool_give(&pool, (int32_t[]){2}, 1);
    CHECK(block_pool_take(&pool, 1, block));
    CHECK_EQ(block[0], 2);
    block_pool_release(&pool);
}

/* Thousands of random calls against arrays that are searched plainly. */
TEST(a_pool_keeps_its_order_whatever_is_done_to_it)
{
    enum { N = 13 };
    struct block_pool pool;
    int32_t free_order[N];
    int n_free = N, reference[N] = {0};
    uint32_t random = 1;
    block_pool_init(&pool, N);
    for (int i = 0; i < N; i++)
        free_order[i] = i;
    for (int round = 0; round < 20000; round++) {
        random = random * 1664525 + 1013904223;
        const int32_t block = (int32_t)(random >> 16) % N;
        int32_t taken;
        int at = 0;
        while (at < n_free && free_order[at] != block)
            at++;
        if (random >> 30 == 0) {
            CHECK_EQ(block_pool_take(&pool, 1, &taken), n_free > 0);
            if (n_free == 0)
                continue;
            CHECK_EQ(taken, free_order[0]);
            at = 0;
            reference[taken] = 1;
        } else if (random >> 30 == 1) {
            block_pool_share(&pool, block);
            reference[block]++;
        } else if (reference[block] > 0) {
            block_pool_give(&pool, &block, 1);
            if (--reference[block] == 0)
                free_order[n_free++] = block;
            at = n_free;
        } else {
            at = n_free;
        }
        if (at < n_free) {
            n_free--;
            for (int i = at; i < n_free; i++)
                free_order[i] = free_order[i + 1];
        }
        CHECK_EQ(pool.n_free, n_free);
        for (int i = 0; i < N; i++)
            CHECK_EQ(pool.reference[i], reference[i]);
    }
    block_pool_release(&pool);
}
