/* One connection: reads requests, one after the other, and ends when it must.
 *
 * Reading goes on while a request is worked on, so that a client that leaves is noticed. What comes
 * behind that request fills a buffer of about MAX_AHEAD; when it is full nothing is read, TCP holds
 * the client back, and a look at the socket now and then says whether it is still there. (The high
 * watermark of bufferevents cannot do this: above it they call the reader again and again.)
 *
 * One timer serves all phases: a connection waits for one thing at a time. */
#include "runtime/http/connection.h"

#include <errno.h>
#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/system.h"
#include "runtime/http/refusal.h"
#include "runtime/http/tls.h"

enum {
    MAX_AHEAD = 64 * 1024,
    MAX_UNSENT_IN_SYSTEM = 32 * 1024, /* beyond what is on its way to the client */
};
static const int64_t linger_ns = 2000000000, look_ns = 250000000;

static const struct refusal too_slow = {408, "the request did not come in time"};
static const struct refusal too_many = {503, "too many large requests at once: try again"};

static void set_timer(struct http_connection *c, int64_t ns)
{
    const struct timeval in = {ns / 1000000000, ns % 1000000000 / 1000};
    event_add(c->timer, &in);
}

size_t connection_unsent(const struct http_connection *c)
{
    return evbuffer_get_length(c->pending) + evbuffer_get_length(bufferevent_get_output(c->stream));
}

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
    set_timer(c, c->server->limits.header_ns);
}

static void end_exchange(struct http_connection *c, bool was_answered)
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

void connection_doom(struct http_connection *c)
{
    c->is_doomed = true;
    set_timer(c, 0);
}

void connection_written(struct http_connection *c)
{
    struct http_server *server = c->server;
    if (c->unflushed_link != NULL)
        return;
    c->unflushed_link = &server->unflushed;
    c->next_unflushed = server->unflushed;
    if (c->next_unflushed != NULL)
        c->next_unflushed->unflushed_link = &c->next_unflushed;
    else if (server->is_flushing) /* an answer to what was sent ahead: others first */
        event_add(server->flush, &(const struct timeval){0, 0});
    else
        event_active(server->flush, EV_TIMEOUT, 0);
    server->unflushed = c;
}

static void forget_pending(struct http_connection *c)
{
    if (c->unflushed_link == NULL)
        return;
    *c->unflushed_link = c->next_unflushed;
    if (c->next_unflushed != NULL)
        c->next_unflushed->unflushed_link = c->unflushed_link;
    c->unflushed_link = NULL;
}

/* Who takes nothing of it has the time of bufferevent_set_timeouts(). */
void connection_answered(struct http_connection *c)
{
    c->phase = CONNECTION_SENDING;
    event_del(c->timer);
    connection_written(c);
}

/* The exchange is over without an answer of the handler's, who may have seen it; ours is sent. */
static void refuse(struct http_connection *c, const struct refusal *why)
{
    end_exchange(c, false);
    c->closes = true;
    response_refuse(c, why);
}

/* ---- the requests of a connection ---- */

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
    set_timer(c, left > 0 ? left : 0);
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
        refuse(c, &why);
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
        refuse(c, &why);
        return n;
    }
    server->n_body_bytes += x->body.len - n_before;
    if (server->n_body_bytes > server->limits.max_bodies_bytes) {
        refuse(c, &too_many);
        return n;
    }
    if (is_body_whole(x))
        hand_over(c);
    return n_used;
}

static bool is_reading(const struct http_connection *c)
{
    return !c->is_doomed && (c->phase == CONNECTION_IDLE || c->phase == CONNECTION_HEAD ||
                             c->phase == CONNECTION_BODY);
}

static void read_requests(struct http_connection *c)
{
    struct evbuffer *input = bufferevent_get_input(c->stream);
    while (is_reading(c)) {
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

/* ---- how it ends ---- */

static void detach(struct http_connection *c)
{
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    c->server->counts.n_connections--;
}

void connection_destroy(struct http_connection *c)
{
    c->server->n_changes++;
    end_exchange(c, false);
    detach(c);
    forget_pending(c);
    evbuffer_free(c->pending);
    event_free(c->timer);
    bufferevent_free(c->stream);
    memory_free(c);
}

bool connection_is_idle(const struct http_connection *c) { return c->phase <= CONNECTION_BODY; }

/* Nothing is left to say. */
static void linger(struct http_connection *c)
{
    if (c->is_at_end) {
        connection_destroy(c);
        return;
    }
    c->phase = CONNECTION_LINGER;
    if (c->server->tls != NULL)
        tls_say_end(c->stream);
    shutdown(bufferevent_getfd(c->stream), SHUT_WR);
    struct evbuffer *input = bufferevent_get_input(c->stream);
    evbuffer_drain(input, evbuffer_get_length(input));
    set_timer(c, linger_ns);
}

/* A client that sent its last byte gets what is answered, and nothing is worked on for it: a
 * client that is gone looks the same. May destroy c. */
static void go_on(struct http_connection *c)
{
    read_requests(c);
    if (c->is_at_end && c->phase != CONNECTION_SENDING) {
        connection_destroy(c);
        return;
    }
    if (!is_reading(c) && evbuffer_get_length(bufferevent_get_input(c->stream)) >= MAX_AHEAD) {
        bufferevent_disable(c->stream, EV_READ);
        if (c->phase == CONNECTION_WORK && !c->is_doomed)
            set_timer(c, look_ns);
    }
}

/* A whole response is with the system. */
static void end_response(struct http_connection *c)
{
    end_exchange(c, true);
    if (!(bufferevent_get_enabled(c->stream) & EV_READ) && !c->is_at_end)
        bufferevent_enable(c->stream, EV_READ);
    if (c->closes || c->server->is_draining) {
        linger(c);
        return;
    }
    c->phase = CONNECTION_IDLE;
    set_timer(c, c->server->limits.idle_ns);
    go_on(c);
}

/* False: the connection is broken. */
static bool send_pending(struct http_connection *c)
{
    if (c->server->tls == NULL && evbuffer_get_length(bufferevent_get_output(c->stream)) == 0 &&
        evbuffer_write(c->pending, bufferevent_getfd(c->stream)) < 0 && errno != EAGAIN &&
        errno != EINTR)
        return false;
    if (evbuffer_get_length(c->pending) > 0)
        bufferevent_write_buffer(c->stream, c->pending);
    return true;
}

void connection_flush(struct http_connection *c)
{
    forget_pending(c);
    if (c->is_doomed)
        return;
    if (evbuffer_get_length(c->pending) > 0 && !send_pending(c))
        connection_destroy(c);
    else if (c->phase == CONNECTION_SENDING && connection_unsent(c) == 0)
        end_response(c);
}

static bool is_gone(const struct http_connection *c)
{
    struct pollfd look = {.fd = bufferevent_getfd(c->stream), .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0;
}

/* ---- what the loop calls ---- */

static void on_timer(evutil_socket_t socket, short what, void *context)
{
    struct http_connection *c = context;
    (void)socket;
    (void)what;
    if (c->is_doomed) {
        connection_destroy(c);
        return;
    }
    switch (c->phase) {
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
        refuse(c, &too_slow);
        return;
    case CONNECTION_WORK: /* what it sends is not read, so its end is not seen */
        if (is_gone(c))
            connection_destroy(c);
        else
            set_timer(c, look_ns);
        return;
    case CONNECTION_HANDSHAKE:
    case CONNECTION_IDLE:
    case CONNECTION_SENDING: /* which has no timer */
    case CONNECTION_LINGER:
        connection_destroy(c);
        return;
    }
}

static void on_read(struct bufferevent *stream, void *context)
{
    struct http_connection *c = context;
    if (c->phase == CONNECTION_LINGER) {
        struct evbuffer *input = bufferevent_get_input(stream);
        evbuffer_drain(input, evbuffer_get_length(input));
        return;
    }
    go_on(c);
}

static void on_written(struct bufferevent *stream, void *context)
{
    struct http_connection *c = context;
    (void)stream;
    if (c->phase == CONNECTION_SENDING && !c->is_doomed && connection_unsent(c) == 0)
        end_response(c);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
    struct http_connection *c = context;
    (void)stream;
    if (what & BEV_EVENT_CONNECTED) { /* the handshake is done */
        c->phase = CONNECTION_IDLE;
        set_timer(c, c->server->limits.idle_ns);
        return;
    }
    if ((what & BEV_EVENT_EOF) && c->phase == CONNECTION_SENDING) {
        c->is_at_end = true;
        return;
    }
    connection_destroy(c); /* an end, a reset, or a reader who takes nothing */
}

/* ---- its begin ---- */

/* None of these can fail in a way that matters: a connection without them is only worse. */
static void set_socket_options(int socket)
{
    const int on = 1, idle_s = 30, between_s = 10, n_probes = 3, max_unsent = MAX_UNSENT_IN_SYSTEM;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)); /* hosts that vanish */
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof(between_s));
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &n_probes, sizeof(n_probes));
    /* Else the system would take megabytes for a reader that has stopped. */
    setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &max_unsent, sizeof(max_unsent));
}

void connection_open(struct http_server *server, int socket, const char *peer)
{
    set_socket_options(socket);
    struct bufferevent *stream =
        server->tls != NULL ? tls_accept(server->tls, server->base, socket)
                            : bufferevent_socket_new(server->base, socket, BEV_OPT_CLOSE_ON_FREE);
    if (stream == NULL) {
        close(socket);
        return;
    }
    struct http_connection *c = memory_alloc(1, sizeof(*c));
    c->server = server;
    c->stream = stream;
    c->pending = evbuffer_new();
    c->timer = evtimer_new(server->base, on_timer, c);
    snprintf(c->peer, sizeof(c->peer), "%s", peer);
    c->link = &server->connections;
    c->next = server->connections;
    if (c->next != NULL)
        c->next->link = &c->next;
    server->connections = c;
    server->counts.n_connections++;
    c->phase = server->tls != NULL ? CONNECTION_HANDSHAKE : CONNECTION_IDLE;
    set_timer(c, server->tls != NULL ? server->limits.header_ns : server->limits.idle_ns);
    const int64_t send_ns = server->limits.send_ns;
    const struct timeval patience = {send_ns / 1000000000, send_ns % 1000000000 / 1000};
    bufferevent_set_timeouts(stream, NULL, &patience);
    bufferevent_setcb(stream, on_read, on_written, on_event, c);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}
