#include <string.h>
#include <unistd.h>

#include "tests/test.h"
#include "tests/unit/runtime_http/site.h"

#define HOST "Host: h\r\n"

static void check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        test_fail(__FILE__, __LINE__, "no %s in %s", part, text);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

TEST(a_response_has_a_length_a_type_and_a_date)
{
    struct site site;
    site_open(&site, NULL);
    const char *got = site_ask(&site, "GET /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    check_contains(got, "HTTP/1.1 200 OK\r\n");
    check_contains(got, "\r\nContent-Length: 2\r\n");
    check_contains(got, "\r\nContent-Type: text/plain\r\n");
    check_contains(got, "\r\nDate: ");
    check_contains(got, " GMT\r\n");
    check_contains(got, "\r\nConnection: close\r\n");
    check_contains(got, "\r\n\r\nok");
    CHECK_EQ(site.n_answered, 1);
    site_close(&site);
}

TEST(a_connection_serves_one_request_after_the_other)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    for (int i = 1; i <= 3; i++) {
        site_say(&site, client, "GET /now HTTP/1.1\r\n" HOST "\r\n");
        CHECK_EQ(count(site_hear(&site, client, "\r\n\r\nok"), "Connection:"), 0);
        CHECK(site_wait(&site, &site.n_closed, i));
    }
    CHECK_EQ(http_server_counts(site.server).n_connections, 1);
    CHECK_EQ(http_server_counts(site.server).n_exchanges, 0);
    close(client);
    site_close(&site);
}

TEST(a_pipelined_request_runs_when_the_one_before_is_answered)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n");
    CHECK(site_wait(&site, &site.n_open, 1));
    site_run(&site, 20);
    CHECK_EQ(site.n_headers, 1);
    CHECK_STR(http_path(site.open[0]), "/a");
    http_respond(site.open[0], 200, NULL, "A", 1);
    site_hear(&site, client, "\r\n\r\nA");
    CHECK(site_wait(&site, &site.n_requests, 2));
    CHECK_STR(http_path(site.open[0]), "/b");
    close(client);
    site_close(&site);
}

TEST(nothing_runs_behind_a_request_that_is_malformed)
{
    struct site site;
    site_open(&site, NULL);
    const char *got = site_ask(&site, "POST /now HTTP/1.1\r\n" HOST
                                      "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "0\r\n\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    check_contains(got, "HTTP/1.1 400 Bad Request\r\n");
    check_contains(got, "\r\nConnection: close\r\n");
    check_contains(got, "{\"error\":{\"message\":\"Content-Length must be one number");
    check_contains(got, "\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}");
    CHECK_EQ(count(got, "HTTP/1.1 "), 1);
    CHECK_EQ(site.n_headers, 0);
    site_close(&site);
}

TEST(nothing_runs_behind_chunks_that_are_malformed)
{
    struct site site;
    site_open(&site, NULL);
    const char *got =
        site_ask(&site, "POST /now HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                        "1\r\naX0\r\n\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    check_contains(got, "HTTP/1.1 400 ");
    CHECK_EQ(count(got, "HTTP/1.1 "), 1);
    CHECK_EQ(site.n_requests, 0);
    CHECK_EQ(site.n_closed, 1);
    CHECK_EQ(site.n_answered, 0);
    site_close(&site);
}

TEST(bodies_come_by_length_or_in_chunks)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe");
    site_run(&site, 20);
    CHECK_EQ(site.n_requests, 0);
    site_say(&site, client, "lloPOST /now HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    site_hear(&site, client, "\r\n\r\nhello");
    site_say(&site, client, "3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n");
    site_hear(&site, client, "\r\n\r\nabcde");
    close(client);
    site_close(&site);
}

TEST(an_answer_to_the_headers_ends_a_connection_whose_body_was_not_read)
{
    struct site site;
    site_open(&site, NULL);
    const char *got =
        site_ask(&site, "POST /early HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\nsome");
    check_contains(got, "HTTP/1.1 401 Unauthorized\r\n");
    check_contains(got, "\r\nConnection: close\r\n");
    CHECK_EQ(site.n_requests, 0);
    CHECK_EQ(site.n_answered, 1);
    site_close(&site);
}

TEST(an_answer_to_the_headers_keeps_a_connection_without_a_body)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, "GET /early HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    check_contains(site_hear(&site, client, "\r\n\r\nok"), "HTTP/1.1 401 ");
    CHECK_EQ(site.n_requests, 1);
    close(client);
    site_close(&site);
}

TEST(who_expects_100_continue_gets_it_unless_the_answer_is_there)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client,
             "POST /now HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    site_hear(&site, client, "HTTP/1.1 100 Continue\r\n\r\n");
    site_say(&site, client, "hello");
    site_hear(&site, client, "\r\n\r\nhello");
    close(client);
    const char *early = site_ask(&site, "POST /early HTTP/1.1\r\n" HOST "Content-Length: 5\r\n"
                                        "Expect: 100-continue\r\n\r\n");
    CHECK(strncmp(early, "HTTP/1.1 401 ", 13) == 0);
    site_close(&site);
}

TEST(head_is_answered_as_get_without_the_body)
{
    struct site site;
    site_open(&site, NULL);
    const char *got = site_ask(&site, "HEAD /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    check_contains(got, "\r\nContent-Length: 2\r\n");
    CHECK_STR(strstr(got, "\r\n\r\n"), "\r\n\r\n");
    site_close(&site);
}

TEST(http_1_0_ends_with_the_connection_unless_it_is_to_be_kept)
{
    struct site site;
    site_open(&site, NULL);
    check_contains(site_ask(&site, "GET /now HTTP/1.0\r\n\r\n"), "\r\nConnection: close\r\n");
    const int client = site_connect(&site);
    site_say(&site, client, "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    check_contains(site_hear(&site, client, "\r\n\r\nok"), "\r\nConnection: keep-alive\r\n");
    site_say(&site, client, "GET /now HTTP/1.0\r\n\r\n");
    site_hear(&site, client, "\r\n\r\nok");
    close(client);
    site_close(&site);
}

TEST(a_handler_sees_the_request_and_adds_headers)
{
    struct site site;
    int data = 0;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client,
             "POST /a%21?q=1 HTTP/1.1\r\n" HOST "X-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi");
    CHECK(site_wait(&site, &site.n_open, 1));
    struct http_exchange *x = site.open[0];
    size_t n_body;
    CHECK_STR(http_method(x), "POST");
    CHECK_STR(http_path(x), "/a!");
    CHECK_STR(http_query(x), "q=1");
    CHECK_STR(http_header(x, "x-a"), "1, 2");
    CHECK_STR(http_body(x, &n_body), "hi");
    CHECK_EQ(n_body, 2);
    CHECK(strncmp(http_peer(x), "127.0.0.1:", 10) == 0);
    http_set_data(x, &data);
    CHECK(http_data(x) == &data);
    http_add_header(x, "Retry-After", "7");
    http_add_header(x, "X-Id", "abc");
    http_respond(x, 429, "text/plain", "", 0);
    const char *got = site_hear(&site, client, "\r\n\r\n");
    check_contains(got, "HTTP/1.1 429 Too Many Requests\r\n");
    check_contains(got, "\r\nRetry-After: 7\r\nX-Id: abc\r\n");
    close(client);
    site_close(&site);
}

TEST(a_status_without_a_body_has_no_length)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, "OPTIONS /x HTTP/1.1\r\n" HOST "\r\n");
    CHECK(site_wait(&site, &site.n_open, 1));
    http_respond(site.open[0], 204, NULL, NULL, 0);
    CHECK_EQ(count(site_hear(&site, client, "\r\n\r\n"), "Content-Length"), 0);
    close(client);
    site_close(&site);
}
