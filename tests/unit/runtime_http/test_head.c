#include <string.h>

#include "runtime/http/head.h"
#include "runtime/http/http_server.h"
#include "runtime/http/refusal.h"
#include "tests/test.h"

static struct head head; /* of the last that was read */

/* The status of a refusal, 0 for a whole head, -1 for one that goes on. */
static int read_pieces(const char *text, size_t n_piece)
{
    const struct http_limits limits = {
        .max_header_bytes = 2000, .max_headers = 10, .max_body_bytes = 1000};
    const size_t n = strlen(text);
    struct refusal why = {0};
    head_release(&head);
    head_init(&head, &limits);
    for (size_t at = 0; at < n && !head.is_complete;) {
        const size_t n_now = n - at < n_piece ? n - at : n_piece;
        size_t n_used = 0;
        if (!head_read(&head, &limits, text + at, n_now, &n_used, &why))
            return why.status;
        at += n_used;
    }
    return head.is_complete ? 0 : -1;
}

/* The same in one piece and byte by byte. */
static int read_text(const char *text)
{
    const int status = read_pieces(text, 1);
    CHECK_EQ(read_pieces(text, strlen(text)), status);
    return status;
}

/* With a line that is right before, and one behind. */
static int read_line(const char *line)
{
    char text[1000];
    const size_t n = strlen(line);
    memcpy(text, "POST / HTTP/1.1\r\nHost: h\r\n", 26);
    memcpy(text + 26, line, n);
    memcpy(text + 26 + n, "A: b\r\n\r\n", 9);
    return read_text(text);
}

static void check_header(const char *name, const char *want)
{
    const char *value = head_find(&head, name);
    CHECK(value != NULL);
    CHECK_STR(value, want);
}

TEST(a_head_has_a_method_a_target_and_headers)
{
    CHECK_EQ(read_text("\r\nPOST /a%20b?c=d HTTP/1.1\r\nHost: h\r\nX-Y: 1 2 \r\nEmpty:\r\n"
                       "Content-Length: 12\r\n\r\n"),
             0);
    CHECK_STR(head.method, "POST");
    CHECK_STR(head.path, "/a b");
    CHECK_STR(head.query, "c=d");
    check_header("x-y", "1 2");
    check_header("empty", "");
    CHECK(head_find(&head, "absent") == NULL);
    CHECK_EQ(head.n_body, 12);
    CHECK(head.keeps_alive && !head.is_chunked && !head.is_http_1_0);
}

TEST(headers_of_one_name_are_joined)
{
    CHECK_EQ(read_text("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: x\r\na: 2\r\nA: 3\r\nb: y\r\n\r\n"),
             0);
    check_header("a", "1, 2, 3");
    check_header("b", "x, y");
    check_header("host", "h");
    CHECK_EQ(head.n_fields, 3);
}

TEST(a_head_that_is_not_whole_waits) { CHECK_EQ(read_text("GET / HTTP/1.1\r\nHost: h\r\n"), -1); }

TEST(lengths_that_could_be_read_in_two_ways_are_refused)
{
    CHECK_EQ(read_line("Content-Length: 5\r\n"), 0);
    CHECK_EQ(read_line("Content-Length: 5\r\nContent-Length: 6\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: 5\r\nContent-Length: 5\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: 5, 5\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: +5\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: -5\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: 0x5\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: 5 5\r\n"), 400);
    CHECK_EQ(read_line("Content-Length:\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: 18446744073709551621\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: 1001\r\n"), 413);
}

TEST(encodings_that_could_be_read_in_two_ways_are_refused)
{
    CHECK_EQ(read_line("Transfer-Encoding: Chunked\r\n"), 0);
    CHECK(head.is_chunked);
    CHECK_EQ(read_line("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400);
    CHECK_EQ(read_line("Content-Length: 5\r\nTransfer-Encoding: identity\r\n"), 400);
    CHECK_EQ(read_line("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
    CHECK_EQ(read_line("Transfer-Encoding: gzip, chunked\r\n"), 400);
    CHECK_EQ(read_line("Transfer-Encoding: chunked, identity\r\n"), 400);
    CHECK_EQ(read_line("Transfer-Encoding: xchunked\r\n"), 400);
    CHECK_EQ(read_line("Transfer-Encoding:\x0b"
                       "chunked\r\n"),
             400);
    CHECK_EQ(read_line("Transfer-Encoding:\r\n"), 400);
    CHECK_EQ(read_text("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(lines_that_could_be_read_in_two_ways_are_refused)
{
    CHECK_EQ(read_line("B: 1\r\n folded\r\n"), 400);
    CHECK_EQ(read_line("B: 1\r\n\tfolded\r\n"), 400);
    CHECK_EQ(read_line("B: 1\n"), 400);
    CHECK_EQ(read_line("B: 1\r"), 400);
    CHECK_EQ(read_line("B : 1\r\n"), 400);
    CHECK_EQ(read_line("Content-Length : 5\r\n"), 400);
    CHECK_EQ(read_line("B C: 1\r\n"), 400);
    CHECK_EQ(read_line(": 1\r\n"), 400);
    CHECK_EQ(read_line("no colon\r\n"), 400);
    CHECK_EQ(read_line("B\x80: 1\r\n"), 400);
    CHECK_EQ(read_line("B: \x01\r\n"), 400);
    CHECK_EQ(read_line("B: \x7f\r\n"), 400);
    CHECK_EQ(read_line("B: \xc3\xa4\t\r\n"), 0);
    CHECK_EQ(read_text("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), 400);
    CHECK_EQ(read_text("GET / HTTP/1.1\nHost: h\n\n"), 400);
}

TEST(a_nul_is_refused_wherever_it_is)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        const struct http_limits limits = {.max_header_bytes = 2000, .max_headers = 10};
        char with_nul[sizeof(text)];
        struct refusal why = {0};
        size_t n_used;
        memcpy(with_nul, text, sizeof(text));
        with_nul[i] = '\0';
        head_release(&head);
        head_init(&head, &limits);
        CHECK(!head_read(&head, &limits, with_nul, sizeof(text) - 1, &n_used, &why));
        CHECK_EQ(why.status, 400);
    }
}

TEST(requests_of_http_1_1_name_one_host)
{
    CHECK_EQ(read_text("GET / HTTP/1.1\r\nA: b\r\n\r\n"), 400);
    CHECK_EQ(read_text("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    CHECK_EQ(read_text("GET / HTTP/1.0\r\nA: b\r\n\r\n"), 0);
    CHECK(!head.keeps_alive);
}

TEST(connections_are_kept_as_the_versions_say)
{
    CHECK_EQ(read_text("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), 0);
    CHECK(!head.keeps_alive);
    CHECK_EQ(read_text("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), 0);
    CHECK(head.keeps_alive && head.is_http_1_0);
    CHECK_EQ(read_text("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                       "Upgrade: h2c\r\n\r\n"),
             0); /* we stay with HTTP/1.1 */
    CHECK(head.keeps_alive);
}

TEST(other_protocols_and_methods_are_refused)
{
    CHECK_EQ(read_text("\x16\x03\x01\x02"), 400);
    CHECK_EQ(read_text("hello\r\n"), 400);
    CHECK_EQ(read_text("FOO / HTTP/1.1\r\n"), 405);
    CHECK_EQ(read_text("GETS / HTTP/1.1\r\n"), 405);
    CHECK_EQ(read_text("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
    CHECK_EQ(read_text("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), 505);
    CHECK_EQ(read_text("GET / SPDY/1.1\r\n"), 400);
    CHECK_EQ(read_text("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

TEST(expectations_are_100_continue_or_fail)
{
    CHECK_EQ(read_line("Expect: 100-Continue\r\n"), 0);
    CHECK(head.expects_continue);
    CHECK_EQ(read_line("Expect: tea\r\n"), 417);
}

TEST(heads_are_bounded_in_bytes_and_in_fields)
{
    char text[3000];
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    text[2500] = '\0';
    CHECK_EQ(read_text(text), 431);
    memcpy(text, "GET / HTTP/1.1\r\n", 16);
    size_t n = 16;
    for (int i = 0; i < 11; i++, n += 6)
        memcpy(text + n, "A: b\r\n", 7);
    CHECK_EQ(read_text(text), 431);
}

TEST(a_head_of_all_the_bytes_that_are_allowed_is_read)
{
    char text[2001];
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET / HTTP/1.1\r\nHost: ", 22);
    memcpy(text + 1996, "\r\n\r\n", 5);
    CHECK_EQ(read_text(text), 0);
}
