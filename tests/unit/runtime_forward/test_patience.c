/* How long a stage waits for the others, by what its own plans took. */
#include "runtime/forward/patience.h"

#include "parallel/ranks.h"
#include "tests/test.h"

enum { MAX_TOKENS = 100, TIMES = 4 * 2 };

/* The ranks of one stage of `pp_stages`, and what they were told. */
struct stage {
    struct comm world, tp;
    struct ranks ranks;
    struct patience patience;
};

static void stage_init(struct stage *stage, int pp_stages)
{
    *stage = (struct stage){.ranks = {.pp_stages = pp_stages}};
    stage->ranks.world = &stage->world;
    stage->ranks.tp = &stage->tp;
}

static void learn(struct stage *stage, int n_tokens, int64_t took_ns)
{
    patience_learn(&stage->patience, &stage->ranks, n_tokens, MAX_TOKENS, took_ns);
}

TEST(a_rank_without_a_pipeline_waits_no_longer_than_the_deadline)
{
    struct stage stage;
    stage_init(&stage, 1);
    learn(&stage, MAX_TOKENS, 1000000);
    CHECK_EQ(stage.world.patience_ns, 0);
    CHECK_EQ(stage.tp.patience_ns, 0);
}

TEST(a_stage_waits_as_long_as_the_largest_plan_may_take)
{
    struct stage stage;
    stage_init(&stage, 2);
    learn(&stage, MAX_TOKENS / 4, 1000000);
    CHECK(stage.world.patience_ns >= TIMES * 4 * 1000000LL);
    CHECK(stage.world.patience_ns <= TIMES * 5 * 1000000LL);
    CHECK_EQ(stage.tp.patience_ns, stage.world.patience_ns);
}

TEST(small_plans_say_less_about_the_largest_one_than_large_ones)
{
    struct stage stage;
    stage_init(&stage, 2);
    learn(&stage, MAX_TOKENS / 2, 1000000);
    const int64_t before = stage.world.patience_ns;
    learn(&stage, 1, 500000);
    CHECK_EQ(stage.world.patience_ns, before);
}

TEST(a_stage_never_waits_for_less_than_a_plan_that_it_has_seen)
{
    struct stage stage;
    stage_init(&stage, 2);
    learn(&stage, 1, 90000000);
    learn(&stage, MAX_TOKENS, 1000000);
    CHECK_EQ(stage.world.patience_ns, TIMES * 90000000LL);
}
