/* The order of sums as kernels take it, and the memory that it asks for. */
#include "kernels/cuda/matmul.h"
#include "kernels/device.h"
#include "tests/kernels/matmul_case.h"
#include "tests/test.h"

TEST(leaves_are_cut_into_segments_from_their_start)
{
    static const int lengths[] = {600, 33, 512};
    const struct leaves leaves = leaves_of(lengths, 3, 1);
    const struct k_order padded = k_order_of(&leaves, true), plain = k_order_of(&leaves, false);
    CHECK_EQ(padded.n_segments, 4); /* 512, 96; 64; 512 */
    CHECK_EQ(padded.leaf_begin[1], 608);
    CHECK_EQ(padded.leaf_begin[2], 672);
    CHECK_EQ(padded.leaf_begin[3], 1184);
    CHECK_EQ(padded.first_segment[1], 2);
    CHECK_EQ(padded.first_segment[2], 3);
    CHECK_EQ(plain.n_segments, 4);
    CHECK_EQ(plain.leaf_begin[3], 1145);
    CHECK_EQ(padded.depth, 2);
}

/* Leaves [first, last) of the tree over n, as maximal subtrees: what a rank has. */
static void add_run(struct leaves *run, int low, int high, int first, int last)
{
    if (last <= low || high <= first)
        return;
    const int middle = low + (high - low + 1) / 2;
    const int before = run->n_leaves;
    if (high - low == 1) {
        run->leaf[run->n_leaves].k_end = 32 * (run->n_leaves + 1);
        run->n_leaves++;
        run->n_parts++;
        return;
    }
    add_run(run, low, middle, first, last);
    add_run(run, middle, high, first, last);
    if (run->n_leaves - before == high - low) {
        run->leaf[run->n_leaves - 1].n_merges++;
        run->n_parts--;
    }
}

TEST(the_workspace_lets_every_multiprocessor_work_whatever_the_leaves)
{
    for (int n_leaves = 1; n_leaves <= MAX_LEAVES; n_leaves++)
        for (int first = 0; first < n_leaves; first++)
            for (int last = first + 1; last <= n_leaves; last++) {
                struct leaves run = {0};
                add_run(&run, 0, n_leaves, first, last);
                CHECK(leaves_valid(&run));
                const struct k_order order = k_order_of(&run, true);
                const struct step_needs needs = {
                    .n_tokens = 8192, .n_out = 4096, .n_leaves = last - first};
                const size_t n_bytes = matmul_workspace_bytes(&needs);
                CHECK_EQ(exact_matmul_blocks(&order, EXACT_TILE, n_bytes, 132), 132);
            }
}

TEST(a_small_step_has_workspace_for_its_own_blocks_only)
{
    static const int lengths[16] = {32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32};
    const struct leaves leaves = leaves_of(lengths, 16, 1);
    const struct k_order order = k_order_of(&leaves, true);
    const struct step_needs needs = {.n_tokens = 64, .n_out = 512, .n_leaves = 16};
    CHECK_EQ(order.depth, 5);
    CHECK(exact_matmul_blocks(&order, EXACT_TILE, matmul_workspace_bytes(&needs), 4) == 4);
    CHECK_EQ(exact_matmul_blocks(&order, EXACT_TILE, (size_t)3 * 2 * 128 * 128 * 4, 132), 2);
}
