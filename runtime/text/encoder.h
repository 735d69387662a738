/* runtime/text/encoder.h: text to token ids.
 *
 * An encoder is the changing half of a tokenizer: scratch memory and a bounded cache of words.
 * One thread at a time; any number of encoders share one tokenizer, which must outlive them.
 *
 * Time is O(n log n) in the length of the text, whatever the text is; for Unigram and WordPiece
 * O(n) times the length of the longest token that fits.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct encoder;
struct error;
struct ids;
struct text_range; /* base/utf8.h */
struct tokenizer;

enum {
    /* Positions are 32 bits, and a normalizer may make a text eleven times longer (U+FDFA). */
    ENCODER_MAX_TEXT_BYTES = 64 << 20,
};

struct encode_options { /* all zero: as Hugging Face's encode(text, add_special_tokens=False) */
    bool add_special_tokens; /* what the post-processor puts around a text, such as begin-of-text */
    bool special_as_text;    /* text that spells a special token is text, everywhere */
    /* The same, but only here: a special token is matched only where it touches none of these.
     * So a chat template and what users wrote can be one text, and users cannot write tokens.
     * Spaces that a token takes along (lstrip, rstrip) may be in one, as the reference has it.
     * Where it is not known what a normalizer made of a range, special tokens of normalized text
     * are text up to the next token of the text as it came. Ascending, not overlapping. */
    const struct text_range *plain;
    size_t n_plain;
};

struct encoder *encoder_create(const struct tokenizer *tokenizer);
void encoder_destroy(struct encoder *e); /* NULL is fine */

/* Appends the ids of a text. `options` NULL is all zero.
 * ERROR_INPUT when the text is not UTF-8 (with the offset) or longer than ENCODER_MAX_TEXT_BYTES,
 * when a pattern of the tokenizer takes too long on it, or when it has what the vocabulary has no
 * token for, not even an unknown one; `out` then holds what it held. */
bool encoder_encode(struct encoder *e, const char *text, size_t n_bytes,
                    const struct encode_options *options, struct ids *out, struct error *err);

/* The same bit by bit, for who has to do other things meanwhile. Any number of texts may be under
 * way at once, each with scratch memory of some twenty times its length.
 * The text, the ranges and `out` are borrowed until encoding_end(). NULL: an error as above. */
struct encoding;
struct encoding *encoding_begin(struct encoder *e, const char *text, size_t n_bytes,
                                const struct encode_options *options, struct ids *out,
                                struct error *err);
/* Goes on by so many steps: a word, a match of a pattern, a character or a merge of a long word,
 * each of which takes a microsecond or so. What knows no steps is done at once: to begin, and once
 * for each text between two added tokens the normalizer, and what the pre-tokenizer does without
 * patterns; all of it linear. *done: the ids are there. False: an error as above. */
bool encoding_step(struct encoding *x, size_t n_steps, bool *done, struct error *err);
/* At any time: `out` holds what it held unless the encoding was done. NULL is fine. */
void encoding_end(struct encoding *x);
/* Bytes of all texts that are under way. */
size_t encoder_under_way(const struct encoder *e);
