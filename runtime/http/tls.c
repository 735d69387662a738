#include "runtime/http/tls.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

struct tls {
    SSL_CTX *context;
};

/* What OpenSSL says last is nearest to the cause; but of a file that cannot be read, what the
 * system said first. */
static bool fail(struct error *err, const char *what, const char *file)
{
    const unsigned long first = ERR_peek_error();
    const char *reason = ERR_GET_LIB(first) == ERR_LIB_SYS
                             ? strerror(ERR_GET_REASON(first))
                             : ERR_reason_error_string(ERR_peek_last_error());
    error_set(err, ERROR_INPUT, "%s %s: %s", what, file, reason ? reason : "cannot be used");
    ERR_clear_error();
    return false;
}

/* Of what a client offers we take HTTP/1.1; one that offers only others gets no answer to that, and
 * may go on without. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n_out,
                           const unsigned char *offered, unsigned n_offered, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, n_out, ours, sizeof(ours) - 1, offered, n_offered) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

bool tls_open(struct tls **out, const char *cert_file, const char *key_file, struct error *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return error_set(err, ERROR_SYSTEM, "OpenSSL cannot be started");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* idle connections are many */
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    ERR_clear_error();
    bool is_good = true;
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        is_good = fail(err, "the certificate", cert_file);
    else if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(context) != 1)
        is_good = fail(err, "the key", key_file);
    if (!is_good) {
        SSL_CTX_free(context);
        return false;
    }
    struct tls *tls = memory_alloc(1, sizeof(*tls));
    tls->context = context;
    *out = tls;
    return true;
}

void tls_close(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    memory_free(tls);
}

struct bufferevent *tls_accept(struct tls *tls, struct event_base *base, int socket)
{
    SSL *ssl = SSL_new(tls->context);
    if (ssl == NULL)
        return NULL;
    struct bufferevent *connection = bufferevent_openssl_socket_new(
        base, socket, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (connection == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    /* Clients that just close are the rule; where a request ends is never told by that. */
    bufferevent_openssl_set_allow_dirty_shutdown(connection, 1);
    return connection;
}

void tls_say_end(struct bufferevent *connection)
{
    SSL *ssl = bufferevent_openssl_get_ssl(connection);
    if (ssl != NULL && SSL_is_init_finished(ssl))
        SSL_shutdown(ssl);
    ERR_clear_error();
}
