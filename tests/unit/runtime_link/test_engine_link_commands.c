#include "base/memory.h"
#include "runtime/request/request.h"
#include "tests/test.h"
#include "tests/unit/runtime_link/ends.h"

#include <string.h>

static const int32_t prompt[] = {1, 2047, 0, 5}, output[] = {7, 8}, allowed[] = {9, 0, 3};
static const struct token_bias bias[] = {{4, -100}, {0, 0.5f}};
static const int32_t bad_id[] = {10, 11, 12, 13}, bad_end[] = {1, 4};
static const uint8_t cache_key[] = {0, 255, 3};

static struct link_command full_submit(void)
{
    struct link_command command = {.kind = LINK_SUBMIT};
    command.submit = (struct link_submit){.id = 0xfedcba9876543210,
                                          .prompt = prompt,
                                          .n_prompt = 4,
                                          .output = output,
                                          .n_output = 2,
                                          .choice = 3,
                                          .priority = -7,
                                          .tenant = 0xffffffffffffffff,
                                          .deadline_ns = INT64_MAX,
                                          .cache_key = cache_key,
                                          .n_cache_key = 3};
    command.submit.params = (struct sampling_params){.temperature = 0.7f,
                                                     .top_p = 0.9f,
                                                     .min_p = 0.05f,
                                                     .top_k = -1,
                                                     .repetition_penalty = 1.1f,
                                                     .frequency_penalty = -0.5f,
                                                     .presence_penalty = 2.0f,
                                                     .seed = 0xffffffffffffffff,
                                                     .max_tokens = 100,
                                                     .min_tokens = 3,
                                                     .logprobs = LOGPROBS_OFF,
                                                     .ignore_eos = true,
                                                     .n_stop_ids = 2,
                                                     .stop_id = {11, 12},
                                                     .prompt_logprobs = 20,
                                                     .beam_width = 16,
                                                     .length_penalty = 0.25f,
                                                     .penalize_prompt = true,
                                                     .pooling = POOLING_MEAN,
                                                     .allowed_id = allowed,
                                                     .n_allowed_ids = 3,
                                                     .bias = bias,
                                                     .n_biases = 2,
                                                     .bad_id = bad_id,
                                                     .bad_end = bad_end,
                                                     .n_bad_words = 2};
    return command;
}

TEST(a_submit_arrives_with_every_field)
{
    struct ends ends = ends_make();
    const struct link_command sent = full_submit();
    struct error err = {0};
    CHECK(link_send_command(ends.gateway, &sent, &err));

    const struct link_command got = receive_command(ends.engine);
    CHECK_EQ(got.kind, LINK_SUBMIT);
    CHECK(got.submit.id == sent.submit.id);
    CHECK_EQ(got.submit.n_prompt, 4);
    CHECK(memcmp(got.submit.prompt, prompt, sizeof prompt) == 0);
    CHECK_EQ(got.submit.n_output, 2);
    CHECK(memcmp(got.submit.output, output, sizeof output) == 0);
    CHECK_EQ(got.submit.choice, 3);
    CHECK_EQ(got.submit.priority, -7);
    CHECK(got.submit.tenant == UINT64_MAX);
    CHECK(got.submit.deadline_ns == INT64_MAX);
    CHECK_EQ(got.submit.n_cache_key, 3);
    CHECK(memcmp(got.submit.cache_key, cache_key, sizeof cache_key) == 0);

    struct sampling_params params = got.submit.params;
    CHECK(memcmp(params.allowed_id, allowed, sizeof allowed) == 0);
    CHECK(memcmp(params.bias, bias, sizeof bias) == 0);
    CHECK(memcmp(params.bad_id, bad_id, sizeof bad_id) == 0);
    CHECK(memcmp(params.bad_end, bad_end, sizeof bad_end) == 0);
    params.allowed_id = allowed; /* the rest is equal when these are */
    params.bias = bias;
    params.bad_id = bad_id;
    params.bad_end = bad_end;
    CHECK(memcmp(&params, &sent.submit.params, sizeof params) == 0);
    ends_release(&ends);
}

TEST(a_submit_without_lists_has_none)
{
    struct ends ends = ends_make();
    struct link_command sent = {.kind = LINK_SUBMIT, .submit = {.id = 1}};
    struct error err = {0};
    CHECK(link_send_command(ends.gateway, &sent, &err));
    const struct link_submit got = receive_command(ends.engine).submit;
    CHECK_EQ(got.n_cache_key, 0);
    CHECK_EQ(got.params.n_allowed_ids + got.params.n_biases + got.params.n_bad_words, 0);
    CHECK_EQ(got.params.pooling, POOLING_NONE);
    ends_release(&ends);
}

TEST(cancel_and_stop_arrive)
{
    struct ends ends = ends_make();
    struct error err = {0};
    CHECK(link_send_command(
        ends.gateway, &(struct link_command){.kind = LINK_CANCEL, .cancel_id = 1ull << 63}, &err));
    CHECK(link_send_command(ends.gateway, &(struct link_command){.kind = LINK_STOP}, &err));
    const struct link_command cancel = receive_command(ends.engine);
    CHECK_EQ(cancel.kind, LINK_CANCEL);
    CHECK(cancel.cancel_id == 1ull << 63);
    CHECK_EQ(receive_command(ends.engine).kind, LINK_STOP);
    ends_release(&ends);
}

TEST(pings_and_levels_of_sleep_arrive)
{
    struct ends ends = ends_make();
    struct error err = {0};
    const struct link_command sleep = {.kind = LINK_SLEEP, .sleep = LINK_NO_WEIGHTS};
    const struct link_command wake = {.kind = LINK_SLEEP, .sleep = LINK_NOT_ASLEEP};
    CHECK(link_send_command(ends.gateway, &(struct link_command){.kind = LINK_PING}, &err));
    CHECK(link_send_command(ends.gateway, &sleep, &err));
    CHECK(link_send_command(ends.gateway, &wake, &err));
    CHECK_EQ(receive_command(ends.engine).kind, LINK_PING);
    const struct link_command got = receive_command(ends.engine);
    CHECK_EQ(got.kind, LINK_SLEEP);
    CHECK_EQ(got.sleep, LINK_NO_WEIGHTS);
    CHECK_EQ(receive_command(ends.engine).sleep, LINK_NOT_ASLEEP);
    ends_release(&ends);
}

TEST(an_unknown_level_of_sleep_is_refused)
{
    Phalanx__Engine__V1__ToEngine message = PHALANX__ENGINE__V1__TO_ENGINE__INIT;
    Phalanx__Engine__V1__Sleep sleep = PHALANX__ENGINE__V1__SLEEP__INIT;
    message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_SLEEP;
    message.sleep = &sleep;
    sleep.level = 3;
    check_command_refused(&message, "unknown level of sleep");
}

/* A submit as protobuf, for a test to break. */
struct raw_submit {
    Phalanx__Engine__V1__ToEngine message;
    Phalanx__Engine__V1__Submit submit;
    Phalanx__Engine__V1__Params params;
};

static void raw_init(struct raw_submit *raw)
{
    phalanx__engine__v1__to_engine__init(&raw->message);
    phalanx__engine__v1__submit__init(&raw->submit);
    phalanx__engine__v1__params__init(&raw->params);
    raw->message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_SUBMIT;
    raw->message.submit = &raw->submit;
    raw->submit.id = 1;
    raw->submit.params = &raw->params;
}

TEST(values_of_a_submit_out_of_their_range_are_refused)
{
    struct raw_submit raw;
    raw_init(&raw);
    raw.submit.params = NULL;
    check_command_refused(&raw.message, "without parameters");
    raw_init(&raw);
    raw.submit.id = 0; /* a failure of it would be one of the engine */
    check_command_refused(&raw.message, "without an id");
    raw_init(&raw);
    raw.params.pooling = 3;
    check_command_refused(&raw.message, "unknown way of pooling");
    raw_init(&raw);
    raw.submit.choice = PARAMS_MAX_CHOICES;
    check_command_refused(&raw.message, "too many choices");
    raw_init(&raw);
    raw.submit.deadline_ns = -1;
    check_command_refused(&raw.message, "deadline below 0");
    static uint8_t key[REQUEST_MAX_CACHE_KEY + 1];
    raw_init(&raw);
    raw.submit.cache_key.data = key;
    raw.submit.cache_key.len = sizeof key;
    check_command_refused(&raw.message, "cache key that is too long");
}

TEST(lists_of_a_submit_that_are_too_long_are_refused)
{
    static int32_t ids[PARAMS_MAX_BAD_IDS + 1];
    static Phalanx__Engine__V1__Bias one = PHALANX__ENGINE__V1__BIAS__INIT;
    static Phalanx__Engine__V1__Bias *biases[PARAMS_MAX_BIASES + 1];
    struct raw_submit raw;
    raw_init(&raw);
    raw.params.stop_token_ids = ids;
    raw.params.n_stop_token_ids = PARAMS_MAX_STOP_IDS + 1;
    check_command_refused(&raw.message, "too many stop ids");
    raw_init(&raw);
    for (int i = 0; i <= PARAMS_MAX_BIASES; i++)
        biases[i] = &one;
    raw.params.logit_bias = biases;
    raw.params.n_logit_bias = PARAMS_MAX_BIASES + 1;
    check_command_refused(&raw.message, "too many biases");
    raw_init(&raw);
    raw.params.bad_ids = ids;
    raw.params.n_bad_ids = PARAMS_MAX_BAD_IDS + 1;
    check_command_refused(&raw.message, "too many bad words");
    raw_init(&raw);
    for (int i = 0; i <= PARAMS_MAX_BAD_WORDS; i++)
        ids[i] = i + 1;
    raw.params.bad_ids = raw.params.bad_ends = ids;
    raw.params.n_bad_ids = raw.params.n_bad_ends = PARAMS_MAX_BAD_WORDS + 1;
    check_command_refused(&raw.message, "too many bad words");
}

TEST(bad_words_that_do_not_fit_their_ids_are_refused)
{
    static const struct {
        int32_t end[2];
        size_t n_ends;
        const char *why;
    } cases[] = {
        {{0, 3}, 2, "without ids"},  {{2, 2}, 2, "without ids"},     {{3, 2}, 2, "without ids"},
        {{-1, 3}, 2, "without ids"}, {{1, 2}, 2, "do not end"},      {{1, 4}, 2, "do not end"},
        {{0}, 0, "do not end"},      {{INT32_MAX}, 1, "do not end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw_submit raw;
        raw_init(&raw);
        raw.params.bad_ids = (int32_t *)bad_id;
        raw.params.n_bad_ids = 3;
        raw.params.bad_ends = (int32_t *)cases[i].end;
        raw.params.n_bad_ends = cases[i].n_ends;
        check_command_refused(&raw.message, cases[i].why);
    }
}
