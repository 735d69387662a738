#include "launcher/bench/client.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/bench/load.h"
#include "launcher/bench/remote_call.h"
#include "launcher/progress.h"

#include <math.h>
#include <sys/resource.h>

enum { LOOK_MS = 200, MAX_KEPT = 65536 };

struct client {
    const struct client_settings *settings;
    const struct load *load;
    struct client_run *run;
    CURLM *multi;
    struct curl_slist *headers;
    struct bytes url;
    struct remote_call *idle, *newest;
    size_t n_sent;
    int64_t begin_ns;
    double limit_s; /* since when the limit lets the next request go */
};

/* ---- one request ---- */

static struct remote_call *idle_call(struct client *client)
{
    struct remote_call *call = client->idle;
    if (call != NULL) {
        client->idle = call->next_idle;
        return call;
    }
    call = remote_call_create(client->settings, client->url.data, client->headers, client->run);
    if (call == NULL)
        return NULL;
    call->older = client->newest;
    client->newest = call;
    return call;
}

static bool send_next(struct client *client, struct error *err)
{
    struct remote_call *call = idle_call(client);
    if (call == NULL)
        return error_set(err, ERROR_SYSTEM, "no handle of libcurl");
    const size_t i = client->n_sent++;
    struct call_result *result = &client->run->call[i];
    load_body(&call->body, client->load, i, client->settings->model);
    remote_call_begin(call, result, client->load->is_chat);
    result->start_s = (double)(call->sent_ns - client->begin_ns) * 1e-9;
    const CURLMcode code = curl_multi_add_handle(client->multi, call->easy);
    return code == CURLM_OK ||
           error_set(err, ERROR_SYSTEM, "sending a request: %s", curl_multi_strerror(code));
}

static void take_end(struct client *client, struct remote_call *call, CURLcode code)
{
    const size_t i = (size_t)(call->result - client->run->call);
    remote_call_end(call, code, client->load->request[i].n_input);
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
        struct remote_call *call;
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

/* Transfers that go on (after an interrupt) end with their connections. */
static void close_client(struct client *client)
{
    for (struct remote_call *call = client->newest, *older; call != NULL; call = older) {
        older = call->older;
        curl_multi_remove_handle(client->multi, call->easy);
        remote_call_destroy(call);
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
    remote_url(&client.url, &settings->remote, settings->endpoint);
    client.headers = remote_headers(&settings->remote);
    client.multi = curl_multi_init();
    bool good = client.multi != NULL || error_set(err, ERROR_SYSTEM, "libcurl does not start");
    if (good) /* else it closes connections that are about to be used again */
        curl_multi_setopt(client.multi, CURLMOPT_MAXCONNECTS,
                          (long)(load->n < MAX_KEPT ? load->n : MAX_KEPT));
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
