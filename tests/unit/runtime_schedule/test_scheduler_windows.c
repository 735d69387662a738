/* KV groups: a table for each, and blocks that go back when nobody can see them. */
#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

#include <string.h>

/* Group 0 sees all, group 1 the last `window`. */
static void open_windowed(struct fixture *f, int n_blocks, int window, bool prefix_caching)
{
    struct scheduler_settings settings = fixture_settings(128, 4, n_blocks);
    settings.limits.n_kv_groups = 2;
    settings.limits.kv_window[1] = window;
    settings.prefix_caching = prefix_caching;
    fixture_open_with(f, &settings);
}

TEST(each_group_has_blocks_of_its_own)
{
    struct fixture f;
    open_windowed(&f, 16, 8, false);
    must_submit(&f, 1, 6, 8);
    const struct step_view view = plan(&f, (int[]){6, 0});
    CHECK_EQ(f.batch.plan->n_blocks, 2);
    bool seen[16] = {false};
    for (int i = 0; i < 4; i++) {
        CHECK(!seen[view.block[i]]);
        seen[view.block[i]] = true;
    }
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 12);
    fixture_close(&f);
}

TEST(blocks_out_of_sight_are_given_back_in_runs_of_32_positions)
{
    struct fixture f;
    open_windowed(&f, 64, 8, false);
    must_submit(&f, 1, 38, 16);
    plan(&f, (int[]){38, 0}); /* 10 blocks in each group */
    commit(&f, WORD);
    plan(&f, (int[]){1, 0}); /* the row at 38 sees 31 .. 38 */
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 64 - 20);
    commit(&f, WORD);
    const struct step_view view = plan(&f, (int[]){1, 0}); /* and the next 32 .. 39 */
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 64 - 20 + 8);
    CHECK_EQ(f.batch.plan->n_blocks, 10);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(view.block[10 + i], 0);
    commit(&f, EOS);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 64);
    fixture_close(&f);
}

TEST(a_window_needs_fewer_blocks_than_the_whole)
{
    struct fixture f;
    struct error err = {0};
    struct scheduler_settings settings = fixture_settings(128, 4, 12);
    settings.limits.kv_window[0] = 4; /* 35 positions, that may begin and end in a block: 10 */
    fixture_open_with(&f, &settings);
    f.params.max_tokens = 20;
    struct request_source source = fixture_source(&f, 1, 100);
    CHECK(scheduler_submit(f.scheduler, &source, &err)); /* 30 blocks, of 12 */
    int n_steps = 0;
    for (; scheduler_counts(f.scheduler).n_running + (n_steps == 0) > 0; n_steps++) {
        plan_any(&f);
        commit(&f, WORD);
        CHECK(n_steps < 40);
    }
    CHECK_EQ(f.outcome[0].finish, FINISH_LENGTH);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 12);
    fixture_close(&f);
}

TEST(a_hit_needs_only_what_the_next_row_sees_of_a_windowed_group)
{
    struct fixture f;
    open_windowed(&f, 64, 8, true);
    must_submit(&f, 1, 70, 16);
    run_steps(&f, 4); /* the windowed blocks of positions before 64 are free again */
    CHECK(scheduler_cancel(f.scheduler, 1));
    must_submit(&f, 2, 70, 16);
    const struct step_view view = plan_any(&f);
    CHECK_EQ(view.n_computed[0], 68);
    CHECK(view.block[f.batch.plan->n_blocks + 7] == 0 && f.batch.sequence[0]->first_block[1] == 8);
    fixture_close(&f);
}

TEST(a_hit_without_what_the_next_row_sees_is_none)
{
    struct fixture f;
    open_windowed(&f, 40, 8, true);
    must_submit(&f, 1, 40, 4);
    run_steps(&f, 4); /* 11 blocks that see all, 3 windowed ones: the 8 before are free */
    struct request_source source = fixture_source(&f, 2, 52);
    source.prompt = f.prompt + 60;
    must_submit_source(&f, &source); /* 26 blocks: all that are free */
    run_steps(&f, 1);
    CHECK(scheduler_cancel(f.scheduler, 2));
    must_submit(&f, 3, 16, 4); /* cached in group 0, and long since gone in group 1 */
    CHECK_EQ(plan_any(&f).n_computed[0], 0);
    fixture_close(&f);
}

TEST(a_chunk_is_cut_before_somebody_gives_way_for_it)
{
    struct fixture f;
    struct scheduler_settings settings = fixture_settings(60, 4, 22);
    settings.limits.kv_window[0] = 4; /* at most 10 blocks when it runs row by row */
    settings.by_priority = true;
    fixture_open_with(&f, &settings);
    must_submit(&f, 1, 18, 4);
    plan(&f, (int[]){18, 0});
    commit(&f, WORD);
    struct request_source source = fixture_source(&f, 2, 120);
    source.priority = -1;
    must_submit_source(&f, &source);
    plan(&f, (int[]){1, 59, 0}); /* 5 and 15 blocks, 2 are left */
    commit(&f, WORD);
    plan(&f, (int[]){41, 1, 0}); /* with the 8 that it sees no more it has 10 for 41 of 61 rows */
    CHECK_EQ(f.batch.sequence[0]->id, 2);
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 0);
    fixture_close(&f);
}
