/* Listens, counts connections, and ends: all at once or one after the other. */
#include "runtime/http/http_server.h"

#include <errno.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/http/connection.h"
#include "runtime/http/tls.h"

enum { BACKLOG = 4096, RETRY_MS = 100, NAME_BYTES = 48 };
static const int64_t second_ns = 1000000000;

struct http_limits http_limits_default(void)
{
    return (struct http_limits){.max_header_bytes = 64 * 1024,
                                .max_headers = 100,
                                .max_body_bytes = 32 * 1024 * 1024,
                                .max_bodies_bytes = 1024 * 1024 * 1024,
                                .max_connections = 4096,
                                .header_ns = 10 * second_ns,
                                .body_ns = 30 * second_ns,
                                .idle_ns = 75 * second_ns,
                                .send_ns = 30 * second_ns,
                                .max_unsent_events = 256,
                                .max_unsent_bytes = 256 * 1024};
}

/* ---- connections that come ---- */

/* One write of a constant, and it is gone: many of these must cost little. What has come already is
 * read, because closing over it would take the response back. */
static void turn_away(struct http_server *server, int socket)
{
    server->counts.n_refused++;
    if (server->tls == NULL) {
        const char *response = response_overloaded();
        char request[4096];
        (void)!recv(socket, request, sizeof(request), MSG_DONTWAIT);
        (void)!send(socket, response, strlen(response), MSG_DONTWAIT | MSG_NOSIGNAL);
        shutdown(socket, SHUT_WR);
    }
    close(socket);
}

static void format_peer(char *out, size_t n_out, struct sockaddr *address, int n_address)
{
    char name[NAME_BYTES], port[8];
    if (getnameinfo(address, (socklen_t)n_address, name, sizeof(name), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, n_out, "unknown");
    else
        snprintf(out, n_out, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", name, port);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t socket,
                          struct sockaddr *address, int n_address, void *context)
{
    struct http_server *server = context;
    (void)listener;
    if (server->counts.n_connections >= server->limits.max_connections) {
        turn_away(server, socket);
        return;
    }
    char peer[NAME_BYTES + 16];
    format_peer(peer, sizeof(peer), address, n_address);
    connection_open(server, socket, peer);
}

static void enable(struct http_server *server, bool on)
{
    for (int i = 0; i < server->n_listeners; i++) {
        if (on)
            evconnlistener_enable(server->listeners[i]);
        else
            evconnlistener_disable(server->listeners[i]);
    }
}

/* The system has no more files: the connection waits there, and asking again at once would keep the
 * loop busy with nothing. */
static void on_no_connection(struct evconnlistener *listener, void *context)
{
    struct http_server *server = context;
    (void)listener;
    server->counts.n_waits++;
    enable(server, false);
    const struct timeval later = {0, RETRY_MS * 1000};
    event_add(server->retry, &later);
}

static void on_retry(evutil_socket_t socket, short what, void *context)
{
    (void)socket;
    (void)what;
    enable(context, true);
}

/* ---- what connections have to send ---- */

static void flush_all(struct http_server *server)
{
    struct http_connection *list = server->unflushed;
    server->unflushed = NULL;
    if (list != NULL)
        list->unflushed_link = &list; /* each takes itself out of it */
    server->is_flushing = true;
    while (list != NULL)
        connection_flush(list);
    server->is_flushing = false;
}

static void on_flush(evutil_socket_t socket, short what, void *context)
{
    (void)socket;
    (void)what;
    flush_all(context);
}

bool http_server_flush(struct http_server *server)
{
    const uint64_t n_before = server->n_changes;
    if (server->unflushed == NULL)
        return false;
    event_del(server->flush);
    flush_all(server);
    return server->n_changes != n_before;
}

/* ---- the port ---- */

/* An address in `out`, which listens later: until then nobody's connection is kept waiting. */
static bool bind_one(int *out, const struct addrinfo *address, int port, bool is_one_of_many)
{
    const int socket_type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const int fd = socket(address->ai_family, socket_type, address->ai_protocol);
    if (fd < 0)
        return false;
    const int on = 1, only = is_one_of_many;
    struct sockaddr_storage bound;
    memcpy(&bound, address->ai_addr, address->ai_addrlen);
    if (address->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
        ((struct sockaddr_in6 *)&bound)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)&bound)->sin_port = htons((uint16_t)port);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&bound, address->ai_addrlen) != 0) {
        const int reason = errno;
        close(fd);
        errno = reason;
        return false;
    }
    *out = fd;
    return true;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t n = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &n) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static bool fail_bind(const struct http_settings *settings, int reason, struct error *err)
{
    const char *host = settings->host != NULL ? settings->host : "";
    if (reason == EADDRINUSE)
        return error_set(err, ERROR_INPUT, "port %d of %s is in use by another program",
                         settings->port, *host ? host : "this machine");
    return error_set(err, ERROR_INPUT, "cannot listen on %s port %d: %s",
                     *host ? host : "this machine", settings->port, strerror(reason));
}

/* A name may have addresses that this machine cannot bind (IPv6 where it is off): one is enough,
 * but a port that is taken on one of them is taken. */
static bool bind_all(struct http_server *server, const struct addrinfo *addresses,
                     const struct http_settings *settings, struct error *err)
{
    int reason = EADDRNOTAVAIL;
    server->port = settings->port;
    for (const struct addrinfo *a = addresses; a && server->n_listeners < HTTP_MAX_LISTENERS;
         a = a->ai_next) {
        int fd;
        if (!bind_one(&fd, a, server->port, addresses->ai_next != NULL)) {
            reason = errno;
            if (reason == EADDRINUSE)
                return fail_bind(settings, reason, err);
            continue;
        }
        server->port = port_of(fd);
        const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED;
        struct evconnlistener *listener =
            evconnlistener_new(server->base, on_connection, server, flags, 0, fd);
        if (listener == NULL) {
            close(fd);
            return error_set(err, ERROR_SYSTEM, "no memory to listen");
        }
        evconnlistener_set_error_cb(listener, on_no_connection);
        server->listeners[server->n_listeners++] = listener;
    }
    return server->n_listeners > 0 || fail_bind(settings, reason, err);
}

static bool take_port(struct http_server *server, const struct http_settings *settings,
                      struct error *err)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", settings->port);
    const struct addrinfo wanted = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    const char *host = settings->host != NULL && *settings->host ? settings->host : NULL;
    struct addrinfo *addresses = NULL;
    const int status = getaddrinfo(host, port, &wanted, &addresses);
    if (status != 0)
        return error_set(err, ERROR_INPUT, "cannot listen on %s: %s", host ? host : "this machine",
                         gai_strerror(status));
    const bool is_done = bind_all(server, addresses, settings, err);
    freeaddrinfo(addresses);
    return is_done;
}

/* ---- the life of a server ---- */

static bool check_settings(const struct http_settings *settings, struct error *err)
{
    if (settings->port < 0 || settings->port > 65535)
        return error_set(err, ERROR_INPUT, "port %d is not one of 0 to 65535", settings->port);
    if ((settings->tls_cert_file != NULL) != (settings->tls_key_file != NULL))
        return error_set(err, ERROR_INPUT, "TLS needs both a certificate and its key");
    if (settings->limits.max_header_bytes > HTTP_MAX_HEADER_SIZE)
        return error_set(err, ERROR_INPUT, "headers of more than %d bytes cannot be read",
                         HTTP_MAX_HEADER_SIZE);
    return true;
}

bool http_server_open(struct http_server **out, struct event_base *base,
                      const struct http_settings *settings, const struct http_handler *handler,
                      struct error *err)
{
    if (!check_settings(settings, err))
        return false;
    struct http_server *server = memory_alloc(1, sizeof(*server));
    server->base = base;
    server->limits = settings->limits;
    server->handler = *handler;
    server->retry = evtimer_new(base, on_retry, server);
    server->flush = evtimer_new(base, on_flush, server);
    if ((settings->tls_cert_file != NULL &&
         !tls_open(&server->tls, settings->tls_cert_file, settings->tls_key_file, err)) ||
        !take_port(server, settings, err)) {
        http_server_close(server);
        return false;
    }
    *out = server;
    return true;
}

bool http_server_start(struct http_server *server, struct error *err)
{
    for (int i = 0; i < server->n_listeners; i++) {
        if (listen(evconnlistener_get_fd(server->listeners[i]), BACKLOG) != 0)
            return error_set(err, ERROR_INPUT, "cannot listen on port %d: %s", server->port,
                             strerror(errno));
    }
    enable(server, true);
    return true;
}

bool http_server_renew_certificate(struct http_server *server, const char *cert_file,
                                   const char *key_file, struct error *err)
{
    struct tls *tls;
    check(server->tls != NULL);
    if (!tls_open(&tls, cert_file, key_file, err))
        return false;
    tls_close(server->tls);
    server->tls = tls;
    return true;
}

int http_server_port(const struct http_server *server) { return server->port; }

static void stop_listening(struct http_server *server)
{
    event_del(server->retry);
    for (int i = 0; i < server->n_listeners; i++)
        evconnlistener_free(server->listeners[i]);
    server->n_listeners = 0;
}

void http_server_drain(struct http_server *server)
{
    stop_listening(server);
    server->is_draining = true;
    for (struct http_connection *c = server->connections, *next; c != NULL; c = next) {
        next = c->next;
        if (connection_is_idle(c))
            connection_doom(c);
    }
}

void http_server_close(struct http_server *server)
{
    if (server == NULL)
        return;
    stop_listening(server);
    while (server->connections != NULL)
        connection_destroy(server->connections);
    event_free(server->retry);
    event_free(server->flush);
    tls_close(server->tls);
    memory_free(server);
}

struct http_counts http_server_counts(const struct http_server *server) { return server->counts; }
