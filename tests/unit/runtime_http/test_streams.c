#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/test.h"
#include "tests/unit/runtime_http/site.h"

static void begin(struct site *site, int client, const char *request)
{
    site_say(site, client, request);
    CHECK(site_wait(site, &site->n_open, 1));
    http_stream_begin(site->open[0], 200, "text/event-stream");
}

static const char get[] = "GET /s HTTP/1.1\r\nHost: h\r\n\r\n";

TEST(a_stream_is_chunks_that_come_as_they_are_written)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    begin(&site, client, get);
    CHECK(strstr(site_hear(&site, client, "\r\n\r\n"), "\r\nTransfer-Encoding: chunked\r\n"));
    CHECK(http_stream_write(site.open[0], "data: 1\n\n", 9));
    site_hear(&site, client, "9\r\ndata: 1\n\n\r\n");
    CHECK(http_stream_write(site.open[0], "", 0)); /* is not the end */
    CHECK(http_stream_write(site.open[0], "data: [DONE]\n\n", 14));
    http_stream_end(site.open[0]);
    site_hear(&site, client, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    CHECK(site_wait(&site, &site.n_answered, 1));
    site_say(&site, client, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    site_hear(&site, client, "\r\n\r\nok");
    close(client);
    site_close(&site);
}

TEST(what_is_written_can_be_sent_without_a_turn_of_the_loop)
{
    struct site site;
    char got[64] = "";
    site_open(&site, NULL);
    const int client = site_connect(&site);
    begin(&site, client, get);
    site_hear(&site, client, "\r\n\r\n");
    site_say(&site, client, get); /* behind it */
    site_run(&site, 20);
    CHECK(http_stream_write(site.open[0], "data: 1\n\n", 9));
    CHECK(!http_server_flush(site.server));
    CHECK_EQ(recv(client, got, sizeof(got) - 1, 0), 14);
    CHECK_STR(got, "9\r\ndata: 1\n\n\r\n");
    http_stream_end(site.open[0]);
    CHECK_EQ(site.n_requests, 1);
    CHECK(http_server_flush(site.server)); /* and the next one has come out */
    CHECK_EQ(site.n_requests, 2);
    CHECK(!http_server_flush(site.server));
    close(client);
    site_close(&site);
}

TEST(a_stream_to_http_1_0_ends_with_the_connection)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    begin(&site, client, "GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(http_stream_write(site.open[0], "data: 1\n\n", 9));
    site_hear(&site, client, "\r\n\r\ndata: 1\n\n");
    http_stream_end(site.open[0]); /* nothing is left to send: it ends all the same */
    CHECK_STR(site_hear_all(&site, client), "");
    CHECK_EQ(site.n_answered, 1);
    site_close(&site);
}

TEST(a_stream_to_head_has_no_body)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    begin(&site, client, "HEAD /s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    CHECK(http_stream_write(site.open[0], "data: 1\n\n", 9));
    http_stream_end(site.open[0]);
    CHECK_STR(strstr(site_hear_all(&site, client), "\r\n\r\n"), "\r\n\r\n");
    site_close(&site);
}

/* Writes until it is refused; the events that were taken. */
static int write_until_refused(struct site *site, size_t n_bytes, int n_most)
{
    static char event[100000];
    struct http_exchange *x = site->open[0];
    memset(event, 'x', sizeof(event));
    for (int n = 0; n < n_most; n++) {
        if (!http_stream_write(x, event, n_bytes)) {
            CHECK(!http_stream_write(x, event, n_bytes));
            CHECK_EQ(site->n_closed, 0); /* not while its owner is busy with it */
            CHECK(site_wait(site, &site->n_closed, 1));
            CHECK_EQ(site->n_answered, 0);
            return n;
        }
        site_run(site, n % 16 == 0); /* lets some of it be sent */
    }
    return n_most;
}

TEST(a_reader_who_stops_is_cut_off_after_so_many_bytes)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    begin(&site, client, get);
    /* 256 KB here, and what the system holds for both of its ends */
    CHECK(write_until_refused(&site, 50000, 1000) < 200);
    CHECK_EQ(http_server_counts(site.server).n_connections, 0);
    close(client);
    site_close(&site);
}

TEST(a_reader_who_stops_is_cut_off_after_so_many_events)
{
    struct site site;
    struct http_limits limits = site_limits();
    limits.max_unsent_bytes = 1 << 30;
    site_open(&site, &limits);
    const int client = site_connect(&site);
    begin(&site, client, get);
    CHECK(write_until_refused(&site, 50000, 10000) < 500);
    close(client);
    site_close(&site);
}

TEST(many_events_at_once_are_fine_while_the_reader_reads)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    begin(&site, client, get);
    for (int i = 0; i < 5000; i++) {
        CHECK(http_stream_write(site.open[0], "0123456789\n", 11));
        if (i % 200 == 199)
            site_hear(&site, client, "9\n\r\n");
    }
    close(client);
    site_close(&site);
}

TEST(one_event_may_be_larger_than_what_may_be_unsent)
{
    static char event[300000];
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    begin(&site, client, get);
    memset(event, 'x', sizeof(event));
    event[sizeof(event) - 1] = '!';
    CHECK(http_stream_write(site.open[0], event, sizeof(event)));
    site_hear(&site, client, "!");
    close(client);
    site_close(&site);
}

TEST(who_takes_nothing_of_a_whole_response_is_closed_in_time)
{
    static char body[8 << 20];
    struct site site;
    struct http_limits limits = site_limits();
    limits.send_ns = 200000000;
    site_open(&site, &limits);
    const int client = site_connect(&site);
    site_say(&site, client, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    http_respond(site.open[0], 200, NULL, body, sizeof(body));
    CHECK(site_wait(&site, &site.n_closed, 1));
    CHECK_EQ(site.n_answered, 0);
    close(client);
    site_close(&site);
}
