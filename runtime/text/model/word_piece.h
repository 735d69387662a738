/* runtime/text/model/word_piece.h: WordPiece: from left to right the longest token that fits, and
 * the unknown token for the whole word when at some place none does. Also WordLevel, where a token
 * is the whole word.
 *
 * Source: Devlin et al. 2018 (arXiv:1810.04805), section 3; Wu et al. 2016 (arXiv:1609.08144).
 */
#pragma once
#include "runtime/text/ids.h"
#include "runtime/text/model/token_trie.h"
#include "runtime/text/model/vocabulary.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct word_piece {
    const struct vocabulary *vocabulary;   /* borrowed */
    struct token_trie trie;                /* empty: only whole words (WordLevel) */
    struct token_trie_place behind_prefix; /* where tokens go on that do not begin a word */
    bool has_prefix;                       /* some token begins with it */
    int64_t max_chars;                     /* of a word; longer ones are unknown */
    int32_t unknown;                       /* -1: not in the vocabulary, and then an error */
};

/* From "model" of the file. Release also after a failure. */
bool word_piece_parse(struct word_piece *w, const struct vocabulary *vocabulary,
                      const json_t *model, struct error *err);
bool word_level_parse(struct word_piece *w, const struct vocabulary *vocabulary,
                      const json_t *model, struct error *err);
void word_piece_release(struct word_piece *w);

/* Appends the ids of a word, which is UTF-8 and not empty. ERROR_INPUT when it is unknown and no
 * token says so. */
bool word_piece_encode(const struct word_piece *w, const char *word, size_t n_bytes,
                       struct ids *out, struct error *err);
