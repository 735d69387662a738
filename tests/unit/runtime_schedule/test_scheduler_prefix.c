/* What the scheduler makes of the prefix cache. */
#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

#include <string.h>

static void open_cached(struct fixture *f, int max_sequences, int n_blocks)
{
    struct scheduler_settings settings = fixture_settings(64, max_sequences, n_blocks);
    settings.limits.max_logits = MAX_ROWS;
    settings.prefix_caching = true;
    settings.hidden_size = 8;
    fixture_open_with(f, &settings);
}

TEST(a_prompt_that_was_there_before_runs_from_its_first_unknown_block)
{
    struct fixture f;
    open_cached(&f, 4, 32);
    must_submit(&f, 1, 11, 8);
    const struct step_view first = plan(&f, (int[]){11, 0});
    const int32_t block[2] = {first.block[0], first.block[1]};
    commit(&f, EOS);
    must_submit(&f, 2, 11, 8);
    const struct step_view view = plan(&f, (int[]){3, 0});
    CHECK_EQ(view.n_computed[0], 8);
    CHECK(memcmp(view.block, block, sizeof block) == 0);
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].cached_tokens, 8);
    plan(&f, (int[]){1, 0});
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].cached_tokens, 0); /* told once */
    const struct scheduler_counts counts = scheduler_counts(f.scheduler);
    CHECK_EQ(counts.n_cache_queries, 22);
    CHECK_EQ(counts.n_cache_hits, 8);
    fixture_close(&f);
}

TEST(one_row_of_a_prompt_always_runs)
{
    struct fixture f;
    open_cached(&f, 4, 32);
    must_submit(&f, 1, 8, 8);
    plan(&f, (int[]){8, 0});
    commit(&f, EOS);
    must_submit(&f, 2, 8, 8); /* both blocks are cached */
    CHECK_EQ(plan(&f, (int[]){4, 0}).n_computed[0], 4);
    fixture_close(&f);
}

TEST(choices_of_one_prompt_compute_it_once_in_the_same_step)
{
    struct fixture f;
    open_cached(&f, 4, 32);
    for (uint64_t id = 1; id <= 3; id++)
        must_submit(&f, id, 10, 8);
    const struct step_view view = plan(&f, (int[]){10, 2, 2, 0});
    CHECK_EQ(view.block[view.first_block[1]], view.block[0]);
    CHECK_EQ(view.block[view.first_block[2] + 1], view.block[1]);
    CHECK(view.block[view.first_block[1] + 2] != view.block[2]); /* each has its last one */
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 32 - 2 - 3);
    commit(&f, EOS);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 32);
    fixture_close(&f);
}

TEST(tokens_of_the_output_are_found_too)
{
    struct fixture f;
    open_cached(&f, 4, 32);
    must_submit(&f, 1, 3, 8);
    run_steps(&f, 6);
    CHECK(scheduler_cancel(f.scheduler, 1));
    int32_t prompt[9];
    memcpy(prompt, f.prompt, sizeof prompt);
    for (int i = 3; i < 9; i++)
        prompt[i] = WORD;
    struct request_source source = fixture_source(&f, 2, 9);
    source.prompt = prompt;
    must_submit_source(&f, &source);
    CHECK_EQ(plan_any(&f).n_computed[0], 8);
    fixture_close(&f);
}

TEST(another_cache_key_is_another_prefix)
{
    static const uint8_t key[] = {1, 2, 3};
    struct fixture f;
    open_cached(&f, 4, 32);
    for (int n_key = 0; n_key <= 3; n_key++) {
        struct request_source source = fixture_source(&f, 1, 11);
        source.cache_key = key;
        source.n_cache_key = n_key;
        must_submit_source(&f, &source);
        CHECK_EQ(plan_any(&f).n_computed[0], 0);
        commit(&f, EOS);
    }
    fixture_close(&f);
}

TEST(who_wants_every_row_of_its_prompt_does_not_read_the_cache)
{
    struct fixture f;
    open_cached(&f, 4, 32);
    must_submit(&f, 1, 11, 8);
    plan(&f, (int[]){11, 0});
    commit(&f, EOS);
    f.params.prompt_logprobs = 0;
    must_submit(&f, 2, 11, 8);
    plan(&f, (int[]){11, 0});
    commit(&f, EOS);
    f.params = params_default();
    f.params.pooling = POOLING_MEAN;
    must_submit(&f, 3, 11, 8);
    plan(&f, (int[]){11, 0});
    commit(&f, EOS);
    f.params.pooling = POOLING_LAST; /* but this one does */
    must_submit(&f, 4, 11, 8);
    plan(&f, (int[]){3, 0});
    CHECK_EQ(f.batch.hidden[0].request->n_cached, 8);
    fixture_close(&f);
}

TEST(a_block_that_is_taken_for_something_else_is_found_no_more)
{
    struct fixture f;
    open_cached(&f, 4, 4);
    must_submit(&f, 1, 9, 3);
    plan(&f, (int[]){9, 0});
    commit(&f, EOS);
    f.params.max_tokens = 2;
    struct request_source source = fixture_source(&f, 2, 14);
    source.prompt = f.prompt + 50;
    must_submit_source(&f, &source); /* takes all four blocks */
    plan(&f, (int[]){14, 0});
    commit(&f, EOS);
    must_submit(&f, 3, 9, 3);
    CHECK_EQ(plan_any(&f).n_computed[0], 0);
    fixture_close(&f);
}

TEST(who_was_preempted_finds_its_own_blocks)
{
    struct fixture f;
    open_cached(&f, 4, 5);
    must_submit(&f, 1, 8, 8);
    struct request_source source = fixture_source(&f, 2, 11);
    source.prompt = f.prompt + 50;
    must_submit_source(&f, &source);
    plan(&f, (int[]){8, 11, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 1);
    commit(&f, EOS);
    const struct step_view view = plan(&f, (int[]){4, 0});
    CHECK_EQ(view.n_computed[0], 8); /* the two full blocks were not needed by the other one */
    CHECK_EQ(f.batch.sequence[0]->n_cached, 0);
    fixture_close(&f);
}

TEST(after_a_rest_nothing_is_found_any_more)
{
    struct fixture f;
    struct error err = {0};
    struct step_view view;
    const struct plan_limits limits = fixture_settings(64, 4, 32).limits;
    open_cached(&f, 4, 32);
    must_submit(&f, 1, 11, 8);
    plan(&f, (int[]){11, 0});
    commit(&f, EOS);
    must_submit(&f, 2, 11, 8); /* it waits, and has nothing yet */
    scheduler_write_rest(f.scheduler, &f.batch, PLAN_NO_CACHE);
    CHECK(plan_check(f.batch.plan, f.batch.plan->n_bytes, &limits, 0, &view, &err));
    CHECK_EQ(*view.rest, PLAN_NO_CACHE);
    CHECK_EQ(plan(&f, (int[]){11, 0}).n_computed[0], 0);
    fixture_close(&f);
}
