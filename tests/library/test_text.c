/* libphalanx: text to tokens and back, and prompts of tokens. */
#include "tests/library/demo.h"
#include "tests/test.h"

#include <string.h>

#define CHAT "[{\"role\": \"user\", \"content\": \"Hi\"}]"

static void expect_ids(const int32_t *got, size_t n_got, const int32_t *want, size_t n_want)
{
    CHECK_EQ((long long)n_got, (long long)n_want);
    CHECK(n_got == 0 || memcmp(got, want, n_got * sizeof *got) == 0);
}

TEST(tokens_of_a_text_are_the_text_again)
{
    struct phalanx_model *model = open_demo();
    size_t n, n_bytes;
    int32_t *token = phalanx_tokenize(model, PROMPT, 0, &n, &err);
    CHECK(token != NULL && n > 1);
    char *text = phalanx_detokenize(model, token, n, true, &n_bytes, &err);
    CHECK_STR(text, PROMPT);
    CHECK_EQ((long long)n_bytes, (long long)strlen(PROMPT));
    phalanx_free(text);
    phalanx_free(token);
    phalanx_close(model);
}

TEST(the_tokens_of_a_prompt_ask_the_same)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *a = phalanx_generate(model, PROMPT, GREEDY, &err);
    size_t n, n_seen;
    int32_t *token = phalanx_tokenize(model, PROMPT, PHALANX_ADD_SPECIAL, &n, &err);
    struct phalanx_request *b = phalanx_ask_tokens(model, token, n, GREEDY, NULL, NULL, &err);
    CHECK(a != NULL && phalanx_wait(b, &err));
    const int32_t *seen = phalanx_prompt_tokens(b, &n_seen);
    expect_ids(seen, n_seen, token, n);
    seen = phalanx_prompt_tokens(a, &n_seen);
    expect_ids(seen, n_seen, token, n);
    CHECK_STR(phalanx_text(b, 0, NULL), phalanx_text(a, 0, NULL));
    phalanx_free(token);
    phalanx_close(model);
}

TEST(prompts_of_tokens_that_are_none_are_refused)
{
    struct phalanx_model *model = open_demo();
    const int32_t below[] = {1, -1}, above[] = {1, phalanx_vocab_size(model)};
    const struct {
        const int32_t *token;
        size_t n;
    } rows[] = {{NULL, 0}, {below, 0}, {NULL, 3}, {below, 2}, {above, 2}, {below, SIZE_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(phalanx_ask_tokens(model, rows[i].token, rows[i].n, GREEDY, NULL, NULL, &err) ==
              NULL);
        CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
        CHECK_STR(err.param, "prompt");
        CHECK(phalanx_ask_measure_tokens(model, PHALANX_EMBED, rows[i].token, rows[i].n, NULL,
                                         &err) == NULL);
        CHECK_STR(err.param, "input");
    }
    phalanx_close(model);
}

TEST(a_vector_of_tokens_is_that_of_their_text)
{
    struct phalanx_model *model = open_demo();
    size_t n, n_values, n_same;
    int32_t *token = phalanx_tokenize(model, PROMPT, PHALANX_ADD_SPECIAL, &n, &err);
    struct phalanx_request *a = phalanx_measure(model, PHALANX_EMBED, PROMPT, NULL, NULL, &err);
    struct phalanx_request *b =
        phalanx_ask_measure_tokens(model, PHALANX_EMBED, token, n, NULL, &err);
    CHECK(a != NULL && phalanx_wait(b, &err));
    const float *value = phalanx_values(a, &n_values), *same = phalanx_values(b, &n_same);
    CHECK_EQ((long long)n_same, (long long)n_values);
    CHECK_EQ((long long)n_values, phalanx_embedding_size(model));
    CHECK(memcmp(value, same, n_values * sizeof *value) == 0);
    phalanx_free(token);
    phalanx_close(model);
}

TEST(what_spells_a_special_token_is_one_only_where_that_is_asked)
{
    struct phalanx_model *model = open_demo();
    size_t n;
    int32_t *chat = phalanx_tokenize_chat(model, CHAT, NULL, &n, &err);
    CHECK(chat != NULL);
    char *spelling = phalanx_detokenize(model, chat, 1, false, NULL, &err); /* a mark of a turn */
    const int32_t id = phalanx_find_token(model, spelling);
    CHECK_EQ(id, chat[0]);
    phalanx_free(chat);
    int32_t *token = phalanx_tokenize(model, spelling, PHALANX_READ_SPECIAL, &n, &err);
    expect_ids(token, n, &id, 1);
    phalanx_free(token);
    token = phalanx_tokenize(model, spelling, 0, &n, &err);
    CHECK(n > 1);
    char *text = phalanx_detokenize(model, &id, 1, true, NULL, &err);
    CHECK_STR(text, ""); /* left out */
    phalanx_free(text);
    phalanx_free(token);
    phalanx_free(spelling);
    phalanx_close(model);
}

TEST(a_chat_is_the_tokens_and_the_text_of_its_prompt)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_chat(model, CHAT, GREEDY, &err);
    size_t n_want, n;
    CHECK(r != NULL);
    const int32_t *want = phalanx_prompt_tokens(r, &n_want);
    int32_t *token = phalanx_tokenize_chat(model, CHAT, GREEDY, &n, &err);
    expect_ids(token, n, want, n_want);
    phalanx_free(token);
    char *text = phalanx_render_chat(model, CHAT, NULL, NULL, &err);
    CHECK(text != NULL && strstr(text, "Hi") != NULL);
    token = phalanx_tokenize(model, text, PHALANX_READ_SPECIAL, &n, &err);
    expect_ids(token, n, want, n_want);
    phalanx_free(token);
    phalanx_free(text);
    char *shorter =
        phalanx_render_chat(model, CHAT, "{\"add_generation_prompt\": false}", &n, &err);
    CHECK(shorter != NULL && n < n_want * 64 && strstr(shorter, "Hi") != NULL);
    phalanx_free(shorter);
    phalanx_close(model);
}

TEST(text_tools_say_what_is_wrong)
{
    struct phalanx_model *model = open_demo();
    const int32_t wrong[] = {1, -5};
    size_t n = 7;
    CHECK(phalanx_tokenize(model, NULL, 0, &n, &err) == NULL);
    CHECK_EQ(n, 0);
    CHECK_STR(err.param, "text");
    CHECK(phalanx_tokenize(model, "\xff", 0, &n, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_INPUT);
    CHECK(phalanx_detokenize(model, wrong, 2, true, &n, &err) == NULL);
    CHECK_STR(err.param, "token");
    CHECK(phalanx_detokenize(model, NULL, 2, true, &n, &err) == NULL);
    CHECK_STR(err.param, "token");
    CHECK(phalanx_render_chat(model, "[]", NULL, &n, &err) == NULL);
    CHECK_STR(err.param, "messages");
    CHECK(phalanx_tokenize_chat(model, CHAT, "{\"tools\": 1}", &n, &err) == NULL);
    CHECK_STR(err.param, "tools");
    CHECK_EQ(phalanx_find_token(model, "no such token, ever"), -1);
    phalanx_close(model);
}

TEST(nothing_is_no_tokens_and_no_text)
{
    struct phalanx_model *model = open_demo();
    size_t n = 7;
    int32_t *token = phalanx_tokenize(model, "", 0, &n, &err);
    CHECK(token != NULL);
    CHECK_EQ(n, 0);
    char *text = phalanx_detokenize(model, NULL, 0, true, &n, &err);
    CHECK_STR(text, "");
    phalanx_free(token);
    phalanx_free(text);
    phalanx_free(NULL);
    phalanx_close(model);
}
