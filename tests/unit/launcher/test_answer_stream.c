#include "base/memory.h"
#include "launcher/bench/answer_stream.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char answer[] =
    ": a comment\n"
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n"
    "data:{\"choices\":[{\"delta\":{\"content\":\"One\"},\"finish_reason\":null}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}],\"usage\":null}\n\n"
    "event: x\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"two\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":4}}\n\n"
    "data: [DONE]\n\n"
    "data: what comes after the end is not looked at\n\n";

static void count_gap(void *context, double seconds) { *(double *)context += seconds; }

/* Takes it in pieces of n bytes, one every second. */
static void take(struct answer_stream *stream, bool is_chat, const char *text, size_t n_text,
                 size_t n, double *gaps)
{
    int64_t now_ns = 0;
    *gaps = 0;
    answer_stream_begin(stream, is_chat);
    for (size_t at = 0; at < n_text; at += n, now_ns += 1000000000)
        answer_stream_take(stream, text + at, n < n_text - at ? n : n_text - at, now_ns, count_gap,
                           gaps);
}

static void fails_with(const char *text, const char *why)
{
    struct answer_stream stream = {0};
    double gaps;
    take(&stream, false, text, strlen(text), 1000, &gaps);
    CHECK_EQ(stream.state, ANSWER_FAILED);
    CHECK_STR(stream.why, why);
    answer_stream_release(&stream);
}

TEST(an_answer_is_the_same_in_pieces_of_any_size)
{
    struct answer_stream stream = {0};
    for (size_t n = 1; n <= sizeof answer; n++) {
        double gaps;
        take(&stream, true, answer, sizeof answer - 1, n, &gaps);
        CHECK_EQ(stream.state, ANSWER_DONE);
        CHECK_EQ(stream.n_chunks, 3);
        CHECK_EQ(stream.n_input, 5);
        CHECK_EQ(stream.n_output, 4);
        CHECK(stream.has_finish);
        CHECK(fabs(gaps - (double)(stream.last_ns - stream.first_ns) * 1e-9) < 1e-6);
        CHECK(stream.end_ns >= stream.last_ns);
    }
    answer_stream_release(&stream);
}

TEST(an_answer_that_was_cut_is_still_open)
{
    struct answer_stream stream = {0};
    double gaps;
    take(&stream, true, answer, 200, 7, &gaps);
    CHECK_EQ(stream.state, ANSWER_OPEN);
    CHECK(!stream.has_finish);
    answer_stream_release(&stream);
}

TEST(errors_are_found_wherever_servers_put_them)
{
    fails_with("data: {\"error\":{\"message\":\"a rank was lost\",\"code\":500}}\n",
               "a rank was lost");
    fails_with("data: {\"error\":\"no\"}\n", "no");
    fails_with("data: {\"object\":\"error\",\"message\":\"as of old\"}\n", "as of old");
    fails_with("data: {\"choices\":\n", "an event that is no JSON");

    static const char detail[] = "{\"detail\":\"Not\\u0007 Found\"}";
    char text[32];
    answer_error_text(text, sizeof text, detail, strlen(detail));
    CHECK_STR(text, "Not  Found");
    answer_error_text(text, sizeof text, "{\"error\":\"\xc2\x9b\"}", 14); /* a C1: CSI */
    CHECK_STR(text, "  ");
    answer_error_text(text, sizeof text, "<html>\n", 7);
    CHECK_STR(text, "<html> ");
    answer_error_text(text, sizeof text, "", 0);
    CHECK_STR(text, "");
    answer_error_text(text, 4, "ab\xc3\xa9", 4); /* no half a character */
    CHECK_STR(text, "ab");
}

TEST(a_usage_that_cannot_be_is_none)
{
    static const char *const counts[] = {"-1", "2147483648", "9223372036854775807", "1.5", "null"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct answer_stream stream = {0};
        char text[128];
        double gaps;
        snprintf(text, sizeof text,
                 "data: {\"usage\":{\"prompt_tokens\":%s,\"completion_tokens\":%s}}\n", counts[i],
                 counts[i]);
        take(&stream, false, text, strlen(text), 1000, &gaps);
        CHECK_EQ(stream.state, ANSWER_OPEN);
        CHECK_EQ(stream.n_input, -1);
        CHECK_EQ(stream.n_output, -1);
        answer_stream_release(&stream);
    }
}

TEST(a_thought_counts_also_beside_a_role)
{
    static const char text[] =
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"reasoning\":\"Hm\"}}]}\n"
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"!\"}}]}\n"
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n";
    struct answer_stream stream = {0};
    double gaps;
    take(&stream, true, text, strlen(text), 1000, &gaps);
    CHECK_EQ(stream.n_chunks, 2);
    answer_stream_release(&stream);
}

TEST(a_chunk_that_says_it_has_no_error_has_none)
{
    static const char text[] =
        "data: {\"error\":null,\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}\n";
    struct answer_stream stream = {0};
    double gaps;
    take(&stream, false, text, strlen(text), 7, &gaps);
    CHECK_EQ(stream.state, ANSWER_OPEN);
    CHECK(stream.has_events && stream.has_finish);
    CHECK_EQ(stream.n_chunks, 1);
    answer_stream_release(&stream);
}

TEST(what_is_no_object_of_ours_is_skipped)
{
    static const char text[] = "data: 5\ndata: []\ndata: {\"choices\":7}\n"
                               "data: {\"choices\":[4]}\nnonsense\n\n";
    struct answer_stream stream = {0};
    double gaps;
    take(&stream, false, text, strlen(text), 3, &gaps);
    CHECK_EQ(stream.state, ANSWER_OPEN);
    CHECK_EQ(stream.n_chunks, 0);
    answer_stream_release(&stream);
}

TEST(a_line_without_an_end_is_bounded)
{
    enum { PART = 1 << 16 };
    char *part = memory_alloc(PART, 1);
    struct answer_stream stream = {0};
    memset(part, 'x', PART);
    answer_stream_begin(&stream, false);
    for (int i = 0; i < 1000 && stream.state == ANSWER_OPEN; i++)
        answer_stream_take(&stream, part, PART, i, NULL, NULL);
    CHECK_EQ(stream.state, ANSWER_FAILED);
    CHECK_STR(stream.why, "an event of more than 4 MB");
    answer_stream_release(&stream);
    memory_free(part);
}
