/* runtime/text/decoder.h: what tokens stand for in running text.
 *
 * Two families: ByteLevel, whose tokens are bytes; and that of sentencepiece, a Sequence of Replace
 * (of a text), ByteFallback, Fuse and Strip (of the begin), in this order, each optional. Without a
 * "decoder" tokens are joined by spaces. How tokens become a text is in detokenizer.h.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct bytes;
struct error;

enum { DECODER_MAX_REPLACES = 4 };

struct decoder {
    bool join_by_spaces;
    bool byte_level;
    struct {
        char *from, *to;
    } replaces[DECODER_MAX_REPLACES];
    int n_replaces;
    bool byte_fallback; /* a token "<0xE4>" is one byte */
    bool fuse;
    int n_strip; /* so many of `strip` at most are left out at the begin of a text */
    char strip;
};

/* `value` may be NULL or null. Release also after a failure. */
bool decoder_parse(struct decoder *d, const json_t *value, struct error *err);
void decoder_release(struct decoder *d);

/* Appends what a token stands for. *fallback: it is one byte of byte_fallback. False: over the
 * maximum of `out`. */
bool decoder_token(const struct decoder *d, const char *token, size_t n_bytes, bool *fallback,
                   struct bytes *out);
