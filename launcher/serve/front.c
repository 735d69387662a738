#include "launcher/serve/front.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/serve/keys.h"
#include "proto/request_id.h"
#include "runtime/api/metrics.h"
#include "runtime/api/request_log.h"
#include "runtime/endpoints/endpoints.h"
#include "runtime/http/http_server.h"
#include "runtime/options/options.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct front {
    struct front_settings settings;
};

struct visit { /* one exchange */
    struct front *front;
    struct http_exchange *x;
    const struct route *route;
    struct call *call; /* NULL: answered */
    uint64_t tenant;
    bool is_id_made_up;
    int64_t arrived_ns;
    int status;                   /* of the answer; 0: none was begun */
    bool was_refused;             /* by the server of HTTP */
    bool was_cut;                 /* off: it did not read */
    struct request_record record; /* its id until there is a call: as the user sees it */
};

/* ---- answers ---- */

static void note_status(struct visit *visit, int status)
{
    visit->status = status;
    api_metrics_count_http(visit->front->settings.api->metrics, http_method(visit->x),
                           visit->route != NULL ? visit->route->path : NULL, status);
}

/* The page runs nothing but itself (its own policy says so) and is shown in no other page. */
static void guard_page(struct http_exchange *x)
{
    http_add_header(x, "Content-Security-Policy", "frame-ancestors 'none'");
    http_add_header(x, "X-Content-Type-Options", "nosniff");
    http_add_header(x, "Referrer-Policy", "no-referrer");
    http_add_header(x, "Cache-Control", "no-cache");
}

static void reply_whole(void *context, int status, const char *content_type, int retry_after_s,
                        const char *body, size_t n_bytes)
{
    struct visit *visit = context;
    char seconds[16];
    if (retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%d", retry_after_s);
        http_add_header(visit->x, "Retry-After", seconds);
    }
    if (strncmp(content_type, "text/html", 9) == 0)
        guard_page(visit->x);
    note_status(visit, status);
    visit->call = NULL;
    http_respond(visit->x, status, content_type, body, n_bytes);
}

static void reply_begin(void *context, const char *content_type)
{
    struct visit *visit = context;
    http_add_header(visit->x, "Cache-Control", "no-cache");
    http_add_header(visit->x, "X-Accel-Buffering", "no"); /* proxies pass each event on at once */
    note_status(visit, 200);
    http_stream_begin(visit->x, 200, content_type);
}

static bool reply_event(void *context, const char *data, size_t n_bytes)
{
    struct visit *visit = context;
    if (http_stream_write(visit->x, data, n_bytes))
        return true;
    if (!visit->was_cut)
        error_set(&visit->record.failure, ERROR_LIMIT,
                  "the client does not read what it asked for");
    visit->was_cut = true;
    return false;
}

static void reply_end(void *context)
{
    struct visit *visit = context;
    visit->call = NULL;
    http_stream_end(visit->x);
}

static struct reply reply_of(struct visit *visit)
{
    return (struct reply){.whole = reply_whole,
                          .begin = reply_begin,
                          .event = reply_event,
                          .end = reply_end,
                          .context = visit,
                          .record = &visit->record};
}

static void refuse(struct visit *visit, const char *code, const char *text)
{
    struct error why = {0};
    error_set(&why, ERROR_INPUT, "%s", text);
    error_code(&why, code);
    const struct reply reply = reply_of(visit);
    endpoints_error(&why, &reply);
}

/* ---- the request ---- */

/* The user's own id where it is one that can stand in a log and a header. */
static void name_request(struct visit *visit)
{
    const char *given = http_header(visit->x, "x-request-id");
    char *id = visit->record.id;
    visit->is_id_made_up = given == NULL || !request_id_is_good(given);
    if (visit->is_id_made_up)
        request_id_make(id);
    else
        memcpy(id, given, strlen(given) + 1);
    http_add_header(visit->x, "X-Request-Id", id);
}

static bool has_origin(const struct option_list *origins, const char *origin)
{
    for (int i = 0; i < origins->n; i++)
        if (strcmp(origins->item[i], origin) == 0)
            return true;
    return false;
}

/* Which page may read the answer; NULL: none but our own. Where that depends on who asks, every
 * answer says so, also one that allows nothing: a cache would hand it to a page that may read it.
 */
static const char *allow_origin(struct http_exchange *x, const struct option_list *origins)
{
    if (has_origin(origins, "*"))
        return "*";
    const char *origin = http_header(x, "origin");
    if (origins->n > 0)
        http_add_header(x, "Vary", "Origin");
    return origin != NULL && has_origin(origins, origin) ? origin : NULL;
}

/* Those that are asked for: clients send some that only they know, and none of them does harm. */
static const char *headers_to_allow(const struct http_exchange *x)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-, ";
    const char *asked = http_header(x, "access-control-request-headers");
    return asked != NULL && strspn(asked, letters) == strlen(asked)
               ? asked
               : "Authorization, Content-Type, X-Request-Id";
}

/* Fetch standard, CORS protocol. A preflight is answered here, without a key: browsers send none.
 */
static bool answer_preflight(struct visit *visit)
{
    const char *allowed = allow_origin(visit->x, visit->front->settings.origins);
    if (allowed != NULL) {
        http_add_header(visit->x, "Access-Control-Allow-Origin", allowed);
        http_add_header(visit->x, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
    }
    if (strcmp(http_method(visit->x), "OPTIONS") != 0)
        return false;
    if (visit->route != NULL)
        http_add_header(visit->x, "Allow", visit->route->methods);
    if (allowed != NULL && visit->route != NULL) {
        http_add_header(visit->x, "Access-Control-Allow-Methods", visit->route->methods);
        http_add_header(visit->x, "Access-Control-Allow-Headers", headers_to_allow(visit->x));
        http_add_header(visit->x, "Access-Control-Max-Age", "86400");
    }
    note_status(visit, visit->route != NULL ? 204 : 404);
    http_respond(visit->x, visit->route != NULL ? 204 : 404, "text/plain", "", 0);
    return true;
}

/* Whether the method is one of "GET, HEAD". */
static bool takes(const struct route *route, const char *method)
{
    const size_t n = strlen(method);
    for (const char *at = route->methods; (at = strstr(at, method)) != NULL; at += n)
        if ((at == route->methods || at[-1] == ' ') && (at[n] == '\0' || at[n] == ','))
            return true;
    return false;
}

static bool is_allowed(struct visit *visit)
{
    const bool is_open = visit->route != NULL && visit->route->access == ROUTE_OPEN;
    return keys_allow(visit->front->settings.keys, http_header(visit->x, "authorization"),
                      &visit->tenant) ||
           is_open;
}

static void on_headers(void *context, struct http_exchange *x)
{
    struct visit *visit = memory_alloc(1, sizeof *visit);
    visit->front = context;
    visit->x = x;
    visit->arrived_ns = clock_now_ns();
    visit->route = endpoints_find(http_path(x));
    http_set_data(x, visit);
    name_request(visit);
    if (answer_preflight(visit))
        return;
    if (!is_allowed(visit)) {
        http_add_header(x, "WWW-Authenticate", "Bearer");
        refuse(visit, "unauthorized",
               "This server wants an API key: send the header Authorization: Bearer KEY");
    } else if (visit->route == NULL) {
        refuse(visit, "not_found", "There is nothing at this path");
    } else if (!takes(visit->route, http_method(x))) {
        http_add_header(x, "Allow", visit->route->methods);
        refuse(visit, "method_not_allowed", "This path takes other methods: see the header Allow");
    }
}

/* RFC 9110, sections 8.4 and 15.5.16. Nothing is unpacked here: a few bytes could be a gigabyte. */
static bool is_packed(struct http_exchange *x)
{
    const char *encoding = http_header(x, "content-encoding");
    size_t n_body;
    http_body(x, &n_body);
    return n_body > 0 && encoding != NULL && strcasecmp(encoding, "identity") != 0;
}

static void on_request(void *context, struct http_exchange *x)
{
    struct front *front = context;
    struct visit *visit = http_data(x);
    if (is_packed(x)) {
        http_add_header(x, "Accept-Encoding", "identity");
        refuse(visit, "unsupported_encoding",
               "This server takes no compressed bodies: send the JSON as it is, without the "
               "header Content-Encoding");
        return;
    }
    struct call_request request = {.route = visit->route,
                                   .path = http_path(x),
                                   .query = http_query(x),
                                   .is_id_made_up = visit->is_id_made_up,
                                   .source = {.tenant = visit->tenant,
                                              .peer = http_peer(x),
                                              .route = visit->route->path,
                                              .record = &visit->record}};
    request.body = http_body(x, &request.n_body);
    memcpy(request.source.request_id, visit->record.id, sizeof visit->record.id);
    const struct reply reply = reply_of(visit);
    visit->call = endpoints_call(front->settings.endpoints, &request, &reply);
}

static void on_closed(void *context, struct http_exchange *x, bool was_answered)
{
    const struct front *front = context;
    struct visit *visit = http_data(x);
    if (visit->call != NULL)
        endpoints_cancel(visit->call);
    request_log_write(front->settings.api,
                      &(struct request_log_entry){
                          .record = &visit->record,
                          .method = http_method(x),
                          .route = http_path(x),
                          .peer = http_peer(x),
                          .status = visit->status,
                          .total_ns = clock_now_ns() - visit->arrived_ns,
                          .was_cancelled = !was_answered && !visit->was_refused && !visit->was_cut,
                          .is_probe = visit->route != NULL && endpoints_is_probe(visit->route),
                      });
    memory_free(visit);
}

/* What the server of HTTP answers by itself: here only to be counted and logged. */
static void on_refused(void *context, struct http_exchange *x, const char *peer, int status,
                       const char *why)
{
    const struct front *front = context;
    struct visit *visit = x != NULL ? http_data(x) : NULL;
    if (visit != NULL) { /* its line comes when it is closed */
        error_set(&visit->record.failure, ERROR_INPUT, "%s", why);
        visit->was_refused = true;
        note_status(visit, status);
        return;
    }
    struct request_record record = {.n_choices = 0};
    error_set(&record.failure, ERROR_INPUT, "%s", why);
    api_metrics_count_http(front->settings.api->metrics, "", NULL, status);
    request_log_write(front->settings.api,
                      &(struct request_log_entry){
                          .record = &record, .peer = peer, .status = status, .total_ns = -1});
}

struct front *front_create(const struct front_settings *settings)
{
    struct front *front = memory_alloc(1, sizeof *front);
    front->settings = *settings;
    return front;
}

void front_destroy(struct front *front) { memory_free(front); }

struct http_handler front_handler(struct front *front)
{
    return (struct http_handler){.headers = on_headers,
                                 .request = on_request,
                                 .closed = on_closed,
                                 .refused = on_refused,
                                 .context = front};
}
