#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule/scheduler.h"
#include "tests/test.h"

#include <string.h>

enum { EOS = 2, WORD = 30, MAX_ROWS = 8 };

static const int32_t eos_id = EOS;
static int32_t prompt[64];

struct fixture {
    struct plan_limits limits;
    struct scheduler *scheduler;
    struct batch batch;
    struct outcome outcome[MAX_ROWS];
};

static void open(struct fixture *f, int max_tokens, int max_sequences, int n_blocks)
{
    *f = (struct fixture){.limits = {.max_tokens = max_tokens,
                                     .max_sequences = max_sequences,
                                     .max_logits = max_sequences,
                                     .block_tokens = 4,
                                     .n_kv_blocks = n_blocks,
                                     .n_kv_groups = 1,
                                     .max_model_len = 64,
                                     .vocab = 50}};
    scheduler_create(&f->scheduler, &(struct scheduler_settings){.limits = f->limits,
                                                                 .eos_id = &eos_id,
                                                                 .n_eos_ids = 1,
                                                                 .max_requests = 4});
    batch_init(&f->batch, &f->limits);
    for (int i = 0; i < 64; i++)
        prompt[i] = 10 + i % 20;
}

static void close(struct fixture *f)
{
    batch_release(&f->batch);
    scheduler_destroy(f->scheduler);
}

static bool submit(struct fixture *f, uint64_t id, int n_prompt, int max_tokens, struct error *err)
{
    struct sampling_params params = params_default();
    params.max_tokens = max_tokens;
    return scheduler_submit(
        f->scheduler,
        &(struct request_source){
            .id = id, .prompt = prompt, .n_prompt = n_prompt, .params = &params},
        err);
}

static void must_submit(struct fixture *f, uint64_t id, int n_prompt, int max_tokens)
{
    struct error err = {0};
    if (!submit(f, id, n_prompt, max_tokens, &err))
        test_fail(__FILE__, __LINE__, "request %d: %s", (int)id, err.text);
}

/* Plans a step and checks its shape: tokens of each sequence in order, ended by 0. */
static struct step_view plan(struct fixture *f, const int *n_new)
{
    struct step_view view = {0};
    struct error err = {0};
    CHECK(scheduler_choose(f->scheduler, &f->batch));
    scheduler_write(f->scheduler, &f->batch);
    if (!plan_check(f->batch.plan, f->batch.plan->n_bytes, &f->limits, &view, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    int n = 0;
    while (n_new[n] > 0)
        n++;
    CHECK_EQ(f->batch.plan->n_sequences, n);
    for (int s = 0; s < n; s++)
        CHECK_EQ(view.first_row[s + 1] - view.first_row[s], n_new[s]);
    return view;
}

static void commit(struct fixture *f, int32_t token)
{
    struct row_result result[MAX_ROWS];
    for (int i = 0; i < MAX_ROWS; i++)
        result[i] = (struct row_result){.token = token};
    scheduler_commit(f->scheduler, &f->batch, result, f->outcome);
}

TEST(a_prompt_runs_whole_and_then_token_by_token)
{
    struct fixture f;
    open(&f, 16, 4, 16);
    CHECK(!scheduler_choose(f.scheduler, &f.batch));
    must_submit(&f, 5, 6, 3);
    struct step_view view = plan(&f, (int[]){6, 0});
    CHECK_EQ(f.batch.plan->step, 1);
    CHECK_EQ(view.n_computed[0], 0);
    CHECK_EQ(view.first_block[1], 2); /* only the blocks that this step touches */
    CHECK_EQ(view.logits_row[0], 5);
    CHECK(memcmp(view.token, prompt, 6 * sizeof *prompt) == 0);
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
    close(&f);
}

TEST(a_long_prompt_runs_in_chunks_and_is_sampled_after_the_last)
{
    struct fixture f;
    open(&f, 7, 4, 16);
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
    close(&f);
}

TEST(running_ones_come_first_and_waiting_ones_fill_the_step)
{
    struct fixture f;
    open(&f, 8, 4, 64);
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
    close(&f);
}

TEST(no_more_sequences_run_than_allowed)
{
    struct fixture f;
    open(&f, 16, 2, 64);
    for (uint64_t id = 1; id <= 3; id++)
        must_submit(&f, id, 2, 5);
    plan(&f, (int[]){2, 2, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_waiting, 1);
    commit(&f, EOS);
    plan(&f, (int[]){2, 0});
    commit(&f, EOS);
    CHECK_EQ(f.outcome[0].id, 3);
    close(&f);
}

TEST(the_first_in_the_queue_is_not_overtaken)
{
    struct fixture f;
    open(&f, 16, 4, 4);       /* 16 positions */
    must_submit(&f, 1, 8, 4); /* 2 blocks now */
    must_submit(&f, 2, 9, 4); /* 3 blocks: must wait for the first */
    must_submit(&f, 3, 2, 2); /* 1 block would fit */
    plan(&f, (int[]){8, 0});
    commit(&f, EOS);
    plan(&f, (int[]){9, 2, 0});
    commit(&f, EOS);
    close(&f);
}

TEST(blocks_are_taken_as_they_are_needed)
{
    struct fixture f;
    open(&f, 16, 4, 16);
    must_submit(&f, 1, 4, 8);
    plan(&f, (int[]){4, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 15);
    commit(&f, WORD);
    plan(&f, (int[]){1, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 14);
    commit(&f, EOS);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 16);
    close(&f);
}

TEST(the_last_is_preempted_and_computes_its_tokens_anew)
{
    struct fixture f;
    open(&f, 16, 4, 4);
    must_submit(&f, 1, 8, 8);
    must_submit(&f, 2, 7, 8);
    plan(&f, (int[]){8, 7, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 0}); /* a third block for the first, and none for the second's 8th token */
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 1);
    CHECK_EQ(scheduler_counts(f.scheduler).n_waiting, 1);
    commit(&f, EOS);
    struct step_view view = plan(&f, (int[]){8, 0});
    CHECK_EQ(view.n_computed[0], 0);
    CHECK_EQ(view.token[7], WORD);
    CHECK_EQ(view.logits_row[0], 7);
    commit(&f, EOS);
    CHECK_EQ(f.outcome[0].id, 2);
    close(&f);
}

TEST(what_never_fits_is_refused_at_once)
{
    struct fixture f;
    struct error err = {0};
    open(&f, 16, 4, 4);
    must_submit(&f, 1, 10, 6); /* exactly all blocks */
    CHECK(!submit(&f, 2, 10, 7, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "17 tokens, which need 5 blocks") != NULL);
    CHECK(strstr(err.text, "it has 4") != NULL);
    close(&f);
}

TEST(a_used_id_and_too_many_requests_are_refused)
{
    struct fixture f;
    struct error err = {0};
    open(&f, 16, 4, 64);
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
    close(&f);
}

TEST(a_row_without_a_token_ends_its_request_alone)
{
    struct fixture f;
    open(&f, 16, 4, 64);
    must_submit(&f, 1, 2, 5);
    must_submit(&f, 2, 2, 5);
    plan(&f, (int[]){2, 2, 0});
    scheduler_commit(f.scheduler, &f.batch, (struct row_result[]){{.token = -1}, {.token = WORD}},
                     f.outcome);
    CHECK_EQ(f.outcome[0].finish, FINISH_ERROR);
    CHECK_EQ(f.outcome[1].finish, FINISH_NONE);
    CHECK_EQ(scheduler_counts(f.scheduler).n_running, 1);
    close(&f);
}

TEST(a_request_cancelled_in_flight_gives_its_blocks_at_once_and_no_outcome)
{
    struct fixture f;
    open(&f, 16, 4, 4);
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
    close(&f);
}

TEST(the_last_plan_says_stop)
{
    struct fixture f;
    struct step_view view;
    struct error err = {0};
    open(&f, 16, 4, 4);
    scheduler_write_stop(f.scheduler, &f.batch);
    CHECK(plan_check(f.batch.plan, f.batch.plan->n_bytes, &f.limits, &view, &err));
    CHECK(view.stop);
    CHECK_EQ(f.batch.plan->step, 1);
    close(&f);
}
