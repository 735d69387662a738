/* runtime/text/model/unigram.h: the unigram model: of all ways to cut a word into tokens the one
 * with the largest sum of scores.
 *
 * Sums go from left to right in float64, and of equal ones the first found stays: ids then are
 * those of the reference to the last bit. O(n) in the length of the word, times the tokens that
 * begin at one place.
 *
 * Source: Kudo 2018 (arXiv:1804.10959), section 3; A. Viterbi 1967 for the search.
 */
#pragma once
#include "runtime/text/file/json_skim.h"
#include "runtime/text/ids.h"
#include "runtime/text/model/token_trie.h"
#include "runtime/text/model/vocabulary.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct unigram {
    const struct vocabulary *vocabulary; /* borrowed */
    struct token_trie trie;
    double *scores;       /* [n_ids] */
    double unknown_score; /* of a character without a token: 10 below the least score */
    int32_t unknown;      /* -1: none, and such a character is an error */
    int32_t bytes[256];
    bool byte_fallback; /* a text without a token becomes its bytes */
};

/* From "model" of the file: `model` without its large values, `vocab` where those of "vocab" are;
 * fills the vocabulary too. ERROR_INPUT for an empty one, and an "unk_id" outside of it. Release
 * also after a failure. */
bool unigram_parse(struct unigram *unigram, struct vocabulary *vocabulary, const json_t *model,
                   const char *file, const struct json_part *vocab, struct error *err);
void unigram_release(struct unigram *unigram);

struct unigram_work {   /* of one word at a time, all zero is empty */
    const char *word;   /* [n_bytes] borrowed */
    size_t n_bytes, at; /* at: all before was offered */
    struct unigram_node {
        double score;   /* of the best way to here */
        uint32_t begin; /* of its last token; UINT32_MAX: no way yet */
        int32_t id;
    } * nodes; /* by the byte of the word at which tokens end */
    size_t capacity;
    uint32_t *ends; /* of the tokens of the best way, last first */
    size_t ends_capacity;
};
void unigram_work_release(struct unigram_work *work);

/* A word, which is UTF-8 and stays where it is until unigram_step() has said that it is done; then
 * its ids are in `out`, appended. Each of n_steps, which are counted down, is a character.
 * ERROR_INPUT when it has a character without a token and there is no "unk_id". */
void unigram_begin(struct unigram_work *work, const char *word, size_t n_bytes);
bool unigram_step(const struct unigram *unigram, struct unigram_work *work, size_t *n_steps,
                  struct ids *out, bool *done, struct error *err);
