#include <sys/socket.h>
#include <unistd.h>

#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_http/site.h"

static const char get[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

static void reset(int client)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(client);
}

/* Turns of a fifth of a millisecond are counted: a machine that stalls takes longer for one. */
static void check_gone_within(struct site *site, int ms)
{
    const int begin = site->n_turns;
    CHECK(site_wait(site, &site->n_closed, 1));
    CHECK(site->n_turns - begin < 5 * ms);
    CHECK_EQ(site->n_answered, 0);
    CHECK_EQ(http_server_counts(site->server).n_connections, 0);
    CHECK_EQ(http_server_counts(site->server).n_exchanges, 0);
}

TEST(a_client_that_leaves_is_noticed_while_its_request_is_worked_on)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    close(client);
    check_gone_within(&site, 100);
    site_close(&site);
}

TEST(a_client_that_resets_is_noticed_while_its_request_is_worked_on)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    reset(client);
    check_gone_within(&site, 100);
    site_close(&site);
}

TEST(a_client_that_leaves_in_a_stream_is_noticed_though_nothing_is_written)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    http_stream_begin(site.open[0], 200, "text/plain");
    CHECK(http_stream_write(site.open[0], "x", 1));
    site_hear(&site, client, "x");
    close(client);
    check_gone_within(&site, 100);
    site_close(&site);
}

/* Sends more than is read ahead; as much as is taken, or so little that its end is not behind bytes
 * that nobody takes. */
static void send_ahead(struct site *site, int client, bool all)
{
    static char bytes[100000];
    site_send(site, client, bytes, sizeof(bytes));
    for (int n_refused = 0; all && n_refused < 50;) {
        if (send(client, bytes, sizeof(bytes), MSG_NOSIGNAL) <= 0)
            n_refused++;
        site_run(site, 1);
    }
    site_run(site, 20);
}

TEST(a_client_that_sends_ahead_is_held_back_and_still_noticed_when_it_leaves)
{
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        struct site site;
        site_open(&site, NULL);
        const int client = site_connect(&site);
        site_say(&site, client, get);
        CHECK(site_wait(&site, &site.n_open, 1));
        send_ahead(&site, client, is_reset);
        CHECK_EQ(site.n_closed, 0);
        if (is_reset)
            reset(client);
        else
            close(client);
        check_gone_within(&site, 1000);
        site_close(&site);
    }
}

TEST(what_was_sent_ahead_is_read_when_its_turn_comes)
{
    static char more[200000];
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    for (size_t n = 0; n < sizeof(more) - 1; n++)
        more[n] = "GET /now HTTP/1.1\r\nHost: h\r\n\r\n"[n % 30];
    site_send(&site, client, more, sizeof(more) / 30 * 30);
    site_run(&site, 20);
    http_respond(site.open[0], 200, NULL, "first", 5);
    const int n_wanted = 1 + (int)sizeof(more) / 30;
    const long long end = clock_now_ns() + 30000000000;
    while (site.n_requests < n_wanted && clock_now_ns() < end) {
        site_run(&site, 1);
        while (recv(client, more, sizeof(more), MSG_DONTWAIT) > 0)
            continue;
    }
    CHECK_EQ(site.n_requests, n_wanted);
    close(client);
    site_close(&site);
}

TEST(an_answer_that_is_ready_reaches_a_client_that_has_shut_its_side)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client,
             "GET /now HTTP/1.1\r\nHost: h\r\n\r\nGET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(client, SHUT_WR);
    const char *got = site_hear_all(&site, client);
    CHECK(got[0] == 'H');
    CHECK_EQ(site.n_answered, 2);
    CHECK_EQ(http_server_counts(site.server).n_connections, 0);
    site_close(&site);
}

TEST(a_request_that_its_client_does_not_finish_never_runs)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
    CHECK(site_wait(&site, &site.n_headers, 1));
    close(client);
    check_gone_within(&site, 100);
    CHECK_EQ(site.n_requests, 0);
    site_close(&site);
}
