/* base/utf8.h: reading and writing UTF-8.
 *
 * Source: Unicode 15.0, table 3-7 (well-formed byte sequences) and section 3.9 (an ill-formed
 * one is replaced by one U+FFFD per maximal subpart). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;

struct text_range {    /* a part of a text */
    size_t begin, end; /* bytes */
};

/* Length of the part that is well-formed; n_bytes when all of it is. */
size_t utf8_valid_bytes(const char *text, size_t n_bytes);

/* The character at *at in well-formed text; moves *at behind it. */
uint32_t utf8_read(const char *text, size_t *at);
/* Where the character before `at` begins, in well-formed text; at > 0. */
size_t utf8_before(const char *text, size_t at);
/* How many characters well-formed text has. */
size_t utf8_count(const char *text, size_t n_bytes);
/* Bytes written, 1 to 4. `c` is no surrogate and at most 0x10FFFF. */
size_t utf8_write(char out[4], uint32_t c);

/* Makes what a stranger wrote fit to be shown: it ends before the first byte that is not
 * well-formed, and blanks stand for controls (C0, DEL, C1), which could move a terminal's cursor or
 * forge a line. */
void utf8_make_plain(char *text);

/* Bytes of any origin in, whole characters out. */
struct utf8_stream { /* all zero is an empty stream */
    unsigned char pending[4];
    int n_pending;
};
bool utf8_stream_add(struct utf8_stream *s, const char *data, size_t n_bytes, struct bytes *out);
bool utf8_stream_flush(struct utf8_stream *s, struct bytes *out);
