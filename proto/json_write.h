/* proto/json_write.h: JSON written straight into a buffer, without a tree.
 *
 * Compact, as vLLM's servers write it. A text may have NUL characters; what is no UTF-8 in it
 * becomes U+FFFD, so no text can break what is written around it. Keys and punctuation are written
 * by the caller with bytes_add_text().
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_text { /* UTF-8; a model may write NUL characters */
    const char *data;
    size_t n_bytes;
};

void json_write_text(struct bytes *out, struct json_text text);
/* Both as one text. */
void json_write_joined(struct bytes *out, struct json_text first, struct json_text second);
void json_write_string(struct bytes *out, const char *text); /* NULL: null */
void json_write_int(struct bytes *out, int64_t value);
/* Nine significant digits: reading them back gives the same float32. No number of JSON: null. */
void json_write_float(struct bytes *out, double value);
/* The same with vLLM's floor: what is below -9999, minus infinity and NAN are -9999. */
void json_write_logprob(struct bytes *out, double value);
void json_write_ids(struct bytes *out, const int32_t *id, int n); /* [1,2] */
