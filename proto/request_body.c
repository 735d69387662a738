#include "proto/request_body.h"

#include "base/error.h"
#include "base/json.h"

bool request_body_read(struct request_body *out, const char *text, size_t n_bytes,
                       struct error *err)
{
    const struct json_limits limits = {
        .max_bytes = n_bytes, .max_depth = BODY_MAX_DEPTH, .max_values = BODY_MAX_VALUES};
    *out = (struct request_body){0};
    if (n_bytes == 0)
        return error_set(err, ERROR_INPUT, "the body is empty, want a JSON object");
    if (!json_parse(&out->json, text, n_bytes, &limits, err))
        return error_in(err, "the body is no JSON that can be taken");
    return json_is_object(out->json) ||
           error_set(err, ERROR_INPUT, "the body is no JSON object, want {…}");
}

void request_body_release(struct request_body *body)
{
    json_decref(body->json);
    arena_release(&body->arena);
    *body = (struct request_body){0};
}
