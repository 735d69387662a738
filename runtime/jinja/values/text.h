/* runtime/jinja/values/text.h: building and cutting strings, with the marks of what users wrote. */
#pragma once
#include "runtime/jinja/values/value.h"

/* What looks at long texts without making one takes a step of the budget for so many bytes: for
 * fewer where it asks each character what it is. */
enum { TEXT_BYTES_PER_STEP = 32, TEXT_ASKED_BYTES_PER_STEP = 4 };

/* A string that grows. The bytes are in the arena of the rendering. All functions: false after
 * the budget was used up. */
struct builder {
    struct run *run;
    char *data;
    size_t n, capacity;
    struct mark *marks;
    size_t n_marks, marks_capacity;
    bool safe; /* what builder_end() says of the string */
};
void builder_init(struct builder *b, struct run *r);
bool builder_reserve(struct builder *b, size_t n_more); /* room for n_more bytes beyond n */
bool builder_add(struct builder *b, const char *data, size_t n_bytes, bool user);
bool builder_add_text(struct builder *b, const char *text); /* NUL-terminated, ours */
bool builder_add_char(struct builder *b, uint32_t c, bool user);
bool builder_add_string(struct builder *b, const struct string *s);
/* Bytes [begin, end) of a string, with their marks. */
bool builder_add_part(struct builder *b, const struct string *s, size_t begin, size_t end);
/* One character `times` times; its size is held against the budget first. */
bool builder_add_fill(struct builder *b, const char *data, size_t n_bytes, bool user, size_t times);
/* With & < > ' " written as HTML entities, as markupsafe does; those of users stay users'. */
bool builder_add_escaped(struct builder *b, const struct string *s);
/* What a format directive made of a value: all of it is the users' where they wrote the directive,
 * since they could take a text of ours apart with it and put it together in another way. */
bool builder_add_formatted(struct builder *b, const struct string *s, bool user);
bool builder_printf(struct builder *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool builder_end(struct builder *b, struct value *out); /* the builder is empty again */

size_t text_count_chars(const char *data, size_t n_bytes); /* of well-formed UTF-8 */

/* A cut of a string, sharing its bytes: byte positions at borders of characters. Counts the
 * characters beyond ASCII, which costs steps. */
bool string_part(struct run *r, const struct string *s, size_t begin, size_t end,
                 struct value *out);
/* The text as Markup, or as no Markup, sharing its bytes. */
bool text_safe(struct run *r, struct value *text);
bool text_unsafe(struct run *r, struct value *text);
/* Byte position of a character; n_bytes for n_chars. O(1) when all of it is ASCII. */
size_t string_byte_of(const struct string *s, size_t n_chars);
bool string_has_user(const struct string *s, size_t begin, size_t end); /* any byte marked */
bool string_equal(const struct string *a, const struct string *b);
int string_compare(const struct string *a, const struct string *b); /* by code points */
bool string_is(const struct string *s, const char *text);
/* First place of `needle` at or after byte `from`; SIZE_MAX: none. An empty needle is found. */
size_t string_find(const struct string *s, const struct string *needle, size_t from);

/* Python's str methods on characters: categories of Unicode by utf8proc. */
bool char_is_space(uint32_t c); /* str.isspace: White_Space and U+001C to U+001F */
bool char_is_alpha(uint32_t c);
bool char_is_digit(uint32_t c);   /* isdigit */
bool char_is_decimal(uint32_t c); /* isdecimal */
bool char_is_numeric(uint32_t c);
bool char_is_upper(uint32_t c);
bool char_is_lower(uint32_t c);
bool char_is_title(uint32_t c);     /* a letter like U+01C5, upper and lower case at once */
bool char_is_printable(uint32_t c); /* repr() shows it as it is */
