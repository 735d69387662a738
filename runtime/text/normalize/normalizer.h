/* runtime/text/normalize/normalizer.h: rewrites a text before it is cut into words.
 *
 * Supported: all of release 0.23, which are NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents,
 * Prepend, Replace, BertNormalizer, Nmt, ByteLevel, Precompiled, and Sequence of them. No
 * "normalizer" leaves the text as it is. Each takes time that is linear in the text.
 */
#pragma once
#include "base/bytes.h"
#include "runtime/text/normalize/charsmap.h"
#include "runtime/text/normalize/normal_form.h"
#include "runtime/text/normalize/replace.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct pattern_work;

enum {
    NORMALIZER_MAX_STEPS = 64,           /* BertNormalizer is five */
    NORMALIZER_MAX_BYTES = 256 << 20,    /* of a text behind each step, which may make it longer */
    NORMALIZER_MAX_TEXT_BYTES = 1 << 10, /* of a text to prepend */
};

/* What becomes of one character: up to 3 in `out`; returns how many. */
typedef int normalizer_char_fn(uint32_t c, uint32_t out[3]);

struct normalizer { /* all zero does nothing */
    struct normalizer_step {
        enum {
            NORMALIZE_FORM,
            NORMALIZE_CHARS,
            NORMALIZE_STRIP,   /* white space at the ends */
            NORMALIZE_PREPEND, /* `prefix`, unless the text is empty */
            NORMALIZE_REPLACE,
            NORMALIZE_BYTE_ALPHABET, /* bytes become characters of byte_alphabet.h */
            NORMALIZE_CHARSMAP,
        } kind;
        enum normal_form form;
        normalizer_char_fn *chars;
        bool left, right; /* of a strip */
        char *prefix;
        struct replacement replacement;
        struct charsmap charsmap;
    } steps[NORMALIZER_MAX_STEPS];
    int n_steps;
};

/* `value` may be NULL or null. Release also after a failure. */
bool normalizer_parse(struct normalizer *n, const json_t *value, struct error *err);
void normalizer_release(struct normalizer *n);

struct normalizer_work {           /* scratch memory of one thread, all zero is empty */
    struct pattern_work *patterns; /* set by the caller, borrowed */
    size_t max_bytes;              /* set by the caller; 0: NORMALIZER_MAX_BYTES */
    struct bytes room[2];
    struct normal_form_work forms;
    struct bytes settled;
};
void normalizer_work_release(struct normalizer_work *work); /* keeps `patterns` */

/* Replaces *text and *n_bytes; the new text may be the old one, else it lives in `work` until the
 * next run. Well-formed UTF-8.
 * *n_first: so many bytes at the begin stem from the very first character, before and behind. Only
 * "prepend_scheme": "first" (pre_tokenizer.h) asks; 0 when the text is not the begin of anything.
 * ERROR_INPUT when a pattern takes too many steps or the text gets longer than work->max_bytes. */
bool normalizer_run(const struct normalizer *n, struct normalizer_work *work, const char **text,
                    size_t *n_bytes, size_t *n_first, struct error *err);
