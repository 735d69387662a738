#include "proto/health.h"

#include "proto/grpc/health/v1/health.pb-c.h"
#include "proto/pack.h"
#include "proto/unpack.h"

bool health_read_request(const char **service, struct arena *arena, const void *data,
                         size_t n_bytes, struct error *err)
{
    const Grpc__Health__V1__HealthCheckRequest *m = unpack_message(
        &grpc__health__v1__health_check_request__descriptor, arena, data, n_bytes, err);
    return m != NULL && unpack_text(service, arena, m->service, "service", err);
}

void health_write_response(struct bytes *out, enum health_status status)
{
    Grpc__Health__V1__HealthCheckResponse message = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    message.has_status = true;
    message.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    pack_message(out, &message.base);
}
