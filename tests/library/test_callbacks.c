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

static bool refuse(void *n_calls, struct phalanx_request *request, int choice, const char *text,
                   size_t n_bytes)
{
    (void)request, (void)text, (void)n_bytes;
    CHECK_EQ(choice, 0);
    ++*(int *)n_calls;
    return false;
}

TEST(a_choice_of_which_nothing_was_told_has_nothing)
{
    static const char *const parameters[] = {
        "{\"n\": 2, \"max_tokens\": 1, \"logprobs\": 1}",
        "{\"n\": 2, \"use_beam_search\": true, \"max_tokens\": 6}"};
    struct phalanx_model *model = open_demo();
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        int n_calls = 0;
        size_t n;
        struct phalanx_request *r =
            phalanx_ask(model, PROMPT, parameters[i], refuse, &n_calls, &err);
        CHECK(phalanx_wait(r, &err));
        CHECK_EQ(n_calls, 1);
        CHECK_STR(phalanx_finish_reason(r, 1), "abort");
        CHECK_STR(phalanx_text(r, 1, NULL), "");
        phalanx_tokens(r, 1, &n);
        CHECK_EQ(n, 0);
        CHECK(phalanx_logprobs(r, 1, 0, &n) == NULL);
    }
    phalanx_close(model);
}

/* Counts choices that it is told have failed; the first one is enough where `context` says so. */
struct failures {
    int n;
    bool one_is_enough;
};

static bool count_failures(void *context, struct phalanx_request *request, int choice,
                           const char *text, size_t n_bytes)
{
    struct failures *failures = context;
    const char *finish = phalanx_finish_reason(request, choice);
    (void)text, (void)n_bytes;
    if (finish == NULL)
        return true;
    CHECK_STR(finish, "error");
    failures->n++;
    return !failures->one_is_enough;
}

TEST(a_text_function_is_told_of_a_failure)
{
    struct phalanx_model *model = open_demo();
    for (int one = 0; one < 2; one++) {
        struct failures failures = {.one_is_enough = one};
        struct phalanx_request *r = phalanx_ask(
            model, PROMPT,
            "{\"n\": 2, \"max_tokens\": 1500, \"ignore_eos\": true, \"deadline_ms\": 20}",
            count_failures, &failures, &err);
        CHECK(!phalanx_wait(r, &err));
        CHECK_STR(err.code, "deadline_exceeded");
        CHECK_EQ(failures.n, one ? 1 : 2);
        CHECK_STR(phalanx_finish_reason(r, 1), one ? "abort" : "error");
    }
    phalanx_close(model);
}
