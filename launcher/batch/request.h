/* launcher/batch/request.h: one line of a batch, as OpenAI's batch files have it:
 *
 *   {"custom_id": "a1", "method": "POST", "url": "/v1/chat/completions", "body": {…}}
 *
 * What the answer shows that is not the model's comes from the line and its number alone: its ids,
 * and the seed where the body says none. So a batch that is run twice, or was interrupted, has the
 * same answers.
 */
#pragma once
#include "base/error.h"
#include "launcher/batch/lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch_seen;

enum { BATCH_MAX_CUSTOM_ID_BYTES = 512, BATCH_MAX_URL_BYTES = 256 };

struct batch_request {
    uint64_t number;
    char id[33];     /* 32 hexadecimal digits */
    uint64_t seed;   /* never 0 */
    char *custom_id; /* NULL: the line has none that can be read. Owned, as the next ones */
    char *url;       /* NULL where `why` is set */
    char *body;      /* JSON of an object; NULL where `why` is set */
    size_t n_body;
    struct error why; /* kind NONE: it can be sent; else its code is what OpenAI's files say */
};

/* Always fills `out`: a line that is wrong is a request whose answer is the error. `seed` is what
 * all seeds of the batch are made from. batch_request_release() afterwards. */
void batch_request_read(struct batch_request *out, const struct batch_line *line, uint64_t seed,
                        struct batch_seen *seen);
/* Sets `why`: for what only others can know, a url that leads nowhere. */
void batch_request_refuse(struct batch_request *request, const char *code, const char *text);
void batch_request_release(struct batch_request *request);
