#include "runtime/endpoints/endpoints.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "proto/request_id.h"
#include "proto/status.h"
#include "runtime/api/admission.h"
#include "runtime/api/request_log.h"
#include "runtime/endpoints/endpoint.h"

#include <stdio.h>
#include <string.h>

static const char GET[] = "GET, HEAD", POST[] = "POST";

static const struct entry { /* the first member is what users of the header see */
    struct route route;
    endpoint_fn *call;
} table[] = {
    {{"/v1/chat/completions", POST, ROUTE_WITH_KEY}, chat_call},
    {{"/v1/completions", POST, ROUTE_WITH_KEY}, completions_call},
    {{"/generate", POST, ROUTE_WITH_KEY}, generate_call},
    {{"/generate_stream", POST, ROUTE_WITH_KEY}, generate_stream_call},
    {{"/v1/embeddings", POST, ROUTE_WITH_KEY}, embeddings_call},
    {{"/v1/score", POST, ROUTE_WITH_KEY}, score_call},
    {{"/score", POST, ROUTE_WITH_KEY}, score_call},
    {{"/v1/rerank", POST, ROUTE_WITH_KEY}, rerank_call},
    {{"/v2/rerank", POST, ROUTE_WITH_KEY}, rerank_call},
    {{"/rerank", POST, ROUTE_WITH_KEY}, rerank_call},
    {{"/classify", POST, ROUTE_WITH_KEY}, classify_call},
    {{"/pooling", POST, ROUTE_WITH_KEY}, pooling_call},
    {{"/v1/score/evaluation", POST, ROUTE_WITH_KEY}, reward_call},
    {{"/tokenize", POST, ROUTE_WITH_KEY}, tokenize_call},
    {{"/detokenize", POST, ROUTE_WITH_KEY}, detokenize_call},
    {{"/v1/models", GET, ROUTE_WITH_KEY}, models_call},
    {{"/v1/models/{model}", GET, ROUTE_WITH_KEY}, model_call},
    {{"/version", GET, ROUTE_WITH_KEY}, version_call},
    {{"/health", GET, ROUTE_OPEN}, health_call},
    {{"/health/live", GET, ROUTE_OPEN}, live_call},
    {{"/health/ready", GET, ROUTE_OPEN}, ready_call},
    {{"/ping", "GET, HEAD, POST", ROUTE_OPEN}, health_call},
    {{"/metrics", GET, ROUTE_WITH_KEY}, metrics_call},
    {{"/", GET, ROUTE_OPEN}, page_call},
    {{"/favicon.ico", GET, ROUTE_OPEN}, icon_call},
    {{"/sleep", POST, ROUTE_WITH_KEY}, sleep_call},
    {{"/wake_up", POST, ROUTE_WITH_KEY}, wake_call},
    {{"/is_sleeping", GET, ROUTE_WITH_KEY}, is_sleeping_call},
};

/* The rest of a path may stand for a name in braces, slashes and all: models have such names. */
static bool leads_to(const char *path, const char *route)
{
    const size_t n = strcspn(route, "{");
    return strncmp(path, route, n) == 0 && (path[n] == '\0') == (route[n] == '\0');
}

const struct route *endpoints_find(const char *path)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (leads_to(path, table[i].route.path))
            return &table[i].route;
    return NULL;
}

static const struct entry *entry_of(const struct route *route)
{
    return (const struct entry *)(const void *)route;
}

bool endpoints_is_probe(const struct route *route)
{
    endpoint_fn *const call = entry_of(route)->call;
    return call == health_call || call == live_call || call == ready_call || call == metrics_call;
}

struct endpoints *endpoints_create(const struct endpoints_settings *settings)
{
    struct endpoints *e = memory_alloc(1, sizeof *e);
    e->settings = *settings;
    return e;
}

void endpoints_destroy(struct endpoints *endpoints) { memory_free(endpoints); }

struct call *endpoints_call(struct endpoints *endpoints, const struct call_request *request,
                            const struct reply *reply)
{
    return entry_of(request->route)->call(endpoints, request, reply);
}

void endpoints_cancel(struct call *call) { call->cancel(call); }

static void refuse(const struct error *why, int retry_after_s, const struct reply *reply)
{
    const int status = status_of(why).http;
    struct bytes body = {0};
    if (reply->record != NULL)
        reply->record->failure = *why;
    status_write_json(&body, why);
    reply->whole(reply->context, status, "application/json",
                 status == 429 || status == 503 ? retry_after_s : 0, body.data, body.len);
    bytes_release(&body);
}

void endpoints_error(const struct error *why, const struct reply *reply) { refuse(why, 1, reply); }

/* ---- for endpoints ---- */

struct call *endpoint_refuse(const struct endpoints *e, const struct reply *reply,
                             const struct error *why)
{
    refuse(why, admission_retry_after_s(e->settings.api->admission), reply);
    return NULL;
}

struct call *endpoint_answer(const struct reply *reply, int status, const char *content_type,
                             const struct bytes *body)
{
    reply->whole(reply->context, status, content_type, 0, body->len > 0 ? body->data : "",
                 body->len);
    return NULL;
}

struct call *endpoint_answer_json(const struct reply *reply, const struct bytes *body)
{
    return endpoint_answer(reply, 200, "application/json", body);
}

struct api_source endpoint_source(const struct call_request *request, const char *prefix,
                                  const char *id)
{
    struct api_source source = request->source;
    char made[REQUEST_ID_BYTES];
    const char *name = request->source.request_id;
    if (id != NULL && (request->is_id_made_up || *name == '\0')) {
        name = id;
    } else if (*name == '\0') {
        request_id_make(made);
        name = made;
    }
    snprintf(source.request_id, ENDPOINT_ID_BYTES, "%s%.*s", prefix,
             (int)(ENDPOINT_ID_BYTES - strlen(prefix) - 1), name);
    if (source.created_s == 0)
        source.created_s = clock_wall_ms() / 1000;
    return source;
}
