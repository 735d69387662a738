/* launcher/bench/answer_stream.h: a streamed answer of an OpenAI-compatible server, as it comes.
 *
 * Bytes in, moments out. A chunk counts as tokens when it has text, or has neither a role nor a
 * finish_reason (tokens that are no whole character yet): so not the chunk that opens a chat, nor
 * one that only ends it.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum answer_state { ANSWER_OPEN, ANSWER_DONE, ANSWER_FAILED };

struct answer_stream {
    bool is_chat;
    enum answer_state state;   /* done: [DONE] came */
    bool has_events;           /* something came that may be of a stream */
    bool has_finish;           /* a finish_reason came */
    int64_t first_ns, last_ns; /* chunks that counted */
    int64_t end_ns;            /* the last chunk of the choice, whether it counted or not */
    int n_chunks;              /* that counted */
    int64_t n_input, n_output; /* of the server's usage, below 2^31; -1: it said none */
    char why[256];             /* failed: in the server's words, else ours */
    struct bytes line;         /* the one that is not whole yet */
};

void answer_stream_begin(struct answer_stream *stream, bool is_chat);
/* Bytes that came at now_ns. `gap` is called for each chunk that counts but the first, with the
 * seconds since the one before. */
void answer_stream_take(struct answer_stream *stream, const char *data, size_t n, int64_t now_ns,
                        void (*gap)(void *context, double seconds), void *context);
void answer_stream_release(struct answer_stream *stream);

/* The message in the body of an error, wherever servers put it; else its first bytes. `out` has
 * n_out bytes and gets plain text (utf8_make_plain). */
void answer_error_text(char *out, size_t n_out, const char *body, size_t n_body);
