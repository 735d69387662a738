/* Bytes as a line of a batch: it is a request with a body that is an object, or it is refused, and
 * then the line of the output is JSON all the same. */
#include "tests/fuzz/fuzz.h"

#include "base/bytes.h"
#include "launcher/batch/answer.h"
#include "launcher/batch/request.h"
#include "launcher/batch/seen.h"

#include <jansson.h>
#include <string.h>

static void check_line(const struct bytes *line, const struct batch_request *request)
{
    json_t *value = json_loadb(line->data, line->len, 0, NULL);
    const json_t *id = json_object_get(value, "custom_id");
    check(value != NULL && memchr(line->data, '\n', line->len) == NULL);
    check(request->custom_id != NULL ? strcmp(json_string_value(id), request->custom_id) == 0
                                     : json_is_null(id));
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    const struct batch_line line = {.line = 1, .text = (const char *)data, .n_bytes = n_bytes};
    struct batch_request request;
    struct batch_seen seen = {0};
    struct bytes out = {0};
    batch_request_read(&request, &line, 7, &seen);
    if (request.why.kind == ERROR_NONE) {
        json_t *body = json_loadb(request.body, request.n_body, 0, NULL);
        check(json_is_object(body) && request.url != NULL && request.custom_id != NULL);
        json_decref(body);
        batch_answer_write(&out, &request, 200, request.body, request.n_body);
        check_line(&out, &request);
        bytes_clear(&out);
        batch_answer_write(&out, &request, 400, request.body, request.n_body);
    } else {
        check_error(&request.why);
        check(*request.why.code != '\0');
        batch_answer_write_refused(&out, &request, &request.why);
    }
    check_line(&out, &request);
    bytes_release(&out);
    batch_request_release(&request);
    batch_seen_release(&seen);
    return 0;
}
