/* runtime/http/http_server.h: HTTP/1.1 over sockets and TLS, with hard limits.
 *
 * Knows connections, requests and responses; no JSON, no model. One thread: all is called from the
 * loop of the event_base. What a client sends that is not HTTP is answered here (400, 408, 413,
 * 431, 503) and closed, and never reaches the handler; so do two lengths, a length beside chunks,
 * and whatever else could be read in two ways (RFC 9112, section 6.3 and 11.2).
 *
 * A client that is gone is noticed at once, also while its request is worked on. One that only
 * shuts its sending side looks the same until something is written, so, as with nginx and uvicorn,
 * its request ends, too; a response that is already whole is still sent.
 *
 * Requests of one connection run one after the other. HEAD reaches the handler as such, and is
 * answered as GET: the body is counted and left out. Everything is written once the callbacks of
 * this turn of the loop have run, so events of one turn go out together. The program ignores
 * SIGPIPE.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct event_base;
struct http_exchange; /* one request and its response */
struct http_server;

struct http_limits {
    size_t max_header_bytes;    /* of a request's line and headers: 64 KB, at most 80 KB */
    int max_headers;            /* 100 */
    size_t max_body_bytes;      /* 32 MB */
    size_t max_bodies_bytes;    /* of all requests that are open together: 1 GB; then 503 */
    int max_connections;        /* 4096; one more gets 503 and is closed */
    int64_t header_ns, body_ns; /* from the first byte of a request: 10 s, 30 s; then 408 */
    int64_t idle_ns;            /* between requests of a connection: 75 s */
    int64_t send_ns;            /* a client that takes nothing of a response: 30 s, then closed */
    /* Of a streamed response that its reader does not take: then the exchange is closed. */
    int max_unsent_events;   /* 256 */
    size_t max_unsent_bytes; /* 256 KB */
};
struct http_limits http_limits_default(void);

struct http_settings {
    const char *host;                         /* address or name to listen on */
    int port;                                 /* 0: any, see http_server_port() */
    const char *tls_cert_file, *tls_key_file; /* PEM; NULL: plain */
    struct http_limits limits;
};

struct http_handler {
    /* All headers are there, the body is not. It may answer already (401, 404, 405): then the body
     * is not read and the connection closes. */
    void (*headers)(void *context, struct http_exchange *x);
    /* The whole request is there. It answers now or later. */
    void (*request)(void *context, struct http_exchange *x);
    /* The exchange is over: answered and sent, or its client is gone or does not read. Its memory
     * is gone after this. Called exactly once for each exchange that `headers` saw. */
    void (*closed)(void *context, struct http_exchange *x, bool was_answered);
    /* The server answers by itself: what came is no HTTP, too large, too slow. `why` is a literal.
     * `x` is NULL where `headers` did not see it; else `closed` follows. May be NULL. */
    void (*refused)(void *context, struct http_exchange *x, const char *peer, int status,
                    const char *why);
    void *context;
};

/* ERROR_INPUT: host, port in use, certificate; the text says which. The port is taken, but nobody
 * can connect before http_server_start(). A host that is NULL or "" means all addresses. */
bool http_server_open(struct http_server **out, struct event_base *base,
                      const struct http_settings *settings, const struct http_handler *handler,
                      struct error *err);
/* ERROR_INPUT: another program began to listen on the port meanwhile. */
bool http_server_start(struct http_server *server, struct error *err);
/* Of a server that speaks TLS: connections that come from now on have this certificate, the others
 * go on. ERROR_INPUT names the file, and the one of before stays. */
bool http_server_renew_certificate(struct http_server *server, const char *cert_file,
                                   const char *key_file, struct error *err);
int http_server_port(const struct http_server *server);
/* Takes no new connections, closes those that are idle or amid a request, and closes each other one
 * after its response. To answer new requests with 503 meanwhile, let the handler do that first and
 * drain later. May be called again. */
void http_server_drain(struct http_server *server);
/* For who writes between two turns of the loop, and would have one more of them only for this:
 * sends what is written. True: a request has come out of it, or one ended whose client is gone. */
bool http_server_flush(struct http_server *server);
/* At once, `closed` is called for what is open. NULL is fine. Not from inside of a handler's call.
 */
void http_server_close(struct http_server *server);
struct http_counts {
    int n_connections, n_exchanges; /* now */
    uint64_t n_refused;             /* connections beyond the most */
    uint64_t n_waits; /* for a file of the system, before connections were taken again */
};
struct http_counts http_server_counts(const struct http_server *server);

/* ---- the request ---- */

const char *http_method(const struct http_exchange *x); /* "GET" */
const char *http_path(const struct http_exchange *x);   /* decoded, begins with '/', no query */
const char *http_query(const struct http_exchange *x);  /* as sent; "": none */
/* By its name in lower case; NULL: absent. Several of one name are joined with ", ". */
const char *http_header(const struct http_exchange *x, const char *name);
const char *http_body(const struct http_exchange *x, size_t *n_bytes);
const char *http_peer(const struct http_exchange *x);    /* "127.0.0.1:4711" */
void http_set_data(struct http_exchange *x, void *data); /* the handler's own */
void *http_data(const struct http_exchange *x);

/* ---- the response ---- */

/* Before the response begins. Name and value are literals or checked: no control characters. */
void http_add_header(struct http_exchange *x, const char *name, const char *value);
/* A whole response; the body is copied. */
void http_respond(struct http_exchange *x, int status, const char *content_type, const void *body,
                  size_t n_bytes);
/* A response that comes in pieces (chunked). */
void http_stream_begin(struct http_exchange *x, int status, const char *content_type);
/* One event. False: the reader is too slow or gone; `closed` is called soon. */
bool http_stream_write(struct http_exchange *x, const void *data, size_t n_bytes);
void http_stream_end(struct http_exchange *x);
