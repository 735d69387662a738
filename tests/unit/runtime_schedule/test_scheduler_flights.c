/* Several plans in flight, as the stages of a pipeline have them: each has its part of what there
 * is to run, and not what the others need to have something to do. */
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

#include <string.h>

enum { LONGEST = 2000, MOST_FLIGHTS = 3 };

struct flights {
    struct fixture f;
    struct batch batch[MOST_FLIGHTS];
    int32_t prompt[LONGEST];
    int n, oldest, n_in_flight;
};

static void open_flights(struct flights *s, int n_flights)
{
    struct scheduler_settings settings = fixture_settings(LONGEST, 64, 4 * LONGEST);
    settings.limits.max_model_len = LONGEST;
    settings.n_flights = n_flights;
    settings.max_requests = 64;
    settings.max_request_bytes = 64 << 20;
    *s = (struct flights){.n = n_flights};
    fixture_open_with(&s->f, &settings);
    for (int i = 0; i < n_flights; i++)
        batch_init(&s->batch[i], &settings.limits);
    for (int i = 0; i < LONGEST; i++)
        s->prompt[i] = 3 + i % 40;
}

static void close_flights(struct flights *s)
{
    for (int i = 0; i < s->n; i++)
        batch_release(&s->batch[i]);
    fixture_close(&s->f);
}

static void submit(struct flights *s, uint64_t id, int n_prompt, int max_tokens)
{
    s->f.params.max_tokens = max_tokens;
    const struct request_source source = {
        .id = id, .prompt = s->prompt, .n_prompt = n_prompt, .params = &s->f.params};
    must_submit_source(&s->f, &source);
}

/* One more plan in flight; NULL: nothing to run. */
static const struct step_plan *fly(struct flights *s)
{
    struct batch *batch = &s->batch[(s->oldest + s->n_in_flight) % s->n];
    CHECK(s->n_in_flight < s->n);
    if (!scheduler_choose(s->f.scheduler, batch))
        return NULL;
    scheduler_write(s->f.scheduler, batch);
    s->n_in_flight++;
    return batch->plan;
}

/* The oldest plan comes back. */
static void land(struct flights *s)
{
    struct row_result result[MAX_ROWS];
    for (int i = 0; i < MAX_ROWS; i++)
        result[i] = (struct row_result){.token = WORD};
    scheduler_commit(s->f.scheduler, &s->batch[s->oldest], result, s->f.outcome);
    s->oldest = (s->oldest + 1) % s->n;
    s->n_in_flight--;
}

/* As an engine does: a plan comes back when there is nothing to run, or no more may fly. */
static void run(struct flights *s, int n_steps)
{
    for (int i = 0; i < n_steps; i++)
        if (s->n_in_flight == s->n || fly(s) == NULL)
            land(s);
    while (s->n_in_flight < s->n)
        fly(s);
}

TEST(sequences_that_decode_are_dealt_out_to_the_plans_in_flight)
{
    static struct flights s;
    open_flights(&s, 2);
    for (uint64_t id = 1; id <= 32; id++)
        submit(&s, id, 5, 100);
    run(&s, 6);
    for (int i = 0; i < 6; i++) {
        land(&s);
        CHECK_EQ(fly(&s)->n_sequences, 16);
    }
    close_flights(&s);
}

TEST(plans_stay_even_when_some_of_their_sequences_end)
{
    static struct flights s;
    open_flights(&s, 2);
    for (uint64_t id = 1; id <= 32; id++)
        submit(&s, id, 5, 100);
    run(&s, 6);
    const struct batch *one = &s.batch[s.oldest];
    for (int i = 0; i < 12; i++) /* all of one plan */
        CHECK(scheduler_cancel(s.f.scheduler, one->sequence[15 - i]->id));
    run(&s, 3);
    for (int i = 0; i < 6; i++) {
        land(&s);
        CHECK_EQ(fly(&s)->n_sequences, 10);
    }
    close_flights(&s);
}

TEST(one_more_than_can_be_dealt_out_evenly_makes_one_plan_larger)
{
    static struct flights s;
    open_flights(&s, 3);
    for (uint64_t id = 1; id <= 10; id++)
        submit(&s, id, 5, 100);
    run(&s, 9);
    for (int i = 0, n = 0; i < 9; i++) {
        land(&s);
        const struct step_plan *plan = fly(&s);
        CHECK(plan->n_sequences <= 4);
        n += plan->n_sequences;
        if (i % 3 == 2) {
            CHECK_EQ(n, 10);
            n = 0;
        }
    }
    close_flights(&s);
}

TEST(a_long_prompt_is_cut_into_as_many_equal_chunks_as_plans_in_flight)
{
    static struct flights s;
    open_flights(&s, 3);
    submit(&s, 1, 1500, 1);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(fly(&s)->n_tokens, 500);
    for (int i = 0; i < 3; i++)
        land(&s);
    CHECK_EQ(s.f.outcome[0].finish, FINISH_LENGTH);
    close_flights(&s);
}

TEST(a_prompt_goes_beside_sequences_that_decode)
{
    static struct flights s;
    open_flights(&s, 2);
    for (uint64_t id = 1; id <= 8; id++)
        submit(&s, id, 5, 100);
    run(&s, 4);
    submit(&s, 9, 1000, 100);
    for (int i = 0; i < 2; i++) {
        land(&s);
        const struct step_plan *plan = fly(&s);
        CHECK_EQ(plan->n_sequences, 4 + 1);
        CHECK_EQ(plan->n_tokens, 4 + 500);
    }
    close_flights(&s);
}

TEST(a_prompt_that_is_not_worth_two_plans_stays_whole)
{
    static struct flights s;
    open_flights(&s, 2);
    submit(&s, 1, 500, 1);
    CHECK_EQ(fly(&s)->n_tokens, 500);
    CHECK(fly(&s) == NULL);
    close_flights(&s);
}

TEST(with_one_plan_in_flight_it_has_everything)
{
    static struct flights s;
    open_flights(&s, 1);
    for (uint64_t id = 1; id <= 4; id++)
        submit(&s, id, 400, 10);
    CHECK_EQ(fly(&s)->n_tokens, 1600);
    land(&s);
    CHECK_EQ(fly(&s)->n_sequences, 4);
    close_flights(&s);
}
