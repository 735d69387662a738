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

/* The last word of OpenSSL that says more than whose word it passes on. */
static const char *last_reason(void)
{
    const char *reason = NULL;
    for (unsigned long e; (e = ERR_get_error()) != 0;)
        if (ERR_GET_REASON(e) != ERR_R_PEM_LIB)
            reason = ERR_reason_error_string(e);
    return reason != NULL ? reason : "OpenSSL does not say why";
}

/* Of a file that cannot be read, what the system said is first. */
static bool fail(struct error *err, const char *what, const char *file)
{
    const unsigned long first = ERR_peek_error();
    if (ERR_GET_LIB(first) == ERR_LIB_SYS)
        error_set(err, ERROR_INPUT, "%s %s: %s", what, file, strerror(ERR_GET_REASON(first)));
    else
        error_set(err, ERROR_INPUT, "%s %s: not to be read as PEM without a password: %s", what,
                  file, last_reason());
    ERR_clear_error();
    return false;
}

static bool fail_pair(struct error *err, const char *cert_file, const char *key_file)
{
    ERR_clear_error();
    return error_set(err, ERROR_INPUT, "the key %s is not that of the certificate %s", key_file,
                     cert_file);
}

/* Else OpenSSL asks at the terminal, and nobody is served meanwhile. */
static int know_no_password(char *out, int n_out, int is_to_write, void *context)
{
    (void)out, (void)n_out, (void)is_to_write, (void)context;
    return -1;
}

static bool load(SSL_CTX *context, const char *cert_file, const char *key_file, struct error *err)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return fail(err, "the certificate", cert_file);
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 &&
        ERR_GET_LIB(ERR_peek_last_error()) != ERR_LIB_X509)
        return fail(err, "the key", key_file);
    return SSL_CTX_check_private_key(context) == 1 || fail_pair(err, cert_file, key_file);
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
    SSL_CTX_set_default_passwd_cb(context, know_no_password);
    if (!load(context, cert_file, key_file, err)) {
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
