/* runtime/text/pre_tokenizer.h: cuts a text into the words that the model sees one by one.
 *
 * A list of stages; each cuts every part that the one before left, or rewrites it. Supported:
 * Split, ByteLevel, Digits, and Sequence of them. No "pre_tokenizer" leaves the text whole.
 */
#pragma once
#include "base/bytes.h"
#include "runtime/text/pattern.h"
#include "runtime/text/span.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

enum { PRE_TOKENIZER_MAX_STAGES = 32 }; /* the longest in use has 12 */

enum split_behavior { /* what becomes of the parts that match */
                      SPLIT_REMOVED,
                      SPLIT_ISOLATED,             /* a word of its own */
                      SPLIT_MERGED_WITH_PREVIOUS, /* the end of the word before */
                      SPLIT_MERGED_WITH_NEXT,     /* the begin of the word behind */
                      SPLIT_CONTIGUOUS,           /* one word with matching neighbours */
};

struct pre_tokenizer { /* all zero has no stages */
    struct pre_tokenizer_stage {
        enum {
            STAGE_PREFIX_SPACE, /* a space before every part that has none */
            STAGE_SPLIT,
            STAGE_DIGITS,
            STAGE_BYTE_ALPHABET, /* bytes become characters of byte_alphabet.h */
        } kind;
        struct pattern *pattern; /* of a split */
        enum split_behavior behavior;
        bool invert; /* what does not match, matches */
    } stages[PRE_TOKENIZER_MAX_STAGES];
    int n_stages;
};

/* `value` may be NULL or null. Release also after a failure. */
bool pre_tokenizer_parse(struct pre_tokenizer *p, const json_t *value, struct error *err);
void pre_tokenizer_release(struct pre_tokenizer *p);

/* Scratch memory of one thread, and the result of a run. */
struct pre_tokenizer_work {
    struct pattern_work *patterns; /* set by the caller, borrowed */
    const char *text;              /* what the spans are parts of */
    size_t n_bytes;
    struct spans spans; /* none is empty */
    struct spans next;
    struct bytes room[2];
    int room_used; /* room[room_used] may hold the text; the other one is free */
    struct bytes settled;
};
void pre_tokenizer_work_release(struct pre_tokenizer_work *work);

/* The words of a text, in work->text and work->spans until the next run; they may point into the
 * text given. Well-formed UTF-8. ERROR_INPUT when a pattern takes too many steps. */
bool pre_tokenizer_run(const struct pre_tokenizer *p, struct pre_tokenizer_work *work,
                       const char *text, size_t n_bytes, struct error *err);
