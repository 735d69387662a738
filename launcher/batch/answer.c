#include "launcher/batch/answer.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "launcher/batch/request.h"
#include "proto/json_write.h"

#include <string.h>

enum { FIRST_BAD_STATUS = 400 };

static void write_begin(struct bytes *out, const struct batch_request *request)
{
    bytes_printf(out, "{\"id\":\"batch_req_%s\",\"custom_id\":", request->id);
    json_write_string(out, request->custom_id);
    bytes_add_text(out, ",\"response\":");
}

static void write_error(struct bytes *out, const char *code, const char *message)
{
    bytes_add_text(out, ",\"error\":{\"code\":");
    json_write_string(out, code);
    bytes_add_text(out, ",\"message\":");
    json_write_string(out, message);
    bytes_add_text(out, "}}");
}

/* Between the tokens of JSON a newline is a space; inside a text there is none. */
static void write_body(struct bytes *out, const char *body, size_t n_bytes)
{
    const size_t begin = out->len;
    bytes_add(out, body, n_bytes);
    for (size_t i = begin; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    if (n_bytes == 0)
        bytes_add_text(out, "null");
}

/* What {"error": {"message", "code"}} says. */
static void write_error_of(struct bytes *out, int status, const char *body, size_t n_bytes)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 20, .max_depth = 16, .max_values = 10000};
    struct bytes code = {0};
    struct error ignored = {0};
    json_t *value = NULL;
    const char *message = NULL;
    bytes_printf(&code, "%d", status);
    if (json_parse_line(&value, body, n_bytes, &limits, &ignored)) {
        const json_t *error = json_object_get(value, "error");
        message = json_string_value(json_object_get(error, "message"));
        if (json_is_string(json_object_get(error, "code"))) {
            bytes_clear(&code);
            bytes_add_text(&code, json_string_value(json_object_get(error, "code")));
        }
    }
    write_error(out, code.data, message != NULL ? message : "the request failed");
    json_decref(value);
    bytes_release(&code);
}

void batch_answer_write(struct bytes *out, const struct batch_request *request, int status,
                        const char *body, size_t n_bytes)
{
    write_begin(out, request);
    bytes_printf(out, "{\"status_code\":%d,\"request_id\":\"req_%s\",\"body\":", status,
                 request->id);
    write_body(out, body, n_bytes);
    bytes_add_char(out, '}');
    if (status >= FIRST_BAD_STATUS)
        write_error_of(out, status, body, n_bytes);
    else
        bytes_add_text(out, ",\"error\":null}");
}

void batch_answer_write_refused(struct bytes *out, const struct batch_request *request,
                                const struct error *why)
{
    write_begin(out, request);
    bytes_add_text(out, "null");
    write_error(out, *why->code != '\0' ? why->code : "invalid_request", why->text);
}
