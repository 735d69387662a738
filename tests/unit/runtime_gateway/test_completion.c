#include "runtime/gateway/completion.h"

#include "tests/test.h"
#include "tests/unit/runtime_gateway/demo_intake.h"
#include "tests/unit/runtime_gateway/one_engine.h"

struct asked { /* one prompt, and what its hooks heard */
    struct ids prompt;
    struct sampling sampling;
    struct completion completion;
    struct ends *ends;
    int n_progress, n_done;
    int stops_at;         /* progress: nobody wants more; 0: never */
    struct asked *opens;  /* at its end */
    struct asked *closes; /* likewise */
    bool closes_itself;
};

static void open_asked(struct asked *asked);

static bool hear_progress(void *context, struct completion *completion, int choice)
{
    struct asked *asked = context;
    CHECK(completion == &asked->completion && choice < completion->n_choices);
    CHECK_EQ(asked->n_done, 0);
    return ++asked->n_progress != asked->stops_at;
}

static void hear_done(void *context, struct completion *completion)
{
    struct asked *asked = context;
    CHECK_EQ(completion->n_left, 0);
    asked->n_done++;
    if (asked->closes != NULL)
        completion_close(&asked->closes->completion);
    if (asked->closes_itself)
        completion_close(completion);
    if (asked->opens != NULL)
        open_asked(asked->opens);
}

static void init_asked(struct asked *asked, struct ends *ends, int n_choices)
{
    *asked = (struct asked){.ends = ends, .sampling = {.n_choices = n_choices}};
    asked->sampling.params = params_default();
    asked->sampling.params.seed = 100;
    asked->sampling.rules.tokenizer = demo_intake()->tokenizer;
    ids_add(&asked->prompt, 7);
    ids_add(&asked->prompt, 8);
}

static void open_asked(struct asked *asked)
{
    const struct completion_request request = {.prompt = &asked->prompt,
                                               .sampling = &asked->sampling,
                                               .max_tokens = 9,
                                               .priority = -3,
                                               .tenant = 11,
                                               .deadline_ns = 12};
    const struct completion_hooks hooks = {
        .progress = hear_progress, .done = hear_done, .context = asked};
    completion_open(&asked->completion, asked->ends->dispatch, &request, &hooks);
}

static void close_asked(struct asked *asked)
{
    completion_close(&asked->completion);
    sampling_release(&asked->sampling);
    ids_release(&asked->prompt);
}

/* The request of a choice as the engine hears it. */
static uint64_t hear_choice(struct asked *asked, struct link_submit *out)
{
    return engine_hears_request(asked->ends, out);
}

TEST(each_choice_is_a_request_with_a_seed_of_its_own)
{
    struct ends ends = connect_ends();
    struct asked asked;
    struct link_submit heard;
    init_asked(&asked, &ends, 2);
    asked.sampling.params.prompt_logprobs = 0;
    open_asked(&asked);
    for (int i = 0; i < 2; i++) {
        hear_choice(&asked, &heard);
        CHECK(heard.n_prompt == 2 && heard.prompt[1] == 8);
        CHECK_EQ(heard.choice, i);
        CHECK_EQ(heard.params.seed, 100 + i);
        CHECK_EQ(heard.params.max_tokens, 9);
        CHECK_EQ(heard.params.prompt_logprobs, i == 0 ? 0 : LOGPROBS_OFF); /* the same for all */
        CHECK_EQ(heard.priority, -3);
        CHECK_EQ(heard.tenant, 11);
        CHECK_EQ(heard.deadline_ns, 12);
    }
    close_asked(&asked);
    close_ends(&ends);
}

TEST(it_is_done_when_its_last_choice_is)
{
    struct ends ends = connect_ends();
    struct asked asked;
    struct link_submit heard;
    init_asked(&asked, &ends, 2);
    open_asked(&asked);
    const uint64_t first = hear_choice(&asked, &heard), second = hear_choice(&asked, &heard);
    engine_says(&ends, second, FINISH_NONE);
    engine_says(&ends, second, FINISH_LENGTH);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(asked.n_done, 0);
    CHECK_EQ(asked.completion.n_left, 1);
    engine_says(&ends, first, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(asked.n_done, 1);
    CHECK_EQ(asked.n_progress, 3);
    CHECK_EQ(asked.completion.output[0].finish, FINISH_STOP);
    CHECK_EQ(asked.completion.output[1].tokens.n, 2);
    CHECK_EQ(asked.completion.n_tokens, 3);
    CHECK(asked.completion.first_token_ns > 0);
    CHECK(completion_failure(&asked.completion) == NULL);
    close_asked(&asked);
    close_ends(&ends);
}

TEST(each_choice_waits_until_it_begins_and_all_beams_until_their_search_does)
{
    for (int width = 0; width <= 2; width += 2) {
        struct ends ends = connect_ends();
        struct asked asked;
        struct link_submit heard;
        init_asked(&asked, &ends, 2);
        asked.sampling.params.beam_width = width;
        open_asked(&asked);
        const int64_t *begun_ns = asked.completion.begun_ns;
        const uint64_t first = hear_choice(&asked, &heard);
        engine_begins(&ends, first);
        CHECK(take(&ends, 0, ERROR_NONE));
        CHECK(begun_ns[0] > 0);
        CHECK_EQ(begun_ns[1], width > 0 ? begun_ns[0] : 0);
        CHECK_EQ(asked.n_progress, 0);
        close_asked(&asked);
        close_ends(&ends);
    }
}

TEST(what_nobody_wants_any_more_ends_there)
{
    struct ends ends = connect_ends();
    struct asked asked;
    struct link_submit heard;
    init_asked(&asked, &ends, 1);
    asked.stops_at = 2;
    open_asked(&asked);
    const uint64_t id = hear_choice(&asked, &heard);
    for (int i = 0; i < 3; i++)
        engine_says(&ends, id, FINISH_NONE);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(asked.n_progress, 2);
    CHECK_EQ(asked.n_done, 1);
    CHECK_EQ(asked.completion.output[0].finish, FINISH_ABORT);
    engine_hears(&ends, LINK_CANCEL, id);
    close_asked(&asked);
    close_ends(&ends);
}

TEST(closing_cancels_what_goes_on_and_nothing_is_heard_any_more)
{
    struct ends ends = connect_ends();
    struct asked asked;
    struct link_submit heard;
    init_asked(&asked, &ends, 3);
    open_asked(&asked);
    const uint64_t ended = hear_choice(&asked, &heard);
    const uint64_t others[] = {hear_choice(&asked, &heard), hear_choice(&asked, &heard)};
    engine_says(&ends, ended, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    engine_says(&ends, others[0], FINISH_STOP); /* is on its way */
    completion_close(&asked.completion);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(asked.n_done, 0);
    CHECK_EQ(asked.n_progress, 1);
    engine_hears(&ends, LINK_CANCEL, others[0]);
    engine_hears(&ends, LINK_CANCEL, others[1]);
    engine_hears_nothing(&ends);
    CHECK_EQ(dispatch_in_flight(ends.dispatch), 0);
    close_asked(&asked); /* once more is fine */
    close_ends(&ends);
}

TEST(who_hears_that_it_is_done_may_close_it_and_open_the_next)
{
    struct ends ends = connect_ends();
    struct asked one, next, other;
    struct link_submit heard;
    init_asked(&one, &ends, 1);
    init_asked(&next, &ends, 1);
    init_asked(&other, &ends, 1);
    one.closes_itself = true;
    one.opens = &next;
    one.closes = &other;
    open_asked(&one);
    open_asked(&other);
    const uint64_t id = hear_choice(&one, &heard), others = hear_choice(&other, &heard);
    engine_says(&ends, id, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(one.n_done, 1);
    engine_hears(&ends, LINK_CANCEL, others);
    engine_says(&ends, hear_choice(&next, &heard), FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(next.n_done, 1);
    CHECK_EQ(other.n_done, 0);
    close_asked(&one);
    close_asked(&next);
    close_asked(&other);
    close_ends(&ends);
}

/* ---- failures ---- */

static void engine_fails(struct ends *ends, uint64_t id)
{
    engine_sends(ends, (struct link_event){.kind = LINK_FAILED,
                                           .failed_id = id,
                                           .failure = {.kind = ERROR_INPUT, .text = "no"}});
}

TEST(a_failure_is_that_of_its_choice)
{
    struct ends ends = connect_ends();
    struct asked asked;
    struct link_submit heard;
    init_asked(&asked, &ends, 2);
    open_asked(&asked);
    const uint64_t first = hear_choice(&asked, &heard), second = hear_choice(&asked, &heard);
    engine_fails(&ends, second);
    engine_says(&ends, first, FINISH_STOP);
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(asked.n_done, 1);
    CHECK_EQ(asked.completion.failure[0].kind, ERROR_NONE);
    CHECK_EQ(asked.completion.output[1].finish, FINISH_ERROR);
    CHECK_STR(completion_failure(&asked.completion)->text, "no");
    close_asked(&asked);
    close_ends(&ends);
}

TEST(a_request_that_cannot_be_sent_is_done_at_once)
{
    for (int closes = 0; closes < 2; closes++) {
        struct ends ends = connect_ends();
        struct asked asked;
        init_asked(&asked, &ends, 2);
        asked.closes_itself = closes;
        for (int i = 0; i < LINK_MAX_FRAME_BYTES / 4; i++)
            ids_add(&asked.prompt, 0x3f3f3f3f); /* more than a frame takes */
        open_asked(&asked);
        CHECK_EQ(asked.n_done, 1);
        CHECK_EQ(asked.n_progress, 2);
        CHECK_EQ(asked.completion.n_choices, closes ? 0 : 2);
        close_asked(&asked);
        close_ends(&ends);
    }
}

TEST(one_that_is_refused_has_failed_and_calls_nobody)
{
    struct ends ends = connect_ends();
    struct asked asked;
    init_asked(&asked, &ends, 2);
    const struct completion_request request = {.prompt = &asked.prompt,
                                               .sampling = &asked.sampling};
    const struct error why = {.kind = ERROR_INPUT, .text = "too long"};
    completion_refuse(&asked.completion, &request, &why);
    CHECK_EQ(asked.completion.n_left, 0);
    CHECK_EQ(asked.completion.output[1].finish, FINISH_ERROR);
    CHECK_STR(completion_failure(&asked.completion)->text, "too long");
    engine_hears_nothing(&ends);
    close_asked(&asked);
    close_ends(&ends);
}

static struct link_event rows_event(uint64_t id, int position)
{
    static const struct link_logprob logprob = {.token = 8, .logprob = -1, .rank = 1};
    static const int32_t end = 1;
    return (struct link_event){
        .kind = LINK_PROMPT_LOGPROBS,
        .prompt_logprobs = {
            .id = id, .position = position, .logprob = &logprob, .end = &end, .n_positions = 1}};
}

TEST(rows_of_the_prompt_are_progress)
{
    struct ends ends = connect_ends();
    struct asked asked;
    struct link_submit heard;
    init_asked(&asked, &ends, 1);
    asked.sampling.params.prompt_logprobs = 0;
    open_asked(&asked);
    engine_sends(&ends, rows_event(hear_choice(&asked, &heard), 1));
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(asked.n_progress, 1);
    CHECK_EQ(asked.completion.output[0].prompt.end.n, 1);
    close_asked(&asked);
    close_ends(&ends);
}

TEST(rows_of_the_prompt_that_are_left_out_end_the_choice)
{
    struct ends ends = connect_ends();
    struct asked asked;
    struct link_submit heard;
    init_asked(&asked, &ends, 1);
    asked.sampling.params.prompt_logprobs = 0;
    ids_add(&asked.prompt, 9);
    open_asked(&asked);
    const uint64_t id = hear_choice(&asked, &heard);
    engine_sends(&ends, rows_event(id, 2)); /* those of 1 are missing */
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(asked.n_done, 1);
    CHECK_EQ(asked.completion.output[0].finish, FINISH_ERROR);
    CHECK_EQ(completion_failure(&asked.completion)->kind, ERROR_PEER);
    engine_hears(&ends, LINK_CANCEL, id);
    close_asked(&asked);
    close_ends(&ends);
}

/* ---- what comes whole ---- */

TEST(beams_are_one_request_and_come_at_once)
{
    static const int32_t token = 5;
    static const struct link_beam beam[] = {
        {.token = &token, .n_tokens = 1, .score = -1, .finish = FINISH_STOP},
        {.token = &token, .n_tokens = 1, .score = -2, .finish = FINISH_LENGTH}};
    for (int n = 1; n <= 3; n++) { /* wanted; 2 come */
        struct ends ends = connect_ends();
        struct asked asked;
        struct link_submit heard;
        init_asked(&asked, &ends, n);
        asked.sampling.params.beam_width = 3;
        open_asked(&asked);
        const uint64_t id = hear_choice(&asked, &heard);
        engine_hears_nothing(&ends);
        engine_sends(&ends, (struct link_event){.kind = LINK_BEAMS,
                                                .beams = {.id = id, .beam = beam, .n_beams = 2}});
        CHECK(take(&ends, 0, ERROR_NONE));
        CHECK_EQ(asked.n_done, 1);
        CHECK_EQ(asked.completion.n_tokens, n < 2 ? n : 2);
        CHECK(asked.completion.output[0].score == -1);
        CHECK_EQ(completion_failure(&asked.completion) != NULL, n == 3);
        close_asked(&asked);
        close_ends(&ends);
    }
}

TEST(beams_that_fail_or_are_too_late_are_all_ended)
{
    for (int late = 0; late < 2; late++) {
        struct ends ends = connect_ends();
        struct asked asked;
        struct link_submit heard;
        init_asked(&asked, &ends, 2);
        asked.sampling.params.beam_width = 2;
        open_asked(&asked);
        const uint64_t id = hear_choice(&asked, &heard);
        const struct link_token end = {
            .id = id, .token = -1, .finish = FINISH_ABORT, .stop_token = -1};
        if (late)
            engine_sends(&ends,
                         (struct link_event){.kind = LINK_TOKENS, .token = &end, .n_tokens = 1});
        else
            engine_fails(&ends, id);
        CHECK(take(&ends, 0, ERROR_NONE));
        CHECK_EQ(asked.n_done, 1);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(asked.completion.output[i].finish, late ? FINISH_ABORT : FINISH_ERROR);
        close_asked(&asked);
        close_ends(&ends);
    }
}

TEST(a_token_is_no_answer_to_a_text_that_pools_nor_to_a_search_for_beams)
{
    for (int beams = 0; beams < 2; beams++) {
        struct ends ends = connect_ends();
        struct asked asked;
        struct link_submit heard;
        init_asked(&asked, &ends, 1);
        asked.sampling.params.pooling = beams ? POOLING_NONE : POOLING_LAST;
        asked.sampling.params.beam_width = beams ? 1 : 0;
        open_asked(&asked);
        engine_says(&ends, hear_choice(&asked, &heard), FINISH_STOP);
        CHECK(!take(&ends, 0, ERROR_PEER));
        CHECK_EQ(asked.n_done, 0);
        close_asked(&asked);
        close_ends(&ends);
    }
}

TEST(a_vector_is_the_answer_to_a_text_that_pools)
{
    static const float value[] = {1, 2};
    struct ends ends = connect_ends();
    struct asked asked;
    struct link_submit heard;
    init_asked(&asked, &ends, 1);
    asked.sampling.params.pooling = POOLING_LAST;
    open_asked(&asked);
    const uint64_t id = hear_choice(&asked, &heard);
    engine_sends(&ends, (struct link_event){.kind = LINK_POOLED,
                                            .pooled = {.id = id, .value = value, .n_values = 2}});
    CHECK(take(&ends, 0, ERROR_NONE));
    CHECK_EQ(asked.n_done, 1);
    CHECK(asked.completion.n_values == 2 && asked.completion.value[1] == 2);
    close_asked(&asked);
    close_ends(&ends);
}
