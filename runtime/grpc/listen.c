/* gRPC says only that a port cannot be had, not why. So the port is bound once before, without
 * gRPC, and what the system says then is what the user reads. */
#include "runtime/grpc/listen.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/grpc/connection_limit.h"
#include "runtime/grpc/rpc_server.h"

#include <errno.h>
#include <grpc/grpc_security.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PEM_BYTES = 1 << 20, NS_OF_MS = 1000000 };

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

static bool make_credentials(grpc_server_credentials **out, const struct rpc_settings *settings,
                             struct error *err)
{
    *out = grpc_insecure_server_credentials_create();
    if (settings->tls_cert_file == NULL)
        return true;
    grpc_server_credentials_release(*out);
    *out = NULL;
    char *cert = NULL, *key = NULL;
    size_t n_cert, n_key;
    const bool is_read = file_read(&cert, &n_cert, settings->tls_cert_file, MAX_PEM_BYTES, err) &&
                         file_read(&key, &n_key, settings->tls_key_file, MAX_PEM_BYTES, err);
    if (is_read) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
        *out = grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config(
                GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
                grpc_ssl_server_certificate_config_create(NULL, &pair, 1)));
    }
    memory_free(cert);
    memory_free(key);
    return is_read;
}

static grpc_arg number(const char *name, int64_t value)
{
    grpc_arg arg = {.type = GRPC_ARG_INTEGER, .key = (char *)name};
    arg.value.integer = value > INT32_MAX ? INT32_MAX : (int)value;
    return arg;
}

static grpc_server *make_server(const struct rpc_limits *limits, uint64_t *n_refused)
{
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
        /* What nobody looks at: its own statistics, and a filter for answers that we never pack. */
        number(GRPC_ARG_ENABLE_CHANNELZ, 0),
        number(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        {0},
    };
    const size_t n = sizeof arg / sizeof *arg - 1;
    const bool is_limited = connection_limit_arg(&arg[n], limits->max_connections, n_refused);
    const grpc_channel_args args = {.num_args = is_limited ? n + 1 : n, .args = arg};
    grpc_server *server = grpc_server_create(&args, NULL);
    if (is_limited)
        connection_limit_release(&arg[n]);
    return server;
}

bool listen_open(grpc_server **out, int *port, grpc_completion_queue *queue, uint64_t *n_refused,
                 const struct rpc_settings *settings, struct error *err)
{
    grpc_server_credentials *credentials;
    char address[280];
    *out = NULL;
    if (!try_port(settings, err) || !make_credentials(&credentials, settings, err))
        return false;
    const bool is_ipv6 = strchr(settings->host, ':') != NULL;
    snprintf(address, sizeof address, is_ipv6 ? "[%s]:%d" : "%s:%d", settings->host,
             settings->port);
    grpc_server *server = make_server(&settings->limits, n_refused);
    grpc_server_register_completion_queue(server, queue, NULL);
    *port = grpc_server_add_http2_port(server, address, credentials);
    grpc_server_credentials_release(credentials);
    *out = server;
    if (*port > 0)
        return true;
    if (settings->tls_cert_file != NULL)
        return error_set(err, ERROR_INPUT,
                         "%s and %s are no certificate and key that gRPC can use (PEM), or %s "
                         "cannot be listened on",
                         settings->tls_cert_file, settings->tls_key_file, address);
    return error_set(err, ERROR_INPUT, "cannot listen for gRPC on %s", address);
}
