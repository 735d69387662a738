/* runtime/text/decode/decoder_text.h: what the steps of a decoder make of one token. Only
 * decode_stream.c asks. All append to `out`; false: over its maximum. */
#pragma once
#include "runtime/text/decode/decoder.h"

/* The bytes of a token in the byte alphabet. One with any character outside of it (an added token,
 * mostly) is text as it is. */
bool decoder_byte_level(const char *token, size_t n_bytes, struct bytes *out);
bool decoder_is_byte_level(const char *token, size_t n_bytes);
/* The byte of "<0xE4>", or -1. */
int decoder_fallback_byte(const char *token, size_t n_bytes);
bool decoder_strip(const struct decoder_step *step, const char *token, size_t n_bytes,
                   struct bytes *out);
/* `drop`: the character becomes nothing, else a space. */
bool decoder_metaspace(const struct decoder_step *step, const char *token, size_t n_bytes,
                       bool drop, struct bytes *out);
/* Of a token that is not the first. */
bool decoder_word_piece(const struct decoder_step *step, const char *token, size_t n_bytes,
                        struct bytes *out);
