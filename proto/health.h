/* proto/health.h: messages of grpc.health.v1.Health. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct arena;
struct bytes;
struct error;

/* Numbers of ServingStatus. */
enum health_status {
    HEALTH_UNKNOWN,
    HEALTH_SERVING,
    HEALTH_NOT_SERVING,
    HEALTH_SERVICE_UNKNOWN,
};
/* *service is "" for the whole server; in the arena. */
bool health_read_request(const char **service, struct arena *arena, const void *data,
                         size_t n_bytes, struct error *err);
void health_write_response(struct bytes *out, enum health_status status);
