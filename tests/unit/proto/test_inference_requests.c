#include "proto/inference_requests.h"

#include "base/error.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

/* Messages by hand: field << 3 | kind, then a number, or a length and bytes. */
#define BYTES(text) text, sizeof(text) - 1

TEST(what_is_not_set_is_not_said)
{
    struct inference_generate r;
    struct arena arena = {0};
    struct error err = {0};
    CHECK(inference_read_generate(&r, &arena, BYTES("\x1a\x02hi"), &err));
    CHECK_STR(r.prompt.text.data, "hi");
    CHECK(r.request_id == NULL && r.model == NULL && r.scheduling.cache_salt == NULL);
    CHECK(isnan(r.sampling.temperature) && isnan(r.sampling.top_p));
    CHECK(r.sampling.n == INFERENCE_UNSAID && r.sampling.logprobs == INFERENCE_UNSAID);
    CHECK_EQ(r.sampling.ignore_eos, -1);
    CHECK_EQ(r.add_special_tokens, -1);
    CHECK_EQ(r.sampling.n_stop, 0);
    inference_generate_release(&r);
    arena_release(&arena);
}

TEST(zero_that_is_set_is_said)
{
    struct inference_generate r;
    struct arena arena = {0};
    struct error err = {0};
    /* sampling: temperature 0, top_k 0, ignore_eos false; priority 0 */
    CHECK(inference_read_generate(
        &r, &arena, BYTES("\x1a\x00\x2a\x0d\x09\0\0\0\0\0\0\0\0\x18\x00\x78\x00\x32\x02\x08\x00"),
        &err));
    CHECK_STR(r.prompt.text.data, "");
    CHECK(r.sampling.temperature == 0);
    CHECK_EQ(r.sampling.top_k, 0);
    CHECK_EQ(r.sampling.ignore_eos, 0);
    CHECK_EQ(r.scheduling.priority, 0);
    inference_generate_release(&r);
    arena_release(&arena);
}

TEST(what_stands_for_not_said_is_no_value_of_a_client)
{
    struct inference_generate r;
    struct arena arena = {0};
    struct error err = {0};
    /* sampling: n = -2^63 */
    CHECK(inference_read_generate(
        &r, &arena, BYTES("\x1a\x01x\x2a\x0b\x40\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), &err));
    CHECK(r.sampling.n != INFERENCE_UNSAID && r.sampling.n < 0);
    inference_generate_release(&r);
    /* sampling: temperature = NaN */
    CHECK(!inference_read_generate(&r, &arena, BYTES("\x1a\x01x\x2a\x09\x09\0\0\0\0\0\0\xf8\x7f"),
                                   &err));
    CHECK_STR(err.param, "temperature");
    inference_generate_release(&r);
    arena_release(&arena);
}

TEST(ids_may_be_packed_or_not)
{
    struct inference_generate packed, single;
    struct arena arena = {0};
    struct error err = {0};
    CHECK(inference_read_generate(&packed, &arena, BYTES("\x22\x05\x0a\x03\x05\x06\x07"), &err));
    CHECK(
        inference_read_generate(&single, &arena, BYTES("\x22\x06\x08\x05\x08\x06\x08\x07"), &err));
    CHECK(packed.prompt.text.data == NULL);
    CHECK_EQ(packed.prompt.n_ids, 3);
    CHECK_EQ(packed.prompt.id[2], 7);
    CHECK_EQ(single.prompt.n_ids, 3);
    CHECK_EQ(single.prompt.id[2], 7);
    arena_release(&arena);
}

TEST(a_request_with_nothing_to_answer_names_the_prompt)
{
    struct inference_generate r;
    struct arena arena = {0};
    struct error err = {0};
    CHECK(!inference_read_generate(&r, &arena, "", 0, &err));
    CHECK_STR(err.param, "prompt");
    arena_release(&arena);
}

TEST(a_text_with_a_nul_is_not_cut_but_refused)
{
    struct inference_generate r;
    struct arena arena = {0};
    struct error err = {0};
    CHECK(!inference_read_generate(&r, &arena,
                                   BYTES("\x12\x03"
                                         "a\0b\x1a\x01x"),
                                   &err));
    CHECK_STR(err.param, "model");
    arena_release(&arena);
}

TEST(messages_become_json)
{
    struct inference_generate r;
    struct arena arena = {0};
    struct error err = {0};
    CHECK(inference_read_chat(&r, &arena,
                              BYTES("\x1a\x0c\x0a\x04user\x12\x04"
                                    "a\"\xc3\xa4"
                                    "\x1a\x0d\x0a\x01x\x2a\x08[{\"a\":1}"),
                              &err) == false); /* tool_calls_json is cut */
    CHECK_STR(err.param, "messages");
    inference_generate_release(&r);
    err = (struct error){0};
    CHECK(inference_read_chat(&r, &arena,
                              BYTES("\x1a\x0c\x0a\x04user\x12\x04"
                                    "a\"\xc3\xa4"
                                    "\x1a\x0d\x0a\x00\x2a\x09[{\"a\":1}]"),
                              &err));
    char *text = json_dumps(r.messages, JSON_COMPACT);
    CHECK_STR(text, "[{\"role\":\"user\",\"content\":\"a\\\"\xc3\xa4\"},"
                    "{\"role\":\"\",\"tool_calls\":[{\"a\":1}]}]");
    memory_free(text);
    inference_generate_release(&r);
    arena_release(&arena);
}

TEST(a_message_that_would_take_far_more_memory_than_its_size_is_refused)
{
    struct inference_generate r;
    struct arena arena = {0};
    struct error err = {0};
    enum { N = 100000 };
    char *empty = memory_alloc(N, 2);
    for (int i = 0; i < N; i++)
        empty[2 * i] = 0x1a; /* an empty chat message */
    CHECK(!inference_read_chat(&r, &arena, empty, 2 * N, &err));
    CHECK_STR(err.code, "too_large");
    CHECK(arena.total_bytes < 16 << 20);
    inference_generate_release(&r);
    memory_free(empty);
    arena_release(&arena);
}

TEST(every_cut_of_a_message_is_refused_or_read)
{
    static const char whole[] =
        "\x0a\x02id\x12\x01m\x1a\x02hi\x2a\x0b\x09\0\0\0\0\0\0\0\x40\x18\x05";
    for (size_t n = 0; n < sizeof whole; n++) {
        struct inference_generate r;
        struct arena arena = {0};
        struct error err = {0};
        if (!inference_read_generate(&r, &arena, whole, n, &err))
            CHECK_EQ(err.kind, ERROR_INPUT);
        inference_generate_release(&r);
        arena_release(&arena);
    }
}

TEST(documents_without_a_prompt_name_their_field)
{
    struct inference_pool r;
    struct arena arena = {0};
    struct error err = {0};
    CHECK(!inference_read_score(&r, &arena, BYTES("\x22\x03\x0a\x01x\x22\x00"), &err));
    CHECK_STR(err.param, "documents");
    arena_release(&arena);
}
