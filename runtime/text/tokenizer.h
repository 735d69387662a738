/* runtime/text/tokenizer.h: a tokenizer.json, read once and then only looked at.
 *
 * The file decides everything: Hugging Face `tokenizers` gives the same ids for the same text,
 * and the same text for the same ids. Text becomes ids in encoder.h, ids become text in
 * detokenizer.h; here are the vocabulary and the file.
 *
 * A tokenizer does not change after tokenizer_open(), so threads may share it.
 * Not read: "truncation" and "padding" of the file. Lengths are the caller's business.
 *
 * Source of the format: https://huggingface.co/docs/tokenizers, checked against release 0.23.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct ids;
struct tokenizer;

/* ERROR_INPUT for a damaged or contradictory file, ERROR_UNSUPPORTED for a stage that we do not
 * have; both name the file and the key. Bounded: at most 100 MB for any file, and a second for any
 * whose normalizer has no patterns (they see each of up to 8,192 added tokens). */
bool tokenizer_open(struct tokenizer **out, const char *path_of_tokenizer_json, struct error *err);
void tokenizer_close(struct tokenizer *t); /* NULL is fine */

/* One more than the largest id. Ids in between may be unused. */
int32_t tokenizer_vocab(const struct tokenizer *t);

/* The id of a token as the file spells it, added tokens first; -1 when there is none. */
int32_t tokenizer_find(const struct tokenizer *t, const char *token, size_t n_bytes);

/* As the file spells it (in the byte alphabet for byte-level models; an added token with the flag
 * "normalized" in its normalized form), with its length in *n_bytes.
 * Not NUL-terminated; lives as long as the tokenizer. NULL for an unused id. */
const char *tokenizer_token(const struct tokenizer *t, int32_t id, size_t *n_bytes);

/* Bytes of the longest token as the file spells it, at least 1: no text of n bytes has fewer than n
 * divided by it, unless a normalizer drops some of it. */
size_t tokenizer_longest(const struct tokenizer *t);

/* What the post-processor puts around a text, or around and between two. Borrowed, none is NULL. */
struct tokenizer_frame {
    const struct ids *before, *between, *after;
};
struct tokenizer_frame tokenizer_frame(const struct tokenizer *t);
/* False: the file does not say, or says what we do not have. */
bool tokenizer_pair_frame(const struct tokenizer *t, struct tokenizer_frame *out);

/* Special tokens steer the model; detokenizers may leave them out. False for unknown ids. */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);

/* What a detokenizer leaves out then: special tokens, but for some whose name is normalized. */
bool tokenizer_is_skipped(const struct tokenizer *t, int32_t id);
