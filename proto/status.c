#include "proto/status.h"

#include "proto/json_write.h"

#include <string.h>

/* Numbers of google.rpc.Code. */
enum {
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

static const struct {
    const char *code;
    struct status status;
} by_code[] = {
    {"model_not_found", {404, GRPC_NOT_FOUND, "NotFoundError"}},
    {"context_length_exceeded", {400, GRPC_INVALID_ARGUMENT, "BadRequestError"}},
    {"unauthorized", {401, GRPC_UNAUTHENTICATED, "AuthenticationError"}},
    {"not_found", {404, GRPC_UNIMPLEMENTED, "NotFoundError"}},
    {"method_not_allowed", {405, GRPC_UNIMPLEMENTED, "MethodNotAllowedError"}},
    {"unsupported_encoding", {415, GRPC_UNIMPLEMENTED, "UnsupportedMediaTypeError"}},
    {"deadline_exceeded", {408, GRPC_DEADLINE_EXCEEDED, "TimeoutError"}},
    {"non_finite_logits", {500, GRPC_INTERNAL, "InternalServerError"}},
    {"queue_full", {429, GRPC_RESOURCE_EXHAUSTED, "RateLimitError"}},
    {"draining", {503, GRPC_UNAVAILABLE, "ServiceUnavailableError"}},
    {"sleeping", {503, GRPC_UNAVAILABLE, "ServiceUnavailableError"}},
    {"superseded", {409, GRPC_ABORTED, "ConflictError"}},
    {"not_ready", {503, GRPC_UNAVAILABLE, "ServiceUnavailableError"}},
    {"too_large", {413, GRPC_RESOURCE_EXHAUSTED, "PayloadTooLargeError"}},
    {"engine_crash", {500, GRPC_INTERNAL, "InternalServerError"}},
};

static const struct status by_kind[] = {
    [ERROR_NONE] = {500, GRPC_INTERNAL, "InternalServerError"},
    [ERROR_INPUT] = {400, GRPC_INVALID_ARGUMENT, "BadRequestError"},
    [ERROR_LIMIT] = {429, GRPC_RESOURCE_EXHAUSTED, "RateLimitError"},
    [ERROR_UNSUPPORTED] = {501, GRPC_UNIMPLEMENTED, "NotImplementedError"},
    [ERROR_SYSTEM] = {500, GRPC_INTERNAL, "InternalServerError"},
    [ERROR_PEER] = {500, GRPC_INTERNAL, "InternalServerError"},
};

struct status status_of(const struct error *err)
{
    for (size_t i = 0; i < sizeof by_code / sizeof *by_code; i++)
        if (strcmp(err->code, by_code[i].code) == 0)
            return by_code[i].status;
    return by_kind[err->kind];
}

void status_write_json(struct bytes *out, const struct error *err)
{
    const struct status status = status_of(err);
    bytes_add_text(out, "{\"error\":{\"message\":");
    json_write_string(out, err->text);
    bytes_add_text(out, ",\"type\":");
    json_write_string(out, status.type);
    bytes_add_text(out, ",\"param\":");
    json_write_string(out, *err->param != '\0' ? err->param : NULL);
    bytes_add_text(out, ",\"code\":");
    if (*err->code != '\0')
        json_write_string(out, err->code);
    else
        json_write_int(out, status.http);
    bytes_add_text(out, "}}");
}
