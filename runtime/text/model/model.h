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

struct model_work { /* scratch memory of one thread, all zero is empty */
    struct bpe_work bpe;
    struct unigram_work unigram;
};
void model_work_release(struct model_work *work);

/* Appends the ids of a word, which is UTF-8 and not empty. ERROR_INPUT when it has what the
 * vocabulary has no token for, not even an unknown one. */
bool model_encode(const struct model *model, struct model_work *work, const char *word,
                  size_t n_bytes, struct ids *out, struct error *err);
