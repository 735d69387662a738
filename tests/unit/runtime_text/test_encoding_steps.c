/* A text that is encoded bit by bit has the ids of the whole, with the vocabularies of real models,
 * whatever the text is and however long the steps are. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/utf8.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/runtime_text/small_tokenizer.h"

#include <stdio.h>
#include <string.h>

static const char *const folders[] = {
    "/demo/model",
    "/../shared/data/tokenizers/llama-3.1",
    "/../shared/data/tokenizers/llama-2-7b",
    "/../shared/data/tokenizers/qwen2",
    "/../shared/data/tokenizers/cohere",
    "/../shared/data/tokenizers/mpt",
    "/../shared/data/tokenizers/phi-2",
    "/../shared/data/tokenizers/torchtune-tiny-bpe",
};
enum { N_FOLDERS = sizeof folders / sizeof *folders, N_TEXTS = 200, N_PIECES = 40 };

/* NULL: it is not here, as only the first one always is. */
static struct tokenizer *open_model(int i)
{
    char path[512];
    struct error err = {0};
    struct tokenizer *t = NULL;
    snprintf(path, sizeof path, "%s%s/tokenizer.json", SOURCE_DIR, folders[i]);
    if (!tokenizer_open(&t, path, &err) && i == 0)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return t;
}

static uint32_t draw(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)*state * below) >> 32);
}

static void add_letters(struct bytes *text, uint32_t *state, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        bytes_add_char(text, (char)('a' + draw(state, 26)));
}

/* Words, and what is special about them: spaces, marks, tokens spelled out, at borders of all. */
static void add_random(struct bytes *text, uint32_t *state)
{
    static const char *const piece[] = {
        " the",
        "The ",
        "\n\n",
        "   ",
        "\t",
        "...",
        "123456",
        "'s",
        "<s>",
        "</s>",
        "<|",
        "|>",
        "<unk>",
        "<0xA>",
        "e\u0301",
        "\u00e9",
        "\u2581",
        "\u4f60\u597d",
        "\uac00",
        "\U0001f600",
        "\u0663",
        "\ufb01",
        "<|endoftext|>",
        "<|eot_id|>",
        "<|im_start|>",
        "<|START_OF_TURN_TOKEN|>",
    };
    const uint32_t n = sizeof piece / sizeof *piece, kind = draw(state, n + 6);
    char one[4];
    if (kind < n)
        bytes_add_text(text, piece[kind]);
    else if (kind < n + 4)
        add_letters(text, state, draw(state, 50));
    else
        bytes_add(text, one, utf8_write(one, 0x20 + draw(state, 0xD000)));
}

/* Random text, a random part of which is plain. */
static void check_random(struct encoder *e, struct encoder *other, uint32_t *state)
{
    static const size_t lengths[] = {1, 2, 3, 7, 50, 1000};
    struct bytes text = {0};
    struct ids ids = {0};
    struct error err = {0};
    const uint32_t n = 1 + draw(state, N_PIECES);
    for (uint32_t i = 0; i < n; i++)
        add_random(&text, state);
    bytes_add_char(&text, '.');
    struct text_range plain = {draw(state, (uint32_t)text.len), text.len};
    plain.end -= draw(state, (uint32_t)(text.len - plain.begin));
    const struct encode_options options = {.add_special_tokens = draw(state, 2) == 0,
                                           .special_as_text = draw(state, 4) == 0,
                                           .plain = &plain,
                                           .n_plain = draw(state, 2)};
    CHECK(encoder_encode(e, text.data, text.len, &options, &ids, &err));
    check_steps(other, text.data, text.len, &options, lengths[draw(state, 6)], &ids);
    bytes_release(&text);
    ids_release(&ids);
}

TEST(random_texts_have_the_ids_of_the_whole)
{
    uint32_t state = 7;
    for (int i = 0; i < N_FOLDERS; i++) {
        struct tokenizer *t = open_model(i);
        if (t == NULL)
            continue;
        struct encoder *e = encoder_create(t), *other = encoder_create(t);
        for (int k = 0; k < N_TEXTS; k++)
            check_random(e, other, &state);
        encoder_destroy(other);
        encoder_destroy(e);
        tokenizer_close(t);
    }
}

TEST(so_has_one_long_word_of_which_no_step_does_more_than_was_asked)
{
    enum { N = 30000, STEP = 100 };
    uint32_t state = 1;
    struct bytes word = {0};
    add_letters(&word, &state, N);
    for (int i = 0; i < N_FOLDERS; i++) {
        struct tokenizer *t = open_model(i);
        if (t == NULL)
            continue;
        struct encoder *e = encoder_create(t);
        struct ids ids = {0}, got = {0};
        struct error err = {0};
        int n_calls = 0;
        CHECK(encoder_encode(e, word.data, word.len, NULL, &ids, &err));
        struct encoding *x = encoding_begin(e, word.data, word.len, NULL, &got, &err);
        for (bool done = false; !done; n_calls++)
            CHECK(encoding_step(x, STEP, &done, &err));
        encoding_end(x);
        CHECK_EQ(got.n, ids.n);
        CHECK(memcmp(got.data, ids.data, ids.n * sizeof *ids.data) == 0);
        CHECK(n_calls > N / STEP); /* each letter is one, at least */
        ids_release(&got);
        ids_release(&ids);
        encoder_destroy(e);
        tokenizer_close(t);
    }
    bytes_release(&word);
}

TEST(two_texts_may_be_under_way_at_once)
{
    static const char *const text[] = {"The cat sat on the mat, and then it sat down again.",
                                       "Once upon a time there was a little girl named Lily."};
    struct tokenizer *t = open_model(0);
    struct encoder *e = encoder_create(t);
    struct encoding *x[2];
    struct ids ids[2] = {0}, want[2] = {0};
    struct error err = {0};
    bool done[2] = {0};
    for (int i = 0; i < 2; i++) {
        CHECK(encoder_encode(e, text[i], strlen(text[i]), NULL, &want[i], &err));
        x[i] = encoding_begin(e, text[i], strlen(text[i]), NULL, &ids[i], &err);
    }
    CHECK_EQ(encoder_under_way(e), strlen(text[0]) + strlen(text[1]));
    while (!done[0] || !done[1])
        for (int i = 0; i < 2; i++)
            CHECK(encoding_step(x[i], 1, &done[i], &err));
    for (int i = 0; i < 2; i++) {
        encoding_end(x[i]);
        CHECK_EQ(ids[i].n, want[i].n);
        CHECK(memcmp(ids[i].data, want[i].data, want[i].n * sizeof *want[i].data) == 0);
        ids_release(&ids[i]);
        ids_release(&want[i]);
    }
    CHECK_EQ(encoder_under_way(e), 0);
    encoder_destroy(e);
    tokenizer_close(t);
}

TEST(one_that_is_ended_early_leaves_nothing_and_the_next_one_is_right)
{
    static const char text[] = "The cat sat on the mat.";
    struct tokenizer *t = open_model(0);
    struct encoder *e = encoder_create(t);
    struct ids want = {0}, ids = {0};
    struct error err = {0};
    CHECK(encoder_encode(e, text, strlen(text), NULL, &want, &err));
    for (size_t n_steps = 0; n_steps < 40; n_steps++) {
        bool done;
        ids_clear(&ids);
        ids_add(&ids, 5);
        struct encoding *x = encoding_begin(e, text, strlen(text), NULL, &ids, &err);
        CHECK(encoding_step(x, n_steps, &done, &err));
        encoding_end(x);
        CHECK_EQ(ids.n, done ? 1 + want.n : 1);
        check_steps(e, text, strlen(text), NULL, 2, &want);
    }
    ids_release(&ids);
    ids_release(&want);
    encoder_destroy(e);
    tokenizer_close(t);
}

TEST(what_is_no_utf_8_is_refused_before_the_first_step)
{
    struct tokenizer *t = open_model(0);
    struct encoder *e = encoder_create(t);
    struct ids ids = {0};
    struct error err = {0};
    CHECK(encoding_begin(e, "aa\xFF", 3, NULL, &ids, &err) == NULL);
    CHECK(strstr(err.text, "byte 2") != NULL);
    CHECK_EQ(encoder_under_way(e), 0);
    encoder_destroy(e);
    tokenizer_close(t);
}
