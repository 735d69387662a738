/* runtime/http/chunks.h: a chunked body (RFC 9112, section 7.1), read strictly.
 *
 * The parser library is lenient here: it takes chunks without their line end, and line ends inside
 * of extensions, which is how one request is hidden in another. So bodies are ours.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/http/lines.h"

struct bytes;
struct refusal;

enum { CHUNKS_MAX_LINE = 256, CHUNKS_MAX_TRAILERS = 8192 };

struct chunks { /* all zero at the begin of a body */
    enum {
        CHUNKS_SIZE,
        CHUNKS_EXTENSION,
        CHUNKS_SIZE_LF,
        CHUNKS_DATA,
        CHUNKS_DATA_CR,
        CHUNKS_DATA_LF,
        CHUNKS_TRAILERS,
        CHUNKS_END
    } state;
    uint64_t n_left; /* of the chunk */
    int n_digits;    /* of its size */
    size_t n_line;   /* bytes of its first line, or of the trailers */
    struct lines trailers;
};

/* Adds what is data to `body`, which may hold max_body_bytes. Extensions and trailers are
 * checked and dropped. True: go on, or state is CHUNKS_END; *n_used bytes were read. */
bool chunks_read(struct chunks *chunks, struct bytes *body, size_t max_body_bytes, const char *data,
                 size_t n, size_t *n_used, struct refusal *why);
