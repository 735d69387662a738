/* runtime/text/decode/decode_stream.h: the steps of a decoder, run on tokens as they come.
 *
 * Each step holds back only what a later token could still change: the bytes of a character that is
 * not whole, a run of fallback bytes (one that is wrong makes all of them U+FFFD), the begin of a
 * text that is to be replaced, the last token where it is a special case. All that comes out, end
 * to end, is what the reference makes of all tokens at once. Behind Fuse or ByteLevel a pattern
 * holds back everything to the end, and ByteLevel everything up to a character outside of its
 * alphabet. What is held has at most DECODER_MAX_TOKEN_BYTES.
 */
#pragma once
#include "base/bytes.h"
#include "base/utf8.h"
#include "runtime/text/decode/decoder.h"

#include <stdbool.h>
#include <stddef.h>

struct pattern_work;

struct decode_stream {
    const struct decoder *decoder; /* borrowed */
    struct decode_state {
        struct bytes held, room; /* what waits, and scratch */
        int64_t n_start, n_stop; /* of a strip: characters left out, characters that wait */
        bool begun;              /* a token came, or what waited for the begin has passed */
        struct utf8_stream pending;
    } * states;                    /* [n_steps] */
    struct pattern_work *patterns; /* NULL: no step needs it */
    struct bytes settled;
    struct bytes *out; /* of the call under way */
};

void decode_stream_init(struct decode_stream *s, const struct decoder *decoder);
void decode_stream_release(struct decode_stream *s);

/* Appends what is certain now. False: over the maximum of `out` or of what is held, or a pattern of
 * the decoder takes too many steps; the stream then is broken. */
bool decode_stream_add(struct decode_stream *s, const char *token, size_t n_bytes,
                       struct bytes *out);
/* Appends the rest. The next add begins a new stream. */
bool decode_stream_end(struct decode_stream *s, struct bytes *out);
