/* Methods of texts that look for something or ask what a text is. Positions are counted in
 * characters, and looked for in bytes. */
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/letter_case.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <string.h>
#include <utf8proc.h>

/* ---- looking for a text -----------------------------------------------------------------------*/

struct search {
    const struct string *in, *needle;
    size_t begin, end; /* bytes of `in` to look at */
    bool outside;      /* begins behind the end: not even an empty text is there */
};

static bool search_bounds(struct run *r, struct search *s, const struct value *slots)
{
    int64_t begin, end;
    if (!argument_slice(r, slots[1], slots[2], s->in->n_chars, &begin, &end))
        return false;
    s->outside = begin > end;
    if (!s->outside) {
        s->begin = string_byte_of(s->in, (size_t)begin);
        s->end = string_byte_of(s->in, (size_t)end);
    }
    return run_step(r, s->in->n_bytes / TEXT_BYTES_PER_STEP);
}

static bool search_init(struct run *r, struct search *s, struct value self,
                        const struct value *slots)
{
    *s = (struct search){.in = self.as.string};
    if (!search_bounds(r, s, slots))
        return false;
    if (slots[0].kind != VALUE_STRING)
        return run_raise(r, TYPE_ERROR, "must be str, not %s", value_type_name(slots[0]));
    s->needle = slots[0].as.string;
    return true;
}

/* Byte of the first one at or after `from`; SIZE_MAX: none. */
static size_t search_next(const struct search *s, size_t from)
{
    const size_t at = s->outside ? SIZE_MAX : string_find(s->in, s->needle, from);
    return at == SIZE_MAX || at + s->needle->n_bytes > s->end ? SIZE_MAX : at;
}

static bool search_last(struct run *r, const struct search *s, size_t *out)
{
    const size_t n = s->needle->n_bytes;
    *out = SIZE_MAX;
    if (s->outside || n > s->end - s->begin)
        return true;
    if (!run_step(r, (s->end - s->begin) / TEXT_BYTES_PER_STEP))
        return false;
    for (size_t at = s->end - n;; at--) {
        if (n == 0 || (s->in->data[at] == s->needle->data[0] &&
                       memcmp(s->in->data + at, s->needle->data, n) == 0)) {
            *out = at;
            return true;
        }
        if (at == s->begin)
            return true;
        if (s->in->data[at] == s->needle->data[0] && !run_step(r, n / TEXT_BYTES_PER_STEP))
            return false;
    }
}

static struct value place_value(const struct search *s, size_t at)
{
    if (at == SIZE_MAX)
        return value_int(-1);
    const bool ascii = s->in->n_bytes == s->in->n_chars;
    return value_int((int64_t)(ascii ? at : text_count_chars(s->in->data, at)));
}

static bool text_find(struct run *r, struct value self, const struct value *slots,
                      struct value *out)
{
    struct search s;
    if (!search_init(r, &s, self, slots))
        return false;
    *out = place_value(&s, search_next(&s, s.begin));
    return true;
}

static bool text_rfind(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    struct search s;
    size_t at;
    if (!search_init(r, &s, self, slots) || !search_last(r, &s, &at))
        return false;
    *out = place_value(&s, at);
    return true;
}

static bool text_index(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    if (!text_find(r, self, slots, out))
        return false;
    return out->as.integer >= 0 || run_raise(r, VALUE_ERROR, "substring not found");
}

static bool text_rindex(struct run *r, struct value self, const struct value *slots,
                        struct value *out)
{
    if (!text_rfind(r, self, slots, out))
        return false;
    return out->as.integer >= 0 || run_raise(r, VALUE_ERROR, "substring not found");
}

static bool text_count(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    struct search s;
    if (!search_init(r, &s, self, slots))
        return false;
    int64_t n = 0;
    if (s.needle->n_bytes == 0 && !s.outside)
        n = (int64_t)text_count_chars(s.in->data + s.begin, s.end - s.begin) + 1;
    else
        for (size_t at = s.begin; (at = search_next(&s, at)) != SIZE_MAX; at += s.needle->n_bytes) {
            if (!run_step(r, 1))
                return false;
            n++;
        }
    *out = value_int(n);
    return true;
}

/* ---- beginnings and ends ----------------------------------------------------------------------*/

static bool has_at_end(const struct search *s, const struct string *part, bool at_start)
{
    if (s->outside || part->n_bytes > s->end - s->begin)
        return false;
    const size_t at = at_start ? s->begin : s->end - part->n_bytes;
    return memcmp(s->in->data + at, part->data, part->n_bytes) == 0;
}

static bool text_has_at_end(struct run *r, struct value self, const struct value *slots,
                            bool at_start, struct value *out)
{
    const char *name = at_start ? "startswith" : "endswith";
    struct search s = {.in = self.as.string};
    if (!search_bounds(r, &s, slots))
        return false;
    *out = value_bool(false);
    if (slots[0].kind == VALUE_STRING) {
        *out = value_bool(has_at_end(&s, slots[0].as.string, at_start));
        return true;
    }
    if (slots[0].kind != VALUE_TUPLE)
        return run_raise(r, TYPE_ERROR, "%s first arg must be str or a tuple of str, not %s", name,
                         value_type_name(slots[0]));
    const struct list *parts = slots[0].as.list;
    for (uint32_t i = 0; i < parts->n && !out->as.boolean; i++) {
        if (parts->items[i].kind != VALUE_STRING)
            return run_raise(r, TYPE_ERROR, "tuple for %s must only contain str, not %s", name,
                             value_type_name(parts->items[i]));
        if (!run_step(r, 1 + parts->items[i].as.string->n_bytes / TEXT_BYTES_PER_STEP))
            return false;
        out->as.boolean = has_at_end(&s, parts->items[i].as.string, at_start);
    }
    return true;
}

static bool text_startswith(struct run *r, struct value self, const struct value *slots,
                            struct value *out)
{
    return text_has_at_end(r, self, slots, true, out);
}

static bool text_endswith(struct run *r, struct value self, const struct value *slots,
                          struct value *out)
{
    return text_has_at_end(r, self, slots, false, out);
}

static bool text_remove_end(struct run *r, struct value self, const struct value *slots,
                            bool at_start, struct value *out)
{
    const struct string *s = self.as.string;
    if (slots[0].kind != VALUE_STRING)
        return run_raise(r, TYPE_ERROR, "remove%s() argument must be str, not %s",
                         at_start ? "prefix" : "suffix",
                         slots[0].kind == VALUE_NONE ? "None" : value_type_name(slots[0]));
    const struct search all = {.in = s, .end = s->n_bytes};
    const size_t n = slots[0].as.string->n_bytes;
    if (!run_step(r, n / TEXT_BYTES_PER_STEP))
        return false;
    if (!has_at_end(&all, slots[0].as.string, at_start))
        return string_part(r, s, 0, s->n_bytes, out);
    return string_part(r, s, at_start ? n : 0, at_start ? s->n_bytes : s->n_bytes - n, out);
}

static bool text_removeprefix(struct run *r, struct value self, const struct value *slots,
                              struct value *out)
{
    return text_remove_end(r, self, slots, true, out);
}

static bool text_removesuffix(struct run *r, struct value self, const struct value *slots,
                              struct value *out)
{
    return text_remove_end(r, self, slots, false, out);
}

/* ---- what a text is made of -------------------------------------------------------------------*/

/* Whether all characters are such; an empty text is `empty`. */
static bool all_chars(const struct string *s, bool (*is)(uint32_t), bool empty)
{
    for (size_t at = 0; at < s->n_bytes;)
        if (!is(utf8_read(s->data, &at)))
            return false;
    return s->n_bytes > 0 || empty;
}

static bool is_alnum(uint32_t c) { return c != '_' && char_is_word(c); }

/* All cased letters have the case, and there is one. */
static bool has_case(const struct string *s, bool (*is)(uint32_t), bool (*is_other)(uint32_t))
{
    bool any = false;
    for (size_t at = 0; at < s->n_bytes;) {
        const uint32_t c = utf8_read(s->data, &at);
        if (is_other(c) || char_is_title(c))
            return false;
        any |= is(c);
    }
    return any;
}

bool text_is_lower(const struct string *s) { return has_case(s, char_is_lower, char_is_upper); }
bool text_is_upper(const struct string *s) { return has_case(s, char_is_upper, char_is_lower); }

static bool is_title(const struct string *s)
{
    bool any = false, was_cased = false;
    for (size_t at = 0; at < s->n_bytes;) {
        const uint32_t c = utf8_read(s->data, &at);
        const bool begins = char_is_upper(c) || char_is_title(c), goes_on = char_is_lower(c);
        if ((begins && was_cased) || (goes_on && !was_cased))
            return false;
        was_cased = begins || goes_on;
        any |= was_cased;
    }
    return any;
}

/* XID_Start and XID_Continue, by category and what UAX 31 adds and takes away. */
static bool is_word_part(uint32_t c, bool first)
{
    static const uint32_t added[] = {0x1885, 0x1886, 0x2118, 0x212E};
    static const uint32_t added_inside[] = {0xB7,   0x387,  0x1369, 0x136A, 0x136B, 0x136C,
                                            0x136D, 0x136E, 0x136F, 0x1370, 0x1371, 0x19DA};
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        if (added[i] == c)
            return true;
    for (size_t i = 0; i < sizeof added_inside / sizeof *added_inside; i++)
        if (added_inside[i] == c)
            return !first;
    if ((c >= 0x309B && c <= 0x309C) || c == 0x37A || (c >= 0xFC5E && c <= 0xFC63) ||
        (c >= 0xFDFA && c <= 0xFDFB) || c == 0xFE70 || c == 0xFE72 || c == 0xFE74 || c == 0xFE76 ||
        c == 0xFE78 || c == 0xFE7A || c == 0xFE7C || c == 0xFE7E || c == 0x2E2F)
        return false;
    const bool mark_like = c == 0xE33 || c == 0xEB3 || (c >= 0xFF9E && c <= 0xFF9F);
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL:
        return !first || !mark_like;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
        return !first;
    case UTF8PROC_CATEGORY_PC:
        return !first || c == '_';
    default:
        return false;
    }
}

static bool is_identifier(const struct string *s)
{
    for (size_t at = 0; at < s->n_bytes;) {
        const bool first = at == 0;
        if (!is_word_part(utf8_read(s->data, &at), first))
            return false;
    }
    return s->n_bytes > 0;
}

/* One function for each question, since a method is a function. */
#define TEXT_QUESTION(name, answer)                                               \
    static bool name(struct run *r, struct value self, const struct value *slots, \
                     struct value *out)                                           \
    {                                                                             \
        const struct string *s = self.as.string;                                  \
        (void)slots;                                                              \
        *out = value_bool(answer);                                                \
        return run_step(r, s->n_bytes / TEXT_ASKED_BYTES_PER_STEP);               \
    }
TEXT_QUESTION(ask_alnum, all_chars(s, is_alnum, false))
TEXT_QUESTION(ask_alpha, all_chars(s, char_is_alpha, false))
TEXT_QUESTION(ask_ascii, s->n_bytes == s->n_chars)
TEXT_QUESTION(ask_decimal, all_chars(s, char_is_decimal, false))
TEXT_QUESTION(ask_digit, all_chars(s, char_is_digit, false))
TEXT_QUESTION(ask_identifier, is_identifier(s))
TEXT_QUESTION(ask_lower, text_is_lower(s))
TEXT_QUESTION(ask_numeric, all_chars(s, char_is_numeric, false))
TEXT_QUESTION(ask_printable, all_chars(s, char_is_printable, true))
TEXT_QUESTION(ask_space, all_chars(s, char_is_space, false))
TEXT_QUESTION(ask_title, is_title(s))
TEXT_QUESTION(ask_upper, text_is_upper(s))

static const struct method search_list[] = {
    {.signature = {.name = "count", .style = CALL_OLD, .min = 1, .max = 3}, .call = text_count},
    {.signature = {.name = "endswith", .style = CALL_OLD, .min = 1, .max = 3},
     .call = text_endswith},
    {.signature = {.name = "find", .style = CALL_OLD, .min = 1, .max = 3}, .call = text_find},
    {.signature = {.name = "index", .style = CALL_OLD, .min = 1, .max = 3}, .call = text_index},
    {.signature = {.name = "isalnum", .style = CALL_NONE}, .call = ask_alnum},
    {.signature = {.name = "isalpha", .style = CALL_NONE}, .call = ask_alpha},
    {.signature = {.name = "isascii", .style = CALL_NONE}, .call = ask_ascii},
    {.signature = {.name = "isdecimal", .style = CALL_NONE}, .call = ask_decimal},
    {.signature = {.name = "isdigit", .style = CALL_NONE}, .call = ask_digit},
    {.signature = {.name = "isidentifier", .style = CALL_NONE}, .call = ask_identifier},
    {.signature = {.name = "islower", .style = CALL_NONE}, .call = ask_lower},
    {.signature = {.name = "isnumeric", .style = CALL_NONE}, .call = ask_numeric},
    {.signature = {.name = "isprintable", .style = CALL_NONE}, .call = ask_printable},
    {.signature = {.name = "isspace", .style = CALL_NONE}, .call = ask_space},
    {.signature = {.name = "istitle", .style = CALL_NONE}, .call = ask_title},
    {.signature = {.name = "isupper", .style = CALL_NONE}, .call = ask_upper},
    {.signature = {.name = "removeprefix", .style = CALL_ONE},
     .call = text_removeprefix,
     .markup = "prefix"},
    {.signature = {.name = "removesuffix", .style = CALL_ONE},
     .call = text_removesuffix,
     .markup = "suffix"},
    {.signature = {.name = "rfind", .style = CALL_OLD, .min = 1, .max = 3}, .call = text_rfind},
    {.signature = {.name = "rindex", .style = CALL_OLD, .min = 1, .max = 3}, .call = text_rindex},
    {.signature = {.name = "startswith", .style = CALL_OLD, .min = 1, .max = 3},
     .call = text_startswith},
};
const struct method_table text_search_methods = {search_list,
                                                 sizeof search_list / sizeof *search_list};
