/* /health, /ping: can it answer; /health/live: is the process itself well; /metrics. */
#include "runtime/api/metrics.h"
#include "runtime/endpoints/endpoint.h"

static struct call *answer(bool well, const struct reply *reply)
{
    struct bytes out = {0};
    bytes_add_text(&out, well ? "{\"status\":\"ok\"}" : "{\"status\":\"unavailable\"}");
    endpoint_answer(reply, well ? 200 : 503, "application/json", &out);
    bytes_release(&out);
    return NULL;
}

struct call *live_call(const struct endpoints *e, const struct call_request *call,
                       const struct reply *reply)
{
    (void)call;
    return answer(e->is.is_alive(e->is.context), reply);
}

struct call *ready_call(const struct endpoints *e, const struct call_request *call,
                        const struct reply *reply)
{
    (void)call;
    return answer(e->is.is_ready(e->is.context), reply);
}

struct call *health_call(const struct endpoints *e, const struct call_request *call,
                         const struct reply *reply)
{
    return ready_call(e, call, reply);
}

struct call *metrics_call(const struct endpoints *e, const struct call_request *call,
                          const struct reply *reply)
{
    (void)call;
    struct bytes out = {0};
    api_metrics_write(&out, e->is.api);
    endpoint_answer(reply, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
    bytes_release(&out);
    return NULL;
}
