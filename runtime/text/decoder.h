/* runtime/text/decoder.h: what a token stands for in running text.
 *
 * Supported: ByteLevel, and Sequence of it. Without a "decoder" tokens are joined by spaces.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct bytes;
struct error;

struct decoder { /* all zero joins by spaces */
    bool byte_level;
};

/* `value` may be NULL or null. */
bool decoder_parse(struct decoder *d, const json_t *value, struct error *err);

/* Appends the bytes of a token; `first` of its text. False: over the maximum of `out`. */
bool decoder_token(const struct decoder *d, const char *token, size_t n_bytes, bool first,
                   struct bytes *out);
