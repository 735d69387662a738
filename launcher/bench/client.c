#include "launcher/bench/client.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/bench/answer_stream.h"
#include "launcher/bench/load.h"
#include "launcher/progress.h"

#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_FAILURE_BYTES = 4096, MAX_MODELS_BYTES = 1 << 20, LOOK_MS = 200 };
static const int64_t RETRY_NS = 500000000;

struct call { /* a connection's request; used again for the next one */
    struct client *client;
    CURL *easy;
    size_t index;
    struct bytes body;    /* sent */
    struct bytes failure; /* the begin of an answer that is no stream */
    struct answer_stream stream;
    int64_t sent_ns;
    char error[CURL_ERROR_SIZE];
    struct call *next_idle, *older; /* of those that are idle, of all */
};

struct client {
    const struct client_settings *settings;
    const struct load *load;
    struct client_run *run;
    CURLM *multi;
    struct curl_slist *headers;
    struct bytes url;
    struct call *idle, *newest;
    size_t n_sent;
    int64_t begin_ns;
    double limit_s; /* since when the limit lets the next request go */
};

/* ---- one request ---- */

static void take_gap(void *context, double seconds)
{
    struct call *call = context;
    samples_add(&call->client->run->call[call->index].gaps, seconds);
}

/* libcurl's write function: anything but n ends the transfer. */
static size_t take_bytes(char *data, size_t one, size_t n, void *context)
{
    struct call *call = context;
    const int64_t now_ns = clock_now_ns();
    long status = 0;
    (void)one;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        const size_t room = MAX_FAILURE_BYTES - call->failure.len;
        bytes_add(&call->failure, data, n < room ? n : room);
        return n;
    }
    const int before = call->stream.n_chunks;
    answer_stream_take(&call->stream, data, n, now_ns, take_gap, call);
    call->client->run->n_tokens += (uint64_t)(call->stream.n_chunks - before);
    return call->stream.state == ANSWER_FAILED ? 0 : n;
}

static struct call *make_call(struct client *client)
{
    struct call *call = memory_alloc(1, sizeof *call);
    *call = (struct call){.client = client, .easy = curl_easy_init(), .older = client->newest};
    if (call->easy == NULL) {
        memory_free(call);
        return NULL;
    }
    client->newest = call;
    curl_easy_setopt(call->easy, CURLOPT_URL, client->url.data);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)(client->settings->timeout_s * 1e3));
    return call;
}

static void free_call(struct call *call)
{
    curl_easy_cleanup(call->easy);
    bytes_release(&call->body);
    bytes_release(&call->failure);
    answer_stream_release(&call->stream);
    memory_free(call);
}

static bool send_next(struct client *client, struct error *err)
{
    struct call *call = client->idle;
    if (call != NULL)
        client->idle = call->next_idle;
    else if ((call = make_call(client)) == NULL)
        return error_set(err, ERROR_SYSTEM, "no handle of libcurl");
    call->index = client->n_sent++;
    load_body(&call->body, client->load, call->index, client->settings->model);
    bytes_clear(&call->failure);
    answer_stream_begin(&call->stream, client->load->is_chat);
    call->error[0] = '\0';
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body.data);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    call->sent_ns = clock_now_ns();
    client->run->call[call->index].start_s = (double)(call->sent_ns - client->begin_ns) * 1e-9;
    const CURLMcode code = curl_multi_add_handle(client->multi, call->easy);
    return code == CURLM_OK ||
           error_set(err, ERROR_SYSTEM, "sending a request: %s", curl_multi_strerror(code));
}

/* ---- its end ---- */

static void fail(struct call_result *result, enum call_kind kind, const char *why)
{
    result->kind = kind;
    snprintf(result->why, sizeof result->why, "%s", why);
}

static void judge(const struct call *call, struct call_result *result, CURLcode code)
{
    const struct answer_stream *stream = &call->stream;
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    result->status = (int)status;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        fail(result, CALL_TIMEOUT, call->error);
    } else if (status == 0) {
        fail(result, CALL_UNREACHABLE,
             *call->error != '\0' ? call->error : curl_easy_strerror(code));
    } else if (status != 200) {
        result->kind = CALL_STATUS;
        answer_error_text(result->why, sizeof result->why,
                          call->failure.len > 0 ? call->failure.data : "", call->failure.len);
    } else if (stream->state == ANSWER_FAILED) {
        fail(result, CALL_REFUSED, stream->why);
    } else if (code != CURLE_OK || !(stream->has_finish || stream->state == ANSWER_DONE)) {
        fail(result, CALL_CUT, "the connection ended before the answer did");
    } else if (stream->end_ns == 0) {
        fail(result, CALL_REFUSED, "an answer without a token");
    }
}

static void take_end(struct client *client, struct call *call, CURLcode code)
{
    struct call_result *result = &client->run->call[call->index];
    const struct answer_stream *stream = &call->stream;
    judge(call, result, code);
    if (stream->end_ns > 0) { /* all its tokens may have had no text, and come with its end */
        const int64_t first_ns = stream->n_chunks > 0 ? stream->first_ns : stream->end_ns;
        result->ttft_s = (double)(first_ns - call->sent_ns) * 1e-9;
        result->e2el_s = (double)(stream->end_ns - call->sent_ns) * 1e-9;
    } else {
        result->e2el_s = (double)(clock_now_ns() - call->sent_ns) * 1e-9;
    }
    result->n_input =
        stream->n_input >= 0 ? stream->n_input : client->load->request[call->index].n_input;
    result->n_output = stream->n_output >= 0 ? stream->n_output : stream->n_chunks;
    client->run->n_done++;
    curl_multi_remove_handle(client->multi, call->easy);
    call->next_idle = client->idle;
    client->idle = call;
}

/* ---- the loop ---- */

static double now_s(const struct client *client)
{
    return (double)(clock_now_ns() - client->begin_ns) * 1e-9;
}

static bool is_full(const struct client *client)
{
    const int64_t most = client->settings->max_concurrency;
    return most > 0 && client->n_sent - client->run->n_done >= (size_t)most;
}

static bool send_due(struct client *client, struct error *err)
{
    const struct load *load = client->load;
    struct client_run *run = client->run;
    while (client->n_sent < load->n && !is_full(client)) {
        const double due_s = load->request[client->n_sent].arrival_s;
        if (due_s > now_s(client))
            return true;
        if (!send_next(client, err))
            return false;
        const double could_s = due_s > client->limit_s ? due_s : client->limit_s;
        run->late_s = fmax(run->late_s, run->call[client->n_sent - 1].start_s - could_s);
        const size_t in_flight = client->n_sent - client->run->n_done;
        run->max_in_flight = in_flight > run->max_in_flight ? in_flight : run->max_in_flight;
    }
    return true;
}

static void take_ends(struct client *client)
{
    int n_left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &n_left)) != NULL;) {
        struct call *call;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        if (is_full(client))
            client->limit_s = now_s(client);
        take_end(client, call, message->data.result);
    }
}

/* Whole milliseconds until the next arrival, rounded down: the rest is spent looking, so that a
 * request is not late by the grain of a timer. */
static int wait_ms(const struct client *client)
{
    if (client->n_sent == client->load->n || is_full(client))
        return LOOK_MS;
    const double ms = (client->load->request[client->n_sent].arrival_s - now_s(client)) * 1e3;
    return ms <= 0 ? 0 : ms < LOOK_MS ? (int)ms : LOOK_MS;
}

static bool loop(struct client *client, struct progress *progress, struct error *err)
{
    int n_running;
    client->begin_ns = clock_now_ns();
    while (client->run->n_done < client->load->n) {
        if (*client->settings->interrupt)
            return error_set(err, ERROR_LIMIT, "interrupted");
        if (!send_due(client, err))
            return false;
        CURLMcode code = curl_multi_perform(client->multi, &n_running);
        take_ends(client);
        const bool may_wait = client->run->n_done < client->load->n;
        if (code == CURLM_OK && may_wait)
            code = curl_multi_poll(client->multi, NULL, 0, wait_ms(client), NULL);
        if (code != CURLM_OK)
            return error_set(err, ERROR_SYSTEM, "libcurl: %s", curl_multi_strerror(code));
        if (progress != NULL)
            progress_update(progress, client->run->n_done, client->run->n_tokens);
    }
    client->run->seconds = now_s(client);
    return true;
}

/* ---- begin and end ---- */

/* Thousands of connections are more files than a shell allows, and less than the system does. */
static void allow_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static struct curl_slist *make_headers(const struct client_settings *settings)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:"); /* a body is sent with its header */
    if (settings->key != NULL) {
        struct bytes line = {0};
        bytes_printf(&line, "Authorization: Bearer %s", settings->key);
        list = curl_slist_append(list, line.data);
        bytes_release(&line);
    }
    return list;
}

static void make_url(struct bytes *out, const struct client_settings *settings, const char *path)
{
    size_t n = strlen(settings->base_url);
    while (n > 0 && settings->base_url[n - 1] == '/')
        n--;
    bytes_clear(out);
    bytes_add(out, settings->base_url, n);
    bytes_add_text(out, path);
}

/* Transfers that go on (after an interrupt) end with their connections. */
static void close_client(struct client *client)
{
    for (struct call *call = client->newest, *older; call != NULL; call = older) {
        older = call->older;
        curl_multi_remove_handle(client->multi, call->easy);
        free_call(call);
    }
    curl_multi_cleanup(client->multi);
    curl_slist_free_all(client->headers);
    bytes_release(&client->url);
}

bool client_run(struct client_run *out, const struct load *load,
                const struct client_settings *settings, struct progress *progress,
                struct error *err)
{
    struct client client = {.settings = settings, .load = load, .run = out};
    *out = (struct client_run){.call = memory_alloc(load->n, sizeof *out->call), .n = load->n};
    allow_files();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    make_url(&client.url, settings, settings->endpoint);
    client.headers = make_headers(settings);
    client.multi = curl_multi_init();
    bool good = client.multi != NULL || error_set(err, ERROR_SYSTEM, "libcurl does not start");
    if (good) /* else it closes connections that are about to be used again */
        curl_multi_setopt(client.multi, CURLMOPT_MAXCONNECTS,
                          (long)(load->n < 65536 ? load->n : 65536));
    good = good && loop(&client, progress, err);
    close_client(&client);
    return good;
}

void client_run_release(struct client_run *run)
{
    for (size_t i = 0; i < run->n; i++)
        samples_release(&run->call[i].gaps);
    memory_free(run->call);
    *run = (struct client_run){0};
}

/* ---- is it there? ---- */

static size_t take_model_list(char *data, size_t one, size_t n, void *context)
{
    (void)one;
    return bytes_add(context, data, n) ? n : 0;
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
    if (id != NULL)
        name = memory_copy_text(id);
    else
        error_set(err, ERROR_INPUT, "no model in its list");
    json_decref(list);
    return name;
}

/* One look. *again: it may be there later. */
static char *look(const struct client_settings *settings, const char *url, bool *again,
                  struct error *err)
{
    struct bytes body = {.max = MAX_MODELS_BYTES};
    char why[256], *name = NULL;
    long status = 0;
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = make_headers(settings);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 10000L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_model_list);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    const CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    *again = code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT || status >= 500;
    if (code != CURLE_OK) {
        error_set(err, ERROR_INPUT, "%s: %s", url, curl_easy_strerror(code));
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

bool client_find_model(char **model, const struct client_settings *settings, double patience_s,
                       struct error *err)
{
    const int64_t deadline_ns = clock_now_ns() + (int64_t)(patience_s * 1e9);
    struct bytes url = {0};
    bool again = true;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    make_url(&url, settings, "/v1/models");
    while ((*model = look(settings, url.data, &again, err)) == NULL && again &&
           !*settings->interrupt && clock_now_ns() + RETRY_NS < deadline_ns) {
        *err = (struct error){0};
        system_sleep_ns(RETRY_NS);
    }
    bytes_release(&url);
    return *model != NULL;
}
