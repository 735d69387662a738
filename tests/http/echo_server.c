/* The smallest program over runtime/http, for the tests of this folder and for measurements.
 *
 * Usage: echo_server [name=value …]; the limits, port, cert and key are below. Prints
 * "listening on PORT" and serves until its standard input or a SIGTERM ends it (which drains).
 *
 *     GET  /hello                       200 "hello"
 *     POST /echo                        200 and the body of the request
 *     GET  /stream?n=N&bytes=N&ms=N     200 and so many events of so many bytes, one each ms
 *     GET  /wait                        no answer ever
 *     GET  /counts                      numbers: connections that are open; exchanges that are, but
 * for this one; exchanges whose clients left; requests that ran
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/http/http_server.h"

struct echo_server {
    struct event_base *base;
    struct http_server *http;
    struct event *on_term, *on_input;
    long n_gone, n_run;
};

struct echo_stream { /* of one exchange */
    struct http_exchange *x;
    struct event *tick;
    long n_left, n_bytes;
    struct timeval between;
    char *event;
};

/* ---- streams ---- */

static void send_event(evutil_socket_t fd, short what, void *context)
{
    struct echo_stream *s = context;
    (void)fd;
    (void)what;
    if (s->n_left == 0) {
        http_stream_end(s->x);
        return;
    }
    s->n_left--;
    if (http_stream_write(s->x, s->event, (size_t)s->n_bytes))
        event_add(s->tick, &s->between);
}

/* The number of "name=N" in a query, or another one. */
static long number_of(const char *query, const char *name, long otherwise)
{
    const size_t n = strlen(name);
    for (const char *at = query; at != NULL; at = strchr(at, '&')) {
        at += *at == '&';
        if (strncmp(at, name, n) == 0 && at[n] == '=')
            return strtol(at + n + 1, NULL, 10);
    }
    return otherwise;
}

static void begin_stream(struct echo_server *server, struct http_exchange *x)
{
    struct echo_stream *s = memory_alloc(1, sizeof(*s));
    const char *query = http_query(x);
    const long ms = number_of(query, "ms", 0);
    s->x = x;
    s->n_left = number_of(query, "n", 3);
    s->n_bytes = number_of(query, "bytes", 20);
    s->between = (struct timeval){ms / 1000, ms % 1000 * 1000};
    s->tick = evtimer_new(server->base, send_event, s);
    s->event = memory_alloc((size_t)s->n_bytes, 1);
    memset(s->event, 'x', (size_t)s->n_bytes);
    http_set_data(x, s);
    http_stream_begin(x, 200, "text/event-stream");
    send_event(-1, 0, s);
}

/* ---- the handler ---- */

static void on_headers(void *context, struct http_exchange *x)
{
    static const char *const paths[] = {"/hello", "/echo", "/stream", "/wait", "/counts"};
    (void)context;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (strcmp(http_path(x), paths[i]) == 0)
            return;
    }
    http_respond(x, 404, "text/plain", "not here\n", 9);
}

static void on_request(void *context, struct http_exchange *x)
{
    struct echo_server *server = context;
    const char *path = http_path(x);
    size_t n_body = 0;
    const char *body = http_body(x, &n_body);
    if (strcmp(path, "/counts") != 0)
        server->n_run++;
    if (strcmp(path, "/hello") == 0) {
        http_respond(x, 200, "text/plain", "hello\n", 6);
    } else if (strcmp(path, "/echo") == 0) {
        http_respond(x, 200, "application/octet-stream", body, n_body);
    } else if (strcmp(path, "/stream") == 0) {
        begin_stream(server, x);
    } else if (strcmp(path, "/counts") == 0) {
        const struct http_counts now = http_server_counts(server->http);
        char line[128];
        const int n = snprintf(line, sizeof(line), "%d %d %ld %ld\n", now.n_connections,
                               now.n_exchanges - 1, server->n_gone, server->n_run);
        http_respond(x, 200, "text/plain", line, (size_t)n);
    }
}

static void on_closed(void *context, struct http_exchange *x, bool was_answered)
{
    struct echo_server *server = context;
    struct echo_stream *s = http_data(x);
    server->n_gone += !was_answered;
    if (s == NULL)
        return;
    event_free(s->tick);
    memory_free(s->event);
    memory_free(s);
}

/* ---- the program ---- */

static bool set_option(struct http_settings *settings, const char *word)
{
    struct http_limits *limits = &settings->limits;
    const char *value = strchr(word, '=');
    if (value == NULL)
        return false;
    const size_t n = (size_t)(value++ - word);
    const long long number = strtoll(value, NULL, 10);
#define OPTION(name, place, what)                           \
    if (strlen(name) == n && strncmp(word, name, n) == 0) { \
        place = what;                                       \
        return true;                                        \
    }
    OPTION("host", settings->host, value)
    OPTION("port", settings->port, (int)number)
    OPTION("cert", settings->tls_cert_file, value)
    OPTION("key", settings->tls_key_file, value)
    OPTION("max_body_bytes", limits->max_body_bytes, (size_t)number)
    OPTION("max_connections", limits->max_connections, (int)number)
    OPTION("header_ms", limits->header_ns, number * 1000000)
    OPTION("body_ms", limits->body_ns, number * 1000000)
    OPTION("idle_ms", limits->idle_ns, number * 1000000)
    OPTION("send_ms", limits->send_ns, number * 1000000)
#undef OPTION
    return false;
}

static void on_signal(evutil_socket_t fd, short what, void *context)
{
    struct echo_server *server = context;
    (void)fd;
    (void)what;
    http_server_drain(server->http);
    event_del(server->on_term);
    event_del(server->on_input); /* the loop ends with the last connection */
}

static void on_input(evutil_socket_t fd, short what, void *context)
{
    struct echo_server *server = context;
    char byte;
    (void)what;
    if (read(fd, &byte, 1) == 0)
        event_base_loopbreak(server->base);
}

static bool serve(struct echo_server *server, const struct http_settings *settings,
                  struct error *err)
{
    const struct http_handler handler = {
        .headers = on_headers, .request = on_request, .closed = on_closed, .context = server};
    if (!http_server_open(&server->http, server->base, settings, &handler, err) ||
        !http_server_start(server->http, err))
        return false;
    printf("listening on %d\n", http_server_port(server->http));
    fflush(stdout);
    server->on_term = evsignal_new(server->base, SIGTERM, on_signal, server);
    server->on_input =
        event_new(server->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, server);
    event_add(server->on_term, NULL);
    event_add(server->on_input, NULL);
    event_base_dispatch(server->base);
    event_free(server->on_term);
    event_free(server->on_input);
    return true;
}

int main(int argc, char **argv)
{
    struct http_settings settings = {.host = "127.0.0.1", .limits = http_limits_default()};
    for (int i = 1; i < argc; i++) {
        if (!set_option(&settings, argv[i])) {
            fprintf(stderr, "echo_server: %s is no option\n", argv[i]);
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    struct echo_server server = {.base = event_base_new()};
    struct error err = {0};
    const bool was_served = serve(&server, &settings, &err);
    if (!was_served)
        fprintf(stderr, "echo_server: %s\n", err.text);
    http_server_close(server.http);
    event_base_free(server.base);
    return was_served ? 0 : 2;
}
