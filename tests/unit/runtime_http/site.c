#include "tests/unit/runtime_http/site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/system.h"
#include "tests/test.h"

static const long long patience_ns = 30000000000; /* of tests that hang */

static char heard[1 << 20];

/* ---- the handler ---- */

static void on_headers(void *context, struct http_exchange *x)
{
    struct site *site = context;
    site->n_headers++;
    if (strcmp(http_path(x), "/early") == 0)
        http_respond(x, 401, "text/plain", "no", 2);
}

static void on_request(void *context, struct http_exchange *x)
{
    struct site *site = context;
    site->n_requests++;
    if (strcmp(http_path(x), "/now") == 0) {
        size_t n_body;
        const char *body = http_body(x, &n_body);
        http_respond(x, 200, "text/plain", n_body > 0 ? body : "ok", n_body > 0 ? n_body : 2);
        return;
    }
    CHECK(site->n_open < SITE_MAX_OPEN);
    site->open[site->n_open++] = x;
}

static void on_closed(void *context, struct http_exchange *x, bool was_answered)
{
    struct site *site = context;
    site->n_closed++;
    site->n_answered += was_answered;
    for (int i = 0; i < site->n_open; i++) {
        if (site->open[i] != x)
            continue;
        memmove(&site->open[i], &site->open[i + 1],
                (size_t)(--site->n_open - i) * sizeof(*site->open));
        return;
    }
}

static void on_refused(void *context, struct http_exchange *x, const char *peer, int status,
                       const char *why)
{
    struct site *site = context;
    CHECK(strncmp(peer, "127.0.0.1:", 10) == 0 && *why != '\0');
    (void)x;
    site->n_refused++;
    site->refused_status = status;
}

/* ---- the server ---- */

struct http_limits site_limits(void)
{
    struct http_limits limits = http_limits_default();
    limits.max_body_bytes = 1000;
    return limits;
}

static void open_with(struct site *site, const struct http_settings *settings)
{
    const struct http_handler handler = {.headers = on_headers,
                                         .request = on_request,
                                         .closed = on_closed,
                                         .refused = on_refused,
                                         .context = site};
    struct error err = {0};
    signal(SIGPIPE, SIG_IGN);
    *site = (struct site){.base = event_base_new()};
    if (!http_server_open(&site->server, site->base, settings, &handler, &err) ||
        !http_server_start(site->server, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

void site_open(struct site *site, const struct http_limits *limits)
{
    open_with(site, &(struct http_settings){.host = "127.0.0.1",
                                            .limits = limits ? *limits : site_limits()});
}

void site_open_tls(struct site *site, const char *cert_file, const char *key_file)
{
    open_with(site, &(struct http_settings){.host = "127.0.0.1",
                                            .tls_cert_file = cert_file,
                                            .tls_key_file = key_file,
                                            .limits = site_limits()});
}

void site_close(struct site *site)
{
    http_server_close(site->server);
    event_base_free(site->base);
}

/* ---- its clients ---- */

int site_connect(struct site *site)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)http_server_port(site->server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client >= 0);
    CHECK(connect(client, (const struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(fcntl(client, F_SETFL, O_NONBLOCK) == 0);
    return client;
}

static void turn(struct site *site)
{
    site->n_turns++;
    event_base_loop(site->base, EVLOOP_NONBLOCK);
    system_sleep_ns(200000);
}

void site_run(struct site *site, int ms)
{
    const long long end = clock_now_ns() + ms * 1000000LL;
    while (clock_now_ns() < end)
        turn(site);
}

bool site_wait(struct site *site, const int *number, int wanted)
{
    const long long end = clock_now_ns() + patience_ns;
    while (*number != wanted && clock_now_ns() < end)
        turn(site);
    return *number == wanted;
}

void site_send(struct site *site, int client, const char *bytes, size_t n)
{
    const long long end = clock_now_ns() + patience_ns;
    for (size_t at = 0; at < n;) {
        const ssize_t n_sent = send(client, bytes + at, n - at, MSG_NOSIGNAL);
        if (n_sent < 0 && errno != EAGAIN)
            return; /* what the server says about it is what counts */
        at += n_sent > 0 ? (size_t)n_sent : 0;
        CHECK(clock_now_ns() < end);
        event_base_loop(site->base, EVLOOP_NONBLOCK);
    }
}

void site_say(struct site *site, int client, const char *text)
{
    site_send(site, client, text, strlen(text));
}

/* Reads until `text` is there, or with NULL until the end. */
static const char *hear(struct site *site, int client, const char *text)
{
    const long long end = clock_now_ns() + patience_ns;
    size_t n = 0;
    heard[0] = '\0';
    while (text == NULL || strstr(heard, text) == NULL) {
        turn(site);
        const ssize_t n_more = recv(client, heard + n, sizeof(heard) - 1 - n, 0);
        if (n_more == 0 || (n_more < 0 && errno != EAGAIN)) {
            if (text == NULL)
                break;
            test_fail(__FILE__, __LINE__, "closed before %s after %s", text, heard);
        }
        n += n_more > 0 ? (size_t)n_more : 0;
        heard[n] = '\0';
        if (clock_now_ns() > end)
            test_fail(__FILE__, __LINE__, "no %s after %s", text ? text : "end", heard);
    }
    return heard;
}

const char *site_hear(struct site *site, int client, const char *text)
{
    return hear(site, client, text);
}

const char *site_hear_all(struct site *site, int client)
{
    hear(site, client, NULL);
    close(client);
    return heard;
}

const char *site_ask(struct site *site, const char *text)
{
    const int client = site_connect(site);
    site_say(site, client, text);
    return site_hear_all(site, client);
}
