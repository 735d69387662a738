/* runtime/text/split/pre_tokenizer.h: cuts a text into the words that the model sees one by one.
 *
 * A list of stages; each cuts every part that the one before left, or rewrites it. Supported: all
 * of release 0.23, which are BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength,
 * Metaspace, Punctuation, Split, UnicodeScripts, Whitespace, WhitespaceSplit, and Sequence of them.
 * No "pre_tokenizer" leaves the text whole.
 */
#pragma once
#include "base/bytes.h"
#include "runtime/text/split/pattern.h"
#include "runtime/text/split/span.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum {
    PRE_TOKENIZER_MAX_STAGES = 32, /* the longest in use has 12 */
    /* Of a text that a stage rewrites, which may make it eight times longer. */
    PRE_TOKENIZER_MAX_BYTES = 256 << 20,
};

/* What becomes of the parts that match. */
enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,             /* a word of its own */
    SPLIT_MERGED_WITH_PREVIOUS, /* the end of the word before */
    SPLIT_MERGED_WITH_NEXT,     /* the begin of the word behind */
    SPLIT_CONTIGUOUS,           /* one word with matching neighbours */
};

/* Which parts get the character of Metaspace before them. */
enum prepend_scheme {
    PREPEND_ALWAYS,
    PREPEND_FIRST, /* what begins where the text begins */
    PREPEND_NEVER,
};

struct pre_tokenizer { /* all zero has no stages */
    struct pre_tokenizer_stage {
        enum {
            STAGE_PREFIX_SPACE,  /* a space before every part that has none */
            STAGE_METASPACE,     /* spaces become `character`, and a part may get one before it */
            STAGE_BYTE_ALPHABET, /* bytes become characters of byte_alphabet.h */
            STAGE_SPLIT,         /* where the pattern matches */
            STAGE_SPLIT_CHARS,   /* where single characters match */
            STAGE_WORDS,         /* \w+ and [^\w\s]+ */
            STAGE_SCRIPTS,       /* where the script changes */
            STAGE_FIXED_LENGTH,  /* every `length` characters */
        } kind;
        struct pattern *pattern;      /* of a split */
        bool (*matches)(uint32_t c);  /* of a split by characters; NULL: `character` matches */
        enum split_behavior behavior; /* of both */
        bool invert;                  /* what does not match, matches */
        uint32_t character;
        enum prepend_scheme scheme;
        int64_t length;
    } stages[PRE_TOKENIZER_MAX_STAGES];
    int n_stages;
};

/* `value` may be NULL or null. Release also after a failure. */
bool pre_tokenizer_parse(struct pre_tokenizer *p, const json_t *value, struct error *err);
void pre_tokenizer_release(struct pre_tokenizer *p);

/* Collects the parts of one span, in order, into words. Zero all but `behavior` and `out` first. */
struct span_joiner {
    enum split_behavior behavior;
    struct spans *out;
    bool has_word, previous_matched;
    struct span word; /* may still grow */
};

/* Scratch memory, how far a text is, and what comes out. */
struct pre_tokenizer_work {
    struct pattern_work *patterns; /* set by the caller, borrowed */
    int stage;                     /* that is under way */
    size_t i;                      /* the span that it is at; [0, i) are done */
    struct span_splitting {        /* of one that splits by a pattern; all zero: span i not begun */
        struct pattern_scan scan;
        struct span_joiner joiner;
        size_t done; /* all before was joined */
    } splitting;
    const char *view;     /* the text as the patterns of the stage see it; NULL: not made yet */
    size_t n_first_after; /* n_first of the text that the stage writes */
    const char *text;     /* what the spans are parts of */
    size_t n_bytes;
    size_t n_first;     /* a part that begins before this byte begins where the text begins */
    struct spans spans; /* none is empty */
    struct spans next;
    struct bytes room[2];
    int room_used; /* room[room_used] may hold the text; the other one is free */
    struct bytes settled;
};
void pre_tokenizer_work_release(struct pre_tokenizer_work *work);

/* A text, which is well-formed UTF-8 and stays where it is until pre_tokenizer_step() has said that
 * it is done; then its words are in work->text and work->spans until the next one, and may point
 * into the text given. `n_first` is that of normalizer_run().
 * Each of n_steps, which are counted down, is a match of a pattern, or one part in another stage:
 * at some nanoseconds a byte. ERROR_INPUT when a pattern takes too many steps or the text gets too
 * long. */
void pre_tokenizer_begin(struct pre_tokenizer_work *work, const char *text, size_t n_bytes,
                         size_t n_first);
bool pre_tokenizer_step(const struct pre_tokenizer *p, struct pre_tokenizer_work *work,
                        size_t *n_steps, bool *done, struct error *err);
