/* /health, /health/ready, /ping: does it take requests; /health/live: is the process itself well;
 * /metrics. */
#include "runtime/api/admission.h"
#include "runtime/api/metrics.h"
#include "runtime/endpoints/endpoint.h"

/* Why a server that is not ready is not. */
static const char *state_of(const struct endpoints *e)
{
    switch (e->settings.api->admission->state) {
    case ADMISSION_STARTING:
        return "starting";
    case ADMISSION_SLEEPING:
        return "sleeping";
    case ADMISSION_DRAINING:
        return "draining";
    case ADMISSION_OPEN:
        break;
    }
    return "unavailable"; /* ranks that do not get on, or are not there */
}

/* ill: NULL, or what it is. */
static struct call *answer(const char *ill, const struct reply *reply)
{
    struct bytes out = {0};
    bytes_printf(&out, "{\"status\":\"%s\"}", ill != NULL ? ill : "ok");
    endpoint_answer(reply, ill == NULL ? 200 : 503, "application/json", &out);
    bytes_release(&out);
    return NULL;
}

struct call *live_call(const struct endpoints *e, const struct call_request *call,
                       const struct reply *reply)
{
    (void)call;
    return answer(e->settings.is_alive(e->settings.context) ? NULL : "unavailable", reply);
}

struct call *ready_call(const struct endpoints *e, const struct call_request *call,
                        const struct reply *reply)
{
    (void)call;
    return answer(e->settings.is_ready(e->settings.context) ? NULL : state_of(e), reply);
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
    api_metrics_write(&out, e->settings.api);
    endpoint_answer(reply, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
    bytes_release(&out);
    return NULL;
}
