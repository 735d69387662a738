#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_gateway/one_engine.h"

#include <string.h>

struct heard {
    int n_tokens, n_failures;
    int n_positions, n_beams, n_values;
    bool wants_more;
    struct link_token last;
};

static bool hear_token(void *context, const struct link_token *token)
{
    struct heard *heard = context;
    heard->last = *token;
    heard->n_tokens++;
    return heard->wants_more;
}

static void hear_failure(void *context, const struct error *why)
{
    struct heard *heard = context;
    (void)why;
    heard->n_failures++;
}

static void hear_prompt(void *context, const struct link_prompt_logprobs *logprobs)
{
    struct heard *heard = context;
    heard->n_positions += logprobs->n_positions;
}

static void hear_beams(void *context, const struct link_beams *beams)
{
    struct heard *heard = context;
    heard->n_beams += beams->n_beams;
}

static void hear_pooled(void *context, const struct link_pooled *pooled)
{
    struct heard *heard = context;
    heard->n_values += pooled->n_values;
}

static uint64_t submit(struct ends *ends, struct heard *heard)
{
    static const int32_t prompt[] = {1};
    struct link_submit request = {.prompt = prompt, .n_prompt = 1, .params = params_default()};
    const struct dispatch_listener listener = {
        .token = hear_token, .failed = hear_failure, .context = heard};
    dispatch_submit(ends->dispatch, &request, &listener);
    return request.id;
}

TEST(tokens_go_to_who_waits_until_the_last_one)
{
    struct ends ends = connect_ends();
    struct heard one = {.wants_more = true}, two = {.wants_more = true};
    const uint64_t first = submit(&ends, &one), second = submit(&ends, &two);
    engine_says(&ends, first, FINISH_NONE);
    engine_says(&ends, second, FINISH_LENGTH);
    engine_says(&ends, first, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(one.n_tokens, 2);
    CHECK_EQ(two.n_tokens, 1);
    close_ends(&ends);
}

/* The engine would go on for nobody while the next request is waited for. */
TEST(a_choice_that_nobody_wants_any_more_is_cancelled_at_once)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = false};
    const uint64_t id = submit(&ends, &heard);
    engine_says(&ends, id, FINISH_NONE);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(heard.n_tokens, 1);
    engine_hears(&ends, LINK_SUBMIT, id);
    engine_hears(&ends, LINK_CANCEL, id);
    close_ends(&ends);
}

TEST(all_can_be_cancelled_and_the_link_goes_on)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = true}, later = {.wants_more = true};
    const uint64_t id = submit(&ends, &heard);
    dispatch_cancel_all(ends.dispatch);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
    engine_hears(&ends, LINK_SUBMIT, id);
    engine_hears(&ends, LINK_CANCEL, id);

    const uint64_t next = submit(&ends, &later);
    engine_says(&ends, id, FINISH_NONE); /* was on its way */
    engine_says(&ends, next, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(heard.n_tokens, 0);
    CHECK_EQ(later.n_tokens, 1);
    engine_hears(&ends, LINK_SUBMIT, next);
    close_ends(&ends);
}

/* ---- what is no token ---- */

static const struct link_logprob logprob = {.token = 1, .logprob = -1, .rank = 1};
static const int32_t logprob_end = 1, beam_token = 5;
static const struct link_beam beam = {.token = &beam_token, .n_tokens = 1, .finish = FINISH_STOP};
static const float value[2] = {1, 2};

static struct link_event prompt_event(uint64_t id)
{
    return (struct link_event){
        .kind = LINK_PROMPT_LOGPROBS,
        .prompt_logprobs = {
            .id = id, .position = 1, .logprob = &logprob, .end = &logprob_end, .n_positions = 1}};
}

static struct link_event beams_event(uint64_t id)
{
    return (struct link_event){.kind = LINK_BEAMS,
                               .beams = {.id = id, .beam = &beam, .n_beams = 1}};
}

static struct link_event pooled_event(uint64_t id)
{
    return (struct link_event){.kind = LINK_POOLED,
                               .pooled = {.id = id, .value = value, .n_values = 2}};
}

/* Its listener would take everything: what it may be told is what the parameters ask for. */
static uint64_t submit_with(struct ends *ends, const struct sampling_params *params,
                            struct heard *heard)
{
    static const int32_t prompt[] = {1, 2};
    struct link_submit request = {.prompt = prompt, .n_prompt = 2, .params = *params};
    const struct dispatch_listener listener = {.token = hear_token,
                                               .prompt_logprobs = hear_prompt,
                                               .beams = hear_beams,
                                               .pooled = hear_pooled,
                                               .failed = hear_failure,
                                               .context = heard};
    dispatch_submit(ends->dispatch, &request, &listener);
    return request.id;
}

TEST(beams_and_vectors_are_the_end_and_log_probabilities_of_a_prompt_are_not)
{
    struct ends ends = connect_ends();
    struct heard one = {.wants_more = true}, two = {.wants_more = true}, three = {0};
    struct sampling_params rows = params_default(), beams = rows, vector = rows;
    rows.prompt_logprobs = 0;
    beams.beam_width = 2;
    vector.pooling = POOLING_LAST;
    const uint64_t first = submit_with(&ends, &rows, &one),
                   second = submit_with(&ends, &beams, &two),
                   third = submit_with(&ends, &vector, &three);
    engine_sends(&ends, prompt_event(first));
    engine_sends(&ends, beams_event(second));
    engine_sends(&ends, pooled_event(third));
    engine_says(&ends, first, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK(one.n_positions == 1 && one.n_tokens == 1);
    CHECK_EQ(two.n_beams, 1);
    CHECK_EQ(three.n_values, 2);
    CHECK_EQ(dispatch_events(ends.dispatch), 4);
    close_ends(&ends);
}

TEST(of_an_engine_that_is_far_ahead_a_few_steps_are_heard_at_a_time)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = true};
    struct error err = {0};
    enum { TIMES = 3, STEPS = TIMES * DISPATCH_MAX_STEPS };
    const uint64_t id = submit(&ends, &heard);
    for (int i = 1; i <= STEPS; i++) {
        engine_begins(&ends, id); /* costs readers nothing, and does not count */
        engine_says(&ends, id, i < STEPS ? FINISH_NONE : FINISH_STOP);
    }
    for (int i = 1; i <= TIMES; i++) {
        CHECK(dispatch_take(ends.dispatch, 0, 0, &err));
        CHECK_EQ(heard.n_tokens, i * DISPATCH_MAX_STEPS);
        CHECK_EQ(dispatch_has_more(ends.dispatch, 0), i < TIMES);
    }
    close_ends(&ends);
}

TEST(an_answer_that_nobody_asked_for_ends_the_link)
{
    const struct sampling_params params = params_default();
    for (int kind = 0; kind < 3; kind++) {
        struct ends ends = connect_ends();
        struct heard heard = {.wants_more = true};
        const uint64_t id = submit_with(&ends, &params, &heard);
        engine_sends(&ends, kind == 0   ? prompt_event(id)
                            : kind == 1 ? beams_event(id)
                                        : pooled_event(id));
        CHECK(!take(&ends, 0, ERROR_PEER));
        close_ends(&ends);
    }
}

TEST(rows_behind_the_end_of_a_prompt_end_the_link)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = true};
    struct sampling_params params = params_default();
    params.prompt_logprobs = 0;
    struct link_event event = prompt_event(submit_with(&ends, &params, &heard));
    event.prompt_logprobs.position = 2;
    engine_sends(&ends, event);
    CHECK(!take(&ends, 0, ERROR_PEER));
    CHECK_EQ(heard.n_positions, 0);
    close_ends(&ends);
}

TEST(it_takes_no_more_when_few_enough_are_in_flight)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = true};
    const uint64_t first = submit(&ends, &heard), second = submit(&ends, &heard);
    submit(&ends, &heard);
    engine_says(&ends, first, FINISH_STOP);
    engine_says(&ends, second, FINISH_STOP);
    CHECK(take(&ends, 2, ERROR_NONE));
    CHECK_EQ(heard.n_tokens, 1);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 2);
    close_ends(&ends);
}

TEST(an_engine_that_only_says_again_what_came_has_come_to_nothing)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = true};
    static const int32_t prompt[] = {1, 2, 3};
    struct link_submit request = {.prompt = prompt, .n_prompt = 3, .params = params_default()};
    const struct dispatch_listener listener = {.token = hear_token,
                                               .prompt_logprobs = hear_prompt,
                                               .failed = hear_failure,
                                               .context = &heard};
    request.params.prompt_logprobs = 1;
    dispatch_submit(ends.dispatch, &request, &listener);
    uint64_t id = request.id; /* on the link; then the next number */
    for (int life = 0; life < 2; life++, id++) {
        engine_sends(&ends, prompt_event(id));
        CHECK(take(&ends, 0, ERROR_NONE));
        CHECK_EQ(heard.n_positions, 1);
        CHECK_EQ(dispatch_detach(ends.dispatch, 0).was_heard, life == 0);
        dispatch_attach(ends.dispatch, 0, ends.gateway);
    }
    close_ends(&ends);
}

/* Its last words are the reason. */
TEST(what_an_engine_said_before_it_broke_is_heard)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = true};
    const uint64_t first = submit(&ends, &heard), second = submit(&ends, &heard);
    engine_says(&ends, first, FINISH_STOP);
    engine_says(&ends, second, FINISH_STOP);
    static int32_t prompt[1 << 20]; /* more than the socket takes at once */
    struct link_submit large = {.prompt = prompt, .n_prompt = 1 << 20, .params = params_default()};
    const struct dispatch_listener listener = {
        .token = hear_token, .failed = hear_failure, .context = &heard};
    dispatch_submit(ends.dispatch, &large, &listener);
    link_destroy(ends.engine);
    ends.engine = NULL;
    CHECK(take(&ends, 2, ERROR_NONE)); /* there is more to read */
    CHECK(take(&ends, 1, ERROR_NONE));
    CHECK_EQ(heard.n_tokens, 2);
    CHECK(!take(&ends, 0, ERROR_PEER));
    CHECK_EQ(dispatch_detach(ends.dispatch, 0).n_going_on, 1);
    close_ends(&ends);
}

TEST(deadlines_count_also_while_there_is_no_engine)
{
    struct ends ends = connect_ends();
    struct heard timed = {.wants_more = true}, patient = {.wants_more = true};
    static const int32_t prompt[] = {1};
    struct link_submit request = {
        .prompt = prompt, .n_prompt = 1, .deadline_ns = 1000, .params = params_default()};
    const struct dispatch_listener listener = {
        .token = hear_token, .failed = hear_failure, .context = &timed};
    dispatch_submit(ends.dispatch, &request, &listener);
    submit(&ends, &patient);
    CHECK_EQ(dispatch_next_deadline(ends.dispatch), INT64_MAX); /* its engine looks at it */
    dispatch_expire(ends.dispatch, 2000);
    dispatch_detach(ends.dispatch, 0);
    dispatch_expire(ends.dispatch, 999);
    CHECK_EQ(timed.n_tokens, 0);
    CHECK_EQ(dispatch_next_deadline(ends.dispatch), 1000);
    dispatch_expire(ends.dispatch, 1000);
    CHECK_EQ(dispatch_next_deadline(ends.dispatch), INT64_MAX);
    CHECK_EQ(timed.n_tokens, 1);
    CHECK_EQ(timed.last.finish, FINISH_ABORT);
    CHECK_EQ(timed.last.token, -1);
    CHECK_EQ(patient.n_tokens, 0);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 1);
    close_ends(&ends);
}

TEST(a_request_that_no_frame_takes_fails_alone)
{
    static int32_t prompt[LINK_MAX_FRAME_BYTES / 4];
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = true}, small = {.wants_more = true};
    struct link_submit request = {
        .prompt = prompt, .n_prompt = LINK_MAX_FRAME_BYTES / 4, .params = params_default()};
    memset(prompt, 0x3f, sizeof prompt); /* numbers that are long on the wire */
    const struct dispatch_listener listener = {
        .token = hear_token, .failed = hear_failure, .context = &heard};
    dispatch_submit(ends.dispatch, &request, &listener);
    CHECK_EQ(heard.n_failures, 1);
    const uint64_t id = submit(&ends, &small);
    engine_says(&ends, id, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(small.n_tokens, 1);
    close_ends(&ends);
}

/* A prompt that the socket does not take at once. */
static void submit_long(struct ends *ends, struct heard *heard)
{
    static int32_t prompt[1 << 18];
    for (size_t i = 0; i < sizeof prompt / sizeof *prompt; i++)
        prompt[i] = 100000;
    struct link_submit request = {
        .prompt = prompt, .n_prompt = sizeof prompt / sizeof *prompt, .params = params_default()};
    const struct dispatch_listener listener = {
        .token = hear_token, .failed = hear_failure, .context = heard};
    dispatch_submit(ends->dispatch, &request, &listener);
}

TEST(what_an_engine_said_last_is_told_rather_than_that_it_is_gone)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = true};
    struct error err = {0};
    const struct link_event lost = {.kind = LINK_FAILED,
                                    .failure = {.kind = ERROR_PEER, .text = "rank 1 is lost"}};
    const uint64_t id = submit(&ends, &heard);
    submit_long(&ends, &heard);
    engine_says(&ends, id, FINISH_STOP);
    CHECK(link_send_event(ends.engine, &lost, &err));
    link_destroy(ends.engine);
    ends.engine = NULL;
    CHECK(dispatch_take(ends.dispatch, 0, 1, &err)); /* the rest of the prompt stays */
    CHECK_EQ(heard.n_tokens, 1);
    CHECK(!dispatch_take(ends.dispatch, 0, 0, &err));
    CHECK_STR(err.text, "rank 1 is lost");
    close_ends(&ends);
}

/* ---- how an engine is ---- */

static void hear(struct ends *ends, const struct link_event *event)
{
    struct error err = {0};
    CHECK(link_send_event(ends->engine, event, &err));
    CHECK(dispatch_take(ends->dispatch, 0, 0, &err));
}

TEST(statistics_are_the_newest_and_counters_outlive_their_engine)
{
    struct ends ends = connect_ends();
    struct link_event event = {.kind = LINK_STATS};
    CHECK(dispatch_stats(ends.dispatch, 0) == NULL);
    event.stats = (struct link_stats){.running = 3, .plans = 5, .kv_blocks = 9};
    hear(&ends, &event);
    event.stats = (struct link_stats){.running = 2, .plans = 7, .kv_blocks = 9};
    hear(&ends, &event);
    CHECK_EQ(dispatch_stats(ends.dispatch, 0)->running, 2);
    CHECK_EQ(dispatch_stats(ends.dispatch, 0)->plans, 7);
    dispatch_detach(ends.dispatch, 0);
    CHECK_EQ(dispatch_stats(ends.dispatch, 0)->running, 0);
    CHECK_EQ(dispatch_stats(ends.dispatch, 0)->plans, 7);
    dispatch_attach(ends.dispatch, 0, ends.gateway);
    event.stats = (struct link_stats){.running = 1, .plans = 1};
    hear(&ends, &event);
    CHECK_EQ(dispatch_stats(ends.dispatch, 0)->running, 1);
    CHECK_EQ(dispatch_stats(ends.dispatch, 0)->plans, 8);
    close_ends(&ends);
}

TEST(an_engine_is_heard_by_its_pulses_and_not_before_they_were)
{
    struct ends ends = connect_ends();
    const int64_t attached_ns = dispatch_heard_ns(ends.dispatch, 0);
    struct error err = {0};
    struct link_command command;
    bool got;
    CHECK(attached_ns > 0 && attached_ns <= clock_now_ns());
    dispatch_ping(ends.dispatch);
    CHECK(link_receive_command(ends.engine, &command, &got, &err));
    CHECK(got && command.kind == LINK_PING);
    const int64_t now = clock_now_ns();
    hear(&ends, &(struct link_event){.kind = LINK_PULSE, .progress_ns = now});
    CHECK_EQ(dispatch_heard_ns(ends.dispatch, 0), now);
    hear(&ends, &(struct link_event){.kind = LINK_PULSE, .progress_ns = now - 1000});
    CHECK_EQ(dispatch_heard_ns(ends.dispatch, 0), now);
    hear(&ends, &(struct link_event){.kind = LINK_PULSE, .progress_ns = INT64_MAX});
    CHECK(dispatch_heard_ns(ends.dispatch, 0) <= clock_now_ns());
    dispatch_detach(ends.dispatch, 0);
    CHECK_EQ(dispatch_heard_ns(ends.dispatch, 0), 0);
    close_ends(&ends);
}
