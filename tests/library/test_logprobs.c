/* libphalanx: log-probabilities of answers, prompts and beams. */
#include "tests/library/demo.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

#define WITH_LOGPROBS "{\"temperature\": 0, \"max_tokens\": 8, \"logprobs\": 3}"

TEST(a_token_stands_before_the_likeliest_ones_and_is_there_once)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_generate(
        model, PROMPT, "{\"temperature\": 1.5, \"seed\": 5, \"max_tokens\": 16, \"logprobs\": 3}",
        &err);
    size_t n_tokens, n;
    int n_unlikely = 0;
    CHECK(r != NULL);
    const int32_t *token = phalanx_tokens(r, 0, &n_tokens);
    for (size_t i = 0; i < n_tokens; i++) {
        const struct phalanx_logprob *row = phalanx_logprobs(r, 0, i, &n);
        CHECK(row != NULL);
        CHECK_EQ(row[0].token, token[i]);
        const bool is_among_best = row[0].rank <= 3;
        CHECK_EQ(n, is_among_best ? 3 : 4);
        n_unlikely += !is_among_best;
        for (size_t k = 1; k < n; k++) {
            CHECK(row[k].token != token[i]);
            CHECK(k == 1 || row[k].logprob <= row[k - 1].logprob);
            CHECK(row[k].rank >= 1 && row[k].rank <= 3);
        }
    }
    CHECK(n_unlikely > 0 && n_unlikely < 16); /* both kinds were looked at */
    phalanx_close(model);
}

TEST(the_texts_of_greedy_tokens_are_the_answer)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_generate(model, PROMPT, WITH_LOGPROBS, &err);
    char joined[256] = "";
    double sum = 0;
    CHECK(r != NULL);
    for (size_t i = 0; i < 8; i++) {
        const struct phalanx_logprob *row = phalanx_logprobs(r, 0, i, NULL);
        CHECK_EQ(row[0].rank, 1);
        CHECK(row[0].logprob <= 0);
        CHECK_EQ((long long)strlen(row[0].text), (long long)row[0].n_bytes);
        strncat(joined, row[0].text, sizeof joined - strlen(joined) - 1);
        sum += (double)row[0].logprob;
    }
    CHECK_STR(joined, phalanx_text(r, 0, NULL));
    CHECK(fabs(phalanx_cumulative_logprob(r, 0) - sum) < 1e-9);
    CHECK(isnan(phalanx_beam_score(r, 0)));
    phalanx_close(model);
}

TEST(zero_logprobs_are_of_the_token_alone)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r =
        phalanx_generate(model, PROMPT, "{\"temperature\": 0, \"logprobs\": 0}", &err);
    size_t n;
    CHECK(r != NULL);
    CHECK(phalanx_logprobs(r, 0, 0, &n) != NULL);
    CHECK_EQ(n, 1);
    phalanx_close(model);
}

TEST(an_answer_without_logprobs_has_none)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_generate(model, PROMPT, GREEDY, &err);
    size_t n = 7;
    CHECK(r != NULL);
    CHECK(phalanx_logprobs(r, 0, 0, &n) == NULL);
    CHECK_EQ(n, 0);
    CHECK(phalanx_prompt_logprobs(r, 1, &n) == NULL);
    CHECK(isnan(phalanx_cumulative_logprob(r, 0)));
    phalanx_close(model);
}

TEST(logprobs_that_are_not_there_are_no_row)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_generate(model, PROMPT, WITH_LOGPROBS, &err);
    size_t n = 7;
    CHECK(r != NULL);
    CHECK(phalanx_logprobs(r, 0, 8, &n) == NULL);
    CHECK_EQ(n, 0);
    CHECK(phalanx_logprobs(r, 0, SIZE_MAX, &n) == NULL);
    CHECK(phalanx_logprobs(r, 1, 0, &n) == NULL);
    CHECK(phalanx_logprobs(r, -1, 0, &n) == NULL);
    CHECK(phalanx_logprobs(NULL, 0, 0, &n) == NULL);
    phalanx_close(model);
}

TEST(more_logprobs_than_the_model_was_opened_for_are_refused)
{
    struct phalanx_model *model = open_demo();
    CHECK(phalanx_ask(model, PROMPT, "{\"logprobs\": 21}", NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "logprobs");
    CHECK(phalanx_ask(model, PROMPT, "{\"prompt_logprobs\": 21}", NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "prompt_logprobs");
    CHECK(phalanx_ask(model, PROMPT, "{\"logprobs\": true}", NULL, NULL, &err) == NULL);
    CHECK_STR(err.param, "logprobs");
    phalanx_close(model);
}

TEST(a_prompt_has_logprobs_but_for_its_first_token)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r =
        phalanx_generate(model, PROMPT, "{\"max_tokens\": 1, \"prompt_logprobs\": 2}", &err);
    size_t n_prompt, n;
    CHECK(r != NULL);
    const int32_t *prompt = phalanx_prompt_tokens(r, &n_prompt);
    CHECK(n_prompt > 2);
    CHECK(phalanx_prompt_logprobs(r, 0, &n) == NULL);
    CHECK_EQ(n, 0);
    for (size_t i = 1; i < n_prompt; i++) {
        const struct phalanx_logprob *row = phalanx_prompt_logprobs(r, i, &n);
        CHECK(row != NULL && n >= 2);
        CHECK_EQ(row[0].token, prompt[i]);
    }
    CHECK(phalanx_prompt_logprobs(r, n_prompt, &n) == NULL);
    phalanx_close(model);
}

static bool all_tokens_have_rows(struct phalanx_request *r)
{
    size_t n_tokens, n;
    phalanx_tokens(r, 0, &n_tokens);
    CHECK(n_tokens > 0);
    CHECK(phalanx_logprobs(r, 0, n_tokens - 1, &n) != NULL && n >= 3);
    CHECK(phalanx_logprobs(r, 0, n_tokens, &n) == NULL);
    return true;
}

TEST(a_stream_has_the_logprobs_of_the_tokens_that_came)
{
    struct phalanx_model *model = open_demo();
    struct seen seen = {.then = all_tokens_have_rows};
    struct phalanx_request *r = phalanx_ask(model, PROMPT, WITH_LOGPROBS, see, &seen, &err);
    CHECK(phalanx_wait(r, &err));
    CHECK(seen.n_calls >= 8);
    phalanx_close(model);
}

TEST(beams_come_with_their_scores_in_order)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_generate(
        model, PROMPT, "{\"use_beam_search\": true, \"n\": 3, \"max_tokens\": 6}", &err);
    CHECK(r != NULL);
    CHECK_EQ(phalanx_choices(r), 3);
    for (int i = 0; i < 3; i++) {
        CHECK(phalanx_cumulative_logprob(r, i) < 0);
        CHECK(i == 0 || phalanx_beam_score(r, i) <= phalanx_beam_score(r, i - 1));
    }
    phalanx_close(model);
}
