/* runtime/http/connection.h: what the files of this folder share: servers, connections, exchanges.
 *
 * A connection has at most one exchange at a time. Bytes that come behind a request stay unread
 * until it is answered. Whoever wants to end a connection from inside of a handler's call only
 * marks it (connection_doom); it ends in the next turn of the loop, so no caller loses its exchange
 * under its feet.
 *
 * What is to be sent waits in `pending` until all callbacks of this turn of the loop have run: then
 * one write takes all of it (on_flush of http_server.c). Only what the system does not take at once
 * goes on to the bufferevent, which would ask the system four times for each write.
 */
#pragma once
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "runtime/http/chunks.h"
#include "runtime/http/date.h"
#include "runtime/http/head.h"
#include "runtime/http/http_server.h"

enum { HTTP_MAX_LISTENERS = 8 };

struct http_server {
    struct event_base *base;
    struct http_limits limits;
    struct http_handler handler;
    struct tls *tls; /* NULL: plain */
    struct evconnlistener *listeners[HTTP_MAX_LISTENERS];
    int n_listeners, port;
    struct event *retry; /* takes connections again after the system had no more files */
    bool is_draining;
    struct http_connection *connections; /* a list */
    struct http_connection *unflushed;   /* a list of those with something pending */
    struct event *flush;
    bool is_flushing;
    uint64_t n_changes; /* requests handed over, and connections destroyed */
    struct http_counts counts;
    size_t n_body_bytes; /* of all exchanges that are open */
    /* Of the Date header, for one second. */
    int64_t date_second;
    char date[DATE_BYTES];
};

/* In this order. */
enum connection_phase {
    CONNECTION_HANDSHAKE, /* of TLS */
    CONNECTION_IDLE,      /* no byte of a request is there */
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_WORK,    /* the handler has it, and has not ended its response */
    CONNECTION_SENDING, /* a whole response is on its way; the exchange is NULL when it is ours */
    /* All is said. What the client still sends is thrown away for a moment, because a close over
     * unread bytes would take the response from it. */
    CONNECTION_LINGER,
};

struct http_exchange {
    struct http_connection *connection;
    struct head head;
    struct bytes body;
    struct chunks chunks;
    void *data;           /* the handler's */
    bool is_seen;         /* by the handler */
    bool has_answer;      /* a response was begun */
    bool is_chunked;      /* the response */
    struct bytes headers; /* the handler's, as lines */
    /* Of a stream: where the events that are not sent end, counted in bytes of output; a ring. */
    uint64_t *event_ends;
    int first_event, n_events;
    uint64_t n_written;
};

struct http_connection {
    struct http_server *server;
    struct http_connection *next, **link;                     /* in the server's list */
    struct http_connection *next_unflushed, **unflushed_link; /* NULL: in none */
    struct bufferevent *stream;
    struct evbuffer *pending;
    struct event *timer;
    struct http_exchange *exchange; /* NULL: none */
    enum connection_phase phase;
    int64_t begin_ns; /* of the first byte of the request */
    bool closes;      /* after this response */
    bool is_at_end;   /* the client sends no more */
    bool is_doomed;
    char peer[64];
};

/* Takes the socket, which does not block. */
void connection_open(struct http_server *server, int socket, const char *peer);
/* At once; tells the handler. Never from inside of one of its calls. */
void connection_destroy(struct http_connection *c);
void connection_doom(struct http_connection *c);
/* Something is pending. */
void connection_written(struct http_connection *c);
/* The response is pending to its end; the rest is to send it. */
void connection_answered(struct http_connection *c);
/* Sends what is pending, or gives it to the bufferevent. May destroy c. */
void connection_flush(struct http_connection *c);
size_t connection_unsent(const struct http_connection *c);
/* Instead of what the timer was set to. */
void connection_set_timer(struct http_connection *c, int64_t ns);
/* Whether no request of it is whole, so that nobody works for it: draining ends such a connection.
 */
bool connection_is_idle(const struct http_connection *c);

/* requests.c: takes what the client sent off the input, as far as requests are read now. */
void requests_read(struct http_connection *c);
bool requests_are_read(const struct http_connection *c);
/* The exchange is over, if there is one; the handler hears it when it has seen it. */
void requests_end(struct http_connection *c, bool was_answered);
/* The same without an answer of the handler's; ours is sent. */
void requests_refuse(struct http_connection *c, const struct refusal *why);

/* What this layer answers by itself. */
void response_refuse(struct http_connection *c, const struct refusal *why);
/* The same to a connection that is not even opened: a whole response as text. */
const char *response_overloaded(void);
