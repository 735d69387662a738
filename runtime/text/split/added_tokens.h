/* runtime/text/split/added_tokens.h: tokens that are found in the text before anything else
 * happens.
 *
 * Where several could stand, the leftmost wins, and of those that begin together the longest. The
 * flags of the file: "single_word" takes a token only where no word character touches it, "lstrip"
 * and "rstrip" also take the spaces beside it, "normalized" finds it in the normalized text and
 * not in the text as it came.
 */
#pragma once
#include "base/memory.h"
#include "runtime/text/model/vocabulary.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct normalizer;
struct text_range;

enum {
    ADDED_MAX_TOKENS = 1 << 13,      /* the most in use: 6,415 (Gemma 3) */
    ADDED_MAX_TOKEN_BYTES = 1 << 10, /* the search walks so far at each place, at worst */
};

struct added_token {
    const char *text;    /* as in the file */
    const char *pattern; /* what to look for: the text, normalized if the token is */
    uint32_t n_bytes, n_pattern;
    int32_t id;
    bool special, normalized, lstrip, rstrip, single_word;
};

struct added_matcher {
    const struct added_token **sorted; /* [n], by the bytes of `pattern` */
    size_t n;
    uint32_t first[257]; /* those that begin with byte b: [first[b], first[b + 1]) */
};

struct added_tokens {           /* all zero has none */
    struct added_token *tokens; /* [n], as in the file */
    size_t n;
    struct added_matcher as_is, normalized;
    const struct added_token **by_text; /* [n], by the bytes of `text` */
    struct arena arena;
};

/* Reads the array "added_tokens", and names the tokens in the vocabulary for decoding: as they are
 * spelled, or as their pattern. Release also
 * after a failure. ERROR_INPUT for ids out of range, ids and texts that come twice or contradict
 * the vocabulary. */
bool added_tokens_parse(struct added_tokens *added, struct vocabulary *vocabulary,
                        const struct normalizer *normalizer, const json_t *list, struct error *err);
void added_tokens_release(struct added_tokens *added);

const struct added_token *added_tokens_find(const struct added_tokens *added, const char *text,
                                            size_t n_bytes); /* NULL: none has this text */

struct added_piece {
    size_t begin, end;
    int32_t id; /* -1: text */
};

struct added_pieces { /* all zero is empty */
    struct added_piece *data;
    size_t n, capacity;
};
void added_pieces_release(struct added_pieces *pieces);

/* Cuts a text into tokens and the text between them. Special tokens that touch one of the ranges
 * are text (ranges ascend). */
void added_tokens_split(const struct added_matcher *matcher, const char *text, size_t n_bytes,
                        const struct text_range *plain, size_t n_plain, struct added_pieces *out);
