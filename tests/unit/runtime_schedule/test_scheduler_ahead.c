/* Plans that run ahead: the next row of a sequence is planned while its token is on its way, and
 * what must not be is taken back when the token is there. */
#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

enum { MOST_FLIGHTS = 3 };

struct ahead {
    struct fixture f;
    struct batch batch[MOST_FLIGHTS];
    struct step_view view[MOST_FLIGHTS];
    int oldest, n_in_flight, n_carried;
    int n_flights;
};

static void open_ahead_with(struct ahead *s, struct scheduler_settings settings, int n_flights)
{
    settings.limits.max_logits = 32;
    settings.limits.max_copies = 8;
    settings.n_flights = n_flights;
    settings.picks_afar = settings.runs_ahead = true;
    *s = (struct ahead){.n_flights = n_flights};
    fixture_open_with(&s->f, &settings);
    for (int i = 0; i < n_flights; i++)
        batch_init(&s->batch[i], &settings.limits);
}

static void open_ahead(struct ahead *s) { open_ahead_with(s, fixture_settings(64, 8, 64), 2); }

/* Nothing is left, and every block is at home. */
static void close_ahead(struct ahead *s)
{
    const struct scheduler_counts counts = scheduler_counts(s->f.scheduler);
    CHECK_EQ(counts.n_running + counts.n_waiting + s->n_in_flight, 0);
    CHECK_EQ(counts.n_free_blocks, counts.n_blocks);
    for (int i = 0; i < s->n_flights; i++)
        batch_release(&s->batch[i]);
    fixture_close(&s->f);
}

/* One more plan in flight; NULL: nothing to run. */
static const struct step_view *fly(struct ahead *s)
{
    const int at = (s->oldest + s->n_in_flight) % s->n_flights;
    struct batch *batch = &s->batch[at];
    struct error err = {0};
    CHECK(s->n_in_flight < s->n_flights);
    if (!scheduler_choose(s->f.scheduler, batch))
        return NULL;
    scheduler_write(s->f.scheduler, batch);
    if (!plan_check(batch->plan, batch->plan->n_bytes, &s->f.settings.limits, s->n_carried,
                    &s->view[at], &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    s->n_carried = plan_n_carried(batch->plan, &s->view[at]);
    s->n_in_flight++;
    return &s->view[at];
}

/* The oldest plan comes back, and its row i gave token[i]. */
static void land_with(struct ahead *s, const int32_t *token)
{
    struct row_result result[MAX_ROWS];
    struct batch *batch = &s->batch[s->oldest];
    CHECK(s->n_in_flight > 0);
    for (int i = 0; i < batch->plan->n_logits; i++)
        result[i] = (struct row_result){.token = token[i]};
    scheduler_commit(s->f.scheduler, batch, result, s->f.outcome);
    s->oldest = (s->oldest + 1) % s->n_flights;
    s->n_in_flight--;
}

static void land(struct ahead *s, int32_t token)
{
    int32_t all[MAX_ROWS];
    for (int i = 0; i < MAX_ROWS; i++)
        all[i] = token;
    land_with(s, all);
}

static const struct step_plan *last_plan(const struct ahead *s)
{
    return s->batch[(s->oldest + s->n_in_flight - 1) % s->n_flights].plan;
}

TEST(the_next_row_is_planned_by_a_reference_to_the_row_that_gives_its_token)
{
    static struct ahead s;
    open_ahead(&s);
    must_submit(&s.f, 1, 3, 4);
    must_submit(&s.f, 2, 5, 4);
    fly(&s);
    CHECK_EQ(last_plan(&s)->n_tokens, 8);
    const struct step_view *view = fly(&s);
    CHECK_EQ(last_plan(&s)->n_tokens, 2);
    CHECK(view->token[0] == -1 && view->token[1] == -2);
    CHECK(view->n_computed[0] == 3 && view->n_computed[1] == 5);
    CHECK(view->pick[0].position == 4 && view->pick[1].position == 6);
    for (int i = 0; i < 4; i++) {
        land(&s, WORD + i);
        CHECK(s.f.outcome[0].id == 1 && s.f.outcome[1].id == 2);
        CHECK_EQ(s.f.outcome[0].finish, i < 3 ? FINISH_NONE : FINISH_LENGTH);
        CHECK_EQ(fly(&s) != NULL, i < 2); /* the last token needs no row */
    }
    close_ahead(&s);
}

TEST(a_token_that_ends_its_sequence_drops_the_row_behind_it)
{
    static const int32_t end_of_one[] = {EOS, WORD};
    static struct ahead s;
    open_ahead(&s);
    must_submit(&s.f, 1, 3, 10);
    must_submit(&s.f, 2, 3, 3);
    fly(&s);
    fly(&s);
    land_with(&s, end_of_one);
    CHECK_EQ(s.f.outcome[0].finish, FINISH_STOP);
    const struct step_view *view = fly(&s);
    CHECK_EQ(last_plan(&s)->n_tokens, 1);
    CHECK_EQ(view->token[0], -2); /* the row of the second one */
    land(&s, WORD);
    CHECK_EQ(s.f.outcome[0].id, 0); /* nobody wants it */
    CHECK_EQ(s.f.outcome[1].id, 2);
    CHECK(fly(&s) == NULL);
    land(&s, WORD);
    CHECK_EQ(s.f.outcome[0].finish, FINISH_LENGTH);
    close_ahead(&s);
}

TEST(a_row_without_a_token_ends_its_sequence_and_drops_the_row_behind_it)
{
    static struct ahead s;
    open_ahead(&s);
    must_submit(&s.f, 1, 3, 10);
    fly(&s);
    fly(&s);
    land(&s, -1);
    CHECK_EQ(s.f.outcome[0].finish, FINISH_ERROR);
    land(&s, WORD);
    CHECK_EQ(s.f.outcome[0].id, 0);
    close_ahead(&s);
}

TEST(a_request_that_is_cancelled_drops_both_of_its_rows)
{
    static struct ahead s;
    open_ahead(&s);
    must_submit(&s.f, 1, 3, 10);
    fly(&s);
    fly(&s);
    CHECK(scheduler_cancel(s.f.scheduler, 1));
    must_submit(&s.f, 1, 3, 1); /* the id is free, the rows are not its own */
    land(&s, WORD);
    CHECK_EQ(s.f.outcome[0].id, 0);
    fly(&s);
    land(&s, WORD);
    CHECK_EQ(s.f.outcome[0].id, 0);
    land(&s, WORD);
    CHECK_EQ(s.f.outcome[0].finish, FINISH_LENGTH);
    close_ahead(&s);
}

TEST(a_request_whose_tokens_need_its_history_sits_out_and_others_go_on)
{
    static const int32_t allowed = WORD, bad_id = WORD, bad_end = 1;
    static const struct token_bias bias = {.token = WORD, .bias = 1};
    struct sampling_params cases[7];
    for (int i = 0; i < 7; i++)
        cases[i] = params_default();
    cases[0].presence_penalty = 1;
    cases[1].frequency_penalty = 1;
    cases[2].repetition_penalty = 2;
    cases[3].allowed_id = &allowed, cases[3].n_allowed_ids = 1;
    cases[4].bias = &bias, cases[4].n_biases = 1;
    cases[5].bad_id = &bad_id, cases[5].bad_end = &bad_end, cases[5].n_bad_words = 1;
    cases[6].min_tokens = 2;
    for (int i = 0; i < 7; i++) {
        static struct ahead s;
        open_ahead(&s);
        s.f.params = cases[i];
        must_submit(&s.f, 1, 3, 2);
        s.f.params = params_default();
        must_submit(&s.f, 2, 3, 3);
        fly(&s);
        const struct step_view *view = fly(&s);
        CHECK_EQ(last_plan(&s)->n_tokens, 1);
        CHECK_EQ(view->token[0], -2);
        land(&s, WORD);
        view = fly(&s);
        CHECK_EQ(last_plan(&s)->n_tokens, 2);
        CHECK_EQ(view->token[0], WORD); /* by now it is known */
        CHECK_EQ(view->token[1], -1);
        land(&s, WORD);
        land(&s, WORD);
        close_ahead(&s);
    }
}

TEST(a_beam_search_sits_out)
{
    static struct ahead s;
    open_ahead(&s);
    s.f.params.beam_width = 2;
    must_submit(&s.f, 1, 5, 4);
    fly(&s);
    CHECK(fly(&s) == NULL);
    CHECK(scheduler_cancel(s.f.scheduler, 1));
    land(&s, WORD);
    close_ahead(&s);
}

TEST(a_sequence_runs_ahead_once_its_end_may_come)
{
    static struct ahead s;
    open_ahead(&s);
    s.f.params.min_tokens = 1;
    must_submit(&s.f, 1, 3, 4);
    fly(&s);
    CHECK(fly(&s) == NULL); /* its first token is picked at home */
    land(&s, WORD);
    fly(&s);
    CHECK_EQ(fly(&s)->token[0], -1);
    land(&s, EOS);
    land(&s, WORD);
    close_ahead(&s);
}

TEST(no_sequence_is_more_than_one_token_ahead)
{
    static struct ahead s;
    open_ahead_with(&s, fixture_settings(64, 8, 64), 3);
    must_submit(&s.f, 1, 3, 4);
    fly(&s);
    fly(&s);
    CHECK(fly(&s) == NULL);
    land(&s, WORD);
    CHECK_EQ(fly(&s)->token[0], -1);
    for (int i = 0; i < 2; i++)
        land(&s, WORD);
    CHECK_EQ(fly(&s)->token[0], WORD); /* nothing was in flight */
    land(&s, WORD);
    close_ahead(&s);
}

/* With a budget of 4 rows, which the second request fills. */
TEST(a_sequence_that_the_plan_before_left_out_waits_for_its_token)
{
    static struct ahead s;
    struct scheduler_settings settings = fixture_settings(4, 8, 64);
    settings.by_priority = true;
    open_ahead_with(&s, settings, 3);
    must_submit(&s.f, 1, 3, 4);
    fly(&s);
    s.f.params.max_tokens = 1;
    struct request_source source = fixture_source(&s.f, 2, 8);
    source.priority = -1;
    must_submit_source(&s.f, &source);
    CHECK_EQ(fly(&s)->token[0], -1); /* and 3 tokens of the second */
    fly(&s);                         /* 4 more */
    land(&s, WORD);
    fly(&s); /* the last one; the first sequence was not in the plan before */
    CHECK_EQ(last_plan(&s)->n_tokens, 1);
    land(&s, WORD);
    CHECK_EQ(fly(&s)->token[0], WORD);
    while (s.n_in_flight > 0) {
        land(&s, WORD);
        fly(&s);
    }
    close_ahead(&s);
}

TEST(sequences_are_not_dealt_out_to_plans_that_run_ahead)
{
    static struct ahead s;
    open_ahead(&s);
    for (uint64_t id = 1; id <= 6; id++)
        must_submit(&s.f, id, 5, 4);
    fly(&s);
    for (int i = 0; i < 3; i++) {
        fly(&s);
        CHECK_EQ(last_plan(&s)->n_sequences, 6);
        land(&s, WORD);
    }
    land(&s, WORD);
    close_ahead(&s);
}

/* Blocks of 4: the fourth token of the second sequence is asked for while the third is on its way.
 */
TEST(the_prefix_cache_hears_only_of_known_tokens)
{
    static struct ahead s;
    struct scheduler_settings settings = fixture_settings(64, 8, 64);
    settings.prefix_caching = true;
    open_ahead_with(&s, settings, 2);
    must_submit(&s.f, 1, 3, 10);
    fly(&s);
    fly(&s); /* fills its first block, with a token that is not there */
    land(&s, WORD);
    CHECK(scheduler_cancel(s.f.scheduler, 1));
    land(&s, WORD);
    int32_t other[6] = {0}; /* as the array of tokens was before the token came */
    for (int i = 0; i < 3; i++)
        other[i] = s.f.prompt[i];
    s.f.params.max_tokens = 1;
    struct request_source source = fixture_source(&s.f, 2, 6);
    source.prompt = other;
    must_submit_source(&s.f, &source);
    fly(&s);
    CHECK_EQ(last_plan(&s)->n_tokens, 6); /* nothing of it is cached */
    land(&s, WORD);
    close_ahead(&s);
}

TEST(the_prefix_cache_hears_of_a_block_when_its_last_token_is_known)
{
    static struct ahead s;
    struct scheduler_settings settings = fixture_settings(64, 8, 64);
    settings.prefix_caching = true;
    open_ahead_with(&s, settings, 2);
    must_submit(&s.f, 1, 3, 10);
    fly(&s);
    for (int i = 0; i < 3; i++) {
        fly(&s);
        land(&s, WORD);
    }
    int32_t other[6] = {0};
    for (int i = 0; i < 6; i++)
        other[i] = i < 3 ? s.f.prompt[i] : WORD;
    s.f.params.max_tokens = 1;
    struct request_source source = fixture_source(&s.f, 2, 6);
    source.prompt = other;
    must_submit_source(&s.f, &source);
    fly(&s);
    CHECK_EQ(last_plan(&s)->n_tokens, 1 + 2);
    CHECK(scheduler_cancel(s.f.scheduler, 1));
    land(&s, WORD);
    land(&s, WORD);
    close_ahead(&s);
}

/* Room for one of two sequences that grow. */
TEST(a_request_that_is_preempted_keeps_both_tokens_on_their_way)
{
    static struct ahead s;
    open_ahead_with(&s, fixture_settings(64, 8, 4), 2);
    must_submit(&s.f, 1, 7, 8);
    must_submit(&s.f, 2, 6, 8);
    fly(&s);
    const struct request *second = s.batch[0].sequence[1];
    fly(&s);
    land(&s, WORD); /* 8 and 7 tokens, 2 blocks each */
    fly(&s);        /* the first needs a third block */
    CHECK_EQ(last_plan(&s)->n_sequences, 1);
    CHECK_EQ(second->state, REQUEST_WAITING);
    land(&s, WORD);
    CHECK_EQ(s.f.outcome[1].id, 2);
    CHECK_EQ(second->n_tokens, 8);
    CHECK_EQ(scheduler_counts(s.f.scheduler).n_preemptions, 1);
    while (fly(&s) != NULL || s.n_in_flight > 0)
        land(&s, WORD);
    close_ahead(&s);
}
