#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_http/site.h"

enum { SHORT_MS = 150 };

static struct http_limits short_limits(void)
{
    struct http_limits limits = site_limits();
    limits.header_ns = limits.body_ns = limits.idle_ns = SHORT_MS * 1000000LL;
    return limits;
}

static void check_begins(const char *text, const char *begin)
{
    if (strncmp(text, begin, strlen(begin)) != 0)
        test_fail(__FILE__, __LINE__, "not %s: %s", begin, text);
}

enum { DRIP_MS = 5 };

/* Sends one byte each time until the server has answered. What it said; in time: when it should,
 * and before twice as many bytes came as should (a machine that stalls lets fewer come). */
static const char *drip(struct site *site, const char *first, bool *in_time)
{
    int n_bytes = 0;
    char byte;
    const long long begin = clock_now_ns();
    const int client = site_connect(site);
    site_say(site, client, first);
    while (recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        site_say(site, client, "a");
        site_run(site, DRIP_MS);
        n_bytes++;
    }
    *in_time =
        (clock_now_ns() - begin) / 1000000 >= SHORT_MS - 10 && n_bytes < 2 * SHORT_MS / DRIP_MS;
    return site_hear_all(site, client);
}

TEST(dripped_headers_get_408_in_time)
{
    struct site site;
    const struct http_limits limits = short_limits();
    bool in_time;
    site_open(&site, &limits);
    check_begins(drip(&site, "GET / HTTP/1.1\r\nA: ", &in_time),
                 "HTTP/1.1 408 Request Timeout\r\n");
    CHECK(in_time);
    CHECK_EQ(site.n_headers, 0);
    site_close(&site);
}

TEST(dripped_bodies_get_408_in_time)
{
    struct site site;
    const struct http_limits limits = short_limits();
    bool in_time;
    site_open(&site, &limits);
    check_begins(drip(&site, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n", &in_time),
                 "HTTP/1.1 408 ");
    CHECK(in_time);
    CHECK_EQ(site.n_requests, 0);
    CHECK_EQ(site.n_closed, 1);
    site_close(&site);
}

TEST(idle_connections_are_closed_in_time_without_a_word)
{
    struct site site;
    const struct http_limits limits = short_limits();
    site_open(&site, &limits);
    CHECK_STR(site_hear_all(&site, site_connect(&site)), "");
    const int client = site_connect(&site);
    site_say(&site, client, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    site_hear(&site, client, "ok");
    CHECK_STR(site_hear_all(&site, client), "");
    site_close(&site);
}

TEST(a_request_that_is_worked_on_has_no_time_limit)
{
    struct site site;
    const struct http_limits limits = short_limits();
    site_open(&site, &limits);
    const int client = site_connect(&site);
    site_say(&site, client, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(site_wait(&site, &site.n_open, 1));
    site_run(&site, 2 * SHORT_MS);
    http_respond(site.open[0], 200, NULL, "late", 4);
    site_hear(&site, client, "late");
    close(client);
    site_close(&site);
}

TEST(a_body_over_the_limit_is_refused_by_its_headers)
{
    struct site site;
    site_open(&site, NULL);
    check_begins(site_ask(&site, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\nsome"),
                 "HTTP/1.1 413 Payload Too Large\r\n");
    CHECK_EQ(site.n_headers, 0);
    CHECK_EQ(site.n_refused, 1); /* but the handler hears of it */
    CHECK_EQ(site.refused_status, 413);
    site_close(&site);
}

TEST(a_refusal_reaches_a_client_that_still_sends)
{
    static char body[4 << 20];
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4194304\r\n\r\n");
    site_send(&site, client, body, sizeof(body));
    check_begins(site_hear_all(&site, client), "HTTP/1.1 413 ");
    site_close(&site);
}

TEST(chunks_over_the_limit_are_refused_when_they_are_said)
{
    struct site site;
    site_open(&site, NULL);
    check_begins(site_ask(&site, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "1\r\na\r\n3e8\r\n"
                                 "b"),
                 "HTTP/1.1 413 ");
    CHECK_EQ(site.n_refused, 1);
    CHECK_EQ(site.n_closed, 1);
    CHECK_EQ(site.n_answered, 0);
    site_close(&site);
}

TEST(bodies_that_are_too_much_together_get_503)
{
    static const char post[] = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nlarge";
    struct site site;
    struct http_limits limits = site_limits();
    limits.max_bodies_bytes = 12;
    site_open(&site, &limits);
    const int first = site_connect(&site), second = site_connect(&site);
    site_say(&site, first, post);
    site_say(&site, second, post);
    CHECK(site_wait(&site, &site.n_headers, 2));
    const char *got = site_ask(&site, post);
    check_begins(got, "HTTP/1.1 503 ");
    CHECK(strstr(got, "\r\nRetry-After: 1\r\n") != NULL);
    site_say(&site, first, "!");
    CHECK(site_wait(&site, &site.n_requests, 1));
    http_respond(site.open[0], 200, NULL, NULL, 0);
    CHECK(site_wait(&site, &site.n_answered, 1));
    const int third = site_connect(&site);
    site_say(&site, third, post);
    site_say(&site, third, "!");
    CHECK(site_wait(&site, &site.n_requests, 2)); /* there is room again */
    close(first);
    close(second);
    close(third);
    site_close(&site);
}

TEST(headers_over_the_limit_get_431)
{
    static char text[1 << 20];
    struct site site;
    site_open(&site, NULL);
    memset(text, 'a', sizeof(text) - 1);
    memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
    check_begins(site_ask(&site, text), "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    size_t n = 16;
    for (; n + 8 < 60000; n += 6)
        memcpy(text + n, "A: b\r\n", 6);
    text[n] = '\0';
    check_begins(site_ask(&site, text), "HTTP/1.1 431 ");
    site_close(&site);
}

TEST(a_connection_beyond_the_most_gets_503)
{
    struct site site;
    struct http_limits limits = site_limits();
    limits.max_connections = 2;
    site_open(&site, &limits);
    const int first = site_connect(&site), second = site_connect(&site);
    site_run(&site, 20);
    const char *got = site_hear_all(&site, site_connect(&site));
    check_begins(got, "HTTP/1.1 503 Service Unavailable\r\n");
    CHECK(strstr(got, "\r\nRetry-After: 1\r\n") != NULL);
    CHECK_EQ(http_server_counts(site.server).n_connections, 2);
    CHECK_EQ(http_server_counts(site.server).n_refused, 1);
    close(first);
    site_run(&site, 20);
    const int third = site_connect(&site);
    site_say(&site, third, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    site_hear(&site, third, "ok");
    close(second);
    close(third);
    site_close(&site);
}

TEST(other_protocols_are_told_and_closed)
{
    struct site site;
    site_open(&site, NULL);
    check_begins(site_ask(&site, "\x16\x03\x01\x02\x01"), "HTTP/1.1 400 ");
    check_begins(site_ask(&site, "SSH-2.0-OpenSSH_9.2\r\n"), "HTTP/1.1 ");
    check_begins(site_ask(&site, "garbage"), "HTTP/1.1 400 ");
    site_close(&site);
}
