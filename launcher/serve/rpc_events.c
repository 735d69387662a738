#include "launcher/serve/rpc_events.h"

#include "base/memory.h"
#include "launcher/serve/keys.h"
#include "runtime/grpc/rpc_server.h"
#include "runtime/options/options.h"

#include <event2/event.h>

struct rpc_events {
    struct rpc_events_settings settings;
    struct rpc_server *server;
    struct event *event;
};

static bool allow(void *context, const char *authorization, uint64_t *tenant)
{
    const struct rpc_events *events = context;
    return keys_allow(events->settings.keys, authorization, tenant);
}

static bool is_ready(void *context)
{
    const struct rpc_events *events = context;
    return events->settings.is_ready(events->settings.context);
}

bool rpc_events_open(struct rpc_events **out, const struct rpc_events_settings *settings,
                     struct error *err)
{
    const struct options *options = settings->options;
    *out = NULL;
    if (options->serve.grpc_port == 0)
        return true;
    struct rpc_events *events = memory_alloc(1, sizeof *events);
    events->settings = *settings;
    struct rpc_settings rpc = {.host = options->serve.host,
                               .port = (int)options->serve.grpc_port,
                               .tls_cert_file = options->serve.ssl_certfile,
                               .tls_key_file = options->serve.ssl_keyfile,
                               .limits = rpc_limits_default(),
                               .version = PHALANX_VERSION,
                               .api = settings->api,
                               .allow = allow,
                               .is_ready = is_ready,
                               .context = events};
    rpc.limits.max_message_bytes = (size_t)options->serve.max_body_bytes;
    rpc.limits.max_connections = settings->max_connections;
    rpc.limits.max_calls = (int)options->serve.max_connections;
    if (!rpc_server_open(&events->server, &rpc, err)) {
        memory_free(events);
        return false;
    }
    *out = events;
    return true;
}

static void step(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    rpc_server_step(context);
}

bool rpc_events_start(struct rpc_events *events, struct event_base *base, struct error *err)
{
    if (events == NULL)
        return true;
    if (!rpc_server_start(events->server, err))
        return false;
    events->event =
        event_new(base, rpc_server_fd(events->server), EV_READ | EV_PERSIST, step, events->server);
    event_add(events->event, NULL);
    return true;
}

bool rpc_events_renew_certificate(struct rpc_events *events, struct error *err)
{
    return events == NULL || rpc_server_renew_certificate(
                                 events->server, events->settings.options->serve.ssl_certfile,
                                 events->settings.options->serve.ssl_keyfile, err);
}

void rpc_events_step(struct rpc_events *events)
{
    if (events != NULL)
        rpc_server_step(events->server);
}

int rpc_events_calls(const struct rpc_events *events)
{
    return events == NULL ? 0 : rpc_server_calls(events->server);
}

uint64_t rpc_events_refused(const struct rpc_events *events)
{
    return events == NULL ? 0 : rpc_server_refused(events->server);
}

void rpc_events_drain(struct rpc_events *events)
{
    if (events != NULL)
        rpc_server_drain(events->server);
}

void rpc_events_close(struct rpc_events *events)
{
    if (events == NULL)
        return;
    if (events->event != NULL)
        event_free(events->event);
    rpc_server_close(events->server);
    memory_free(events);
}
