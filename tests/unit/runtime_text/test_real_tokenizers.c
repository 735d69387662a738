/* The vocabularies of real models, against what Hugging Face's library gives for the same texts. */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/runtime_text/small_tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define DATA SOURCE_DIR "/../shared/data/tokenizers/"

static const char *const models[] = {"qwen2",  "llama-3.1",         "mpt", "phi-2", "llama-2-7b",
                                     "cohere", "torchtune-tiny-bpe"};
enum { N_MODELS = sizeof models / sizeof *models, N_STREAMS = 400, STREAM_IDS = 40 };

static json_t *read_texts(void)
{
    json_t *texts = json_load_file(DATA "texts.json", JSON_ALLOW_NUL, NULL);
    if (texts == NULL)
        SKIP("../shared/data/tokenizers is not here");
    return texts;
}

static struct tokenizer *open_model(const char *model)
{
    char path[512];
    struct error err = {0};
    struct tokenizer *t = NULL;
    snprintf(path, sizeof path, "%s%s/tokenizer.json", DATA, model);
    tokenizer_open(&t, path, &err);
    CHECK_STR(err.text, "");
    return t;
}

static bool same_ids(const struct ids *got, const json_t *want)
{
    bool same = got->n == json_array_size(want);
    for (size_t i = 0; same && i < got->n; i++)
        same = got->data[i] == json_integer_value(json_array_get(want, i));
    return same;
}

static bool encodes_to(struct encoder *e, const json_t *text, bool special, const json_t *want)
{
    struct ids ids = {0};
    struct error err = {0};
    const struct encode_options options = {.add_special_tokens = special};
    const bool same = encoder_encode(e, json_string_value(text), json_string_length(text), &options,
                                     &ids, &err) &&
                      same_ids(&ids, want);
    check_steps(e, json_string_value(text), json_string_length(text), &options, 1 + ids.n % 5,
                &ids);
    ids_release(&ids);
    return same;
}

static bool decodes_to(const struct tokenizer *t, const json_t *list, bool skip, const json_t *want)
{
    struct ids ids = {0};
    struct bytes text = {0};
    for (size_t i = 0; i < json_array_size(list); i++)
        ids_add(&ids, (int32_t)json_integer_value(json_array_get(list, i)));
    CHECK(detokenizer_decode(t, ids.data, ids.n, skip, &text));
    const bool same = text.len == json_string_length(want) &&
                      (text.len == 0 || memcmp(text.data, json_string_value(want), text.len) == 0);
    bytes_release(&text);
    ids_release(&ids);
    return same;
}

static const json_t *or_else(const json_t *value, const json_t *other)
{
    return json_is_null(value) ? other : value;
}

struct count {
    int total, ids, ids_without_special, decoded, decoded_without_special;
};

static struct count count_exact(const char *model, const json_t *texts)
{
    struct count count = {0};
    char path[512], line[1 << 16];
    snprintf(path, sizeof path, "%s%s/expected.jsonl", DATA, model);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    struct tokenizer *t = open_model(model);
    struct encoder *e = encoder_create(t);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *want = json_loads(line, JSON_ALLOW_NUL, NULL);
        CHECK(want != NULL);
        const json_t *text =
            json_array_get(texts, (size_t)json_integer_value(json_object_get(want, "i")));
        const json_t *ids = json_object_get(want, "ids");
        count.total++;
        count.ids += encodes_to(e, text, true, ids);
        count.ids_without_special +=
            encodes_to(e, text, false, or_else(json_object_get(want, "ids_nospecial"), ids));
        count.decoded += decodes_to(t, ids, false, or_else(json_object_get(want, "decoded"), text));
        count.decoded_without_special +=
            decodes_to(t, ids, true, or_else(json_object_get(want, "decoded_skip"), text));
        json_decref(want);
    }
    fclose(file);
    encoder_destroy(e);
    tokenizer_close(t);
    return count;
}

TEST(ids_and_texts_are_those_of_the_reference_library)
{
    json_t *texts = read_texts();
    for (int i = 0; i < N_MODELS; i++) {
        const struct count count = count_exact(models[i], texts);
        printf("  %s: ids %d/%d, without special tokens %d/%d, decoded %d/%d, skipping %d/%d\n",
               models[i], count.ids, count.total, count.ids_without_special, count.total,
               count.decoded, count.total, count.decoded_without_special, count.total);
        CHECK_EQ(count.total, json_array_size(texts));
        CHECK_EQ(count.ids, count.total);
        CHECK_EQ(count.ids_without_special, count.total);
        CHECK_EQ(count.decoded, count.total);
        CHECK_EQ(count.decoded_without_special, count.total);
    }
    json_decref(texts);
}

/* What is shown so far must be whole characters, and all of it must be the decode at once. */
static void check_stream(const struct tokenizer *t, const int32_t *ids, size_t n_ids, bool skip)
{
    struct detokenizer d;
    struct bytes all = {0}, stream = {0};
    CHECK(detokenizer_decode(t, ids, n_ids, skip, &all));
    detokenizer_init(&d, t, skip);
    for (size_t i = 0; i <= n_ids; i++) {
        const size_t before = stream.len;
        CHECK(i < n_ids ? detokenizer_add(&d, ids[i], &stream) : detokenizer_flush(&d, &stream));
        CHECK_EQ(utf8_valid_bytes(stream.data + before, stream.len - before), stream.len - before);
    }
    CHECK_EQ(stream.len, all.len);
    CHECK(all.len == 0 || memcmp(stream.data, all.data, all.len) == 0);
    detokenizer_release(&d);
    bytes_release(&all);
    bytes_release(&stream);
}

TEST(a_stream_of_any_ids_is_the_decode_of_all_of_them)
{
    json_decref(read_texts());
    uint32_t state = 12345;
    for (int m = 0; m < N_MODELS; m++) {
        struct tokenizer *t = open_model(models[m]);
        for (int i = 0; i < N_STREAMS; i++) {
            int32_t ids[STREAM_IDS];
            for (int k = 0; k < STREAM_IDS; k++) {
                state = state * 1664525 + 1013904223;
                /* the first ids of byte-level models are single bytes: broken characters */
                const uint32_t range = i % 2 ? 256 : (uint32_t)tokenizer_vocab(t) + 5;
                ids[k] = (int32_t)((state >> 8) % range);
            }
            check_stream(t, ids, STREAM_IDS, i % 3 == 0);
        }
        tokenizer_close(t);
    }
}

TEST(a_whole_text_and_its_cache_give_the_same_ids_twice)
{
    json_t *texts = read_texts();
    struct tokenizer *t = open_model("qwen2");
    struct encoder *e = encoder_create(t);
    struct ids first = {0}, second = {0};
    struct error err = {0};
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i);
        CHECK(encoder_encode(e, json_string_value(text), json_string_length(text), NULL, &first,
                             &err));
        struct encoder *fresh = encoder_create(t);
        CHECK(encoder_encode(fresh, json_string_value(text), json_string_length(text), NULL,
                             &second, &err));
        encoder_destroy(fresh);
    }
    CHECK_EQ(first.n, second.n);
    CHECK(memcmp(first.data, second.data, first.n * sizeof *first.data) == 0);
    ids_release(&first);
    ids_release(&second);
    encoder_destroy(e);
    tokenizer_close(t);
    json_decref(texts);
}

TEST(special_tokens_are_found_by_their_text)
{
    json_decref(read_texts());
    struct tokenizer *t = open_model("llama-3.1");
    CHECK_EQ(tokenizer_find(t, "<|eot_id|>", 10), 128009);
    CHECK(tokenizer_is_special(t, 128009));
    CHECK(!tokenizer_is_special(t, 0));
    CHECK_EQ(tokenizer_vocab(t), 128256);
    CHECK_EQ(tokenizer_find(t, "no such token", 13), -1);
    tokenizer_close(t);
}
