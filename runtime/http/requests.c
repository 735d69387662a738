/* What a connection reads: one request after the other; its head, its body, off to the handler. */
#include <event2/buffer.h>

#include "base/memory.h"
#include "base/system.h"
#include "runtime/http/connection.h"
#include "runtime/http/refusal.h"

static const struct refusal too_many = {503, "too many large requests at once: try again"};

/* ---- exchanges ---- */

static void begin_exchange(struct http_connection *c)
{
    struct http_exchange *x = memory_alloc(1, sizeof(*x));
    x->connection = c;
    head_init(&x->head, &c->server->limits);
    c->exchange = x;
    c->server->counts.n_exchanges++;
    c->phase = CONNECTION_HEAD;
    c->begin_ns = clock_now_ns();
    connection_set_timer(c, c->server->limits.header_ns);
}

void requests_end(struct http_connection *c, bool was_answered)
{
    struct http_exchange *x = c->exchange;
    if (x == NULL)
        return;
    const struct http_handler *handler = &c->server->handler;
    if (x->is_seen)
        handler->closed(handler->context, x, was_answered);
    c->exchange = NULL;
    c->server->counts.n_exchanges--;
    c->server->n_body_bytes -= x->body.len;
    head_release(&x->head);
    bytes_release(&x->body);
    bytes_release(&x->headers);
    memory_free(x->event_ends);
    memory_free(x);
}

void requests_refuse(struct http_connection *c, const struct refusal *why)
{
    const struct http_handler *handler = &c->server->handler;
    struct http_exchange *x = c->exchange != NULL && c->exchange->is_seen ? c->exchange : NULL;
    if (handler->refused != NULL)
        handler->refused(handler->context, x, c->peer, why->status, why->why);
    requests_end(c, false);
    c->closes = true;
    response_refuse(c, why);
}

/* ---- their parts ---- */

static void hand_over(struct http_connection *c)
{
    struct http_exchange *x = c->exchange;
    const struct http_handler *handler = &c->server->handler;
    c->phase = CONNECTION_WORK;
    c->server->n_changes++;
    event_del(c->timer);
    handler->request(handler->context, x);
}

static void begin_body(struct http_connection *c)
{
    c->phase = CONNECTION_BODY;
    const int64_t spent = clock_now_ns() - c->begin_ns;
    const int64_t left = c->server->limits.body_ns - spent;
    connection_set_timer(c, left > 0 ? left : 0);
    /* Who has sent some of it does not wait for this. */
    if (c->exchange->head.expects_continue &&
        evbuffer_get_length(bufferevent_get_input(c->stream)) == 0) {
        evbuffer_add_printf(c->pending, "HTTP/1.1 100 Continue\r\n\r\n");
        connection_written(c);
    }
}

/* These take some of the bytes at the front of the input, and return how many. */

static size_t read_head(struct http_connection *c, const char *data, size_t n)
{
    struct http_exchange *x = c->exchange;
    struct refusal why;
    size_t n_used = 0;
    if (!head_read(&x->head, &c->server->limits, data, n, &n_used, &why)) {
        requests_refuse(c, &why);
        return n;
    }
    return n_used;
}

static void end_head(struct http_connection *c)
{
    struct http_exchange *x = c->exchange;
    const struct http_handler *handler = &c->server->handler;
    x->is_seen = true;
    handler->headers(handler->context, x);
    if (x->has_answer || c->is_doomed)
        return;
    if (x->head.is_chunked || x->head.n_body > 0)
        begin_body(c);
    else
        hand_over(c);
}

static bool add_body(struct http_exchange *x, size_t max_bytes, const char *data, size_t n,
                     size_t *n_used, struct refusal *why)
{
    if (x->head.is_chunked)
        return chunks_read(&x->chunks, &x->body, max_bytes, data, n, n_used, why);
    const uint64_t n_left = x->head.n_body - x->body.len;
    *n_used = n < n_left ? n : (size_t)n_left;
    bytes_add(&x->body, data, *n_used);
    return true;
}

static bool is_body_whole(const struct http_exchange *x)
{
    return x->head.is_chunked ? x->chunks.state == CHUNKS_END : x->body.len == x->head.n_body;
}

static size_t read_body(struct http_connection *c, const char *data, size_t n)
{
    struct http_server *server = c->server;
    struct http_exchange *x = c->exchange;
    const size_t n_before = x->body.len;
    struct refusal why;
    size_t n_used = 0;
    if (!add_body(x, server->limits.max_body_bytes, data, n, &n_used, &why)) {
        x->body.len = n_before; /* as it was counted */
        requests_refuse(c, &why);
        return n;
    }
    server->n_body_bytes += x->body.len - n_before;
    if (server->n_body_bytes > server->limits.max_bodies_bytes) {
        requests_refuse(c, &too_many);
        return n;
    }
    if (is_body_whole(x))
        hand_over(c);
    return n_used;
}

bool requests_are_read(const struct http_connection *c)
{
    return !c->is_doomed && (c->phase == CONNECTION_IDLE || c->phase == CONNECTION_HEAD ||
                             c->phase == CONNECTION_BODY);
}

void requests_read(struct http_connection *c)
{
    struct evbuffer *input = bufferevent_get_input(c->stream);
    while (requests_are_read(c)) {
        const size_t n = evbuffer_get_contiguous_space(input);
        if (n == 0)
            return;
        const char *data = (const char *)evbuffer_pullup(input, (ssize_t)n);
        if (c->phase == CONNECTION_IDLE)
            begin_exchange(c);
        if (c->phase == CONNECTION_HEAD) {
            evbuffer_drain(input, read_head(c, data, n));
            if (c->phase == CONNECTION_HEAD && c->exchange->head.is_complete)
                end_head(c);
        } else {
            evbuffer_drain(input, read_body(c, data, n));
        }
    }
}
