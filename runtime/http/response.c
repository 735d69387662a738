/* Writes responses: whole, or in pieces of which a slow reader may leave only so many. */
#include <event2/buffer.h>
#include <http_parser.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/http/connection.h"
#include "runtime/http/date.h"
#include "runtime/http/refusal.h"

static struct evbuffer *output_of(const struct http_exchange *x)
{
    return bufferevent_get_output(x->connection->stream);
}

/* ---- the head of a response ---- */

static const char *date_now(struct http_server *server)
{
    const int64_t second = clock_wall_ms() / 1000;
    if (second != server->date_second) {
        server->date_second = second;
        date_format(server->date, sizeof(server->date), second);
    }
    return server->date;
}

static const char *reason_of(int status)
{
    switch (status) {
#define REASON(number, name, text) \
    case number:                   \
        return #text;
        HTTP_STATUS_MAP(REASON)
#undef REASON
    default:
        return "Unknown";
    }
}

static bool has_no_body(int status) { return status < 200 || status == 204 || status == 304; }

/* A body that was not read to its end cannot be told from the next request. */
static bool is_last(const struct http_connection *c)
{
    const struct http_exchange *x = c->exchange;
    if (c->server->is_draining || c->is_at_end || x == NULL || !x->head.keeps_alive)
        return true;
    const bool has_body = x->head.is_chunked || x->head.n_body > 0;
    return (c->phase == CONNECTION_HEAD && has_body) || c->phase == CONNECTION_BODY;
}

/* All but the empty line; `n_body` below 0: chunks, or all until the end of the connection. */
static void add_head(struct http_connection *c, int status, const char *content_type,
                     int64_t n_body)
{
    struct evbuffer *out = bufferevent_get_output(c->stream);
    struct http_exchange *x = c->exchange;
    const bool is_old = x != NULL && x->head.is_http_1_0;
    if (is_last(c) || (n_body < 0 && is_old))
        c->closes = true;
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, reason_of(status),
                        date_now(c->server));
    if (content_type != NULL)
        evbuffer_add_printf(out, "Content-Type: %s\r\n", content_type);
    if (n_body >= 0 && !has_no_body(status))
        evbuffer_add_printf(out, "Content-Length: %lld\r\n", (long long)n_body);
    else if (n_body < 0 && !is_old)
        evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
    if (c->closes)
        evbuffer_add_printf(out, "Connection: close\r\n");
    else if (is_old)
        evbuffer_add_printf(out, "Connection: keep-alive\r\n");
    if (x != NULL && x->headers.len > 0)
        evbuffer_add(out, x->headers.data, x->headers.len);
    evbuffer_add(out, "\r\n", 2);
}

static bool is_head_request(const struct http_exchange *x)
{
    return x->head.parser.method == HTTP_HEAD;
}

/* ---- what a handler calls ---- */

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    }
    return true;
}

void http_add_header(struct http_exchange *x, const char *name, const char *value)
{
    check(!x->has_answer);
    check(is_plain(name) && is_plain(value));
    bytes_printf(&x->headers, "%s: %s\r\n", name, value);
}

void http_respond(struct http_exchange *x, int status, const char *content_type, const void *body,
                  size_t n_bytes)
{
    check(!x->has_answer);
    struct http_connection *c = x->connection;
    x->has_answer = true;
    if (c->is_doomed)
        return;
    add_head(c, status, content_type, (int64_t)n_bytes);
    if (n_bytes > 0 && !is_head_request(x) && !has_no_body(status))
        evbuffer_add(output_of(x), body, n_bytes);
    connection_answered(c);
}

void http_stream_begin(struct http_exchange *x, int status, const char *content_type)
{
    check(!x->has_answer);
    struct http_connection *c = x->connection;
    x->has_answer = true;
    x->is_chunked = !x->head.is_http_1_0;
    x->event_ends =
        memory_alloc((size_t)c->server->limits.max_unsent_events, sizeof(*x->event_ends));
    if (c->is_doomed)
        return;
    add_head(c, status, content_type, -1);
    c->phase = CONNECTION_WORK; /* also from `headers`: a body is then not read */
}

/* Forgets the events that the system took; the count of all bytes begins with the first event. */
static void forget_sent(struct http_exchange *x, size_t n_unsent)
{
    const int max = x->connection->server->limits.max_unsent_events;
    while (x->n_events > 0 && x->event_ends[x->first_event] + n_unsent <= x->n_written) {
        x->first_event = (x->first_event + 1) % max;
        x->n_events--;
    }
}

/* One chunk in one piece, so that the buffer is touched once. */
static size_t add_chunk(struct http_exchange *x, const void *data, size_t n)
{
    enum { MAX_SIZE_LINE = 20 };
    char line[MAX_SIZE_LINE];
    const int n_line = x->is_chunked ? snprintf(line, sizeof(line), "%zx\r\n", n) : 0;
    const size_t n_all = (size_t)n_line + n + (x->is_chunked ? 2 : 0);
    struct evbuffer_iovec space;
    check(evbuffer_reserve_space(output_of(x), (ssize_t)n_all, &space, 1) == 1);
    char *out = space.iov_base;
    memcpy(out, line, (size_t)n_line);
    memcpy(out + n_line, data, n);
    if (x->is_chunked)
        memcpy(out + n_line + n, "\r\n", 2);
    space.iov_len = n_all;
    evbuffer_commit_space(output_of(x), &space, 1);
    return n_all;
}

bool http_stream_write(struct http_exchange *x, const void *data, size_t n_bytes)
{
    struct http_connection *c = x->connection;
    const struct http_limits *limits = &c->server->limits;
    check(x->event_ends != NULL && c->phase != CONNECTION_SENDING);
    if (c->is_doomed)
        return false;
    if (n_bytes == 0 || is_head_request(x))
        return true; /* a chunk without bytes would be the end */
    const size_t n_unsent = evbuffer_get_length(output_of(x));
    forget_sent(x, n_unsent);
    if (x->n_events == limits->max_unsent_events ||
        (x->n_events > 0 && n_unsent + n_bytes > limits->max_unsent_bytes)) {
        connection_doom(c);
        return false;
    }
    x->n_written += add_chunk(x, data, n_bytes);
    x->event_ends[(x->first_event + x->n_events++) % limits->max_unsent_events] = x->n_written;
    return true;
}

void http_stream_end(struct http_exchange *x)
{
    struct http_connection *c = x->connection;
    check(x->event_ends != NULL && c->phase != CONNECTION_SENDING);
    if (c->is_doomed)
        return;
    if (x->is_chunked && !is_head_request(x))
        evbuffer_add(output_of(x), "0\r\n\r\n", 5);
    connection_answered(c);
}

/* ---- what this layer says by itself ---- */

/* The form of errors that OpenAI's clients know. */
#define ERROR_BODY "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":%d}}\n"

void response_refuse(struct http_connection *c, const struct refusal *why)
{
    char type[64], body[512];
    const char *reason = reason_of(why->status);
    size_t n = 0;
    for (const char *from = reason; *from != '\0' && n + sizeof("Error") < sizeof(type); from++) {
        if (*from != ' ')
            type[n++] = *from;
    }
    memcpy(type + n, "Error", sizeof("Error"));
    const int n_body = snprintf(body, sizeof(body), ERROR_BODY, why->why, type, why->status);
    add_head(c, why->status, "application/json", n_body);
    bufferevent_write(c->stream, body, (size_t)n_body);
    connection_answered(c);
}

const char *response_overloaded(void)
{
    return "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
           "Retry-After: 1\r\nConnection: close\r\n\r\n"
           "{\"error\":{\"message\":\"too many connections\",\"type\":\"ServiceUnavailableError\","
           "\"param\":null,\"code\":503}}\n";
}
