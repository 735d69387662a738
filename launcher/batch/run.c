#include "launcher/batch/run.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "launcher/batch/answer.h"
#include "launcher/batch/lines.h"
#include "launcher/batch/request.h"
#include "launcher/batch/results.h"
#include "launcher/batch/seen.h"
#include "launcher/progress.h"
#include "launcher/service.h"
#include "runtime/api/metrics.h"
#include "runtime/endpoints/endpoints.h"

#include <stdio.h>
#include <string.h>

enum {
    IN_FLIGHT_PER_SEQUENCE = 4,      /* the engines never wait for the gateway */
    MAX_BYTES_IN_FLIGHT = 256 << 20, /* of requests; one is always let in */
    LINES_AT_ONCE = 256,             /* then it is looked what else there is to do */
    FIRST_BAD_STATUS = 400,
};

struct open_call { /* a request whose answer is to come */
    struct state *state;
    struct batch_request request;
    struct call *call; /* NULL while it is being made */
    struct open_call *previous, *next;
};

struct state {
    const struct batch_run *run;
    struct endpoints *endpoints;
    struct batch_seen seen;
    struct open_call *open; /* a list */
    size_t n_open, bytes_in_flight;
    bool more;            /* requests to read */
    struct bytes line;    /* of the output, as it is made */
    struct error failure; /* of keeping an answer */
};

/* ---- answers ---- */

static void keep(struct state *s, const struct batch_request *request, bool is_error)
{
    struct batch_results *results = s->run->results;
    if (s->line.len > BATCH_MAX_RECORD_BYTES) {
        struct error why = {0};
        error_set(&why, ERROR_INPUT, "its answer has more than %d bytes", BATCH_MAX_RECORD_BYTES);
        error_code(&why, "answer_too_long");
        bytes_release(&s->line);
        batch_answer_write_refused(&s->line, request, &why);
        is_error = true;
    }
    if (s->failure.kind == ERROR_NONE)
        batch_results_put(results, request->number, is_error, &s->line, &s->failure);
    bytes_clear(&s->line);
}

static void keep_refused(struct state *s, const struct batch_request *request)
{
    batch_answer_write_refused(&s->line, request, &request->why);
    keep(s, request, true);
}

static void close_call(struct open_call *call)
{
    struct state *s = call->state;
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        s->open = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    s->n_open--;
    s->bytes_in_flight -= call->request.n_body;
    batch_request_release(&call->request);
    memory_free(call);
}

static void take_whole(void *context, int status, const char *content_type, int retry_after_s,
                       const char *body, size_t n_bytes)
{
    struct open_call *call = context;
    (void)content_type; /* what POST answers is JSON */
    (void)retry_after_s;
    batch_answer_write(&call->state->line, &call->request, status, body, n_bytes);
    keep(call->state, &call->request, status >= FIRST_BAD_STATUS);
    close_call(call);
}

static void begin_stream(void *context, const char *content_type)
{
    struct open_call *call = context;
    (void)content_type;
    batch_request_refuse(&call->request, "invalid_request", "answers of a batch come whole");
}

static bool drop_event(void *context, const char *data, size_t n_bytes)
{
    (void)context;
    (void)data;
    (void)n_bytes;
    return true;
}

static void end_stream(void *context)
{
    struct open_call *call = context;
    keep_refused(call->state, &call->request);
    close_call(call);
}

/* ---- requests ---- */

static const struct route *find_route(struct batch_request *request)
{
    const struct route *route = endpoints_find(request->url);
    if (route != NULL && route->access == ROUTE_WITH_KEY && strstr(route->methods, "POST") != NULL)
        return route;
    batch_request_refuse(request, "invalid_url",
                         "url: no such endpoint; \"/v1/chat/completions\" is one");
    return NULL;
}

/* Takes over the request. */
static void send_request(struct state *s, struct batch_request *take_request,
                         const struct route *route)
{
    struct open_call *open = memory_alloc(1, sizeof *open);
    *open = (struct open_call){.state = s, .request = *take_request, .next = s->open};
    if (s->open != NULL)
        s->open->previous = open;
    s->open = open;
    s->n_open++;
    s->bytes_in_flight += open->request.n_body;
    struct call_request request = {.route = route,
                                   .path = open->request.url,
                                   .body = open->request.body,
                                   .n_body = open->request.n_body,
                                   .source = {.peer = "batch",
                                              .route = route->path,
                                              .created_s = s->run->created_s,
                                              .seed = open->request.seed}};
    snprintf(request.source.request_id, sizeof request.source.request_id, "%s", open->request.id);
    const struct reply reply = {.whole = take_whole,
                                .begin = begin_stream,
                                .event = drop_event,
                                .end = end_stream,
                                .context = open};
    struct call *call = endpoints_call(s->endpoints, &request, &reply);
    if (call != NULL) /* else it is answered, and `open` is gone */
        open->call = call;
}

static void take_line(struct state *s, const struct batch_line *line)
{
    struct batch_request request;
    const struct route *route = NULL;
    batch_request_read(&request, line, s->run->seed, &s->seen);
    if (!batch_results_have(s->run->results, request.number)) {
        if (request.why.kind == ERROR_NONE)
            route = find_route(&request);
        if (route != NULL) {
            send_request(s, &request, route);
            return;
        }
        keep_refused(s, &request);
    }
    batch_request_release(&request);
}

static bool has_room(const struct state *s)
{
    const struct session *session = &s->run->service->session;
    const size_t window = (size_t)session->max_num_seqs * IN_FLIGHT_PER_SEQUENCE;
    return batch_results_have_room(s->run->results, s->run->lines->n_given) &&
           (s->n_open == 0 || (dispatch_in_flight(session->dispatch) < window &&
                               s->n_open < window && s->bytes_in_flight < MAX_BYTES_IN_FLIGHT));
}

static bool send_requests(struct state *s, struct error *err)
{
    struct batch_line line;
    for (int i = 0; i < LINES_AT_ONCE; i++) {
        if (!s->more || s->failure.kind != ERROR_NONE || !has_room(s))
            break;
        /* what is there first: the next line may be one that somebody has yet to write */
        if (s->n_open > 0 && !batch_lines_is_ready(s->run->lines))
            break;
        if (!batch_lines_next(s->run->lines, &line, &s->more, err))
            return false;
        if (s->more)
            take_line(s, &line);
    }
    return true;
}

/* ---- the loop ---- */

static void show_progress(const struct state *s)
{
    const struct batch_results *results = s->run->results;
    progress_update(s->run->progress, results->n_answered - results->n_found,
                    s->run->service->api.metrics->generation_tokens);
}

/* False also when an answer could not be kept. */
static bool settle(struct state *s, struct error *err)
{
    while (s->failure.kind == ERROR_NONE && api_settle(&s->run->service->api))
        continue;
    show_progress(s);
    if (s->failure.kind == ERROR_NONE)
        return batch_results_sync(s->run->results, false, err);
    *err = s->failure;
    return false;
}

static bool run_all(struct state *s, struct error *err)
{
    struct session *session = &s->run->service->session;
    while (s->more || s->n_open > 0) {
        if (!send_requests(s, err) || !settle(s, err))
            return false;
        const size_t in_flight = dispatch_in_flight(session->dispatch);
        if (in_flight > 0 && (!session_run(session, in_flight - 1, err) || !settle(s, err)))
            return false;
    }
    return true;
}

/* When ranks are lost for good, what was in flight has failed with them: no such answer is kept,
 * and its request is sent again by whoever goes on. */
static void drop_open(struct state *s)
{
    while (s->open != NULL) {
        endpoints_cancel(s->open->call);
        close_call(s->open);
    }
}

bool batch_run(struct batch_run *run, struct error *err)
{
    const struct endpoints_settings settings = {.api = &run->service->api};
    struct state s = {.run = run, .endpoints = endpoints_create(&settings), .more = true};
    const bool good = run_all(&s, err);
    drop_open(&s);
    endpoints_destroy(s.endpoints);
    batch_seen_release(&s.seen);
    bytes_release(&s.line);
    return good;
}
