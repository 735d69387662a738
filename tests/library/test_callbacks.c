/* libphalanx: what a text function may do, and what it may not. */
#include "tests/library/demo.h"
#include "tests/test.h"

#include <string.h>

static struct phalanx_model *model_of_test;
static struct phalanx_request *asked;

static bool ask_another(struct phalanx_request *request)
{
    (void)request;
    if (asked == NULL)
        asked = phalanx_ask(model_of_test, PROMPT, GREEDY, NULL, NULL, &err);
    return true;
}

TEST(a_text_function_may_ask)
{
    struct phalanx_model *model = model_of_test = open_demo();
    struct seen seen = {.then = ask_another};
    asked = NULL;
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, see, &seen, &err);
    CHECK(phalanx_run(model, &err));
    CHECK(asked != NULL && phalanx_is_done(asked));
    CHECK_STR(phalanx_text(asked, 0, NULL), phalanx_text(r, 0, NULL));
    phalanx_close(model);
}

static bool try_to_run(struct phalanx_request *request)
{
    CHECK(!phalanx_run(model_of_test, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    CHECK(!phalanx_step(model_of_test, 0, &err));
    CHECK(!phalanx_wait(request, &err));
    CHECK(phalanx_generate(model_of_test, PROMPT, GREEDY, &err) == NULL);
    CHECK(strstr(err.text, "phalanx_text_fn") != NULL);
    return true;
}

TEST(a_text_function_may_not_wait_and_is_told_so)
{
    struct phalanx_model *model = model_of_test = open_demo();
    struct seen seen = {.then = try_to_run};
    struct phalanx_request *r =
        phalanx_ask(model, PROMPT, "{\"temperature\": 0, \"max_tokens\": 4}", see, &seen, &err);
    CHECK(phalanx_wait(r, &err));
    CHECK_STR(phalanx_finish_reason(r, 0), "length");
    phalanx_close(model);
}

TEST(a_text_function_may_release_another_request)
{
    struct phalanx_model *model = open_demo();
    struct seen seen = {.release = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err)};
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, see, &seen, &err);
    CHECK(phalanx_run(model, &err));
    CHECK(phalanx_next_done(model) == r);
    CHECK(phalanx_next_done(model) == NULL);
    expect_text(model, seen.text);
    phalanx_close(model);
}

TEST(a_text_function_may_release_its_own_request)
{
    struct phalanx_model *model = open_demo();
    struct seen seen = {0};
    seen.release = phalanx_ask(model, PROMPT, LONG, see, &seen, &err);
    CHECK(phalanx_run(model, &err));
    CHECK_EQ(seen.n_calls, 1);
    CHECK(phalanx_next_done(model) == NULL);
    phalanx_close(model);
}

TEST(a_request_that_is_released_while_it_is_waited_for_is_an_error)
{
    struct phalanx_model *model = open_demo();
    struct seen seen = {0};
    seen.release = phalanx_ask(model, PROMPT, LONG, see, &seen, &err);
    CHECK(!phalanx_wait(seen.release, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    CHECK(strstr(err.text, "released") != NULL);
    phalanx_close(model);
}

static bool look(struct phalanx_request *request)
{
    size_t n_bytes, n_tokens;
    const char *text = phalanx_text(request, 0, &n_bytes);
    phalanx_tokens(request, 0, &n_tokens);
    CHECK_EQ((long long)strlen(text), (long long)n_bytes);
    CHECK(n_tokens > 0);
    return true;
}

TEST(a_text_function_sees_the_answer_so_far)
{
    struct phalanx_model *model = open_demo();
    struct seen seen = {.then = look};
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, see, &seen, &err);
    CHECK(phalanx_wait(r, &err));
    CHECK_EQ(seen.n_calls, 12); /* a call a token */
    phalanx_close(model);
}
