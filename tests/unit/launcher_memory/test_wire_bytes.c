/* What a rank receives for a token, against the steps and bytes of parallel/README.md. */
#include "base/error.h"
#include "launcher/plan/wire_bytes.h"
#include "parallel/ranks.h"
#include "runtime/model/model.h"
#include "tests/test.h"

#include <stdio.h>

/* Hidden 32 * 4 = 128 bytes of a row, 16 leaves of attention, 2 layers, vocabulary 1100. */
static struct wire_bytes wire(int tp_rank, int tp_size, int pp_stage, int pp_stages)
{
    struct error err = {0};
    struct model *model;
    char folder[512];
    const struct model_place place = {
        .tp_rank = tp_rank, .tp_size = tp_size, .pp_stage = pp_stage, .pp_stages = pp_stages};
    const struct ranks ranks = {.world_rank = pp_stage * tp_size + tp_rank,
                                .tp_rank = tp_rank,
                                .tp_size = tp_size,
                                .pp_stage = pp_stage,
                                .pp_stages = pp_stages};
    snprintf(folder, sizeof folder, "%s/tests/golden/llama-16", SOURCE_DIR);
    CHECK(model_measure(&model, folder, "auto", &place, &err));
    const struct wire_bytes out = wire_bytes_of(model, &ranks);
    model_close(model);
    return out;
}

static int64_t row_bytes(void) { return wire(0, 2, 0, 1).attention; }

TEST(a_rank_alone_receives_nothing)
{
    const struct wire_bytes alone = wire(0, 1, 0, 1);
    CHECK_EQ(alone.sums + alone.sums_large + alone.logits + alone.handed_over, 0);
}

/* A power of two has one part a rank; 16 leaves on 3 ranks are runs of 6, 5 and 5, cut as
 * (0,4) (4,6) | (6,8) (8,10) 10 | 11 (12,16). */
TEST(a_sum_brings_the_parts_of_the_other_ranks)
{
    const int64_t row = row_bytes();
    CHECK_EQ(wire(3, 4, 0, 1).attention, 3 * row);
    CHECK_EQ(wire(0, 3, 0, 1).attention, 5 * row);
    CHECK_EQ(wire(1, 3, 0, 1).attention, 4 * row);
    CHECK_EQ(wire(2, 3, 0, 1).attention, 5 * row);
    CHECK_EQ(wire(0, 3, 0, 1).embedding, 2 * row);
}

TEST(all_sums_are_two_a_layer_and_that_of_the_embedding)
{
    const struct wire_bytes four = wire(0, 4, 0, 1);
    CHECK_EQ(four.sums, four.embedding + 2 * (four.attention + four.mlp));
    CHECK_EQ(four.sums, 5 * 3 * row_bytes());
}

/* (P - p + R - 1) / R of a row for each sum, from three ranks on. */
TEST(a_large_step_receives_slices)
{
    const int64_t row = row_bytes();
    CHECK_EQ(wire(0, 2, 0, 1).sums_large, wire(0, 2, 0, 1).sums);
    CHECK_EQ(wire(0, 4, 0, 1).sums_large, 5 * (3 + 3) * row / 4);
}

TEST(a_later_stage_gets_a_row_and_the_last_one_logits)
{
    const struct wire_bytes first = wire(1, 2, 0, 2), last = wire(1, 2, 1, 2);
    CHECK_EQ(first.handed_over, 0);
    CHECK_EQ(first.logits, 0);
    CHECK_EQ(wire(0, 2, 0, 2).logits, 16); /* a pick comes home to rank 0 */
    CHECK_EQ(last.embedding, 0);
    CHECK_EQ(last.handed_over, row_bytes());
    CHECK_EQ(last.logits + wire(0, 2, 1, 2).logits, 1100 * (int64_t)sizeof(float));
    CHECK_EQ(first.sums + last.sums, wire(1, 2, 0, 1).sums);
}
