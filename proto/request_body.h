/* proto/request_body.h: the body of a request: one JSON object, and memory for what is read of it.
 */
#pragma once
#include "base/memory.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

enum {
    BODY_MAX_DEPTH = 64,
    /* Keys too; looked for before anything is allocated. A prompt of a million token ids is inside:
     * that it is too long is for those to say who know the model. */
    BODY_MAX_VALUES = 1 << 20,
};

struct request_body { /* all zero is an empty one */
    json_t *json;
    struct arena arena;
};

/* ERROR_INPUT: no JSON (with line and column), too deep, too many values, no object. The bytes
 * themselves were bounded by who received them. request_body_release() also after a failure. */
bool request_body_read(struct request_body *out, const char *text, size_t n_bytes,
                       struct error *err);
void request_body_release(struct request_body *body);
