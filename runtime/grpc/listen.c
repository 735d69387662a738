/* gRPC says only that a port cannot be had, not why. So the port is bound once before, without
 * gRPC, and what the system says then is what the user reads. */
#include "runtime/grpc/listen.h"

#include "base/error.h"
#include "runtime/grpc/connection_limit.h"
#include "runtime/grpc/rpc_state.h"

#include <errno.h>
#include <grpc/grpc_security.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_READ_BYTES = 64 << 10, NS_OF_MS = 1000000 };

static bool try_address(const struct addrinfo *address, struct error *err)
{
    const int one = 1;
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(err, ERROR_INPUT, "%s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const bool is_bound = bind(fd, address->ai_addr, address->ai_addrlen) == 0;
    if (!is_bound)
        error_set(err, ERROR_INPUT, "%s", strerror(errno));
    close(fd);
    return is_bound;
}

static bool try_port(const struct rpc_settings *settings, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    char port[16];
    snprintf(port, sizeof port, "%d", settings->port);
    const int failure = getaddrinfo(settings->host, port, &hints, &list);
    bool is_free = failure == 0;
    if (failure != 0)
        error_set(err, ERROR_INPUT, "%s", gai_strerror(failure));
    for (const struct addrinfo *a = list; a != NULL && is_free; a = a->ai_next)
        is_free = try_address(a, err);
    if (list != NULL)
        freeaddrinfo(list);
    return is_free ||
           error_in(err, "cannot listen for gRPC on %s port %d", settings->host, settings->port);
}

static bool make_credentials(grpc_server_credentials **out, struct certificate *certificate,
                             const struct rpc_settings *settings, struct error *err)
{
    if (settings->tls_cert_file == NULL) {
        *out = grpc_insecure_server_credentials_create();
        return true;
    }
    if (!certificate_read(certificate, settings->tls_cert_file, settings->tls_key_file, err))
        return false;
    *out = certificate_credentials(certificate);
    return true;
}

static grpc_arg number(const char *name, int64_t value)
{
    grpc_arg arg = {.type = GRPC_ARG_INTEGER, .key = (char *)name};
    arg.value.integer = value > INT32_MAX ? INT32_MAX : (int)value;
    return arg;
}

/* Of all connections together. The argument borrows it. */
static grpc_arg memory_quota(grpc_resource_quota *quota, size_t max_bytes)
{
    grpc_resource_quota_resize(quota, max_bytes);
    grpc_arg arg = {.type = GRPC_ARG_POINTER, .key = (char *)GRPC_ARG_RESOURCE_QUOTA};
    arg.value.pointer.p = quota;
    arg.value.pointer.vtable = grpc_resource_quota_arg_vtable();
    return arg;
}

static grpc_server *make_server(const struct rpc_limits *limits,
                                struct connection_limit *connections)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("phalanx");
    grpc_arg arg[] = {
        number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int64_t)limits->max_message_bytes),
        number(GRPC_ARG_MAX_METADATA_SIZE, (int64_t)limits->max_metadata_bytes),
        number(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits->max_streams),
        number(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, limits->handshake_ns / NS_OF_MS),
        number(GRPC_ARG_KEEPALIVE_TIME_MS, limits->keepalive_ns / NS_OF_MS),
        number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, limits->keepalive_reply_ns / NS_OF_MS),
        number(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        /* Clients may ask whether we are there as often as every 10 s. */
        number(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000),
        /* Two servers on one port would each get some of the connections, and nobody knows why. */
        number(GRPC_ARG_ALLOW_REUSEPORT, 0),
        number(GRPC_ARG_MAX_CONNECTION_IDLE_MS, limits->idle_ns / NS_OF_MS),
        /* What is read at once is taken apart before the core looks at how much memory it has. */
        number(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, MAX_READ_BYTES),
        memory_quota(quota, limits->max_memory_bytes),
        /* What nobody looks at: its own statistics, and a filter for answers that we never pack. */
        number(GRPC_ARG_ENABLE_CHANNELZ, 0),
        number(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        {0},
    };
    const size_t n = sizeof arg / sizeof *arg - 1;
    if (connections != NULL)
        arg[n] = connection_limit_arg(connections);
    const grpc_channel_args args = {.num_args = connections != NULL ? n + 1 : n, .args = arg};
    grpc_server *server = grpc_server_create(&args, NULL);
    grpc_resource_quota_unref(quota); /* the server has its own reference */
    return server;
}

bool listen_open(struct rpc_server *server, const struct rpc_settings *settings, struct error *err)
{
    grpc_server_credentials *credentials;
    char address[280];
    if (!try_port(settings, err) ||
        !make_credentials(&credentials, &server->certificate, settings, err))
        return false;
    const bool is_ipv6 = strchr(settings->host, ':') != NULL;
    snprintf(address, sizeof address, is_ipv6 ? "[%s]:%d" : "%s:%d", settings->host,
             settings->port);
    server->grpc = make_server(&settings->limits, server->connections);
    grpc_server_register_completion_queue(server->grpc, server->pollers.queue, NULL);
    grpc_server_register_completion_queue(server->grpc, server->queue, NULL);
    server->port = grpc_server_add_http2_port(server->grpc, address, credentials);
    grpc_server_credentials_release(credentials);
    if (server->port > 0)
        return true;
    if (settings->tls_cert_file != NULL)
        return error_set(err, ERROR_INPUT,
                         "%s and %s are no certificate and key that gRPC can use (PEM), or %s "
                         "cannot be listened on",
                         settings->tls_cert_file, settings->tls_key_file, address);
    return error_set(err, ERROR_INPUT, "cannot listen for gRPC on %s", address);
}
