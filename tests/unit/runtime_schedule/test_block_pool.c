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
