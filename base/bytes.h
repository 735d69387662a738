/* base/bytes.h: a growing buffer of bytes with a maximum, for text and for wire frames.
 *
 * `data` is always NUL-terminated after `len` bytes once anything was added, so it can be
 * printed. A buffer with a maximum refuses what would not fit, whole: nothing is cut.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct bytes { /* all zero is an empty buffer without a maximum */
    char *data;
    size_t len, capacity;
    size_t max; /* 0: none */
};

bool bytes_add(struct bytes *b, const void *data, size_t n); /* false: over the maximum */
bool bytes_add_text(struct bytes *b, const char *text);
bool bytes_add_char(struct bytes *b, char c);
bool bytes_printf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool bytes_reserve(struct bytes *b, size_t n_more); /* room for n_more bytes beyond len */
void bytes_remove_front(struct bytes *b, size_t n);
void bytes_clear(struct bytes *b);   /* empty, keeps the memory */
void bytes_release(struct bytes *b); /* frees; empty again, with the same maximum */
