#include "launcher/bench/remote.h"

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "base/utf8.h"
#include "launcher/bench/answer_stream.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_MODELS_BYTES = 1 << 20, MAX_NAME_BYTES = 1024, LOOK_MS = 10000 };
static const int64_t RETRY_NS = 500000000;

/* ---- what all requests share ---- */

static size_t without(const char *text, size_t n, const char *tail)
{
    const size_t n_tail = strlen(tail);
    return n >= n_tail && memcmp(text + n - n_tail, tail, n_tail) == 0 ? n - n_tail : n;
}

void remote_url(struct bytes *out, const struct remote *remote, const char *path)
{
    const char *base = remote->base_url;
    size_t n = strlen(base);
    while (n > 0 && base[n - 1] == '/')
        n--;
    n = without(base, n, "/v1");
    bytes_clear(out);
    bytes_add(out, base, n);
    bytes_add_text(out, path);
}

static bool is_named(const char *header, const char *name)
{
    return strncasecmp(header, name, strlen(name)) == 0 && header[strlen(name)] == '=';
}

/* RFC 9110, section 5: what would be two headers, or none, is neither. */
static bool check_header(const char *header, struct error *err)
{
    static const char *const own[] = {"content-type", "content-length", "transfer-encoding",
                                      "expect", "host"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "!#$%&'*+-.^_`|~";
    const size_t n_name = strspn(header, letters);
    if (n_name == 0 || header[n_name] != '=')
        return error_set(err, ERROR_INPUT, "--header: '%s' is no NAME=VALUE", header);
    for (const char *c = header + n_name + 1; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return error_set(err, ERROR_INPUT, "--header %.*s: the value has a control character",
                             (int)n_name, header);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (is_named(header, own[i]))
            return error_set(err, ERROR_INPUT, "--header: %s is the bench's own", own[i]);
    return true;
}

bool remote_check_headers(const struct remote *remote, struct error *err)
{
    for (int i = 0; i < remote->n_headers; i++)
        if (!check_header(remote->header[i], err))
            return false;
    return true;
}

/* libcurl takes "Name;" for one without a value. */
static struct curl_slist *add_header(struct curl_slist *list, const char *header)
{
    struct bytes line = {0};
    const size_t n_name = strcspn(header, "=");
    bytes_add(&line, header, n_name);
    if (header[n_name + 1] != '\0')
        bytes_printf(&line, ": %s", header + n_name + 1);
    else
        bytes_add_text(&line, ";");
    list = curl_slist_append(list, line.data);
    bytes_release(&line);
    return list;
}

struct curl_slist *remote_headers(const struct remote *remote)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    bool is_authorized = false;
    list = curl_slist_append(list, "Expect:"); /* a body is sent with its header */
    for (int i = 0; i < remote->n_headers; i++) {
        list = add_header(list, remote->header[i]);
        is_authorized = is_authorized || is_named(remote->header[i], "authorization");
    }
    if (remote->key != NULL && !is_authorized) {
        struct bytes line = {0};
        bytes_printf(&line, "Authorization: Bearer %s", remote->key);
        list = curl_slist_append(list, line.data);
        bytes_release(&line);
    }
    return list;
}

void remote_aim(CURL *easy, const struct remote *remote, const char *url,
                struct curl_slist *headers, char *why)
{
    why[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
    if (remote->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, remote->ca_file);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, remote->is_unchecked ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, remote->is_unchecked ? 0L : 2L);
}

/* ---- is it there? ---- */

static size_t take_bytes(char *data, size_t one, size_t n, void *context)
{
    (void)one;
    return bytes_add(context, data, n) ? n : 0;
}

/* A name is shown, and sent back as it is: what cannot be shown is not mended. */
static bool is_plain(const char *name)
{
    char plain[MAX_NAME_BYTES + 1];
    snprintf(plain, sizeof plain, "%s", name);
    utf8_make_plain(plain);
    return strcmp(plain, name) == 0;
}

/* The first name in the list, or NULL and *err says why. */
static char *first_model(const struct bytes *body, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = MAX_MODELS_BYTES, .max_depth = 16, .max_values = 1 << 16};
    json_t *list;
    char *name = NULL;
    if (!json_parse(&list, body->len > 0 ? body->data : "", body->len, &limits, err))
        return NULL;
    const char *id =
        json_string_value(json_object_get(json_array_get(json_object_get(list, "data"), 0), "id"));
    if (id == NULL)
        error_set(err, ERROR_INPUT, "no model in its list");
    else if (!is_plain(id))
        error_set(err, ERROR_INPUT,
                  "the name of its first model has control characters, or more than %d bytes; "
                  "give MODEL",
                  MAX_NAME_BYTES);
    else
        name = memory_copy_text(id);
    json_decref(list);
    return name;
}

static void tell(struct error *err, const char *url, CURLcode code, char *why)
{
    utf8_make_plain(why); /* it may have words of the server */
    error_set(err, ERROR_INPUT, "%s: %s%s", url, *why != '\0' ? why : curl_easy_strerror(code),
              code == CURLE_PEER_FAILED_VERIFICATION
                  ? "; --ssl-ca-certs FILE says who else is trusted, --insecure does not check"
                  : "");
}

/* Of a server that starts, or of a proxy before it. CURLE_SSL_CONNECT_ERROR is of one that speaks
 * no TLS, and never will. */
static bool may_pass(CURLcode code, long status)
{
    switch (code) {
    case CURLE_OK:
        return status >= 500;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return true;
    default:
        return false;
    }
}

/* libcurl's progress function, once a second or more often: anything but 0 ends the transfer. */
static int is_interrupted(void *context, curl_off_t to_come, curl_off_t come, curl_off_t to_go,
                          curl_off_t gone)
{
    const volatile sig_atomic_t *const *interrupt = context;
    (void)to_come, (void)come, (void)to_go, (void)gone;
    return **interrupt != 0;
}

/* One look. *again: it may be there later. */
static char *look(const struct remote *remote, const char *url,
                  const volatile sig_atomic_t *interrupt, bool *again, struct error *err)
{
    struct bytes body = {.max = MAX_MODELS_BYTES};
    char why[CURL_ERROR_SIZE], *name = NULL;
    long status = 0;
    CURL *easy = curl_easy_init();
    if (easy == NULL) {
        error_set(err, ERROR_SYSTEM, "no handle of libcurl");
        return NULL;
    }
    struct curl_slist *headers = remote_headers(remote);
    remote_aim(easy, remote, url, headers, why);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)LOOK_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, is_interrupted);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &interrupt);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    const CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    *again = may_pass(code, status);
    if (code != CURLE_OK) {
        tell(err, url, code, why);
    } else if (status != 200) {
        answer_error_text(why, sizeof why, body.len > 0 ? body.data : "", body.len);
        error_set(err, ERROR_INPUT, "%s: HTTP %ld: %s", url, status, why);
    } else if ((name = first_model(&body, err)) == NULL) {
        error_in(err, "%s", url);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    bytes_release(&body);
    return name;
}

/* Once, so that nobody wonders what goes on. */
static void tell_waiting(double patience_s, const struct error *why)
{
    char text[sizeof why->text + 80];
    snprintf(text, sizeof text, "%s; waiting for the server, up to %.0f s", why->text, patience_s);
    log_note(LOG_INFO, "phalanx", text);
}

bool remote_find_model(char **model, const struct remote *remote, double patience_s,
                       const volatile sig_atomic_t *interrupt, struct error *err)
{
    const int64_t deadline_ns = clock_now_ns() + (int64_t)(patience_s * 1e9);
    struct bytes url = {0};
    bool again = false, has_told = false;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    remote_url(&url, remote, "/v1/models");
    while ((*model = look(remote, url.data, interrupt, &again, err)) == NULL && again &&
           !*interrupt && clock_now_ns() + RETRY_NS < deadline_ns) {
        if (!has_told)
            tell_waiting(patience_s, err);
        has_told = true;
        *err = (struct error){0};
        system_sleep_ns(RETRY_NS);
    }
    bytes_release(&url);
    if (*model == NULL && *interrupt) {
        *err = (struct error){0};
        error_set(err, ERROR_LIMIT, "interrupted");
    }
    return *model != NULL;
}
