/* proto/status.h: what an error is to a client: the HTTP status, the type, the gRPC status.
 *
 * By the code where the error has one, else by its kind. Body: {"error": {"message", "type",
 * "param", "code"}}; `code` is the text of the error where it has one, else the HTTP status as a
 * number, as vLLM has it; `param` null where none is wrong.
 *
 *   code                      HTTP  gRPC                 code            HTTP  gRPC
 *   model_not_found           404   NOT_FOUND            queue_full      429   RESOURCE_EXHAUSTED
 *   context_length_exceeded   400   INVALID_ARGUMENT     draining        503   UNAVAILABLE
 *   unauthorized              401   UNAUTHENTICATED      sleeping        503   UNAVAILABLE
 *   not_found                 404   UNIMPLEMENTED        not_ready       503   UNAVAILABLE
 *   method_not_allowed        405   UNIMPLEMENTED        too_large       413   RESOURCE_EXHAUSTED
 *   deadline_exceeded         408   DEADLINE_EXCEEDED    engine_crash    500   INTERNAL
 *   non_finite_logits         500   INTERNAL             superseded      409   ABORTED
 *   unsupported_encoding      415   UNIMPLEMENTED
 *   kinds: INPUT 400 INVALID_ARGUMENT, LIMIT 429 RESOURCE_EXHAUSTED, UNSUPPORTED 501 UNIMPLEMENTED,
 *          SYSTEM 500 INTERNAL, PEER 500 INTERNAL
 */
#pragma once
#include "base/bytes.h"
#include "base/error.h"

struct status {
    int http;
    int grpc;         /* numbers of google.rpc.Code */
    const char *type; /* "BadRequestError", "NotFoundError", "InternalServerError", … */
};
struct status status_of(const struct error *err);
/* The body, without an end of line. */
void status_write_json(struct bytes *out, const struct error *err);
