#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

#include <string.h>

static bool submit(struct fixture *f, uint64_t id, int n_prompt, int max_tokens, struct error *err)
{
    f->params.max_tokens = max_tokens;
    const struct request_source source = fixture_source(f, id, n_prompt);
    return scheduler_submit(f->scheduler, &source, err);
}

TEST(a_prompt_runs_whole_and_then_token_by_token)
{
    struct fixture f;
    fixture_open(&f, 16, 4, 16);
    CHECK(!scheduler_choose(f.scheduler, &f.batch));
    must_submit(&f, 5, 6, 3);
    struct step_view view = plan(&f, (int[]){6, 0});
    CHECK_EQ(f.batch.plan->step, 1);
    CHECK_EQ(view.n_computed[0], 0);
    CHECK_EQ(view.first_block[1], 2); /* only the blocks that this step touches */
    CHECK_EQ(view.logits_row[0], 5);
    CHECK(memcmp(view.token, f.prompt, 6 * sizeof *f.prompt) == 0);
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].id, 5);
    CHECK_EQ(f.outcome[0].token, WORD);
    CHECK_EQ(f.outcome[0].finish, FINISH_NONE);

    view = plan(&f, (int[]){1, 0});
    CHECK_EQ(f.batch.plan->step, 2);
    CHECK_EQ(view.n_computed[0], 6);
    CHECK_EQ(view.token[0], WORD);
    commit(&f, EOS);
    CHECK_EQ(f.outcome[0].finish, FINISH_STOP);
    CHECK(!scheduler_choose(f.scheduler, &f.batch));
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 16);
    CHECK_EQ(scheduler_counts(f.scheduler).n_blocks, 16);
    fixture_close(&f);
}

TEST(a_long_prompt_runs_in_chunks_and_is_sampled_after_the_last)
{
    struct fixture f;
    fixture_open(&f, 7, 4, 16);
    must_submit(&f, 1, 17, 1);
    plan(&f, (int[]){7, 0});
    CHECK_EQ(f.batch.plan->n_logits, 0);
    commit(&f, WORD);
    plan(&f, (int[]){7, 0});
    CHECK_EQ(f.batch.plan->n_logits, 0);
    commit(&f, WORD);
    CHECK_EQ(plan(&f, (int[]){3, 0}).logits_row[0], 2);
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].finish, FINISH_LENGTH);
    fixture_close(&f);
}

static void open_whole(struct fixture *f, int n_blocks)
{
    struct scheduler_settings settings = fixture_settings(MAX_PROMPT, 4, n_blocks);
    settings.whole_prompts = true;
    settings.prefix_caching = true;
    fixture_open_with(f, &settings);
}

TEST(without_chunks_a_prompt_waits_until_a_step_takes_it_whole_and_nobody_overtakes_it)
{
    struct fixture f;
    open_whole(&f, 64);
    must_submit(&f, 1, 100, 10);
    f.prompt[0]++;
    must_submit(&f, 2, 29, 10);
    must_submit(&f, 3, 2, 10);
    plan(&f, (int[]){100, 0}); /* of 128 */
    commit(&f, WORD);
    plan(&f, (int[]){1, 29, 2, 0});
    commit(&f, WORD);
    f.prompt[0]--;
    must_submit(&f, 4, 127, 1);
    plan(&f, (int[]){1, 1, 1, 27, 0}); /* the other 100 are cached */
    commit(&f, WORD);
    CHECK_EQ(f.outcome[3].id, 4);
    fixture_close(&f);
}

TEST(without_chunks_one_that_was_preempted_comes_back_whole)
{
    struct scheduler_settings settings = fixture_settings(17, 4, 14); /* blocks of 4 positions */
    settings.whole_prompts = true;
    struct fixture f;
    fixture_open_with(&f, &settings);
    must_submit(&f, 1, 15, 7);
    must_submit(&f, 2, 15, 10);
    must_submit(&f, 3, 13, 10);
    plan(&f, (int[]){15, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 15, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 1, 13, 0});
    commit(&f, WORD);
    for (int i = 0; i < 3; i++) {
        plan(&f, (int[]){1, 1, 1, 0});
        commit(&f, WORD);
    }
    plan(&f, (int[]){1, 1, 0}); /* the third one, of 17 tokens by now, gave its blocks */
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 1);
    commit(&f, WORD);        /* the end of the first one */
    plan(&f, (int[]){1, 0}); /* there is room for it again, and not in this step */
    commit(&f, EOS);
    const struct step_view view = plan_any(&f);
    CHECK_EQ(f.batch.n_sequences, 1);
    CHECK_EQ(view.n_computed[0], 0);
    CHECK_EQ(f.batch.n_new[0], 17);
    CHECK_EQ(f.batch.plan->n_logits, 1);
    commit(&f, EOS);
    fixture_close(&f);
}

TEST(running_ones_come_first_and_waiting_ones_fill_the_step)
{
    struct fixture f;
    fixture_open(&f, 8, 4, 64);
    must_submit(&f, 1, 3, 10);
    plan(&f, (int[]){3, 0});
    commit(&f, WORD);
    must_submit(&f, 2, 5, 10);
    must_submit(&f, 3, 9, 10);
    plan(&f, (int[]){1, 5, 2, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 1, 6, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 1, 1, 0});
    CHECK_EQ(f.batch.plan->n_logits, 3);
    commit(&f, WORD);
    fixture_close(&f);
}

TEST(no_more_sequences_run_than_allowed)
{
    struct fixture f;
    fixture_open(&f, 16, 2, 64);
    for (uint64_t id = 1; id <= 3; id++)
        must_submit(&f, id, 2, 5);
    plan(&f, (int[]){2, 2, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_waiting, 1);
    commit(&f, EOS);
    plan(&f, (int[]){2, 0});
    commit(&f, EOS);
    CHECK_EQ(f.outcome[0].id, 3);
    fixture_close(&f);
}

TEST(the_first_in_the_queue_is_not_overtaken)
{
    struct fixture f;
    fixture_open(&f, 16, 4, 4); /* 16 positions */
    must_submit(&f, 1, 8, 4);   /* 2 blocks now */
    must_submit(&f, 2, 9, 4);   /* 3 blocks: must wait for the first */
    must_submit(&f, 3, 2, 2);   /* 1 block would fit */
    plan(&f, (int[]){8, 0});
    commit(&f, EOS);
    plan(&f, (int[]){9, 2, 0});
    commit(&f, EOS);
    fixture_close(&f);
}

TEST(blocks_are_taken_as_they_are_needed)
{
    struct fixture f;
    fixture_open(&f, 16, 4, 16);
    must_submit(&f, 1, 4, 8);
    plan(&f, (int[]){4, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 15);
    commit(&f, WORD);
    plan(&f, (int[]){1, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 14);
    commit(&f, EOS);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 16);
    fixture_close(&f);
}

TEST(what_never_fits_is_refused_at_once)
{
    struct fixture f;
    struct error err = {0};
    fixture_open(&f, 16, 4, 4);
    must_submit(&f, 1, 10, 6); /* exactly all blocks */
    CHECK(!submit(&f, 2, 10, 7, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "17 tokens, which need 5 blocks") != NULL);
    CHECK(strstr(err.text, "it has 4") != NULL);
    fixture_close(&f);
}

TEST(a_used_id_and_too_many_requests_are_refused)
{
    struct fixture f;
    struct error err = {0};
    struct scheduler_settings settings = fixture_settings(16, 4, 64);
    settings.max_requests = 4;
    fixture_open_with(&f, &settings);
    must_submit(&f, 4097, 2, 2);
    must_submit(&f, 1, 2, 2); /* the same bucket */
    CHECK(!submit(&f, 4097, 2, 2, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    must_submit(&f, 3, 2, 2);
    must_submit(&f, 4, 2, 2);
    err = (struct error){0};
    CHECK(!submit(&f, 5, 2, 2, &err));
    CHECK_EQ(err.kind, ERROR_LIMIT);
    CHECK(scheduler_cancel(f.scheduler, 4097));
    CHECK(!scheduler_cancel(f.scheduler, 4097));
    must_submit(&f, 5, 2, 2);
    fixture_close(&f);
}

TEST(requests_take_no_more_memory_than_they_may)
{
    for (int width = 0; width <= 4; width += 4) { /* beams count too */
        struct fixture f;
        struct error err = {0};
        struct scheduler_settings settings = fixture_settings(16, 4, 128);
        settings.limits.max_copies = 1;
        settings.max_request_bytes = width > 0 ? 50000 : 10000;
        fixture_open_with(&f, &settings);
        f.params.beam_width = width;
        uint64_t id = 1;
        while (submit(&f, id, 2, 100, &err))
            id++;
        CHECK_EQ(err.kind, ERROR_LIMIT);
        CHECK(id > 2 && id < 10);
        CHECK(scheduler_cancel(f.scheduler, 1));
        must_submit(&f, id, 2, 100);
        fixture_close(&f);
    }
}

TEST(a_row_without_a_token_ends_its_request_alone)
{
    struct fixture f;
    fixture_open(&f, 16, 4, 64);
    must_submit(&f, 1, 2, 5);
    must_submit(&f, 2, 2, 5);
    plan(&f, (int[]){2, 2, 0});
    scheduler_commit(f.scheduler, &f.batch, (struct row_result[]){{.token = -1}, {.token = WORD}},
                     f.outcome);
    CHECK_EQ(f.outcome[0].finish, FINISH_ERROR);
    CHECK_EQ(f.outcome[1].finish, FINISH_NONE);
    CHECK_EQ(scheduler_counts(f.scheduler).n_running, 1);
    fixture_close(&f);
}

TEST(a_request_cancelled_in_flight_gives_its_blocks_at_once_and_no_outcome)
{
    struct fixture f;
    fixture_open(&f, 16, 4, 4);
    must_submit(&f, 1, 4, 12);
    plan(&f, (int[]){4, 0});
    CHECK(scheduler_cancel(f.scheduler, 1));
    CHECK_EQ(scheduler_counts(f.scheduler).n_running, 0);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 4); /* who gets them writes later */
    must_submit(&f, 1, 4, 4);                                 /* its id is free at once */
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].id, 0);
    plan(&f, (int[]){4, 0});
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].id, 1);
    fixture_close(&f);
}

TEST(the_last_plan_says_stop)
{
    struct fixture f;
    struct step_view view;
    struct error err = {0};
    fixture_open(&f, 16, 4, 4);
    scheduler_write_stop(f.scheduler, &f.batch);
    CHECK(plan_check(f.batch.plan, f.batch.plan->n_bytes, &f.settings.limits, 0, &view, &err));
    CHECK(view.stop);
    CHECK_EQ(f.batch.plan->step, 1);
    fixture_close(&f);
}
