/* One connection: its begin, what the loop tells it, and its end. What it reads: requests.c.
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

void connection_set_timer(struct http_connection *c, int64_t ns)
{
    const struct timeval in = clock_timeval(ns);
    event_add(c->timer, &in);
}

size_t connection_unsent(const struct http_connection *c)
{
    return evbuffer_get_length(c->pending) + evbuffer_get_length(bufferevent_get_output(c->stream));
}

void connection_doom(struct http_connection *c)
{
    c->is_doomed = true;
    connection_set_timer(c, 0);
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
    requests_end(c, false);
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
    connection_set_timer(c, linger_ns);
}

/* A client that sent its last byte gets what is answered, and nothing is worked on for it: a
 * client that is gone looks the same. May destroy c. */
static void go_on(struct http_connection *c)
{
    requests_read(c);
    if (c->is_at_end && c->phase != CONNECTION_SENDING) {
        connection_destroy(c);
        return;
    }
    if (!requests_are_read(c) &&
        evbuffer_get_length(bufferevent_get_input(c->stream)) >= MAX_AHEAD) {
        bufferevent_disable(c->stream, EV_READ);
        if (c->phase == CONNECTION_WORK && !c->is_doomed)
            connection_set_timer(c, look_ns);
    }
}

/* A whole response is with the system. */
static void end_response(struct http_connection *c)
{
    requests_end(c, true);
    if (!(bufferevent_get_enabled(c->stream) & EV_READ) && !c->is_at_end)
        bufferevent_enable(c->stream, EV_READ);
    if (c->closes || c->server->is_draining) {
        linger(c);
        return;
    }
    c->phase = CONNECTION_IDLE;
    connection_set_timer(c, c->server->limits.idle_ns);
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
        requests_refuse(c, &too_slow);
        return;
    case CONNECTION_WORK: /* what it sends is not read, so its end is not seen */
        if (is_gone(c))
            connection_destroy(c);
        else
            connection_set_timer(c, look_ns);
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
    if (what & BEV_EVENT_CONNECTED) { /* the handshake is done */
        c->phase = CONNECTION_IDLE;
        connection_set_timer(c, c->server->limits.idle_ns);
        return;
    }
    if ((what & BEV_EVENT_EOF) && c->phase == CONNECTION_SENDING && !c->is_at_end) {
        c->is_at_end = true;
        bufferevent_enable(stream, EV_WRITE); /* over TLS an end, or a reset, stopped that too */
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
    connection_set_timer(c,
                         server->tls != NULL ? server->limits.header_ns : server->limits.idle_ns);
    const struct timeval patience = clock_timeval(server->limits.send_ns);
    bufferevent_set_timeouts(stream, NULL, &patience);
    bufferevent_setcb(stream, on_read, on_written, on_event, c);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}
