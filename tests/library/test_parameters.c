/* libphalanx: every parameter of an answer, and what it does. */
#include "tests/library/demo.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

/* All of one answer, which is freed with the model. */
static struct phalanx_request *answer(struct phalanx_model *model, const char *parameters)
{
    struct phalanx_request *r = phalanx_generate(model, PROMPT, parameters, &err);
    if (r == NULL)
        test_fail(__FILE__, __LINE__, "%s: %s", parameters, err.text);
    return r;
}

static const char *text_of(struct phalanx_model *model, const char *parameters)
{
    return phalanx_text(answer(model, parameters), 0, NULL);
}

TEST(every_parameter_is_known)
{
    static const char *const good[] = {
        "\"temperature\": 0.5",
        "\"top_p\": 0.9",
        "\"top_k\": 5",
        "\"min_p\": 0.1",
        "\"repetition_penalty\": 1.1",
        "\"frequency_penalty\": 0.5",
        "\"presence_penalty\": 0.5",
        "\"n\": 2",
        "\"seed\": 3",
        "\"stop\": \"x\"",
        "\"stop_token_ids\": [3]",
        "\"include_stop_str_in_output\": true",
        "\"ignore_eos\": true",
        "\"min_tokens\": 2",
        "\"max_tokens\": 2",
        "\"logprobs\": 2",
        "\"prompt_logprobs\": 2",
        "\"logit_bias\": {\"5\": 1}",
        "\"allowed_token_ids\": [5]",
        "\"bad_words\": [\"the\"]",
        "\"skip_special_tokens\": false",
        "\"detokenize\": false",
        "\"priority\": 1",
        "\"cache_salt\": \"a\"",
        "\"deadline_ms\": 60000",
        "\"truncate_prompt_tokens\": 2",
        "\"max_completion_tokens\": 2",
        "\"echo\": true",
        "\"add_special_tokens\": false",
    };
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char object[128];
        snprintf(object, sizeof object, "{%s}", good[i]);
        struct phalanx_request *r = phalanx_ask(model, PROMPT, object, NULL, NULL, &err);
        if (r == NULL)
            test_fail(__FILE__, __LINE__, "%s: %s", object, err.text);
        phalanx_release(r);
    }
    phalanx_close(model);
}

TEST(every_parameter_out_of_its_range_is_named)
{
    static const struct {
        const char *param, *value;
    } wrong[] = {
        {"temperature", "-1"},
        {"top_p", "0"},
        {"top_k", "-2"},
        {"min_p", "1.5"},
        {"repetition_penalty", "0"},
        {"frequency_penalty", "3"},
        {"presence_penalty", "-3"},
        {"n", "0"},
        {"seed", "1.5"},
        {"stop", "[\"\"]"},
        {"stop_token_ids", "[-1]"},
        {"include_stop_str_in_output", "1"},
        {"ignore_eos", "\"yes\""},
        {"min_tokens", "-1"},
        {"max_tokens", "0"},
        {"logprobs", "-2"},
        {"prompt_logprobs", "-1"},
        {"logit_bias", "{\"5\": \"much\"}"},
        {"allowed_token_ids", "[]"},
        {"bad_words", "[\"\"]"},
        {"skip_special_tokens", "5"},
        {"detokenize", "\"no\""},
        {"priority", "1e30"},
        {"cache_salt", "\"\""},
        {"deadline_ms", "-1"},
        {"truncate_prompt_tokens", "0"},
        {"echo", "1"},
        {"add_special_tokens", "1"},
        {"guided_json", "{}"},
        {"stream", "true"},
    };
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char object[128];
        snprintf(object, sizeof object, "{\"%s\": %s}", wrong[i].param, wrong[i].value);
        CHECK(phalanx_ask(model, PROMPT, object, NULL, NULL, &err) == NULL);
        CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
        CHECK_STR(err.param, wrong[i].param);
    }
    phalanx_close(model);
}

TEST(one_likeliest_token_is_greedy_however_it_is_said)
{
    struct phalanx_model *model = open_demo();
    const char *greedy = text_of(model, "{\"temperature\": 0}");
    CHECK_STR(text_of(model, "{\"top_k\": 1}"), greedy);
    CHECK_STR(text_of(model, "{\"top_p\": 1e-9}"), greedy);
    CHECK_STR(text_of(model, "{\"min_p\": 1}"), greedy);
    phalanx_close(model);
}

TEST(a_seed_that_was_drawn_makes_the_answer_again)
{
    struct phalanx_model *model = open_demo();
    char again[64];
    struct phalanx_request *r = answer(model, "{\"temperature\": 1.5}");
    snprintf(again, sizeof again, "{\"temperature\": 1.5, \"seed\": %llu}",
             (unsigned long long)phalanx_seed(r));
    CHECK_STR(text_of(model, again), phalanx_text(r, 0, NULL));
    CHECK_EQ(phalanx_seed(answer(model, "{\"seed\": 77}")), 77);
    phalanx_close(model);
}

TEST(a_stop_is_told_with_its_reason)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *whole = answer(model, "{\"temperature\": 0}");
    const char *text = phalanx_text(whole, 0, NULL);
    size_t n;
    const int32_t *token = phalanx_tokens(whole, 0, &n);
    char parameters[160], word[4] = "";
    CHECK(n > 4 && strlen(text) > 10);
    memcpy(word, text + 6, 3); /* plain letters: the demo speaks English */

    snprintf(parameters, sizeof parameters, "{\"temperature\": 0, \"stop\": [\"%s\"]}", word);
    struct phalanx_request *r = answer(model, parameters);
    CHECK_STR(phalanx_finish_reason(r, 0), "stop");
    CHECK_STR(phalanx_stop_text(r, 0), word);
    CHECK_EQ(phalanx_stop_token(r, 0), -1);
    CHECK(strstr(phalanx_text(r, 0, NULL), word) == NULL);

    snprintf(parameters, sizeof parameters,
             "{\"temperature\": 0, \"stop\": [\"%s\"], \"include_stop_str_in_output\": true}",
             word);
    CHECK(strstr(text_of(model, parameters), word) != NULL);

    snprintf(parameters, sizeof parameters, "{\"temperature\": 0, \"stop_token_ids\": [%d]}",
             token[3]);
    r = answer(model, parameters);
    CHECK_EQ(phalanx_stop_token(r, 0), token[3]);
    CHECK(phalanx_stop_text(r, 0) == NULL);
    phalanx_tokens(r, 0, &n);
    CHECK(n <= 4);

    snprintf(parameters, sizeof parameters,
             "{\"temperature\": 0, \"stop_token_ids\": [%d], \"min_tokens\": 9}", token[3]);
    phalanx_tokens(answer(model, parameters), 0, &n);
    CHECK(n >= 9);
    CHECK(phalanx_stop_text(whole, 0) == NULL && phalanx_stop_token(whole, 0) == -1);
    phalanx_close(model);
}

TEST(tokens_can_be_allowed_biased_and_banned)
{
    struct phalanx_model *model = open_demo();
    char parameters[160];
    size_t n;
    const int32_t *token = phalanx_tokens(
        answer(model, "{\"temperature\": 0, \"allowed_token_ids\": [40, 41]}"), 0, &n);
    for (size_t i = 0; i < n; i++)
        CHECK(token[i] == 40 || token[i] == 41);
    const int32_t first = phalanx_tokens(answer(model, "{\"temperature\": 0}"), 0, NULL)[0];
    snprintf(parameters, sizeof parameters, "{\"temperature\": 0, \"logit_bias\": {\"%d\": -100}}",
             first);
    CHECK(phalanx_tokens(answer(model, parameters), 0, NULL)[0] != first);
    CHECK(strstr(text_of(model, GREEDY), " a ") != NULL);
    CHECK(strstr(text_of(model, "{\"temperature\": 0, \"bad_words\": [\"a\"]}"), " a ") == NULL);
    phalanx_close(model);
}

TEST(penalties_change_what_repeats)
{
    static const char *const penalty[] = {"\"repetition_penalty\": 2", "\"frequency_penalty\": 2",
                                          "\"presence_penalty\": 2"};
    struct phalanx_model *model = open_demo();
    const char *plain = text_of(model, LONG);
    for (size_t i = 0; i < sizeof penalty / sizeof *penalty; i++) {
        char parameters[160];
        snprintf(parameters, sizeof parameters,
                 "{\"temperature\": 0, \"max_tokens\": 200, \"ignore_eos\": true, %s}", penalty[i]);
        CHECK(strcmp(text_of(model, parameters), plain) != 0);
    }
    phalanx_close(model);
}

TEST(an_echo_is_the_prompt_before_the_answer)
{
    struct phalanx_model *model = open_demo();
    struct seen seen = {0};
    char want[512];
    snprintf(want, sizeof want, "%s%s", PROMPT, text_of(model, GREEDY));
    struct phalanx_request *r =
        phalanx_ask(model, PROMPT, "{\"temperature\": 0, \"max_tokens\": 12, \"echo\": true}", see,
                    &seen, &err);
    CHECK(phalanx_wait(r, &err));
    CHECK_STR(phalanx_text(r, 0, NULL), want);
    CHECK_STR(seen.text, want);
    size_t n, n_tokens;
    int32_t *token = phalanx_tokenize(model, PROMPT, PHALANX_ADD_SPECIAL, &n, &err);
    r = phalanx_ask_tokens(model, token, n,
                           "{\"temperature\": 0, \"max_tokens\": 12, \"echo\": true}", NULL, NULL,
                           &err);
    CHECK(phalanx_wait(r, &err));
    CHECK_STR(phalanx_text(r, 0, NULL), want);
    phalanx_tokens(r, 0, &n_tokens);
    CHECK_EQ(n_tokens, 12); /* those of the answer alone */
    phalanx_free(token);
    phalanx_close(model);
}

TEST(tokens_alone_have_no_text_and_no_stop_text)
{
    struct phalanx_model *model = open_demo();
    struct seen seen = {0};
    struct phalanx_request *r = phalanx_ask(
        model, PROMPT, "{\"max_tokens\": 5, \"ignore_eos\": true, \"detokenize\": false}", see,
        &seen, &err);
    size_t n;
    CHECK(phalanx_wait(r, &err));
    phalanx_tokens(r, 0, &n);
    CHECK_EQ(n, 5);
    CHECK_EQ(seen.n_calls, 5); /* a call a token */
    CHECK_STR(phalanx_text(r, 0, NULL), "");
    CHECK(phalanx_ask(model, PROMPT, "{\"detokenize\": false, \"stop\": \"x\"}", NULL, NULL,
                      &err) == NULL);
    CHECK_STR(err.param, "stop");
    phalanx_close(model);
}

TEST(a_prompt_can_be_cut_at_its_front)
{
    struct phalanx_model *model = open_demo();
    size_t n_whole, n;
    const int32_t *whole = phalanx_prompt_tokens(answer(model, GREEDY), &n_whole);
    const int32_t *cut =
        phalanx_prompt_tokens(answer(model, "{\"truncate_prompt_tokens\": 2}"), &n);
    CHECK_EQ(n, 2);
    CHECK_EQ(cut[1], whole[n_whole - 1]);
    phalanx_close(model);
}

TEST(what_was_computed_is_found_again_unless_it_is_salted)
{
    char prompt[1024] = "", salted[64];
    struct phalanx_model *model = open_demo();
    for (int i = 0; i < 60; i++)
        memcpy(prompt + i * 13, "the king and ", 14);
    int64_t cached[3];
    for (int i = 0; i < 3; i++) {
        snprintf(salted, sizeof salted, "{\"max_tokens\": 1, \"cache_salt\": \"%c\"}",
                 i < 2 ? 'a' : 'b');
        struct phalanx_request *r = phalanx_generate(model, prompt, salted, &err);
        CHECK(r != NULL);
        cached[i] = phalanx_usage(r, PHALANX_CACHED_TOKENS);
        CHECK(cached[i] < phalanx_usage(r, PHALANX_PROMPT_TOKENS));
    }
    CHECK_EQ(cached[0], 0);
    CHECK(cached[1] > 0);
    CHECK_EQ(cached[2], 0);
    phalanx_close(model);
}

TEST(a_deadline_that_is_over_is_an_error_with_a_code)
{
    struct phalanx_model *model = open_demo();
    const char *parameters = "{\"max_tokens\": 2000, \"ignore_eos\": true, \"deadline_ms\": 20}";
    CHECK(phalanx_generate(model, PROMPT, parameters, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_LIMIT);
    CHECK_STR(err.code, "deadline_exceeded");
    phalanx_close(model);
}

TEST(parameters_of_a_measure_are_its_own)
{
    struct phalanx_model *model = open_demo();
    size_t n;
    struct phalanx_request *r =
        phalanx_measure(model, PHALANX_EMBED, PROMPT, NULL, "{\"dimensions\": 8}", &err);
    CHECK(r != NULL);
    phalanx_values(r, &n);
    CHECK_EQ(n, 8);
    CHECK_EQ(phalanx_usage(r, PHALANX_COMPLETION_TOKENS), 0);
    CHECK(phalanx_measure(model, PHALANX_EMBED, PROMPT, NULL, "{\"temperature\": 0}", &err) ==
          NULL);
    CHECK_STR(err.param, "temperature");
    CHECK(phalanx_measure(model, PHALANX_EMBED, PROMPT, NULL, "{\"dimensions\": -1}", &err) ==
          NULL);
    CHECK_STR(err.param, "dimensions");
    phalanx_close(model);
}
