/* What the plans of a pipeline say of each row of logits: enough to pick from it where it is made,
 * or that it must come home. */
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

static void open_picking(struct fixture *f)
{
    struct scheduler_settings settings = fixture_settings(64, 8, 64);
    settings.limits.max_logits = 32;
    settings.limits.max_copies = 8;
    settings.picks_afar = true;
    fixture_open_with(f, &settings);
}

TEST(a_pick_has_the_numbers_of_its_request)
{
    static struct fixture f;
    open_picking(&f);
    f.params.temperature = 0.5f;
    f.params.top_k = 7;
    f.params.top_p = 0.8f;
    f.params.min_p = 0.1f;
    f.params.seed = 99;
    f.params.logprobs = 3;
    must_submit(&f, 1, 5, 10);
    const struct plan_pick *pick = plan_any(&f).pick;
    CHECK_EQ(pick->kind, PICK_SAMPLE);
    CHECK_EQ(pick->position, 5);
    CHECK_EQ(pick->n_best, 3);
    CHECK_EQ(pick->top_k, 7);
    CHECK_EQ(pick->seed, 99);
    CHECK(pick->temperature == 0.5f && pick->top_p == 0.8f && pick->min_p == 0.1f);
    commit(&f, WORD);
    CHECK_EQ(plan_any(&f).pick->position, 6);
    commit(&f, WORD);
    fixture_close(&f);
}

TEST(rows_that_depend_on_what_was_said_come_home)
{
    static const int32_t allowed = WORD, bad_id = WORD, bad_end = 1;
    static const struct token_bias bias = {.token = WORD, .bias = 1};
    struct sampling_params cases[6];
    for (int i = 0; i < 6; i++)
        cases[i] = params_default();
    cases[0].presence_penalty = 1;
    cases[1].frequency_penalty = 1;
    cases[2].repetition_penalty = 2;
    cases[3].allowed_id = &allowed, cases[3].n_allowed_ids = 1;
    cases[4].bias = &bias, cases[4].n_biases = 1;
    cases[5].bad_id = &bad_id, cases[5].bad_end = &bad_end, cases[5].n_bad_words = 1;
    for (int i = 0; i < 6; i++) {
        static struct fixture f;
        open_picking(&f);
        f.params = cases[i];
        must_submit(&f, 1, 5, 10);
        CHECK_EQ(plan_any(&f).pick->kind, PICK_ROW);
        commit(&f, WORD);
        fixture_close(&f);
    }
}

TEST(rows_come_home_until_a_sequence_may_end)
{
    static struct fixture f;
    open_picking(&f);
    f.params.min_tokens = 2;
    must_submit(&f, 1, 5, 10);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(plan_any(&f).pick->kind, i < 2 ? PICK_ROW : PICK_SAMPLE);
        commit(&f, WORD);
    }
    fixture_close(&f);
}

TEST(rows_of_a_prompt_ask_for_the_token_that_is_there)
{
    static struct fixture f;
    open_picking(&f);
    f.params.prompt_logprobs = 4;
    f.params.presence_penalty = 1; /* which says nothing about a prompt */
    must_submit(&f, 1, 5, 10);
    const struct plan_pick *pick = plan_any(&f).pick;
    CHECK_EQ(f.batch.plan->n_logits, 5);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(pick[i].kind, PICK_PROMPT);
        CHECK_EQ(pick[i].token, f.prompt[i + 1]);
        CHECK_EQ(pick[i].n_best, 4);
    }
    CHECK_EQ(pick[4].kind, PICK_ROW);
    commit(&f, WORD);
    fixture_close(&f);
}

TEST(beams_ask_for_twice_as_many_candidates)
{
    static struct fixture f;
    open_picking(&f);
    f.params.beam_width = 3;
    must_submit(&f, 1, 5, 10);
    const struct plan_pick *pick = plan_any(&f).pick;
    CHECK_EQ(pick->kind, PICK_BEAM);
    CHECK_EQ(pick->n_best, 6);
    fixture_close(&f);
}

TEST(without_a_pipeline_plans_say_nothing_of_picks)
{
    static struct fixture f;
    fixture_open(&f, 64, 8, 64);
    must_submit(&f, 1, 5, 10);
    CHECK(plan_any(&f).pick == NULL);
    commit(&f, WORD);
    fixture_close(&f);
}
