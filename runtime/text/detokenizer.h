/* runtime/text/detokenizer.h: token ids to text, as they come.
 *
 * A token may end inside a character; what it gives is held back until the character is whole or
 * can no longer become one (then it is U+FFFD, as Hugging Face's decode writes it). All that
 * comes out of one stream, one after the other, is byte for byte the decode of all its ids.
 */
#pragma once
#include "base/bytes.h"
#include "runtime/text/decode/decode_stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;

struct detokenizer {
    const struct tokenizer *tokenizer; /* borrowed; must outlive the stream */
    bool skip_special_tokens;
    struct decode_stream stream;
};

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool skip_special_tokens);
void detokenizer_release(struct detokenizer *d);

/* Appends whole characters to `out`, or nothing. Ids that the tokenizer does not know are skipped.
 * False: over the maximum of `out`, which then ends the stream; or, for a decoder with a pattern,
 * it takes too many steps. */
bool detokenizer_add(struct detokenizer *d, int32_t id, struct bytes *out);

/* Ends the stream: what was held back, and U+FFFD for a character that is not whole. The next add
 * starts a new stream. */
bool detokenizer_flush(struct detokenizer *d, struct bytes *out);

/* All at once. */
bool detokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n_ids,
                        bool skip_special_tokens, struct bytes *out);
