#include "launcher/serve/addresses.h"

#include "base/error.h"
#include "runtime/options/options.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    const struct in_addr ip = ((const struct sockaddr_in *)(const void *)address)->sin_addr;
    return ntohl(ip.s_addr) >> 24 == 127;
}

/* Whether every address that the name stands for is of this machine alone. */
static bool is_private(bool *out, const char *host, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list;
    const int status = getaddrinfo(host, "0", &hints, &list);
    if (status != 0)
        return error_set(err, ERROR_INPUT, "--host: %s: %s", host, gai_strerror(status));
    *out = true;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next)
        *out = *out && is_loopback(at->ai_addr);
    freeaddrinfo(list);
    return true;
}

bool addresses_check(const struct options *options, int n_keys, struct error *err)
{
    bool alone;
    if ((options->serve.ssl_certfile == NULL) != (options->serve.ssl_keyfile == NULL))
        return error_set(err, ERROR_INPUT,
                         "TLS wants both files: --ssl-certfile and --ssl-keyfile");
    if (options->serve.grpc_port != 0 && options->serve.grpc_port == options->serve.port)
        return error_set(err, ERROR_INPUT, "--grpc-port: %lld is the port of HTTP",
                         (long long)options->serve.grpc_port);
    if (!is_private(&alone, options->serve.host, err))
        return false;
    return alone || n_keys > 0 || options->serve.insecure ||
           error_set(err, ERROR_INPUT,
                     "--host %s: others could reach it and ask without a key; give --api-key or "
                     "--api-key-file, or --insecure if that is meant",
                     options->serve.host);
}

/* "127.0.0.1:8000", as a user of this machine writes it. */
static void host_and_port(char *out, size_t n_bytes, const struct options *options, int port)
{
    const char *host = options->serve.host;
    const bool everywhere = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    const bool brackets = !everywhere && strchr(host, ':') != NULL;
    snprintf(out, n_bytes, "%s%s%s:%d", brackets ? "[" : "", everywhere ? "localhost" : host,
             brackets ? "]" : "", port);
}

void addresses_url(char *out, size_t n_bytes, const struct options *options, int port)
{
    char where[80];
    host_and_port(where, sizeof where, options, port);
    snprintf(out, n_bytes, "%s://%s", options->serve.ssl_certfile != NULL ? "https" : "http",
             where);
}

void addresses_rpc(char *out, size_t n_bytes, const struct options *options)
{
    char where[80];
    host_and_port(where, sizeof where, options, (int)options->serve.grpc_port);
    snprintf(out, n_bytes, " (gRPC at %s)", where);
}
