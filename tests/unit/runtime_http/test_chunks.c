#include <string.h>

#include "base/bytes.h"
#include "runtime/http/chunks.h"
#include "runtime/http/refusal.h"
#include "tests/test.h"

enum { MAX_BODY = 100 };

/* Reads in pieces of n_piece bytes. The status of a refusal, 0 for a whole body, -1 for one that
 * goes on. */
static int read_all(struct bytes *body, const char *text, size_t n, size_t n_piece, size_t *n_used)
{
    struct chunks chunks = {0};
    struct refusal why = {0};
    bytes_clear(body);
    size_t at = 0;
    while (at < n && chunks.state != CHUNKS_END) {
        const size_t n_now = n - at < n_piece ? n - at : n_piece;
        size_t n_more = 0;
        if (!chunks_read(&chunks, body, MAX_BODY, text + at, n_now, &n_more, &why))
            return why.status;
        at += n_more;
    }
    *n_used = at;
    return chunks.state == CHUNKS_END ? 0 : -1;
}

static int read_text(const char *text)
{
    struct bytes body = {0};
    size_t n_used;
    const int whole = read_all(&body, text, strlen(text), strlen(text), &n_used);
    CHECK_EQ(read_all(&body, text, strlen(text), 1, &n_used), whole);
    bytes_release(&body);
    return whole;
}

TEST(chunks_are_joined_whatever_the_pieces_are)
{
    static const char text[] = "5\r\nhello\r\n01;name=\"value\"\r\n \r\nA\r\n0123456789\r\n"
                               "0\r\nChecksum: 1\r\n\r\nGET /next";
    struct bytes body = {0};
    for (size_t n_piece = 1; n_piece < sizeof(text); n_piece++) {
        size_t n_used = 0;
        CHECK_EQ(read_all(&body, text, strlen(text), n_piece, &n_used), 0);
        CHECK_STR(body.data, "hello 0123456789");
        CHECK_STR(text + n_used, "GET /next");
    }
    bytes_release(&body);
}

TEST(an_empty_body_is_one_last_chunk) { CHECK_EQ(read_text("0\r\n\r\n"), 0); }

TEST(sizes_are_hexadecimal_digits_and_nothing_else)
{
    CHECK_EQ(read_text("\r\n"), 400);
    CHECK_EQ(read_text("x\r\n"), 400);
    CHECK_EQ(read_text("0x5\r\nhello\r\n"), 400);
    CHECK_EQ(read_text("-5\r\nhello\r\n"), 400);
    CHECK_EQ(read_text("+5\r\nhello\r\n"), 400);
    CHECK_EQ(read_text(" 5\r\nhello\r\n"), 400);
    CHECK_EQ(read_text("5 \r\nhello\r\n"), 400);
    CHECK_EQ(read_text("5_0\r\nhello\r\n"), 400);
    CHECK_EQ(read_text(";a=b\r\nhello\r\n"), 400);
}

TEST(sizes_that_overflow_are_refused_before_they_do)
{
    CHECK_EQ(read_text("ffffffffffffffff\r\n"), 400);
    CHECK_EQ(read_text("10000000000000005\r\nhello\r\n"), 400);
    CHECK_EQ(read_text("fffffffffffffff\r\nx"), 413);
}

TEST(lines_end_with_cr_lf_only)
{
    CHECK_EQ(read_text("5\nhello\r\n"), 400);
    CHECK_EQ(read_text("5\rhello\r\n"), 400);
    CHECK_EQ(read_text("5\r\nhello\n0\r\n\r\n"), 400);
    CHECK_EQ(read_text("5\r\nhelloXX0\r\n\r\n"), 400);
    CHECK_EQ(read_text("5\r\nhello0\r\n\r\n"), 400);
    CHECK_EQ(read_text("5;a\nGET / HTTP/1.1\r\nhello\r\n"), 400);
    CHECK_EQ(read_text("0\r\n\n"), 400);
    CHECK_EQ(read_text("0\r\nA: b\n\r\n"), 400);
    CHECK_EQ(read_text("0\r\n folded: b\r\n\r\n"), 400);
}

TEST(a_body_may_be_as_large_as_allowed_and_no_larger)
{
    CHECK_EQ(read_text("65\r\nx"), 413); /* at once: its size says it */
    char text[200];
    const size_t n_line = strlen("64\r\n");
    memset(text, 'x', sizeof(text));
    memcpy(text, "64\r\n", n_line);
    memcpy(text + n_line + MAX_BODY, "\r\n0\r\n\r\n", 8);
    CHECK_EQ(read_text(text), 0);
    memcpy(text + n_line + MAX_BODY, "\r\n1\r\nx", 7);
    CHECK_EQ(read_text(text), 413);
}

TEST(extensions_and_trailers_are_bounded)
{
    struct bytes text = {0};
    bytes_add_text(&text, "5;");
    for (int i = 0; i < CHUNKS_MAX_LINE; i++)
        bytes_add_char(&text, 'a');
    CHECK_EQ(read_text(text.data), 400);
    bytes_clear(&text);
    bytes_add_text(&text, "0\r\n");
    for (int i = 0; i <= CHUNKS_MAX_TRAILERS; i++)
        bytes_add_char(&text, 'a');
    CHECK_EQ(read_text(text.data), 400);
    bytes_release(&text);
}
