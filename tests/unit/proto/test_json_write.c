#include "proto/json_logprobs.h"
#include "proto/json_write.h"

#include "tests/test.h"

#include <math.h>
#include <string.h>

static void check_text(const char *data, size_t n, const char *want)
{
    struct bytes out = {0};
    json_write_text(&out, (struct json_text){data, n});
    CHECK_STR(out.data, want);
    bytes_release(&out);
}

TEST(no_text_breaks_the_json_around_it)
{
    check_text("", 0, "\"\"");
    check_text(NULL, 0, "\"\"");
    check_text("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    check_text("\n\r\t\b\f", 5, "\"\\n\\r\\t\\u0008\\u000c\"");
    check_text("x\0y", 3, "\"x\\u0000y\"");
    check_text("\x1f\x7f", 2, "\"\\u001f\\u007f\"");
    check_text("\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
}

TEST(what_is_no_utf8_becomes_a_replacement)
{
    check_text("a\xff\"", 3, "\"a\xef\xbf\xbd\\\"\"");
    check_text("\xc3", 1, "\"\xef\xbf\xbd\"");
    check_text("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(two_texts_are_one)
{
    struct bytes out = {0};
    json_write_joined(&out, (struct json_text){"a\n", 2}, (struct json_text){"\"b", 2});
    CHECK_STR(out.data, "\"a\\n\\\"b\"");
    bytes_release(&out);
}

TEST(numbers_are_what_json_has)
{
    struct bytes out = {0};
    json_write_int(&out, 0);
    json_write_int(&out, INT64_MIN);
    bytes_add_char(&out, ' ');
    json_write_int(&out, INT64_MAX);
    bytes_add_char(&out, ' ');
    json_write_float(&out, (double)(-1.0f / 3));
    json_write_float(&out, (double)NAN);
    json_write_float(&out, (double)INFINITY);
    bytes_add_char(&out, ' ');
    json_write_logprob(&out, (double)-INFINITY);
    json_write_logprob(&out, (double)NAN);
    json_write_logprob(&out, -10000);
    json_write_logprob(&out, -2.5);
    CHECK_STR(out.data, "0-9223372036854775808 9223372036854775807 -0.333333343nullnull "
                        "-9999-9999-9999-2.5");
    bytes_release(&out);
}

/* "a" chosen and again among the best; "b" twice, as the text of two tokens. */
static const struct json_logprob entry[] = {
    {1, NAN, 0, {"<s>", 3}},  {5, -INFINITY, 9, {"a", 1}}, {6, -0.5f, 1, {"b", 1}},
    {7, -0.75f, 2, {"b", 1}}, {5, -INFINITY, 9, {"a", 1}}, {8, -2, 3, {"c\n", 2}},
};
static const int32_t end[] = {1, 6};
static const struct json_logprob_rows rows = {entry, end, 2};

TEST(a_chat_has_at_most_as_many_candidates_as_were_asked_for)
{
    const struct json_logprob_rows second = {entry + 1, (const int32_t[]){5}, 1};
    struct bytes out = {0};
    json_logprobs_write_chat(&out, &second, 2);
    CHECK_STR(out.data, "{\"content\":[{\"token\":\"a\",\"logprob\":-9999,\"bytes\":[97],"
                        "\"top_logprobs\":[{\"token\":\"a\",\"logprob\":-9999,\"bytes\":[97]},"
                        "{\"token\":\"b\",\"logprob\":-0.5,\"bytes\":[98]}]}]}");
    bytes_clear(&out);
    json_logprobs_write_chat(&out, &second, 0);
    CHECK_STR(out.data, "{\"content\":[{\"token\":\"a\",\"logprob\":-9999,\"bytes\":[97],"
                        "\"top_logprobs\":[]}]}");
    bytes_release(&out);
}

TEST(a_completion_has_a_candidate_more_and_each_text_once)
{
    struct bytes out = {0};
    json_logprobs_write_text(&out, &rows, 3, 10);
    CHECK_STR(out.data, "{\"text_offset\":[10,13],\"token_logprobs\":[null,-9999],\"tokens\":"
                        "[\"<s>\",\"a\"],\"top_logprobs\":[null,{\"a\":-9999,\"b\":-0.5,"
                        "\"c\\n\":-2}]}");
    bytes_clear(&out);
    json_logprobs_write_text(&out, &rows, 0, 0);
    CHECK(strstr(out.data, "\"top_logprobs\":[null,{\"a\":-9999}]}") != NULL);
    bytes_release(&out);
}

TEST(the_rows_of_a_prompt_have_ids_as_keys)
{
    struct bytes out = {0};
    json_logprobs_write_prompt(&out, &rows);
    CHECK_STR(out.data, "[null,{\"5\":{\"logprob\":-9999,\"rank\":9,\"decoded_token\":\"a\"},"
                        "\"6\":{\"logprob\":-0.5,\"rank\":1,\"decoded_token\":\"b\"},"
                        "\"7\":{\"logprob\":-0.75,\"rank\":2,\"decoded_token\":\"b\"},"
                        "\"8\":{\"logprob\":-2,\"rank\":3,\"decoded_token\":\"c\\n\"}}]");
    bytes_release(&out);
}
