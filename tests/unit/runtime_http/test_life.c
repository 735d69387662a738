#include <arpa/inet.h>
#include <event2/event.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_http/site.h"

static const char get[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

static void ignore(void *context, struct http_exchange *x)
{
    (void)context;
    (void)x;
}

static void ignore_end(void *context, struct http_exchange *x, bool was_answered)
{
    (void)context;
    (void)x;
    (void)was_answered;
}

static const struct http_handler nobody = {
    .headers = ignore, .request = ignore, .closed = ignore_end};

static bool try_open(struct http_server **out, struct event_base *base, const char *host, int port,
                     struct error *err)
{
    const struct http_settings settings = {
        .host = host, .port = port, .limits = http_limits_default()};
    return http_server_open(out, base, &settings, &nobody, err);
}

TEST(a_port_in_use_is_named)
{
    struct site site;
    struct http_server *other = NULL;
    struct error err = {0};
    site_open(&site, NULL);
    CHECK(!try_open(&other, site.base, "127.0.0.1", http_server_port(site.server), &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "is in use by another program") != NULL);
    site_close(&site);
}

TEST(a_port_can_be_taken_again_at_once)
{
    struct site site;
    struct http_server *next = NULL;
    struct error err = {0};
    site_open(&site, NULL);
    const int port = http_server_port(site.server), client = site_connect(&site);
    site_say(&site, client, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    http_server_close(site.server);
    CHECK_EQ(site.n_closed, 1);
    CHECK(try_open(&next, site.base, "127.0.0.1", port, &err));
    CHECK(http_server_start(next, &err));
    site.server = next;
    close(client);
    site_close(&site);
}

TEST(nobody_is_taken_before_the_start)
{
    struct event_base *base = event_base_new();
    struct http_server *server = NULL;
    struct error err = {0};
    CHECK(try_open(&server, base, "127.0.0.1", 0, &err));
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)http_server_port(server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(connect(client, (const struct sockaddr *)&address, sizeof(address)) != 0);
    close(client);
    http_server_close(server);
    event_base_free(base);
}

TEST(a_host_is_a_name_or_an_address)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "0.0.0.0", "", NULL};
    struct event_base *base = event_base_new();
    for (int i = 0; i < 5; i++) {
        struct http_server *server = NULL;
        struct error err = {0};
        CHECK(try_open(&server, base, hosts[i], 0, &err));
        CHECK(http_server_port(server) > 0);
        http_server_close(server);
    }
    struct http_server *none = NULL;
    struct error err = {0};
    CHECK(!try_open(&none, base, "no.such.host.invalid", 0, &err));
    CHECK(strstr(err.text, "no.such.host.invalid") != NULL);
    err = (struct error){0};
    CHECK(!try_open(&none, base, "192.0.2.1", 0, &err)); /* of documentations, nobody's */
    CHECK(strstr(err.text, "192.0.2.1") != NULL);
    event_base_free(base);
}

TEST(a_connection_waits_while_the_system_has_no_more_files)
{
    struct site site;
    struct rlimit before;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)client + 1, before.rlim_max}) == 0);
    site_run(&site, 50);
    const int n_connections = http_server_counts(site.server).n_connections;
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_EQ(n_connections, 0);
    CHECK(http_server_counts(site.server).n_waits > 0);
    site_say(&site, client, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n");
    site_hear(&site, client, "ok");
    close(client);
    site_close(&site);
}

TEST(draining_closes_who_is_idle_and_each_other_after_its_response)
{
    struct site site;
    site_open(&site, NULL);
    const int idle = site_connect(&site), busy = site_connect(&site);
    site_say(&site, busy, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    http_server_drain(site.server);
    CHECK_STR(site_hear_all(&site, idle), "");
    http_respond(site.open[0], 200, NULL, "last", 4);
    const char *got = site_hear_all(&site, busy);
    CHECK(strstr(got, "\r\nConnection: close\r\n") != NULL);
    CHECK(strstr(got, "last") != NULL);
    site_run(&site, 20);
    CHECK_EQ(http_server_counts(site.server).n_connections, 0);
    site_close(&site);
}

TEST(draining_does_not_wait_for_the_rest_of_a_request)
{
    struct site site;
    site_open(&site, NULL);
    const int head = site_connect(&site), body = site_connect(&site);
    site_say(&site, head, "GET /now HTTP/1.1\r\nHost:");
    site_say(&site, body, "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
    CHECK(site_wait(&site, &site.n_headers, 1));
    http_server_drain(site.server);
    CHECK_STR(site_hear_all(&site, head), "");
    CHECK_STR(site_hear_all(&site, body), "");
    CHECK_EQ(http_server_counts(site.server).n_exchanges, 0);
    CHECK_EQ(site.n_closed, 1);
    site_close(&site);
}

TEST(draining_ends_a_stream_where_its_handler_ends_it)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    http_stream_begin(site.open[0], 200, "text/plain");
    http_server_drain(site.server);
    site_run(&site, 20);
    CHECK(http_stream_write(site.open[0], "more", 4));
    http_stream_end(site.open[0]);
    CHECK(strstr(site_hear_all(&site, client), "4\r\nmore\r\n0\r\n\r\n") != NULL);
    CHECK_EQ(site.n_answered, 1);
    site_close(&site);
}

TEST(closing_ends_every_exchange_once)
{
    struct site site;
    site_open(&site, NULL);
    const int client = site_connect(&site);
    site_say(&site, client, get);
    CHECK(site_wait(&site, &site.n_open, 1));
    site_close(&site);
    CHECK_EQ(site.n_closed, 1);
    CHECK_EQ(site.n_answered, 0);
    close(client);
}
