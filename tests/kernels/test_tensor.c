#include "kernels/tensor.h"
#include "tests/test.h"

static struct leaves leaves_made(int n_leaves, int n_parts, const struct leaf *leaf)
{
    struct leaves leaves = {.n_leaves = n_leaves, .n_parts = n_parts};
    for (int i = 0; i < n_leaves; i++)
        leaves.leaf[i] = leaf[i];
    return leaves;
}

TEST(each_leaf_of_an_operand_is_padded_to_whole_blocks)
{
    const struct leaf leaf[] = {{33, 0}, {64, 1}, {96, 0}, {97, 2}};
    const struct leaves leaves = leaves_made(4, 1, leaf);
    CHECK(leaves_valid(&leaves));
    CHECK_EQ(leaves_k(&leaves), 97);
    CHECK_EQ(leaves_k_padded(&leaves), 64 + 32 + 32 + 32);
    CHECK_EQ(operand_bytes(DTYPE_BF16, 3, &leaves), 3 * 160 * 2);
    CHECK_EQ(operand_bytes(DTYPE_F32, 3, &leaves), 3 * 97 * 4);
    CHECK_EQ(operand_make(NULL, DTYPE_F32, 3, &leaves).k_padded, 97);
}

TEST(a_program_of_leaves_must_be_able_to_run)
{
    const struct {
        int n_leaves, n_parts;
        struct leaf leaf[3];
        bool valid;
    } cases[] = {
        {1, 1, {{8, 0}}, true},
        {3, 1, {{8, 0}, {9, 1}, {10, 1}}, true},
        {3, 3, {{8, 0}, {9, 0}, {10, 0}}, true},
        {0, 0, {{0}}, false},                     /* no leaf */
        {1, 1, {{0, 0}}, false},                  /* an empty one */
        {3, 1, {{8, 0}, {8, 1}, {10, 1}}, false}, /* another */
        {3, 1, {{8, 0}, {9, 2}, {10, 0}}, false}, /* a merge of nothing */
        {3, 2, {{8, 0}, {9, 1}, {10, 1}}, false}, /* one part, not two */
        {3, 1, {{8, 0}, {9, 0}, {10, 0}}, false}, /* three, not one */
        {2, 3, {{8, 0}, {9, -1}}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct leaves leaves =
            leaves_made(cases[i].n_leaves, cases[i].n_parts, cases[i].leaf);
        CHECK_EQ(leaves_valid(&leaves), cases[i].valid);
    }
}
