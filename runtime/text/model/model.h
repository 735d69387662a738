/* runtime/text/model/model.h: the model of a tokenizer: one word to ids.
 *
 * Supported: all of release 0.23, which are BPE, Unigram, WordPiece and WordLevel. A file from
 * before "type" is recognised by its other keys.
 */
#pragma once
#include "runtime/text/file/json_skim.h"
#include "runtime/text/ids.h"
#include "runtime/text/model/bpe.h"
#include "runtime/text/model/unigram.h"
#include "runtime/text/model/vocabulary.h"
#include "runtime/text/model/word_piece.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

struct model { /* all zero is none */
    enum model_kind {
        MODEL_NONE,
        MODEL_BPE,
        MODEL_UNIGRAM,
        MODEL_WORD_PIECE, /* and WordLevel */
    } kind;
    union {
        struct bpe bpe;
        struct unigram unigram;
        struct word_piece word_piece;
    };
};

/* From "model" of the file, of which `skim` has found the large values; fills the vocabulary too,
 * which must outlive the model. Release both also after a failure. */
bool model_parse(struct model *model, struct vocabulary *vocabulary, const json_t *value,
                 const char *file, const struct json_skim *skim, struct error *err);
void model_release(struct model *model);

struct model_work { /* scratch memory of one word at a time, all zero is empty */
    struct bpe_work bpe;
    struct unigram_work unigram;
    const char *word; /* [n_bytes] borrowed */
    size_t n_bytes;
};
void model_work_release(struct model_work *work);

/* Bytes of the first part of a word: its ids are those of its parts, one after the other. */
size_t model_part(const struct model *model, const char *word, size_t n_bytes);

/* A word, which is UTF-8, not empty, and stays where it is until model_step() has said that it is
 * done. Each of n_steps, which are counted down, takes some microseconds at most; where a model
 * knows no steps, its words are short. With the last step the ids are in `out`, appended: before,
 * it may have some of them. ERROR_INPUT when the word has what the vocabulary has no token for, not
 * even an unknown one. */
void model_begin(const struct model *model, struct model_work *work, const char *word,
                 size_t n_bytes);
bool model_step(const struct model *model, struct model_work *work, size_t *n_steps,
                struct ids *out, bool *done, struct error *err);
