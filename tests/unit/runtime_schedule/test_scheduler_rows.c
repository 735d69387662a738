/* Rows that give no next token: log-probabilities of a prompt, and hidden states. */
#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

static void open_rows(struct fixture *f, int max_tokens, int max_logits, int n_blocks)
{
    struct scheduler_settings settings = fixture_settings(max_tokens, 4, n_blocks);
    settings.limits.max_logits = max_logits;
    settings.hidden_size = 8;
    fixture_open_with(f, &settings);
}

TEST(every_token_of_a_prompt_but_the_first_has_a_row)
{
    struct fixture f;
    open_rows(&f, 16, 16, 16);
    f.params.prompt_logprobs = 0;
    must_submit(&f, 1, 5, 4);
    const struct step_view view = plan(&f, (int[]){5, 0});
    CHECK_EQ(f.batch.plan->n_logits, 5);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(view.logits_row[i], i);
        CHECK_EQ(f.batch.row[i].position, i + 1);
        CHECK_EQ(f.batch.row[i].is_prompt, i < 4);
    }
    commit(&f, WORD);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(f.outcome[i].id, 1);
        CHECK_EQ(f.outcome[i].token, f.prompt[i + 1]);
        CHECK_EQ(f.outcome[i].finish, FINISH_NONE);
    }
    CHECK_EQ(f.outcome[4].token, WORD);
    plan(&f, (int[]){1, 0});
    CHECK_EQ(f.batch.plan->n_logits, 1);
    fixture_close(&f);
}

TEST(a_chunk_ends_where_the_rows_of_logits_end)
{
    struct fixture f;
    open_rows(&f, 64, 6, 32);
    f.params.prompt_logprobs = 0;
    must_submit(&f, 1, 14, 4);
    plan(&f, (int[]){6, 0});
    commit(&f, WORD);
    plan(&f, (int[]){6, 0});
    commit(&f, WORD);
    plan(&f, (int[]){2, 0});
    CHECK(!f.batch.row[1].is_prompt);
    commit(&f, EOS);
    CHECK_EQ(f.outcome[1].finish, FINISH_STOP);
    fixture_close(&f);
}

TEST(rows_of_a_prompt_come_once_also_after_a_preemption)
{
    struct fixture f;
    open_rows(&f, 16, 16, 4);
    must_submit(&f, 1, 8, 8);
    f.params.prompt_logprobs = 0;
    must_submit(&f, 2, 7, 8);
    plan(&f, (int[]){8, 7, 0});
    CHECK_EQ(f.batch.plan->n_logits, 1 + 7);
    commit(&f, WORD);
    plan(&f, (int[]){1, 0}); /* preempts the second */
    commit(&f, EOS);
    plan(&f, (int[]){8, 0});
    CHECK_EQ(f.batch.plan->n_logits, 1);
    CHECK(!f.batch.row[0].is_prompt);
    fixture_close(&f);
}

TEST(the_last_state_of_a_prompt_ends_a_request_that_wants_it)
{
    struct fixture f;
    open_rows(&f, 6, 8, 16);
    f.params.pooling = POOLING_LAST;
    must_submit(&f, 1, 9, 1);
    plan(&f, (int[]){6, 0});
    CHECK_EQ(f.batch.plan->n_hidden, 0);
    commit(&f, WORD);
    const struct step_view view = plan(&f, (int[]){3, 0});
    CHECK_EQ(f.batch.plan->n_hidden, 1);
    CHECK_EQ(f.batch.plan->n_logits, 0);
    CHECK_EQ(view.hidden_row[0], 2);
    CHECK_EQ(f.batch.hidden[0].position, 8);
    CHECK(f.batch.hidden[0].is_last && f.batch.hidden[0].request->pooled != NULL);
    CHECK_EQ(scheduler_counts(f.scheduler).n_running, 1);
    commit(&f, WORD);
    CHECK_EQ(scheduler_counts(f.scheduler).n_running, 0);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 16);
    fixture_close(&f);
}

TEST(a_mean_wants_every_row_once)
{
    struct fixture f;
    open_rows(&f, 6, 8, 16);
    f.params.pooling = POOLING_MEAN;
    must_submit(&f, 1, 9, 1);
    int position = 0;
    for (int step = 0; step < 2; step++) {
        plan_any(&f);
        for (int i = 0; i < f.batch.plan->n_hidden; i++) {
            CHECK_EQ(f.batch.hidden[i].position, position++);
            CHECK_EQ(f.batch.hidden[i].is_last, position == 9);
        }
        commit(&f, WORD);
    }
    CHECK_EQ(position, 9);
    CHECK_EQ(scheduler_counts(f.scheduler).n_running, 0);
    fixture_close(&f);
}

TEST(a_prompt_that_pools_may_fill_the_context)
{
    struct fixture f;
    open_rows(&f, MAX_PROMPT, 8, 32);
    struct error err = {0};
    struct request_source source = fixture_source(&f, 1, MAX_PROMPT);
    CHECK(!scheduler_submit(f.scheduler, &source, &err)); /* no room for a token */
    f.params.pooling = POOLING_LAST;
    must_submit_source(&f, &source);
    plan(&f, (int[]){MAX_PROMPT, 0});
    fixture_close(&f);
}

TEST(an_engine_without_vectors_refuses_to_pool)
{
    struct fixture f;
    struct error err = {0};
    fixture_open(&f, 16, 4, 16);
    f.params.pooling = POOLING_LAST;
    const struct request_source source = fixture_source(&f, 1, 4);
    CHECK(!scheduler_submit(f.scheduler, &source, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    fixture_close(&f);
}

TEST(rows_of_a_prompt_leave_one_for_each_of_the_others)
{
    struct fixture f;
    open_rows(&f, 64, 8, 64);
    f.params.prompt_logprobs = 0;
    must_submit(&f, 1, 20, 4);
    f.params.prompt_logprobs = LOGPROBS_OFF;
    must_submit(&f, 2, 3, 4);
    must_submit(&f, 3, 3, 4);
    plan(&f, (int[]){8, 2, 2, 0}); /* nobody else ran yet: the others get no row */
    commit(&f, WORD);
    plan(&f, (int[]){6, 1, 1, 0});
    commit(&f, WORD);
    plan(&f, (int[]){6, 1, 1, 0});
    CHECK_EQ(f.batch.plan->n_logits, 8);
    fixture_close(&f);
}
