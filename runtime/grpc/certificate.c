#include "runtime/grpc/certificate.h"

#include "base/memory.h"
#include "base/system.h"

enum { MAX_PEM_BYTES = 1 << 20 };

void certificate_init(struct certificate *certificate)
{
    *certificate = (struct certificate){.next = NULL};
    pthread_mutex_init(&certificate->lock, NULL);
}

void certificate_release(struct certificate *certificate)
{
    if (certificate->next != NULL)
        grpc_ssl_server_certificate_config_destroy(certificate->next);
    pthread_mutex_destroy(&certificate->lock);
}

/* The config that was there comes back. */
static grpc_ssl_server_certificate_config *exchange(struct certificate *certificate,
                                                    grpc_ssl_server_certificate_config *next)
{
    pthread_mutex_lock(&certificate->lock);
    grpc_ssl_server_certificate_config *before = certificate->next;
    certificate->next = next;
    pthread_mutex_unlock(&certificate->lock);
    return before;
}

bool certificate_read(struct certificate *certificate, const char *cert_file, const char *key_file,
                      struct error *err)
{
    char *cert = NULL, *key = NULL;
    size_t n_cert, n_key;
    const bool is_read = file_read(&cert, &n_cert, cert_file, MAX_PEM_BYTES, err) &&
                         file_read(&key, &n_key, key_file, MAX_PEM_BYTES, err);
    if (is_read) {
        const grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
        /* Nobody asks clients for theirs, but gRPC ends the program at a fetched config without a
         * signer of such (1.51); any certificate will do. */
        const char *signers = cert;
        grpc_ssl_server_certificate_config *before =
            exchange(certificate, grpc_ssl_server_certificate_config_create(signers, &pair, 1));
        if (before != NULL) /* nobody shook hands since */
            grpc_ssl_server_certificate_config_destroy(before);
    }
    memory_free(cert);
    memory_free(key);
    return is_read;
}

/* In a thread of gRPC, which owns what it takes. */
static grpc_ssl_certificate_config_reload_status
give_next(void *context, grpc_ssl_server_certificate_config **config)
{
    *config = exchange(context, NULL);
    return *config != NULL ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW
                           : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
}

grpc_server_credentials *certificate_credentials(struct certificate *certificate)
{
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, give_next, certificate));
}
