/* Exhaustive: every number of leaves and every number of ranks that Phalanx takes. */
#include "parallel/tree.h"
#include "tests/test.h"
#include "tests/unit/parallel/random_floats.h"

#include <string.h>

/* The definition of docs/numerics.md, written once more and as plainly as can be. */
static float tree_of(const float *leaf, int lo, int hi)
{
    if (hi - lo == 1)
        return leaf[lo];
    const int mid = lo + (hi - lo + 1) / 2;
    const float left = tree_of(leaf, lo, mid);
    const float right = tree_of(leaf, mid, hi);
    return left + right;
}

static bool is_node(struct span node, int lo, int hi)
{
    if (node.lo == lo && node.hi == hi)
        return true;
    const int mid = lo + (hi - lo + 1) / 2;
    return hi - lo > 1 && (is_node(node, lo, mid) || is_node(node, mid, hi));
}

TEST(runs_follow_each_other_and_cover_every_leaf_once)
{
    for (int n_leaves = 1; n_leaves <= MAX_LEAVES; n_leaves++)
        for (int n_ranks = 1; n_ranks <= n_leaves; n_ranks++) {
            int next = 0;
            for (int rank = 0; rank < n_ranks; rank++) {
                const struct span run = tree_run(n_leaves, n_ranks, rank);
                CHECK_EQ(run.lo, next);
                CHECK(run.hi > run.lo);
                next = run.hi;
            }
            CHECK_EQ(next, n_leaves);
        }
}

TEST(runs_differ_by_at_most_one_leaf)
{
    for (int n_leaves = 1; n_leaves <= MAX_LEAVES; n_leaves++)
        for (int n_ranks = 1; n_ranks <= n_leaves; n_ranks++)
            for (int rank = 0; rank < n_ranks; rank++) {
                const struct span run = tree_run(n_leaves, n_ranks, rank);
                CHECK(run.hi - run.lo >= n_leaves / n_ranks);
                CHECK(run.hi - run.lo <= n_leaves / n_ranks + (n_leaves % n_ranks != 0));
            }
}

TEST(runs_of_a_power_of_two_are_nodes_of_the_tree)
{
    for (int n_leaves = 1; n_leaves <= MAX_LEAVES; n_leaves++)
        for (int n_ranks = 1; n_ranks <= n_leaves; n_ranks *= 2)
            for (int rank = 0; rank < n_ranks; rank++) {
                const struct span run = tree_run(n_leaves, n_ranks, rank);
                struct span part[MAX_PARTS];
                CHECK(is_node(run, 0, n_leaves));
                CHECK_EQ(tree_parts(n_leaves, run, part), 1);
                CHECK(part[0].lo == run.lo && part[0].hi == run.hi);
            }
}

/* No node of the tree inside the run is larger than the part that holds it. */
static bool is_maximal(struct span part, struct span run, int n_leaves)
{
    for (int lo = run.lo; lo <= part.lo; lo++)
        for (int hi = part.hi; hi <= run.hi; hi++)
            if ((lo < part.lo || hi > part.hi) && is_node((struct span){lo, hi}, 0, n_leaves))
                return false;
    return true;
}

TEST(parts_of_any_run_are_its_maximal_subtrees_in_order)
{
    for (int n_leaves = 1; n_leaves <= MAX_LEAVES; n_leaves++)
        for (int lo = 0; lo < n_leaves; lo++)
            for (int hi = lo + 1; hi <= n_leaves; hi++) {
                const struct span run = {lo, hi};
                struct span part[MAX_PARTS];
                const int n_parts = tree_parts(n_leaves, run, part);
                int next = lo;
                CHECK(1 <= n_parts && n_parts <= MAX_PARTS);
                for (int p = 0; p < n_parts; p++) {
                    CHECK_EQ(part[p].lo, next);
                    CHECK(is_node(part[p], 0, n_leaves));
                    CHECK(is_maximal(part[p], run, n_leaves));
                    next = part[p].hi;
                }
                CHECK_EQ(next, hi);
            }
}

TEST(the_drawing_in_the_header_is_right)
{
    struct span part[MAX_PARTS];
    CHECK_EQ(tree_run(14, 3, 1).lo, 5);
    CHECK_EQ(tree_run(14, 3, 2).lo, 10);
    CHECK_EQ(tree_parts(14, tree_run(14, 3, 0), part), 2);
    CHECK(part[0].lo == 0 && part[0].hi == 4);
    CHECK(part[1].lo == 4 && part[1].hi == 5);
}

/* Runs the postfix program on `leaf`; part[p] is what remains. */
static int run_program(const struct leaves *program, const float *leaf, float *part)
{
    int n = 0;
    for (int i = 0; i < program->n_leaves; i++) {
        part[n++] = leaf[i];
        for (int merge = 0; merge < program->leaf[i].n_merges; merge++) {
            n--;
            CHECK(n > 0);
            part[n - 1] = part[n - 1] + part[n];
        }
    }
    return n;
}

TEST(the_program_of_a_rank_leaves_exactly_its_parts)
{
    struct random_floats random = random_floats_make(1);
    for (int n_leaves = 1; n_leaves <= MAX_LEAVES; n_leaves++) {
        int k_end[MAX_LEAVES];
        float leaf[MAX_LEAVES];
        tree_cut(1000, n_leaves, k_end);
        for (int i = 0; i < n_leaves; i++)
            leaf[i] = random_float(&random);
        for (int n_ranks = 1; n_ranks <= n_leaves; n_ranks++)
            for (int rank = 0; rank < n_ranks; rank++) {
                const struct span run = tree_run(n_leaves, n_ranks, rank);
                const struct leaves program = tree_leaves(k_end, n_leaves, run);
                struct span span[MAX_PARTS];
                float part[MAX_LEAVES];
                const int n_parts = tree_parts(n_leaves, run, span);
                CHECK_EQ(program.n_leaves, run.hi - run.lo);
                CHECK_EQ(program.n_parts, n_parts);
                CHECK_EQ(run_program(&program, leaf + run.lo, part), n_parts);
                for (int p = 0; p < n_parts; p++) {
                    const float want = tree_of(leaf, span[p].lo, span[p].hi);
                    CHECK(memcmp(&part[p], &want, sizeof want) == 0);
                }
            }
    }
}

TEST(the_program_of_a_rank_counts_k_from_the_begin_of_its_run)
{
    const int k_end[] = {10, 30, 60, 100, 150};
    const struct leaves program = tree_leaves(k_end, 5, (struct span){2, 5});
    CHECK_EQ(program.leaf[0].k_end, 30);
    CHECK_EQ(program.leaf[1].k_end, 70);
    CHECK_EQ(program.leaf[2].k_end, 120);
}

TEST(a_cut_is_as_even_as_possible_with_the_larger_first)
{
    for (int total = 0; total < 70; total++)
        for (int n = 1; n <= 20; n++) {
            int end[20];
            tree_cut(total, n, end);
            for (int i = 0; i < n; i++)
                CHECK_EQ(end[i] - (i > 0 ? end[i - 1] : 0), total / n + (i < total % n));
            CHECK_EQ(end[n - 1], total);
        }
}

/* `into`: which part receives the sum; -1 for none of them. */
static void check_sum(int n_leaves, int n_ranks, size_t count, int into, uint64_t seed)
{
    enum { MOST = 600 };
    static float leaf[MOST][MAX_LEAVES], parts[MAX_LEAVES][MOST], apart[MOST];
    struct random_floats random = random_floats_make(seed);
    const struct tree_layout layout = tree_layout_make(n_leaves, n_ranks);
    for (size_t i = 0; i < count; i++)
        for (int l = 0; l < n_leaves; l++)
            leaf[i][l] = random_float(&random);
    for (int rank = 0; rank < n_ranks; rank++) {
        struct span span[MAX_PARTS];
        const int n_parts = tree_parts(n_leaves, tree_run(n_leaves, n_ranks, rank), span);
        CHECK_EQ(layout.first_part[rank + 1] - layout.first_part[rank], n_parts);
        CHECK(n_parts <= layout.most_parts);
        for (int p = 0; p < n_parts; p++)
            for (size_t i = 0; i < count; i++)
                parts[layout.first_part[rank] + p][i] = tree_of(leaf[i], span[p].lo, span[p].hi);
    }
    const float *part[MAX_LEAVES];
    for (int p = 0; p < layout.n_parts; p++)
        part[p] = parts[p];
    float *sum = into < 0 ? apart : parts[into % layout.n_parts];
    tree_sum(&layout, sum, part, count);
    for (size_t i = 0; i < count; i++) {
        const float want = tree_of(leaf[i], 0, n_leaves);
        if (memcmp(&sum[i], &want, sizeof want) != 0)
            test_fail(__FILE__, __LINE__, "%d leaves, %d ranks, %zu floats, into %d: float %zu",
                      n_leaves, n_ranks, count, into, i);
    }
}

TEST(the_sum_has_the_bits_of_one_rank_for_every_number_of_ranks)
{
    for (int n_leaves = 1; n_leaves <= MAX_LEAVES; n_leaves++)
        for (int n_ranks = 1; n_ranks <= n_leaves; n_ranks++) {
            check_sum(n_leaves, n_ranks, 1, -1, 2);
            check_sum(n_leaves, n_ranks, 37, -1, 3);
        }
    check_sum(14, 3, 600, -1, 4);
    check_sum(16, 8, 257, -1, 5);
    check_sum(16, 5, 0, -1, 6);
}

TEST(the_sum_may_land_in_any_of_its_parts)
{
    for (int n_ranks = 1; n_ranks <= 14; n_ranks++)
        for (int into = 0; into < 14; into++)
            check_sum(14, n_ranks, 300, into, 7);
}
