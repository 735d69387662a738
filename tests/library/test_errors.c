/* libphalanx: what is wrong, and how it is told. */
#include "tests/library/demo.h"
#include "tests/test.h"

#include <string.h>

TEST(a_model_that_is_not_there_is_an_error_of_input)
{
    CHECK(phalanx_open("/no/such/model", NULL, 0, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    CHECK(strstr(err.text, "/no/such/model") != NULL);
}

TEST(an_option_that_is_not_there_is_named_with_the_nearest)
{
    const char *const options[] = {"--tensor-paralel-size=2"};
    CHECK(phalanx_open(DEMO, options, 1, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    CHECK(strstr(err.text, "did you mean --tensor-parallel-size?") != NULL);
}

TEST(a_word_that_is_no_option_is_refused)
{
    const char *const options[] = {"serve"};
    CHECK(phalanx_open(DEMO, options, 1, &err) == NULL);
    CHECK(strstr(err.text, "'serve'") != NULL);
}

TEST(an_error_that_nobody_wants_is_fine)
{
    CHECK(phalanx_open("/no/such/model", NULL, 0, NULL) == NULL);
}

TEST(a_parameter_that_is_wrong_is_named)
{
    static const struct {
        const char *json, *param;
    } rows[] = {
        {"{\"temperature\": -1}", "temperature"}, {"{\"temperature\": \"hot\"}", "temperature"},
        {"{\"temprature\": 1}", "temprature"},    {"{\"top_p\": 2}", "top_p"},
        {"{\"max_tokens\": 0}", "max_tokens"},    {"{\"tools\": []}", "tools"},
    };
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(phalanx_ask(model, PROMPT, rows[i].json, NULL, NULL, &err) == NULL);
        CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
        CHECK_STR(err.param, rows[i].param);
    }
    phalanx_close(model);
}

TEST(parameters_that_are_no_object_are_refused)
{
    struct phalanx_model *model = open_demo();
    CHECK(phalanx_generate(model, PROMPT, "[1]", &err) == NULL);
    CHECK(phalanx_generate(model, PROMPT, "{", &err) == NULL);
    CHECK(phalanx_generate(model, PROMPT, "", &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    phalanx_close(model);
}

TEST(messages_that_are_wrong_are_named)
{
    static const char *const wrong[] = {"{}", "[]", "[1]", "nonsense", "[{\"content\": \"Hi\"}]"};
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(phalanx_chat(model, wrong[i], NULL, &err) == NULL);
        CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
        CHECK_STR(err.param, "messages");
    }
    phalanx_close(model);
}

TEST(a_prompt_that_is_too_long_has_a_code)
{
    static char prompt[1 << 20];
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i + 2 < sizeof prompt; i += 2)
        memcpy(prompt + i, "a ", 2);
    CHECK(phalanx_ask(model, prompt, NULL, NULL, NULL, &err) == NULL);
    CHECK_STR(err.code, "context_length_exceeded");
    phalanx_close(model);
}

TEST(what_is_not_given_is_an_error)
{
    struct phalanx_model *model = open_demo();
    CHECK(phalanx_open(NULL, NULL, 0, &err) == NULL);
    CHECK(phalanx_generate(model, NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "prompt");
    CHECK(phalanx_chat(model, NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "messages");
    CHECK(phalanx_measure(model, PHALANX_EMBED, NULL, NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "input");
    CHECK(phalanx_measure(model, (enum phalanx_task)9, PROMPT, NULL, NULL, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    phalanx_close(model);
    phalanx_close(NULL);
    phalanx_release(NULL);
}

TEST(a_model_that_is_null_is_an_error_of_input)
{
    size_t n = 7;
    CHECK(phalanx_generate(NULL, PROMPT, GREEDY, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    CHECK(phalanx_chat(NULL, "[]", GREEDY, &err) == NULL);
    CHECK(phalanx_measure(NULL, PHALANX_EMBED, PROMPT, NULL, NULL, &err) == NULL);
    CHECK(phalanx_ask_tokens(NULL, NULL, 0, NULL, NULL, NULL, &err) == NULL);
    CHECK(phalanx_tokenize(NULL, PROMPT, 0, &n, &err) == NULL);
    CHECK(phalanx_render_chat(NULL, "[]", NULL, &n, &err) == NULL);
    CHECK(phalanx_detokenize(NULL, NULL, 0, false, &n, &err) == NULL);
    CHECK(!phalanx_run(NULL, &err) && !phalanx_step(NULL, 0, &err));
    CHECK_EQ(phalanx_find_token(NULL, "a"), -1);
    CHECK_EQ(phalanx_fd(NULL), -1);
    CHECK_EQ(phalanx_max_model_len(NULL) + phalanx_vocab_size(NULL) + phalanx_labels(NULL), 0);
    CHECK_STR(phalanx_about(NULL), "");
    CHECK(phalanx_next_done(NULL) == NULL && phalanx_label(NULL, 0) == NULL);
    phalanx_interrupt(NULL);
}

TEST(a_request_that_is_null_is_an_empty_answer)
{
    size_t n = 7;
    err = (struct phalanx_error){.kind = PHALANX_ERROR_LIMIT};
    CHECK(!phalanx_wait(NULL, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_LIMIT); /* as the ask before has left it */
    CHECK(phalanx_is_done(NULL));
    CHECK_EQ(phalanx_choices(NULL), 0);
    CHECK_STR(phalanx_text(NULL, 0, &n), "");
    CHECK_EQ(n, 0);
    CHECK(phalanx_tokens(NULL, 0, &n) == NULL && phalanx_prompt_tokens(NULL, &n) == NULL);
    CHECK(phalanx_values(NULL, &n) == NULL);
    CHECK(phalanx_finish_reason(NULL, 0) == NULL && phalanx_stop_text(NULL, 0) == NULL);
    CHECK_EQ(phalanx_usage(NULL, PHALANX_PROMPT_TOKENS), -1);
    CHECK(phalanx_context(NULL) == NULL);
    phalanx_set_context(NULL, &n);
    phalanx_cancel(NULL);
}

TEST(options_that_are_null_are_told)
{
    const char *const options[] = {"--seed=1", NULL};
    CHECK(phalanx_open(DEMO, options, 2, &err) == NULL);
    CHECK(strstr(err.text, "option 2 of 2 is NULL") != NULL);
    CHECK(phalanx_open(DEMO, NULL, 1, &err) == NULL);
    CHECK(phalanx_open(DEMO, options, -1, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
}

TEST(a_count_that_is_not_there_is_minus_1)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_generate(model, PROMPT, GREEDY, &err);
    CHECK_EQ(phalanx_usage(r, (enum phalanx_count)99), -1);
    CHECK_EQ(phalanx_usage(r, PHALANX_DRAFTED_TOKENS), 0);
    phalanx_close(model);
}
