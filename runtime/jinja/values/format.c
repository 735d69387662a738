/* text.format(…), as the sandbox does it: with string.Formatter of Python's library, whose messages
 * differ from those of str.format, and with the sandbox's attributes.
 *
 * Markup escapes what is put into it, texts with a format specification before they are escaped.
 */
#include "base/utf8.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <string.h>

enum { MOST_NESTED = 2 }; /* a specification within a field within a specification */

struct formatter {
    struct run *run;
    const struct arguments *args;
    bool escapes;   /* the format is Markup */
    bool manual;    /* a field had a number */
    int64_t n_auto; /* fields without one so far */
};

struct field { /* {name!conversion:spec}, bytes of the format */
    size_t name_begin, name_end, spec_begin, spec_end;
    uint32_t conversion; /* 0: none */
};

static bool wrong(struct formatter *f, const char *message)
{
    return run_raise(f->run, VALUE_ERROR, "%s", message);
}

/* ---- reading ----------------------------------------------------------------------------------*/

/* Behind the brace that opens a field; *at moves behind the one that closes it. */
static bool read_field(struct formatter *f, const struct string *s, size_t *at, struct field *out)
{
    const char *data = s->data;
    const size_t n = s->n_bytes;
    char c = '\0';
    *out = (struct field){.name_begin = *at};
    while (*at < n && c != '}' && c != ':' && c != '!') {
        c = data[(*at)++];
        if (c == '{')
            return wrong(f, "unexpected '{' in field name");
        while (c == '[' && *at < n && data[*at] != ']')
            (*at)++;
    }
    out->name_end = *at - 1;
    if (c == '}')
        return true;
    if (c != ':' && c != '!')
        return wrong(f, "expected '}' before end of string");
    if (c == '!') {
        if (*at >= n)
            return wrong(f, "end of string while looking for conversion specifier");
        out->conversion = utf8_read(data, at);
        if (*at < n) {
            c = data[(*at)++];
            if (c == '}')
                return true;
            if (c != ':')
                return wrong(f, "expected ':' after conversion specifier");
        }
    }
    out->spec_begin = *at;
    for (int64_t depth = 1; *at < n; (*at)++) {
        depth += (data[*at] == '{') - (data[*at] == '}');
        if (depth == 0) {
            out->spec_end = (*at)++;
            return true;
        }
    }
    return wrong(f, "unmatched '{' in format spec");
}

/* A number if all of it is digits; *is_number says so. */
static bool read_index(struct formatter *f, const char *data, size_t n, int64_t *out,
                       bool *is_number)
{
    *out = 0;
    *is_number = n > 0;
    for (size_t i = 0; i < n; i++) {
        const int digit = data[i] - '0';
        *is_number = digit >= 0 && digit <= 9;
        if (!*is_number)
            return true;
        if (*out > (INT64_MAX - digit) / 10)
            return wrong(f, "Too many decimal digits in format string");
        *out = *out * 10 + digit;
    }
    return true;
}

/* The argument that begins a name. */
static bool find_argument(struct formatter *f, const struct string *s, size_t begin, size_t end,
                          struct value *out)
{
    int64_t place;
    bool is_number;
    struct value name, shown;
    if (!read_index(f, s->data + begin, end - begin, &place, &is_number))
        return false;
    if (is_number && place >= f->args->n_positional)
        return run_raise(f->run, INDEX_ERROR, "tuple index out of range");
    if (is_number) {
        *out = f->args->positional[place];
        return true;
    }
    if (!run_step(f->run, (size_t)f->args->n_keywords) ||
        !string_part(f->run, s, begin, end, &name))
        return false;
    for (int i = 0; i < f->args->n_keywords; i++) {
        if (string_equal(f->args->keywords[i].name, name.as.string)) {
            *out = f->args->keywords[i].value;
            return true;
        }
    }
    return value_repr(f->run, name, &shown) &&
           run_raise_text(f->run, KEY_ERROR, shown.as.string->data, shown.as.string->n_bytes);
}

/* Follows .name and [key] over bytes [at, end) of the format. */
static bool follow(struct formatter *f, const struct string *s, size_t at, size_t end,
                   struct value *v)
{
    while (at < end) {
        const char c = s->data[at++];
        const size_t begin = at;
        if (c != '.' && c != '[')
            return wrong(f, "Only '.' or '[' may follow ']' in format field specifier");
        while (at < end &&
               (c == '.' ? s->data[at] != '.' && s->data[at] != '[' : s->data[at] != ']'))
            at++;
        if (c == '[' && at == end)
            return wrong(f, "Missing ']' in format string");
        int64_t place;
        bool is_number = false;
        if (c == '[' && !read_index(f, s->data + begin, at - begin, &place, &is_number))
            return false;
        if (at == begin)
            return wrong(f, "Empty attribute in format string");
        struct value key;
        if (!run_step(f->run, 1) || !string_part(f->run, s, begin, at, &key))
            return false;
        if (c == '[')
            at++;
        if (c == '.' ? !value_attribute(f->run, *v, key.as.string, v)
                     : !value_item(f->run, *v, is_number ? value_int(place) : key, v))
            return false;
    }
    return true;
}

static bool is_all_digits(const struct string *s, size_t begin, size_t end)
{
    for (size_t at = begin; at < end;) {
        if (!char_is_digit(utf8_read(s->data, &at)))
            return false;
    }
    return true;
}

static bool find_field(struct formatter *f, const struct string *s, const struct field *field,
                       struct value *out)
{
    static const char switched[] =
        "cannot switch from manual field specification to automatic field numbering";
    const size_t begin = field->name_begin, end = field->name_end;
    if (begin == end) {
        if (f->manual)
            return wrong(f, switched);
        if (f->n_auto >= f->args->n_positional)
            return run_raise(f->run, INDEX_ERROR, "tuple index out of range");
        *out = f->args->positional[f->n_auto++];
        return true;
    }
    if (is_all_digits(s, begin, end)) {
        if (f->n_auto > 0)
            return wrong(f, switched);
        f->manual = true;
    }
    size_t first = begin;
    while (first < end && s->data[first] != '.' && s->data[first] != '[')
        first++;
    return find_argument(f, s, begin, first, out) && follow(f, s, first, end, out);
}

/* ---- writing ----------------------------------------------------------------------------------*/

static bool convert(struct formatter *f, uint32_t conversion, struct value *v)
{
    char shown[5] = "";
    switch (conversion) {
    case 0:
        return true;
    case 's':
        return value_text(f->run, *v, v) && text_unsafe(f->run, v);
    case 'r':
        return value_repr(f->run, *v, v);
    case 'a':
        return value_ascii(f->run, *v, v);
    default:
        utf8_write(shown, conversion);
        return run_raise(f->run, VALUE_ERROR, "Unknown conversion specifier %s", shown);
    }
}

static bool add_field(struct formatter *f, struct value v, const struct string *spec, bool user,
                      struct builder *b)
{
    struct value text;
    struct builder escaped;
    const bool is_markup = v.kind == VALUE_STRING && v.as.string->safe;
    if (f->escapes && is_markup && spec->n_bytes > 0)
        return wrong(f, "Unsupported format specification for Markup.");
    if (!value_format(f->run, v, spec, &text))
        return false;
    builder_init(&escaped, f->run);
    return (!f->escapes || is_markup ||
            (builder_add_escaped(&escaped, text.as.string) && builder_end(&escaped, &text))) &&
           builder_add_formatted(b, text.as.string,
                                 user || string_has_user(spec, 0, spec->n_bytes));
}

static bool format_all(struct formatter *f, const struct string *s, int nested, struct value *out);

static bool format_field(struct formatter *f, const struct string *s, size_t *at, int nested,
                         struct builder *b)
{
    const size_t begin = *at - 1;
    struct field field;
    struct value v, spec;
    return read_field(f, s, at, &field) && find_field(f, s, &field, &v) &&
           convert(f, field.conversion, &v) &&
           string_part(f->run, s, field.spec_begin, field.spec_end, &spec) &&
           format_all(f, spec.as.string, nested + 1, &spec) &&
           add_field(f, v, spec.as.string, string_has_user(s, begin, *at), b);
}

static bool format_all(struct formatter *f, const struct string *s, int nested, struct value *out)
{
    if (nested > MOST_NESTED)
        return wrong(f, "Max string recursion exceeded");
    struct builder b;
    builder_init(&b, f->run);
    for (size_t at = 0; at < s->n_bytes;) {
        const size_t begin = at;
        while (at < s->n_bytes && s->data[at] != '{' && s->data[at] != '}')
            at++;
        if (!run_step(f->run, 1))
            return false;
        const char c = at < s->n_bytes ? s->data[at] : '\0';
        const bool doubled = at + 1 < s->n_bytes && s->data[at + 1] == c;
        if (c == '}' && !doubled)
            return wrong(f, "Single '}' encountered in format string");
        if (c == '{' && at + 1 == s->n_bytes)
            return wrong(f, "Single '{' encountered in format string");
        if (!builder_add_part(&b, s, begin, at + (c != '\0' && doubled)))
            return false;
        if (at < s->n_bytes)
            at += doubled ? 2 : 1;
        if (c == '{' && !doubled && !format_field(f, s, &at, nested, &b))
            return false;
    }
    return builder_end(&b, out);
}

bool string_format(struct run *r, const struct string *format, const struct arguments *args,
                   struct value *out)
{
    struct formatter f = {.run = r, .args = args, .escapes = format->safe};
    struct value plain = value_string(format); /* names of fields are no Markup */
    return run_step(r, format->n_bytes / TEXT_BYTES_PER_STEP) && text_unsafe(r, &plain) &&
           format_all(&f, plain.as.string, 0, out) && (!format->safe || text_safe(r, out));
}
