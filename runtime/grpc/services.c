#include "runtime/grpc/services.h"

#include "base/error.h"
#include "proto/health.h"
#include "proto/reflection.h"
#include "runtime/grpc/rpc.h"
#include "runtime/grpc/rpc_server.h"

#include <grpc/status.h>
#include <stdint.h>
#include <string.h>

static enum health_status status_of_server(const struct rpc *rpc)
{
    const struct rpc_settings *settings = rpc_settings_of(rpc);
    return settings->is_ready(settings->context) ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

/* "" is the server as a whole. */
static bool is_known(const char *service)
{
    return *service == '\0' || strcmp(service, "phalanx.v1.Inference") == 0;
}

static void send_status(struct rpc *rpc, enum health_status status)
{
    struct bytes *buffer = rpc_buffer(rpc);
    health_write_response(buffer, status);
    rpc_send(rpc, buffer);
}

void health_check(struct rpc *rpc, const void *data, size_t n_bytes)
{
    const char *service;
    struct error err = {0};
    if (!health_read_request(&service, rpc_scratch(rpc), data, n_bytes, &err)) {
        rpc_end(rpc, &err);
    } else if (!is_known(service)) { /* the protocol wants NOT_FOUND */
        rpc_cancel(rpc, GRPC_STATUS_NOT_FOUND, "no such service");
    } else {
        send_status(rpc, status_of_server(rpc));
        rpc_end(rpc, NULL);
    }
}

/* What a watcher was told last, plus one: its data is NULL until then. */
static void remember(struct rpc *rpc, enum health_status status)
{
    rpc_set_data(rpc, (void *)((uintptr_t)status + 1));
}

void health_watch(struct rpc *rpc, const void *data, size_t n_bytes)
{
    const char *service;
    struct error err = {0};
    if (!health_read_request(&service, rpc_scratch(rpc), data, n_bytes, &err)) {
        rpc_end(rpc, &err);
        return;
    }
    const enum health_status status =
        is_known(service) ? status_of_server(rpc) : HEALTH_SERVICE_UNKNOWN;
    send_status(rpc, status);
    remember(rpc, status);
}

void health_watch_tick(struct rpc *rpc)
{
    const uintptr_t told = (uintptr_t)rpc_data(rpc);
    const enum health_status status = status_of_server(rpc);
    if (told == 0 || told == (uintptr_t)HEALTH_SERVICE_UNKNOWN + 1 || told == (uintptr_t)status + 1)
        return;
    send_status(rpc, status);
    remember(rpc, status);
}

void reflection_info(struct rpc *rpc, const void *data, size_t n_bytes)
{
    struct error err = {0};
    struct arena *scratch = rpc_scratch(rpc);
    struct bytes *buffer = rpc_buffer(rpc);
    if (reflection_answer(buffer, scratch, data, n_bytes, &err))
        rpc_send(rpc, buffer);
    else
        rpc_end(rpc, &err);
}
