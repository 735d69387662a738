/* launcher/batch/answer.h: the answer to a request of a batch, as a line of the output.
 *
 *   {"id": "batch_req_…", "custom_id": "a1",
 *    "response": {"status_code": 200, "request_id": "req_…", "body": {…}}, "error": null}
 *
 * A request that never became a call has "response": null, and "error": {"code", "message"}. One
 * that was answered with a status of 400 or more has both: the response as OpenAI's files have it,
 * and the error, where vLLM's readers look for it.
 */
#pragma once
#include <stddef.h>

struct batch_request;
struct bytes;
struct error;

/* `body` is JSON, of one line or more; "" becomes null. */
void batch_answer_write(struct bytes *out, const struct batch_request *request, int status,
                        const char *body, size_t n_bytes);
/* It was not sent, or its answer cannot be kept. */
void batch_answer_write_refused(struct bytes *out, const struct batch_request *request,
                                const struct error *why);
