/* A builder doubles, so that a text of n bytes costs O(n); marks that touch are joined, so that a
 * text that is all the users' has one mark however it came together. */
#include "runtime/jinja/values/text.h"

#include "base/utf8.h"
#include "runtime/jinja/values/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_BYTES = 48, FIRST_MARKS = 4, PRINTF_BYTES = 512 };

size_t text_count_chars(const char *data, size_t n_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++)
        n += ((unsigned char)data[i] & 0xC0) != 0x80;
    return n;
}

void builder_init(struct builder *b, struct run *r) { *b = (struct builder){.run = r}; }

bool builder_reserve(struct builder *b, size_t n_more)
{
    if (n_more <= b->capacity - b->n)
        return true;
    if (n_more > UINT32_MAX - b->n)
        return run_raise(b->run, LIMIT_EXCEEDED, "a text of more than 4 GB");
    size_t capacity = b->capacity < FIRST_BYTES ? FIRST_BYTES : 2 * b->capacity;
    if (capacity < b->n + n_more)
        capacity = b->n + n_more;
    char *data = run_alloc(b->run, capacity, 1);
    if (data == NULL)
        return false;
    if (b->n > 0)
        memcpy(data, b->data, b->n);
    b->data = data;
    b->capacity = capacity;
    return true;
}

/* Bytes [begin, end) of the builder are the users'; begin is at or after all other marks. */
static bool add_mark(struct builder *b, size_t begin, size_t end)
{
    if (begin == end)
        return true;
    if (b->n_marks > 0 && b->marks[b->n_marks - 1].end == begin) {
        b->marks[b->n_marks - 1].end = (uint32_t)end;
        return true;
    }
    if (b->n_marks == b->marks_capacity) {
        const size_t capacity = b->marks_capacity ? 2 * b->marks_capacity : FIRST_MARKS;
        struct mark *marks = run_alloc(b->run, capacity, sizeof *marks);
        if (marks == NULL)
            return false;
        if (b->n_marks > 0)
            memcpy(marks, b->marks, b->n_marks * sizeof *marks);
        b->marks = marks;
        b->marks_capacity = capacity;
    }
    b->marks[b->n_marks++] = (struct mark){(uint32_t)begin, (uint32_t)end};
    return true;
}

bool builder_add(struct builder *b, const char *data, size_t n_bytes, bool user)
{
    if (n_bytes == 0)
        return true;
    if (!builder_reserve(b, n_bytes) || (user && !add_mark(b, b->n, b->n + n_bytes)))
        return false;
    memcpy(b->data + b->n, data, n_bytes);
    b->n += n_bytes;
    return true;
}

bool builder_add_text(struct builder *b, const char *text)
{
    return builder_add(b, text, strlen(text), false);
}

bool builder_add_char(struct builder *b, uint32_t c, bool user)
{
    char utf8[4];
    return builder_add(b, utf8, utf8_write(utf8, c), user);
}

bool builder_add_string(struct builder *b, const struct string *s)
{
    return builder_add_part(b, s, 0, s->n_bytes);
}

/* The first mark that ends behind `at`; n_marks: none. */
static size_t first_mark(const struct string *s, size_t at)
{
    size_t low = 0, high = s->n_marks;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (s->marks[middle].end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool builder_add_part(struct builder *b, const struct string *s, size_t begin, size_t end)
{
    const size_t start = b->n;
    if (!builder_add(b, s->data + begin, end - begin, false))
        return false;
    for (size_t i = first_mark(s, begin); i < s->n_marks && s->marks[i].begin < end; i++) {
        const size_t from = s->marks[i].begin > begin ? s->marks[i].begin : begin;
        const size_t to = s->marks[i].end < end ? s->marks[i].end : end;
        if (!add_mark(b, start + from - begin, start + to - begin))
            return false;
    }
    return true;
}

bool builder_add_fill(struct builder *b, const char *data, size_t n_bytes, bool user, size_t times)
{
    size_t n;
    if (__builtin_mul_overflow(n_bytes, times, &n))
        n = SIZE_MAX; /* over every budget */
    if (!builder_reserve(b, n) || (user && !add_mark(b, b->n, b->n + n)))
        return false;
    for (size_t i = 0; i < times; i++, b->n += n_bytes)
        memcpy(b->data + b->n, data, n_bytes);
    return true;
}

bool builder_add_escaped(struct builder *b, const struct string *s)
{
    static const char special[] = "&<>'\"";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    size_t plain = 0; /* everything before is written */
    for (size_t at = 0; at < s->n_bytes; at++) {
        const char *found = memchr(special, s->data[at], sizeof special - 1);
        if (found == NULL)
            continue;
        const char *entity = entities[found - special];
        if (!builder_add_part(b, s, plain, at) ||
            !builder_add(b, entity, strlen(entity), string_has_user(s, at, at + 1)))
            return false;
        plain = at + 1;
    }
    return builder_add_part(b, s, plain, s->n_bytes);
}

bool builder_add_formatted(struct builder *b, const struct string *s, bool user)
{
    return user ? builder_add(b, s->data, s->n_bytes, true) : builder_add_string(b, s);
}

bool builder_printf(struct builder *b, const char *fmt, ...)
{
    char text[PRINTF_BYTES];
    va_list list;
    va_start(list, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    if (n < 0 || (size_t)n < sizeof text)
        return builder_add(b, text, n < 0 ? 0 : (size_t)n, false);
    if (!builder_reserve(b, (size_t)n + 1))
        return false;
    va_start(list, fmt);
    vsnprintf(b->data + b->n, (size_t)n + 1, fmt, list);
    va_end(list);
    b->n += (size_t)n;
    return true;
}

bool builder_end(struct builder *b, struct value *out)
{
    struct string *s = run_alloc(b->run, 1, sizeof *s);
    if (s == NULL)
        return false;
    *s = (struct string){.data = b->n > 0 ? b->data : "",
                         .n_bytes = (uint32_t)b->n,
                         .n_chars = (uint32_t)text_count_chars(b->data, b->n),
                         .marks = b->marks,
                         .n_marks = (uint32_t)b->n_marks,
                         .safe = b->safe};
    *out = value_string(s);
    builder_init(b, b->run);
    return true;
}

bool string_part(struct run *r, const struct string *s, size_t begin, size_t end, struct value *out)
{
    if (begin == 0 && end == s->n_bytes) {
        *out = value_string(s);
        return true;
    }
    size_t first = first_mark(s, begin), last = first;
    const bool ascii = s->n_bytes == s->n_chars;
    while (begin < end && last < s->n_marks && s->marks[last].begin < end)
        last++;
    if (!ascii && !run_step(r, (end - begin) / TEXT_BYTES_PER_STEP))
        return false;
    struct string *part = run_alloc(r, 1, sizeof *part + (last - first) * sizeof *part->marks);
    if (part == NULL)
        return false;
    struct mark *marks = (struct mark *)(part + 1);
    for (size_t i = first; i < last; i++) {
        const size_t from = s->marks[i].begin > begin ? s->marks[i].begin - begin : 0;
        const size_t to = s->marks[i].end < end ? s->marks[i].end - begin : end - begin;
        marks[i - first] = (struct mark){(uint32_t)from, (uint32_t)to};
    }
    const size_t n_chars = ascii ? end - begin : text_count_chars(s->data + begin, end - begin);
    *part = (struct string){.data = s->data + begin,
                            .n_bytes = (uint32_t)(end - begin),
                            .n_chars = (uint32_t)n_chars,
                            .marks = marks,
                            .n_marks = (uint32_t)(last - first),
                            .safe = s->safe};
    *out = value_string(part);
    return true;
}

static bool with_safe(struct run *r, struct value *text, bool safe)
{
    if (text->as.string->safe == safe)
        return true;
    struct string *s = run_alloc(r, 1, sizeof *s);
    if (s == NULL)
        return false;
    *s = *text->as.string;
    s->safe = safe;
    *text = value_string(s);
    return true;
}

bool text_safe(struct run *r, struct value *text) { return with_safe(r, text, true); }

bool text_unsafe(struct run *r, struct value *text) { return with_safe(r, text, false); }

size_t string_byte_of(const struct string *s, size_t n_chars)
{
    if (s->n_bytes == s->n_chars || n_chars >= s->n_chars)
        return n_chars < s->n_chars ? n_chars : s->n_bytes;
    size_t at = 0;
    for (size_t seen = 0;; at++) {
        if (((unsigned char)s->data[at] & 0xC0) != 0x80 && seen++ == n_chars)
            return at;
    }
}

bool string_has_user(const struct string *s, size_t begin, size_t end)
{
    const size_t i = first_mark(s, begin);
    return begin < end && i < s->n_marks && s->marks[i].begin < end;
}

bool string_equal(const struct string *a, const struct string *b)
{
    return a->n_bytes == b->n_bytes &&
           (a->data == b->data || memcmp(a->data, b->data, a->n_bytes) == 0);
}

/* UTF-8 keeps the order of code points. */
int string_compare(const struct string *a, const struct string *b)
{
    const size_t n = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes;
    const int order = memcmp(a->data, b->data, n);
    return order != 0 ? order : (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

bool string_is(const struct string *s, const char *text)
{
    return strlen(text) == s->n_bytes && memcmp(s->data, text, s->n_bytes) == 0;
}

size_t string_find(const struct string *s, const struct string *needle, size_t from)
{
    if (from > s->n_bytes)
        return SIZE_MAX;
    const char *found = memmem(s->data + from, s->n_bytes - from, needle->data, needle->n_bytes);
    return found != NULL ? (size_t)(found - s->data) : SIZE_MAX;
}
