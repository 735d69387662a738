/* runtime/grpc/certificate.h: the certificate of a server and its key, which may be renewed while
 * it runs.
 *
 * gRPC asks for it at each handshake, from threads of its own. Connections that are open go on with
 * the one that they began with. Of a pair that is none gRPC says so only at the start; later it
 * goes on with the one of before.
 */
#pragma once
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdbool.h>

struct error;

struct certificate {
    pthread_mutex_t lock;
    grpc_ssl_server_certificate_config *next; /* that gRPC has not taken yet; NULL: none */
};

void certificate_init(struct certificate *certificate);
/* Reads both files (PEM), for the handshakes that come. ERROR_INPUT: one cannot be read. */
bool certificate_read(struct certificate *certificate, const char *cert_file, const char *key_file,
                      struct error *err);
/* New ones, which borrow `certificate` as long as gRPC runs. */
grpc_server_credentials *certificate_credentials(struct certificate *certificate);
void certificate_release(struct certificate *certificate);
