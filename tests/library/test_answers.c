/* libphalanx: what comes back, whole and as a stream. */
#include "tests/files.h"
#include "tests/library/demo.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TEST(a_stream_has_the_text_of_the_answer)
{
    struct seen seen = {0};
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, GREEDY, see, &seen, &err);
    CHECK(r != NULL && !phalanx_is_done(r));
    CHECK(phalanx_wait(r, &err) && phalanx_is_done(r));
    CHECK(seen.n_calls > 1);
    CHECK_STR(phalanx_text(r, 0, NULL), seen.text);
    CHECK_STR(phalanx_finish_reason(r, 0), "length");
    size_t n;
    CHECK(phalanx_tokens(r, 0, &n) != NULL);
    CHECK_EQ(n, 12);
    CHECK_EQ(phalanx_usage(r, PHALANX_COMPLETION_TOKENS), 12);
    CHECK(phalanx_usage(r, PHALANX_PROMPT_TOKENS) > 0);
    expect_text(model, seen.text);
    phalanx_release(r);
    phalanx_close(model);
}

TEST(the_rest_of_a_stream_can_be_refused)
{
    struct seen seen = {.most_calls = 3};
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, LONG, see, &seen, &err);
    CHECK(r != NULL && phalanx_wait(r, &err));
    CHECK_EQ(seen.n_calls, 3);
    CHECK_STR(phalanx_text(r, 0, NULL), seen.text);
    CHECK_STR(phalanx_finish_reason(r, 0), "abort");
    phalanx_release(r);
    phalanx_close(model);
}

TEST(several_choices_are_told_apart)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r =
        phalanx_generate(model, PROMPT, "{\"n\": 3, \"seed\": 7, \"max_tokens\": 8}", &err);
    CHECK(r != NULL);
    CHECK_EQ(phalanx_choices(r), 3);
    CHECK(strcmp(phalanx_text(r, 0, NULL), phalanx_text(r, 1, NULL)) != 0);
    CHECK_STR(phalanx_text(r, 3, NULL), "");
    CHECK(phalanx_finish_reason(r, -1) == NULL);
    phalanx_release(r);
    phalanx_close(model);
}

TEST(a_chat_is_answered)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r =
        phalanx_chat(model, "[{\"role\": \"user\", \"content\": \"Hi\"}]", GREEDY, &err);
    CHECK(r != NULL);
    CHECK(*phalanx_text(r, 0, NULL) != '\0');
    phalanx_release(r);
    phalanx_close(model);
}

TEST(an_embedding_has_length_1)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_measure(model, PHALANX_EMBED, PROMPT, NULL, NULL, &err);
    size_t n;
    double sum = 0;
    CHECK(r != NULL);
    const float *value = phalanx_values(r, &n);
    CHECK(n > 1);
    for (size_t i = 0; i < n; i++)
        sum += (double)value[i] * (double)value[i];
    CHECK(fabs(sum - 1) < 1e-5);
    CHECK_EQ(phalanx_choices(r), 0);
    phalanx_release(r);
    r = phalanx_measure(model, PHALANX_SCORE, PROMPT, PROMPT, NULL, &err);
    CHECK(r != NULL);
    value = phalanx_values(r, &n);
    CHECK_EQ(n, 1);
    CHECK(fabs((double)value[0] - 1) < 1e-5);
    phalanx_release(r);
    CHECK(phalanx_measure(model, PHALANX_CLASSIFY, PROMPT, NULL, NULL, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_UNSUPPORTED);
    phalanx_close(model);
}

/* The model of tests/golden with three labels; it has no tokenizer of its own, and needs none. */
static void link_model_with_labels(const struct folder *folder)
{
    static const char *const names[][2] = {
        {"golden/llama-scores/config.json", "config.json"},
        {"golden/llama-scores/model.safetensors", "model.safetensors"},
        {"../demo/model/tokenizer.json", "tokenizer.json"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[512];
        snprintf(from, sizeof from, "%s/tests/%s", SOURCE_DIR, names[i][0]);
        CHECK_EQ(symlink(from, folder_path(folder, names[i][1]).text), 0);
    }
}

TEST(labels_have_names_and_probabilities)
{
    const int32_t token[] = {137, 157, 30, 46};
    const struct folder folder = folder_make();
    link_model_with_labels(&folder);
    struct phalanx_model *model = phalanx_open(folder.path, NULL, 0, &err);
    if (model == NULL)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    CHECK_EQ(phalanx_labels(model), 3);
    CHECK_STR(phalanx_label(model, 0), "good");
    CHECK_STR(phalanx_label(model, 2), "odd");
    CHECK(phalanx_label(model, 3) == NULL && phalanx_label(model, -1) == NULL);
    struct phalanx_request *r =
        phalanx_ask_measure_tokens(model, PHALANX_CLASSIFY, token, 4, NULL, &err);
    size_t n;
    CHECK(phalanx_wait(r, &err));
    const float *value = phalanx_values(r, &n);
    CHECK_EQ(n, 3);
    CHECK(fabs((double)value[0] + (double)value[1] + (double)value[2] - 1) < 1e-6);
    CHECK_EQ(phalanx_usage(r, PHALANX_PROMPT_TOKENS), 4);
    CHECK(phalanx_ask_measure_tokens(model, PHALANX_EMBED, token, 4, NULL, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_UNSUPPORTED);
    phalanx_close(model);
    folder_remove(&folder);
}
