/* runtime/text/decode/decoder.h: what tokens stand for in running text.
 *
 * A list of steps, each of which makes of a list of tokens another one; the tokens of the last, end
 * to end, are the text. Supported, in any order: all of release 0.23, which are BPEDecoder,
 * ByteFallback, ByteLevel, CTC, Fuse, Metaspace, Replace, Strip, WordPiece, and Sequence of them.
 * Without a "decoder" tokens are joined by spaces. How tokens become a text is in decode_stream.h.
 */
#pragma once
#include "runtime/text/normalize/replace.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum {
    DECODER_MAX_STEPS = 64,             /* "cleanup" is 11 */
    DECODER_MAX_TEXT_BYTES = 256,       /* of a text to look for or to put in its place */
    DECODER_MAX_TOKEN_BYTES = 16 << 20, /* of a token that steps have made longer */
};

enum decoder_step_kind {
    DECODE_JOIN_BY_SPACES,
    DECODE_BYTE_LEVEL,    /* all tokens are bytes, and become one token */
    DECODE_BYTE_FALLBACK, /* a run of "<0xE4>" becomes the text of its bytes */
    DECODE_FUSE,          /* all tokens become one */
    DECODE_STRIP,         /* some of `character` at the begin and at the end of each token */
    DECODE_REPLACE_TEXT,
    DECODE_REPLACE_REGEX,
    DECODE_METASPACE,   /* `character` is a space, or nothing in the first token */
    DECODE_WORD_PIECE,  /* tokens but the first begin with `text`, which goes, or with a space */
    DECODE_WORD_END,    /* `text` is a space, or nothing in the last token */
    DECODE_DEDUPLICATE, /* a token like the one before goes */
    DECODE_DROP_EMPTY,
    N_DECODER_STEP_KINDS
};

struct decoder {
    struct decoder_step {
        enum decoder_step_kind kind;
        bool fused; /* what comes is one token, which can be looked at in parts */
        struct replacement replacement;
        char *text;
        uint32_t character;
        int64_t start, stop; /* of a strip, in characters */
        bool drop_first;     /* of a Metaspace */
    } steps[DECODER_MAX_STEPS];
    int n_steps;
    bool has_regex;
};

/* `value` may be NULL or null. Release also after a failure. */
bool decoder_parse(struct decoder *d, const json_t *value, struct error *err);
void decoder_release(struct decoder *d);
