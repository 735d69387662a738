/* The line of a call in the log, in the same form as that of a request over HTTP. */
#include "base/system.h"
#include "proto/status.h"
#include "runtime/api/request_log.h"
#include "runtime/grpc/rpc_state.h"

#include <stdio.h>

enum { MAX_PATH_BYTES = 200, STATUS_OK = 200 };

void rpc_log_end(struct rpc *rpc)
{
    char path[MAX_PATH_BYTES]; /* as the client wrote it */
    const size_t n = GRPC_SLICE_LENGTH(rpc->details.method);
    const struct rpc_method *method = rpc->method;
    snprintf(path, sizeof path, "%.*s", (int)(n < sizeof path ? n : sizeof path),
             (const char *)GRPC_SLICE_START_PTR(rpc->details.method));
    if (rpc->record.failure.kind == ERROR_NONE)
        rpc->record.failure = rpc->why;
    request_log_write(
        rpc->server->settings.api,
        &(struct request_log_entry){
            .record = &rpc->record,
            .route = path,
            .peer = rpc->peer,
            .status = rpc->why.kind != ERROR_NONE ? status_of(&rpc->why).http : STATUS_OK,
            .total_ns = clock_now_ns() - rpc->arrived_ns,
            .was_cancelled = rpc->close_cancelled != 0 && !rpc->is_cut,
            .is_probe = method != NULL && (method->is_open || method->is_endless),
        });
}
