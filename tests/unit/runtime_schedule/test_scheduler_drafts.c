/* Speculation: which drafts a step has, and what becomes of them. */
#include "base/memory.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

#include <string.h>

static const int32_t echo[12] = {10, 11, 12, 13, 14, 15, 10, 11, 12, 13, 14, 15};

/* Prompts that repeat themselves: what comes next is 10, 11, 12, … */
static void submit_echo(struct fixture *f, uint64_t id, int max_tokens)
{
    f->params.max_tokens = max_tokens;
    struct request_source source = fixture_source(f, id, 12);
    source.prompt = echo;
    must_submit_source(f, &source);
}

static void open_drafting(struct fixture *f, enum drafter drafter, int max_tokens, int n_blocks)
{
    struct scheduler_settings settings = fixture_settings(max_tokens, 4, n_blocks);
    settings.limits.max_logits = MAX_ROWS;
    settings.drafter = drafter;
    settings.max_drafts = 4;
    settings.ngram_min = 1;
    settings.ngram_max = 3;
    fixture_open_with(f, &settings);
}

/* Row i gives token[i]. */
static void commit_tokens(struct fixture *f, const int32_t *token)
{
    struct row_result result[MAX_ROWS];
    for (int i = 0; i < f->batch.plan->n_logits; i++)
        result[i] = (struct row_result){.token = token[i]};
    scheduler_commit(f->scheduler, &f->batch, result, f->outcome);
}

TEST(the_right_drafts_and_one_token_more_count)
{
    struct fixture f;
    open_drafting(&f, DRAFTER_NGRAM, 32, 32);
    submit_echo(&f, 1, 20);
    const struct step_view view = plan(&f, (int[]){12 + 4, 0});
    CHECK_EQ(f.batch.n_drafts[0], 4);
    CHECK_EQ(f.batch.plan->n_logits, 5);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(view.logits_row[i], 11 + i);
        CHECK_EQ(f.batch.row[i].position, 12 + i);
        CHECK(i == 0 || view.token[11 + i] == 9 + i);
    }
    commit_tokens(&f, (int32_t[]){10, 11, 40, 13, 14}); /* two are right */
    for (int i = 0; i < 5; i++)
        CHECK_EQ(f.outcome[i].id, i < 3 ? 1 : 0);
    CHECK_EQ(f.outcome[2].token, 40);
    CHECK_EQ(f.outcome[2].n_drafted, 4);
    CHECK_EQ(f.outcome[2].n_accepted, 2);
    const struct request *r = f.batch.sequence[0];
    CHECK_EQ(r->n_tokens, 15);
    CHECK_EQ(r->n_computed, 14);
    CHECK_EQ(plan(&f, (int[]){1, 0}).token[0], 40); /* 40 was never there before */
    fixture_close(&f);
}

TEST(all_drafts_right_give_one_token_more_than_drafts)
{
    struct fixture f;
    open_drafting(&f, DRAFTER_NGRAM, 32, 32);
    submit_echo(&f, 1, 20);
    plan_any(&f);
    commit_tokens(&f, (int32_t[]){10, 11, 12, 13, 14});
    CHECK_EQ(f.batch.sequence[0]->n_tokens, 17);
    CHECK_EQ(f.batch.sequence[0]->n_computed, 16);
    CHECK_EQ(f.outcome[4].n_accepted, 4);
    CHECK_EQ(scheduler_counts(f.scheduler).n_accepted, 4);
    fixture_close(&f);
}

TEST(an_end_among_the_drafts_ends_the_request_there)
{
    struct fixture f;
    open_drafting(&f, DRAFTER_NGRAM, 32, 32);
    f.params.n_stop_ids = 1;
    f.params.stop_id[0] = 11;
    submit_echo(&f, 1, 20);
    plan_any(&f);
    commit_tokens(&f, (int32_t[]){10, 11, 12, 13, 14});
    CHECK_EQ(f.outcome[1].finish, FINISH_STOP);
    CHECK_EQ(f.outcome[1].stop_token, 11);
    CHECK_EQ(f.outcome[2].id, 0);
    CHECK_EQ(scheduler_counts(f.scheduler).n_free_blocks, 32);
    fixture_close(&f);
}

TEST(no_draft_goes_beyond_the_last_token)
{
    struct fixture f;
    open_drafting(&f, DRAFTER_NGRAM, 32, 32);
    submit_echo(&f, 1, 3);
    plan(&f, (int[]){12 + 2, 0});
    commit_tokens(&f, (int32_t[]){10, 11, 12});
    CHECK_EQ(f.outcome[2].finish, FINISH_LENGTH);
    fixture_close(&f);
}

TEST(drafts_get_what_the_tokens_of_all_others_leave)
{
    struct fixture f;
    open_drafting(&f, DRAFTER_NGRAM, 18, 32);
    submit_echo(&f, 1, 20);
    plan_any(&f);
    commit_tokens(&f, (int32_t[]){10, 11, 12, 13, 14});
    must_submit(&f, 2, 15, 20);
    plan(&f, (int[]){1 + 2, 15, 0}); /* 18 of 18 */
    CHECK_EQ(f.batch.n_drafts[0], 2);
    fixture_close(&f);
}

TEST(drafts_never_preempt)
{
    struct fixture f;
    open_drafting(&f, DRAFTER_NGRAM, 32, 6);
    submit_echo(&f, 1, 8);       /* 3 blocks, and 16 positions need a fourth */
    must_submit(&f, 2, 7, 8);    /* 2 blocks */
    plan(&f, (int[]){12, 7, 0}); /* the one that is left may be needed by a next token */
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 0);
    fixture_close(&f);
}

/* Pass 0, 1, … of the draft model, that says 20, 21, … */
static int run_drafts(struct fixture *f, struct step_plan *draft, int n_first)
{
    struct batch_row row[MAX_ROWS];
    int pass = 0;
    CHECK(scheduler_choose(f->scheduler, &f->batch));
    while (scheduler_write_draft(f->scheduler, &f->batch, pass, draft, row)) {
        CHECK_EQ(draft->model, PLAN_DRAFT);
        CHECK_EQ(draft->n_tokens, pass == 0 ? n_first : 1);
        for (int i = 0; i < draft->n_logits; i++) {
            CHECK_EQ(row[i].position, row[i].request->n_tokens + pass);
            row[i].request->token[row[i].position] = 20 + pass;
        }
        pass++;
    }
    scheduler_write(f->scheduler, &f->batch);
    return pass;
}

TEST(a_draft_model_runs_one_pass_for_each_draft)
{
    struct fixture f;
    open_drafting(&f, DRAFTER_MODEL, 32, 32);
    const struct plan_limits limits = scheduler_draft_limits(&f.settings.limits);
    struct step_plan *draft = memory_alloc(1, plan_max_bytes(&limits));
    must_submit(&f, 1, 9, 20);
    CHECK_EQ(run_drafts(&f, draft, 9), 4);
    CHECK_EQ(f.batch.plan->n_tokens, 9 + 4);
    const struct request *r = f.batch.sequence[0];
    CHECK_EQ(r->n_draft_computed, 9 + 3);
    commit_tokens(&f, (int32_t[]){20, 21, 40, 22, 23});
    CHECK_EQ(r->n_tokens, 12);
    CHECK_EQ(r->n_draft_computed, 11); /* all but the token that was not guessed */
    CHECK_EQ(run_drafts(&f, draft, 1), 4);
    commit_tokens(&f, (int32_t[]){20, 21, 22, 23, 24});
    CHECK_EQ(r->n_tokens, 17);
    CHECK_EQ(r->n_draft_computed, 15); /* the last draft was never fed */
    CHECK_EQ(run_drafts(&f, draft, 2), 4);
    memory_free(draft);
    fixture_close(&f);
}

TEST(a_prefix_that_only_the_target_has_is_fed_to_the_draft_model)
{
    struct fixture f;
    struct scheduler_settings settings = fixture_settings(16, 4, 32);
    settings.limits.max_logits = MAX_ROWS;
    settings.drafter = DRAFTER_MODEL;
    settings.max_drafts = 2;
    settings.prefix_caching = true;
    fixture_open_with(&f, &settings);
    const struct plan_limits limits = scheduler_draft_limits(&settings.limits);
    struct step_plan *draft = memory_alloc(1, plan_max_bytes(&limits));
    must_submit(&f, 1, 13, 4);
    run_drafts(&f, draft, 13);
    commit_tokens(&f, (int32_t[]){EOS, EOS, EOS});
    must_submit(&f, 2, 13, 4);
    run_drafts(&f, draft, 1); /* both models have the three blocks before */
    CHECK_EQ(f.batch.plan->n_tokens, 1 + 2);
    memory_free(draft);
    fixture_close(&f);
}

TEST(a_block_that_right_drafts_filled_is_cached_for_the_draft_model_too)
{
    struct fixture f;
    struct scheduler_settings settings = fixture_settings(16, 4, 32);
    settings.limits.max_logits = MAX_ROWS;
    settings.drafter = DRAFTER_MODEL;
    settings.max_drafts = 4;
    settings.prefix_caching = true;
    fixture_open_with(&f, &settings);
    const struct plan_limits limits = scheduler_draft_limits(&settings.limits);
    struct step_plan *draft = memory_alloc(1, plan_max_bytes(&limits));
    must_submit(&f, 1, 5, 20);
    run_drafts(&f, draft, 5);
    commit_tokens(&f, (int32_t[]){20, 21, 22, 23, 24});
    run_drafts(&f, draft, 2); /* positions 4 to 7 were fed among the drafts */
    commit_tokens(&f, (int32_t[]){EOS, EOS, EOS, EOS, EOS});
    int32_t prompt[10] = {[5] = 20, 21, 22, 23, 24};
    memcpy(prompt, f.prompt, 5 * sizeof *prompt);
    struct request_source source = fixture_source(&f, 2, 10);
    source.prompt = prompt;
    must_submit_source(&f, &source);
    run_drafts(&f, draft, 2); /* and not from position 4 on */
    memory_free(draft);
    fixture_close(&f);
}
