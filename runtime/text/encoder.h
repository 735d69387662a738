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
