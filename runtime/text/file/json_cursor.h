/* runtime/text/file/json_cursor.h: reads JSON from left to right without building a tree.
 *
 * For the two large values of a tokenizer.json, of up to a million strings each: a tree of them
 * takes longer than all the rest of a start. Everything else goes through base/json.h.
 * All functions skip white space first. Errors are ERROR_INPUT with line and column.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct json_cursor {
    const char *text; /* borrowed */
    size_t n_bytes, at;
};

/* The next byte that is no white space, without taking it; '\0' at the end. */
char json_cursor_peek(struct json_cursor *c);
/* Takes one byte of punctuation if it comes next. */
bool json_cursor_take(struct json_cursor *c, char punctuation);
/* As above, but it must come next. */
bool json_cursor_expect(struct json_cursor *c, char punctuation, struct error *err);
/* Decodes a string into out, which has room for all bytes up to the end of the text: a string is
 * never longer than its JSON. It must be UTF-8; NUL is a character like others. */
bool json_cursor_string(struct json_cursor *c, char *out, size_t *n_out, struct error *err);
/* A whole number within 64 bits. */
bool json_cursor_integer(struct json_cursor *c, int64_t *out, struct error *err);
/* A number within the range of a double. It is rounded as serde_json does by default, which may be
 * one unit off in the last place: scores of a model are compared as the reference has them. */
bool json_cursor_number(struct json_cursor *c, double *out, struct error *err);
/* Moves behind the next value. Only strings and nesting are looked at, nothing else is checked.
 * *n_commas: of its outermost level. */
bool json_cursor_skip(struct json_cursor *c, size_t *n_commas, struct error *err);

/* Always false: "line 3, column 7: <what>". */
bool json_cursor_fail(const struct json_cursor *c, struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
