/* Filters of HTML: what marks text as Markup, and takes marks and tags away. */
#include "base/utf8.h"
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/entities.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/letter_case.h"
#include "runtime/jinja/values/markup.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <string.h>

enum { MAX_ENTITY_CHARS = 32 };

static bool do_escape(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    return arguments_bind(r, "escape", "s |", args, NULL, 0) && value_escape(r, v, out);
}

static bool do_forceescape(struct run *r, struct value v, const struct arguments *args,
                           struct value *out)
{
    return arguments_bind(r, "do_forceescape", "value |", args, NULL, 0) &&
           value_plain_text(r, v, &v) && value_escape(r, v, out);
}

static bool do_safe(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    return arguments_bind(r, "do_mark_safe", "value |", args, NULL, 0) &&
           value_mark_safe(r, v, true, out);
}

/* ---- striptags --------------------------------------------------------------------------------*/

static size_t find_text(const struct string *s, const char *text, size_t from)
{
    const size_t n = strlen(text);
    const char *found =
        from < s->n_bytes ? memmem(s->data + from, s->n_bytes - from, text, n) : NULL;
    return found != NULL ? (size_t)(found - s->data) : SIZE_MAX;
}

/* Everything but tags and comments; an unfinished one stays. */
static bool remove_tags(struct run *r, const struct string *s, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    size_t done = 0, start;
    if (!run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP))
        return false;
    while ((start = find_text(s, "<", done)) != SIZE_MAX) {
        const bool comment = s->n_bytes - start >= 4 && memcmp(s->data + start, "<!--", 4) == 0;
        const size_t end = find_text(s, comment ? "-->" : ">", comment ? start + 4 : start);
        if (end == SIZE_MAX)
            break;
        if (!run_step(r, 1) || !builder_add_part(&b, s, done, start))
            return false;
        done = end + (comment ? 3 : 1);
    }
    return builder_add_part(&b, s, done, s->n_bytes) && builder_end(&b, out);
}

/* White space becomes single spaces, and none at the ends. */
static bool collapse_space(struct run *r, const struct string *s, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    struct text_walk walk = {.string = s};
    uint32_t c;
    bool user, space = false, space_user = false;
    while (text_walk_next(&walk, &c, &user)) {
        if (char_is_space(c)) {
            space_user = (space && space_user) || user;
            space = true;
            continue;
        }
        if (space && b.n > 0 && !builder_add_char(&b, ' ', space_user))
            return false;
        space = false;
        if (!builder_add_char(&b, c, user))
            return false;
    }
    return builder_end(&b, out);
}

/* What Windows-1252 has where Unicode has control characters, as browsers read such references. */
static uint32_t windows_char(uint32_t c)
{
    static const uint16_t chars[32] = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
    return chars[c - 0x80];
}

/* What "&#…;" stands for; *none: for nothing. */
static uint32_t referenced_char(uint64_t c, bool *none)
{
    *none = false;
    if (c >= 0x80 && c <= 0x9F)
        return windows_char((uint32_t)c);
    if (c == 0 || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF)
        return 0xFFFD;
    *none = (c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\r') || c == 0x7F ||
            (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE;
    return (uint32_t)c;
}

/* A numeric reference at `at`, behind "&#". *end stays when there is none. */
static bool add_numeric(struct builder *b, const struct string *s, size_t at, size_t *end)
{
    const size_t begin = at - 2;
    const bool hex = at < s->n_bytes && (s->data[at] == 'x' || s->data[at] == 'X');
    const unsigned base = hex ? 16 : 10;
    uint64_t c = 0;
    size_t n_digits = 0;
    for (at += hex; at < s->n_bytes; at++, n_digits++) {
        const char d = s->data[at], low = (char)(d | 0x20);
        const bool letter = hex && low >= 'a' && low <= 'f';
        if (!(d >= '0' && d <= '9') && !letter)
            break;
        c = c * base + (uint64_t)(letter ? low - 'a' + 10 : d - '0');
        c = c > 0x110000 ? 0x110000 : c;
    }
    if (n_digits == 0)
        return true;
    at += at < s->n_bytes && s->data[at] == ';';
    *end = at;
    bool none;
    c = referenced_char(c, &none);
    return none || builder_add_char(b, (uint32_t)c, string_has_user(s, begin, at));
}

/* A named reference at `at`, behind "&": the whole name, or the longest beginning that is one. */
static bool add_named(struct builder *b, const struct string *s, size_t at, size_t *end)
{
    const size_t begin = at;
    size_t ends[MAX_ENTITY_CHARS + 2]; /* behind the first, second, … character */
    int n = 0;
    while (n < MAX_ENTITY_CHARS && at < s->n_bytes &&
           memchr("\t\n\f <&#;", s->data[at], 8) == NULL && s->data[at] != '\0') {
        utf8_read(s->data, &at);
        ends[n++] = at;
    }
    if (n > 0 && at < s->n_bytes && s->data[at] == ';')
        ends[n++] = at + 1;
    for (int k = n; k > 0; k--) {
        if (k < n && k < 2)
            break;
        const uint32_t *chars = entity_find(s->data + begin, ends[k - 1] - begin);
        if (chars == NULL)
            continue;
        *end = ends[k - 1];
        const bool user = string_has_user(s, begin - 1, *end);
        return builder_add_char(b, chars[0], user) &&
               (chars[1] == 0 || builder_add_char(b, chars[1], user));
    }
    return true;
}

/* html.unescape() */
static bool unescape(struct run *r, const struct string *s, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    size_t done = 0;
    for (size_t at = 0; (at = find_text(s, "&", at)) != SIZE_MAX;) {
        size_t end = at + 1;
        const bool numeric = end < s->n_bytes && s->data[end] == '#';
        if (!run_step(r, 1) || !builder_add_part(&b, s, done, at))
            return false;
        done = at;
        if (!(numeric ? add_numeric(&b, s, at + 2, &end) : add_named(&b, s, at + 1, &end)))
            return false;
        if (end > at + 1)
            done = end;
        at = end;
    }
    return builder_add_part(&b, s, done, s->n_bytes) && builder_end(&b, out);
}

static bool do_striptags(struct run *r, struct value v, const struct arguments *args,
                         struct value *out)
{
    return arguments_bind(r, "do_striptags", "value |", args, NULL, 0) &&
           value_plain_text(r, v, &v) && remove_tags(r, v.as.string, &v) &&
           collapse_space(r, v.as.string, &v) && unescape(r, v.as.string, out);
}

/* ---- xmlattr ----------------------------------------------------------------------------------*/

static bool add_attributes(struct builder *b, const struct dict *dict)
{
    for (uint32_t i = 0; i < dict->n; i++) {
        struct value key = dict->items[i].key, item = dict->items[i].value;
        if (!run_step(b->run, 1))
            return false;
        if (item.kind == VALUE_NONE || item.kind == VALUE_UNDEFINED)
            continue;
        if (!value_escape(b->run, key, &key) || !value_escape(b->run, item, &item) ||
            !builder_add_text(b, " ") || !builder_add_string(b, key.as.string) ||
            !builder_add_text(b, "=\"") || !builder_add_string(b, item.as.string) ||
            !builder_add_text(b, "\""))
            return false;
    }
    return true;
}

static bool do_xmlattr(struct run *r, struct value v, const struct arguments *args,
                       struct value *out)
{
    struct value autospace = value_bool(true), text;
    bool with_space;
    struct builder b;
    builder_init(&b, r);
    if (!arguments_bind(r, "do_xmlattr", "eval_ctx, d | autospace=", args, &autospace, 1))
        return false;
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (v.kind != VALUE_DICT)
        return run_raise(r, ATTRIBUTE_ERROR, "'%s' object has no attribute 'items'",
                         value_type_name(v));
    if (!add_attributes(&b, v.as.dict) || !value_truth(r, autospace, &with_space))
        return false;
    b.safe = r->autoescape;
    if (!builder_end(&b, &text))
        return false;
    const struct string *s = text.as.string;
    return string_part(r, s, with_space || s->n_bytes == 0 ? 0 : 1, s->n_bytes, out);
}

static const struct filter filters[] = {
    {"e", do_escape},  {"escape", do_escape},       {"forceescape", do_forceescape},
    {"safe", do_safe}, {"striptags", do_striptags}, {"xmlattr", do_xmlattr},
};
const struct filter_table html_filters = {filters, sizeof filters / sizeof *filters};
