/* Beam search, as a group of sequences on blocks they share. What is picked: test_beam.c, and the
 * random worlds hold whole searches against a plain one. */
#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

#include <string.h>

static void open_beams(struct fixture *f, int max_sequences, int n_blocks, int max_copies)
{
    struct scheduler_settings settings = fixture_settings(32, max_sequences, n_blocks);
    settings.limits.max_copies = max_copies;
    settings.prefix_caching = true;
    fixture_open_with(f, &settings);
}

static void submit_beams(struct fixture *f, uint64_t id, int n_prompt, int max_tokens, int width)
{
    f->params.beam_width = width;
    must_submit(f, id, n_prompt, max_tokens);
    f->params.beam_width = 0;
}

/* Every row gives 40, 41, … with logprobs -1, -2, … */
static void commit_candidates(struct fixture *f, int n)
{
    struct beam_candidate candidate[2 * PARAMS_MAX_BEAMS];
    struct row_result result[MAX_ROWS];
    for (int i = 0; i < n; i++)
        candidate[i] = (struct beam_candidate){.token = 40 + i, .logprob = -(float)(i + 1)};
    for (int i = 0; i < f->batch.plan->n_logits; i++)
        result[i] = (struct row_result){.candidate = candidate, .n_candidates = n};
    scheduler_commit(f->scheduler, &f->batch, result, f->outcome);
}

TEST(beams_share_the_prompt_and_copy_its_last_block)
{
    struct fixture f;
    open_beams(&f, 4, 32, 4);
    submit_beams(&f, 1, 6, 4, 2);
    plan(&f, (int[]){6, 0});
    commit_candidates(&f, 4);
    CHECK_EQ(f.outcome[0].id, 0);
    const struct step_view view = plan(&f, (int[]){1, 1, 0});
    CHECK_EQ(view.token[0], 40);
    CHECK_EQ(view.token[1], 41);
    CHECK_EQ(view.block[0], view.block[2]);
    CHECK(view.block[1] != view.block[3]);
    CHECK_EQ(f.batch.plan->n_copies, 1);
    CHECK(view.copy[0] == view.block[3] && view.copy[1] == view.block[1]);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 32 - 3);
    fixture_close(&f);
}

TEST(a_prompt_of_full_blocks_needs_no_copy)
{
    struct fixture f;
    open_beams(&f, 4, 32, 4);
    submit_beams(&f, 1, 8, 4, 2);
    plan(&f, (int[]){8, 0});
    commit_candidates(&f, 4);
    plan(&f, (int[]){1, 1, 0});
    CHECK_EQ(f.batch.plan->n_copies, 0);
    fixture_close(&f);
}

TEST(beams_wait_a_step_for_more_copies_than_one_may_have)
{
    struct fixture f;
    open_beams(&f, 4, 32, 1);
    submit_beams(&f, 1, 6, 4, 3);
    plan(&f, (int[]){6, 0});
    commit_candidates(&f, 6);
    plan(&f, (int[]){1, 0}); /* the first copies; the others would, too */
    CHECK_EQ(f.batch.plan->n_copies, 1);
    commit_candidates(&f, 6);
    plan(&f, (int[]){1, 1, 0}); /* of two the last one needs none */
    CHECK_EQ(f.batch.plan->n_copies, 1);
    commit_candidates(&f, 6);
    CHECK_EQ(plan_any(&f).n_computed[0], 7); /* now all have their candidates */
    fixture_close(&f);
}

TEST(a_search_ends_with_its_best_and_all_blocks_home)
{
    struct fixture f;
    open_beams(&f, 4, 32, 4);
    submit_beams(&f, 1, 6, 2, 2);
    plan(&f, (int[]){6, 0});
    commit_candidates(&f, 4);
    plan(&f, (int[]){1, 1, 0});
    commit_candidates(&f, 4);
    CHECK_EQ(f.outcome[0].id, 0);
    CHECK_EQ(f.outcome[1].id, 1);
    CHECK_EQ(f.outcome[1].token, -1);
    CHECK_EQ(f.outcome[1].finish, FINISH_LENGTH);
    CHECK_EQ(f.outcome[1].n_beams, 2);
    const struct beam *beam = f.outcome[1].beam;
    CHECK_EQ(beam[0].n_tokens, 2);
    CHECK(beam[0].token[0] == 40 && beam[0].token[1] == 40);
    CHECK(beam[1].token[0] == 40 && beam[1].token[1] == 41); /* equal to 41 40, and the earlier */
    CHECK(beam[0].cumulative_logprob == -2 && beam[1].cumulative_logprob == -3);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 32);
    CHECK_EQ(scheduler_counts(f.scheduler).n_running, 0);
    CHECK(!scheduler_choose(f.scheduler, &f.batch));
    fixture_close(&f);
}

TEST(a_beam_search_takes_as_many_places_as_it_is_wide)
{
    struct fixture f;
    struct error err = {0};
    open_beams(&f, 3, 32, 4);
    submit_beams(&f, 1, 6, 4, 2);
    must_submit(&f, 2, 3, 4);
    must_submit(&f, 3, 3, 4);
    plan(&f, (int[]){6, 3, 0});
    commit(&f, -1); /* the search fails, and so does the other one */
    CHECK_EQ(f.outcome[0].finish, FINISH_ERROR);
    CHECK_EQ(f.outcome[0].n_beams, 0);
    plan(&f, (int[]){3, 0});
    submit_beams(&f, 5, 6, 4, 3); /* all places */
    f.params.beam_width = 4;
    const struct request_source source = fixture_source(&f, 4, 6);
    CHECK(!scheduler_submit(f.scheduler, &source, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "beam_width must be at most 3") != NULL);
    fixture_close(&f);
}

/* Beams get candidates, all others WORD. */
static void commit_each(struct fixture *f)
{
    const struct beam_candidate candidate[4] = {{40, -1}, {41, -2}, {42, -3}, {43, -4}};
    struct row_result result[MAX_ROWS];
    for (int i = 0; i < f->batch.plan->n_logits; i++) {
        result[i] = (struct row_result){.token = WORD};
        if (f->batch.row[i].request->params.beam_width > 0)
            result[i] = (struct row_result){.candidate = candidate, .n_candidates = 4};
    }
    scheduler_commit(f->scheduler, &f->batch, result, f->outcome);
}

TEST(a_preempted_search_computes_its_prompt_once)
{
    struct fixture f;
    struct scheduler_settings settings = fixture_settings(32, 4, 7);
    settings.limits.max_copies = 4; /* and no prefix cache */
    fixture_open_with(&f, &settings);
    must_submit(&f, 1, 14, 9);
    submit_beams(&f, 2, 6, 8, 2);
    plan(&f, (int[]){14, 6, 0}); /* 4 + 2 blocks */
    CHECK_EQ(f.batch.n_begun, 2);
    commit_each(&f);
    plan(&f, (int[]){1, 1, 1, 0}); /* 4 + 3 */
    CHECK_EQ(f.batch.n_begun, 0);
    for (int i = 0; i < 6; i++) { /* soon there is no block for either beam: they wait */
        commit_each(&f);
        plan_any(&f);
    }
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 1);
    commit_each(&f);
    CHECK(scheduler_cancel(f.scheduler, 1));
    plan(&f, (int[]){4, 0}); /* the full block of the prompt */
    commit_each(&f);
    const struct step_view view = plan_any(&f);
    CHECK_EQ(f.batch.plan->n_sequences, 2);
    CHECK(view.n_computed[0] == 4 && view.n_computed[1] == 4);
    CHECK_EQ(view.block[0], view.block[view.first_block[1]]);
    fixture_close(&f);
}

TEST(a_search_that_parts_while_it_waits_again_computes_its_prompt_once)
{
    struct fixture f;
    struct batch first, second;
    struct scheduler_settings settings = fixture_settings(32, 4, 7);
    settings.limits.max_copies = 4;
    fixture_open_with(&f, &settings);
    must_submit(&f, 1, 20, 8);
    plan(&f, (int[]){20, 0}); /* 5 blocks */
    first = f.batch;
    batch_init(&f.batch, &settings.limits);
    submit_beams(&f, 2, 7, 8, 2);
    plan(&f, (int[]){7, 0}); /* the other 2 */
    second = f.batch;
    f.batch = first;
    commit_each(&f);
    plan(&f, (int[]){1, 0}); /* takes them, while the search awaits its candidates */
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 1);
    first = f.batch;
    f.batch = second;
    commit_each(&f);
    second = f.batch;
    f.batch = first;
    commit(&f, EOS);
    plan(&f, (int[]){4, 0}); /* the full block of the prompt */
    commit_each(&f);
    plan(&f, (int[]){4, 4, 0});
    batch_release(&second);
    fixture_close(&f);
}

TEST(a_cancelled_search_gives_all_its_blocks)
{
    struct fixture f;
    open_beams(&f, 4, 32, 4);
    submit_beams(&f, 1, 6, 4, 3);
    plan_any(&f);
    commit_candidates(&f, 6);
    plan_any(&f);
    CHECK(scheduler_cancel(f.scheduler, 1));
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 32);
    commit_candidates(&f, 6);
    for (int i = 0; i < f.batch.plan->n_logits; i++)
        CHECK_EQ(f.outcome[i].id, 0);
    fixture_close(&f);
}

TEST(fewer_candidates_than_asked_for_make_fewer_beams)
{
    struct fixture f;
    open_beams(&f, 4, 32, 4);
    submit_beams(&f, 1, 6, 4, 3);
    plan(&f, (int[]){6, 0});
    commit_candidates(&f, 2);
    plan(&f, (int[]){1, 1, 0});
    commit_candidates(&f, 3);
    plan(&f, (int[]){1, 1, 1, 0});
    fixture_close(&f);
}

TEST(a_search_without_any_candidate_fails)
{
    struct fixture f;
    open_beams(&f, 4, 32, 4);
    submit_beams(&f, 1, 6, 4, 3);
    plan(&f, (int[]){6, 0});
    commit_candidates(&f, 0);
    CHECK_EQ(f.outcome[0].id, 1);
    CHECK_EQ(f.outcome[0].finish, FINISH_ERROR);
    CHECK_EQ(f.outcome[0].n_beams, 0);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 32);
    fixture_close(&f);
}

TEST(after_a_preemption_only_what_all_beams_have_comes_out_of_the_cache)
{
    struct fixture f;
    int32_t prompt[14]; /* as the first beam goes on */
    open_beams(&f, 4, 7, 4);
    memcpy(prompt, f.prompt, sizeof prompt);
    prompt[6] = prompt[7] = 40;
    f.params.max_tokens = 12;
    struct request_source source = fixture_source(&f, 1, 14);
    source.prompt = prompt;
    must_submit_source(&f, &source);
    submit_beams(&f, 2, 6, 8, 2);
    plan_any(&f);
    for (int i = 0; scheduler_counts(f.scheduler).n_preemptions == 0; i++) {
        CHECK(i < 12);
        commit_each(&f);
        plan_any(&f);
    }
    commit_each(&f);
    CHECK(scheduler_cancel(f.scheduler, 1));
    const struct step_view view = plan_any(&f);
    const struct request *first = f.batch.sequence[0];
    CHECK_EQ(first->id, 2);
    CHECK(first->token[6] == 40 && first->token[7] == 40);
    CHECK_EQ(view.n_computed[0], 4);
    fixture_close(&f);
}
