#include <event2/event.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/system.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_http/site.h"

enum { NOT_INSTALLED = 127 }; /* as the shell says it */

static const char get[] = "GET /now HTTP/1.1\r\nHost: h\r\n\r\n";

struct pair { /* a certificate and its key */
    struct folder folder;
    struct file_path cert, key;
};

static struct pair pair_make(void)
{
    struct pair pair = {.folder = folder_make()};
    pair.cert = folder_path(&pair.folder, "cert.pem");
    pair.key = folder_path(&pair.folder, "key.pem");
    const pid_t child = fork();
    if (child == 0) {
        const int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        execlp("openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-out",
               pair.cert.text, "-keyout", pair.key.text, NULL);
        _exit(NOT_INSTALLED);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (WEXITSTATUS(status) == NOT_INSTALLED) {
        folder_remove(&pair.folder);
        SKIP("the openssl command, which makes certificates, is not installed");
    }
    CHECK_EQ(status, 0);
    return pair;
}

/* ---- a client ---- */

struct secure {
    SSL_CTX *context;
    SSL *ssl;
    int socket;
};

/* One call of OpenSSL, again and again until it is done; what it returns. */
static int until_done(struct site *site, struct secure *c, int (*call)(struct secure *c))
{
    const long long end = clock_now_ns() + 5000000000;
    for (;;) {
        const int n = call(c);
        const int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, n);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return n;
        CHECK(clock_now_ns() < end);
        site_run(site, 1);
    }
}

static int shake(struct secure *c) { return SSL_connect(c->ssl); }
static int write_get(struct secure *c) { return SSL_write(c->ssl, get, sizeof(get) - 1); }

static char answer[1000];

static int read_answer(struct secure *c) { return SSL_read(c->ssl, answer, sizeof(answer) - 1); }

static bool secure_connect(struct site *site, struct secure *c, int max_version)
{
    c->context = SSL_CTX_new(TLS_client_method());
    CHECK(SSL_CTX_set_max_proto_version(c->context, max_version) == 1);
    c->ssl = SSL_new(c->context);
    c->socket = site_connect(site);
    CHECK(SSL_set_fd(c->ssl, c->socket) == 1);
    return until_done(site, c, shake) == 1;
}

static void secure_close(struct secure *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->context);
    close(c->socket);
}

/* ---- tests ---- */

TEST(requests_come_over_tls)
{
    const struct pair pair = pair_make();
    struct site site;
    struct secure client;
    site_open_tls(&site, pair.cert.text, pair.key.text);
    CHECK(secure_connect(&site, &client, TLS1_3_VERSION));
    for (int i = 0; i < 2; i++) {
        CHECK(until_done(&site, &client, write_get) > 0);
        CHECK(until_done(&site, &client, read_answer) > 0);
        CHECK(strstr(answer, "\r\n\r\nok") != NULL);
        memset(answer, 0, sizeof(answer));
    }
    secure_close(&client);
    site_close(&site);
    folder_remove(&pair.folder);
}

TEST(tls_before_1_2_is_refused)
{
    const struct pair pair = pair_make();
    struct site site;
    struct secure client;
    site_open_tls(&site, pair.cert.text, pair.key.text);
    CHECK(secure_connect(&site, &client, TLS1_2_VERSION));
    secure_close(&client);
    CHECK(!secure_connect(&site, &client, TLS1_1_VERSION));
    secure_close(&client);
    site_close(&site);
    folder_remove(&pair.folder);
}

TEST(a_client_that_leaves_is_noticed_over_tls)
{
    const struct pair pair = pair_make();
    struct site site;
    struct secure client;
    site_open_tls(&site, pair.cert.text, pair.key.text);
    CHECK(secure_connect(&site, &client, TLS1_3_VERSION));
    CHECK(SSL_write(client.ssl, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 28) == 28);
    CHECK(site_wait(&site, &site.n_open, 1));
    secure_close(&client);
    CHECK(site_wait(&site, &site.n_closed, 1));
    CHECK_EQ(site.n_answered, 0);
    site_close(&site);
    folder_remove(&pair.folder);
}

TEST(a_reader_who_stops_is_cut_off_over_tls)
{
    static char event[50000];
    const struct pair pair = pair_make();
    struct site site;
    struct secure client;
    site_open_tls(&site, pair.cert.text, pair.key.text);
    CHECK(secure_connect(&site, &client, TLS1_3_VERSION));
    CHECK(SSL_write(client.ssl, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 28) == 28);
    CHECK(site_wait(&site, &site.n_open, 1));
    http_stream_begin(site.open[0], 200, "text/plain");
    int n = 0;
    while (n < 1000 && http_stream_write(site.open[0], event, sizeof(event))) {
        site_run(&site, 2);
        n++;
    }
    CHECK(n < 200);
    CHECK(site_wait(&site, &site.n_closed, 1));
    secure_close(&client);
    site_close(&site);
    folder_remove(&pair.folder);
}

/* A client to which more is answered than the system takes of it. */
static void answer_much(struct site *site, struct secure *client, const char *body, size_t n)
{
    CHECK(secure_connect(site, client, TLS1_3_VERSION));
    CHECK(SSL_write(client->ssl, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 28) == 28);
    CHECK(site_wait(site, &site->n_open, 1));
    http_respond(site->open[0], 200, "text/plain", body, n);
    site_run(site, 20);
    CHECK_EQ(site->n_closed, 0);
}

TEST(a_reset_amid_an_answer_over_tls_ends_the_connection)
{
    static char body[8000000];
    const struct pair pair = pair_make();
    const struct linger at_once = {.l_onoff = 1};
    struct site site;
    struct secure client;
    site_open_tls(&site, pair.cert.text, pair.key.text);
    answer_much(&site, &client, body, sizeof(body));
    setsockopt(client.socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    secure_close(&client);
    CHECK(site_wait(&site, &site.n_closed, 1));
    CHECK_EQ(site.n_answered, 0);
    site_close(&site);
    folder_remove(&pair.folder);
}

TEST(who_says_over_tls_that_it_sends_no_more_gets_the_rest_of_its_answer)
{
    static char body[8000000];
    const struct pair pair = pair_make();
    struct site site;
    struct secure client;
    size_t n_heard = 0;
    site_open_tls(&site, pair.cert.text, pair.key.text);
    answer_much(&site, &client, body, sizeof(body));
    SSL_shutdown(client.ssl);
    for (int n; (n = until_done(&site, &client, read_answer)) > 0;)
        n_heard += (size_t)n;
    CHECK(n_heard > sizeof(body));
    CHECK_EQ(site.n_answered, 1);
    secure_close(&client);
    site_close(&site);
    folder_remove(&pair.folder);
}

TEST(plain_text_on_a_tls_port_is_closed)
{
    const struct pair pair = pair_make();
    struct site site;
    site_open_tls(&site, pair.cert.text, pair.key.text);
    CHECK(strstr(site_ask(&site, get), "200 OK") == NULL);
    CHECK_EQ(site.n_headers, 0);
    CHECK_EQ(http_server_counts(site.server).n_connections, 0);
    site_close(&site);
    folder_remove(&pair.folder);
}

static void check_refused(const char *cert, const char *key, const char *named)
{
    const struct http_settings settings = {
        .host = "127.0.0.1", .tls_cert_file = cert, .tls_key_file = key, .limits = site_limits()};
    const struct http_handler handler = {0};
    struct event_base *base = event_base_new();
    struct http_server *server = NULL;
    struct error err = {0};
    CHECK(!http_server_open(&server, base, &settings, &handler, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, named) != NULL);
    event_base_free(base);
}

TEST(files_that_are_no_certificate_and_its_key_are_refused_by_name)
{
    const struct pair pair = pair_make(), other = pair_make();
    check_refused("/no/such/cert.pem", pair.key.text, "/no/such/cert.pem");
    check_refused(pair.cert.text, "/no/such/key.pem", "/no/such/key.pem");
    check_refused(pair.key.text, pair.key.text, "key.pem");
    check_refused(pair.cert.text, pair.cert.text, "cert.pem");
    check_refused(pair.cert.text, other.key.text, other.key.text);
    check_refused(pair.cert.text, NULL, "both");
    folder_remove(&pair.folder);
    folder_remove(&other.folder);
}
