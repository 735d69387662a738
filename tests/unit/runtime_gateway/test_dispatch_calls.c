/* What may be done with a dispatch while it calls: requests are submitted and cancelled by those
 * who listen. */
#include "tests/test.h"
#include "tests/unit/runtime_gateway/one_engine.h"

enum { PROMPT_NO_FRAME_TAKES = LINK_MAX_FRAME_BYTES / 4 };

struct caller { /* a listener that calls the dispatch */
    struct dispatch *dispatch;
    uint64_t id, cancels;   /* cancels: at its first token; 0: nothing */
    struct caller *submits; /* at its end; NULL: nothing */
    int n_prompt;           /* 0: 1 */
    int n_begun, n_tokens, n_failures, n_rows;
};

static void submit_caller(struct caller *caller);

static void call_at_begin(void *context)
{
    struct caller *caller = context;
    caller->n_begun++;
    if (caller->cancels != 0)
        dispatch_cancel(caller->dispatch, caller->cancels);
}

static bool call_at_token(void *context, const struct link_token *token)
{
    struct caller *caller = context;
    caller->n_tokens++;
    if (caller->cancels != 0)
        dispatch_cancel(caller->dispatch, caller->cancels);
    if (token->finish != FINISH_NONE && caller->submits != NULL)
        submit_caller(caller->submits);
    return true;
}

static void call_at_rows(void *context, const struct link_prompt_logprobs *logprobs)
{
    struct caller *caller = context;
    (void)logprobs;
    caller->n_rows++;
    dispatch_cancel(caller->dispatch, caller->cancels);
}

static void call_at_failure(void *context, const struct error *why)
{
    struct caller *caller = context;
    (void)why;
    caller->n_failures++;
    if (caller->submits != NULL)
        submit_caller(caller->submits);
}

static void submit_caller(struct caller *caller)
{
    static int32_t prompt[PROMPT_NO_FRAME_TAKES];
    for (int i = 0; i < caller->n_prompt; i++)
        prompt[i] = 0x3f3f3f3f; /* long on the wire */
    struct link_submit submit = {.prompt = prompt,
                                 .n_prompt = caller->n_prompt > 0 ? caller->n_prompt : 1,
                                 .params = params_default()};
    submit.params.prompt_logprobs = 0;
    const struct dispatch_listener listener = {.begun = call_at_begin,
                                               .token = call_at_token,
                                               .prompt_logprobs = call_at_rows,
                                               .failed = call_at_failure,
                                               .context = caller};
    dispatch_submit(caller->dispatch, &submit, &listener);
    caller->id = submit.id;
}

TEST(of_a_request_that_is_cancelled_nothing_more_is_heard)
{
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch}, two = {.dispatch = ends.dispatch};
    submit_caller(&one);
    submit_caller(&two);
    engine_says(&ends, one.id, FINISH_NONE); /* is on its way */
    dispatch_cancel(ends.dispatch, one.id);
    engine_says(&ends, two.id, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(one.n_tokens, 0);
    CHECK_EQ(two.n_tokens, 1);
    engine_hears(&ends, LINK_SUBMIT, one.id);
    engine_hears(&ends, LINK_SUBMIT, two.id);
    engine_hears(&ends, LINK_CANCEL, one.id);
    close_ends(&ends);
}

TEST(what_is_not_in_flight_can_be_cancelled)
{
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch};
    dispatch_cancel(ends.dispatch, 0);
    dispatch_cancel(ends.dispatch, 12345);
    submit_caller(&one);
    dispatch_cancel(ends.dispatch, one.id);
    dispatch_cancel(ends.dispatch, one.id);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
    engine_hears(&ends, LINK_SUBMIT, one.id);
    engine_hears(&ends, LINK_CANCEL, one.id);
    engine_hears_nothing(&ends);
    close_ends(&ends);
}

TEST(a_request_that_waits_is_never_sent_when_it_is_cancelled)
{
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch};
    dispatch_detach(ends.dispatch, 0);
    submit_caller(&one);
    dispatch_cancel(ends.dispatch, one.id);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
    dispatch_attach(ends.dispatch, 0, ends.gateway);
    engine_hears_nothing(&ends);
    close_ends(&ends);
}

TEST(a_request_keeps_its_id_when_it_goes_on_at_the_next_engine)
{
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch};
    struct link_submit first, again;
    submit_caller(&one);
    CHECK_EQ(engine_hears_request(&ends, &first), one.id);
    dispatch_detach(ends.dispatch, 0);
    dispatch_attach(ends.dispatch, 0, ends.gateway);
    const uint64_t wire_id = engine_hears_request(&ends, &again);
    CHECK(wire_id != one.id);
    dispatch_cancel(ends.dispatch, one.id);
    engine_hears(&ends, LINK_CANCEL, wire_id);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
    close_ends(&ends);
}

TEST(a_request_begins_once_and_that_it_did_is_no_sign_of_health)
{
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch};
    struct link_submit heard;
    submit_caller(&one);
    for (int crash = 0; crash <= JOURNAL_SUSPECT; crash++) {
        engine_begins(&ends, engine_hears_request(&ends, &heard));
        CHECK(take(&ends, 0, ERROR_NONE));
        CHECK_EQ(one.n_begun, 1);
        CHECK_EQ(one.n_failures, 0);
        CHECK(!dispatch_detach(ends.dispatch, 0).was_heard);
        dispatch_attach(ends.dispatch, 0, ends.gateway);
    }
    CHECK_EQ(one.n_failures, 1); /* as one that kills engines */
    close_ends(&ends);
}

TEST(a_listener_may_cancel_its_own_request_when_it_begins)
{
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch};
    submit_caller(&one);
    one.cancels = one.id;
    engine_begins(&ends, one.id);
    engine_begins(&ends, 12345); /* of no request */
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(one.n_begun, 1);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
    close_ends(&ends);
}

TEST(a_listener_may_cancel_its_own_request_at_any_token)
{
    static const enum finish_reason finish[] = {FINISH_NONE, FINISH_STOP};
    for (int i = 0; i < 2; i++) {
        struct ends ends = connect_ends();
        struct caller one = {.dispatch = ends.dispatch};
        submit_caller(&one);
        one.cancels = one.id;
        engine_says(&ends, one.id, finish[i]);
        engine_says(&ends, one.id, FINISH_STOP);
        CHECK(take(&ends, 0, ERROR_NONE));
        CHECK_EQ(one.n_tokens, 1);
        CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
        close_ends(&ends);
    }
}

TEST(a_listener_may_cancel_at_the_rows_of_its_prompt)
{
    static const struct link_logprob logprob = {.token = 1, .logprob = -1, .rank = 1};
    static const int32_t end = 1;
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch, .n_prompt = 2};
    submit_caller(&one);
    one.cancels = one.id;
    engine_sends(
        &ends,
        (struct link_event){
            .kind = LINK_PROMPT_LOGPROBS,
            .prompt_logprobs = {
                .id = one.id, .position = 1, .logprob = &logprob, .end = &end, .n_positions = 1}});
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(one.n_rows, 1);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
    close_ends(&ends);
}

TEST(a_listener_may_cancel_others_whose_tokens_came_in_the_same_message)
{
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch}, two = {.dispatch = ends.dispatch};
    submit_caller(&one);
    submit_caller(&two);
    one.cancels = two.id;
    const struct link_token token[] = {
        {.id = one.id, .token = 5, .finish = FINISH_STOP, .stop_token = -1},
        {.id = two.id, .token = 5, .finish = FINISH_STOP, .stop_token = -1}};
    engine_sends(&ends, (struct link_event){.kind = LINK_TOKENS, .token = token, .n_tokens = 2});
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(one.n_tokens, 1);
    CHECK_EQ(two.n_tokens, 0);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
    close_ends(&ends);
}

TEST(the_next_request_may_be_submitted_at_the_end_of_one)
{
    struct ends ends = connect_ends();
    struct caller next = {.dispatch = ends.dispatch};
    struct caller one = {.dispatch = ends.dispatch, .submits = &next};
    submit_caller(&one);
    engine_says(&ends, one.id, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    engine_hears(&ends, LINK_SUBMIT, one.id);
    engine_hears(&ends, LINK_SUBMIT, next.id);
    engine_says(&ends, next.id, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(next.n_tokens, 1);
    close_ends(&ends);
}

/* Each fails while it is sent, and submits the next one from there. */
TEST(requests_that_fail_one_after_the_other_do_not_pile_up)
{
    enum { N = 8 };
    struct ends ends = connect_ends();
    struct caller caller[N + 1];
    for (int i = 0; i <= N; i++)
        caller[i] = (struct caller){.dispatch = ends.dispatch,
                                    .n_prompt = i < N ? PROMPT_NO_FRAME_TAKES : 1,
                                    .submits = i < N ? &caller[i + 1] : NULL};
    submit_caller(&caller[0]);
    for (int i = 0; i < N; i++)
        CHECK_EQ(caller[i].n_failures, 1);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 1); /* the last one is as others are */
    engine_hears(&ends, LINK_SUBMIT, caller[N].id);
    close_ends(&ends);
}

TEST(all_that_an_engine_says_is_taken_also_while_nothing_is_in_flight)
{
    struct ends ends = connect_ends();
    link_destroy(ends.engine);
    ends.engine = NULL;
    CHECK(!take(&ends, 0, ERROR_PEER));
    close_ends(&ends);
}

/* The engine where suspects are tried has one at a time. */
TEST(the_next_suspect_is_tried_when_the_one_before_is_cancelled)
{
    struct ends ends = connect_ends();
    struct caller one = {.dispatch = ends.dispatch}, two = {.dispatch = ends.dispatch};
    struct link_submit heard;
    submit_caller(&one);
    submit_caller(&two);
    for (int crash = 0; crash < 2; crash++) {
        engine_hears_request(&ends, &heard);
        engine_hears_request(&ends, &heard);
        dispatch_detach(ends.dispatch, 0);
        dispatch_attach(ends.dispatch, 0, ends.gateway);
    }
    const uint64_t alone = engine_hears_request(&ends, &heard);
    engine_hears_nothing(&ends);
    dispatch_cancel(ends.dispatch, one.id);
    engine_hears(&ends, LINK_CANCEL, alone);
    engine_hears_request(&ends, &heard);
    engine_says(&ends, heard.id, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(two.n_tokens, 1);
    close_ends(&ends);
}
