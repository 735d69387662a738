/* format(value, spec): the format mini-language of Python.
 *
 *     [[fill]align][sign][z][#][0][width][grouping][.precision][type]
 *
 * A number is written as sign, prefix, digits before the point (which are grouped) and the rest;
 * then the parts are set into the width.
 */
#include "base/utf8.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ABSENT = -1, DEFAULT_PRECISION = 6, MAX_CHAR = 0x10FFFF, MOST_DIGITS = 1100 };

struct spec {
    const struct string *text; /* as it was given */
    const char *type_name;     /* of the value, for messages */
    size_t at;
    char fill[4];
    size_t n_fill;
    bool fill_given, fill_user, align_given;
    char align; /* '<', '>', '^', '=' */
    char sign;  /* '+', '-', ' ' or 0 */
    bool no_negative_zero, alternate;
    int64_t width, precision; /* or ABSENT */
    char grouping;            /* ',', '_' or 0 */
    uint32_t type;            /* a character, 0 where none was given and there is no default */
};

/* ---- reading ----------------------------------------------------------------------------------*/

static char peek(const struct spec *s)
{
    return s->at < s->text->n_bytes ? s->text->data[s->at] : '\0';
}

static bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

static void read_align(struct spec *s)
{
    size_t second = s->at;
    if (s->at < s->text->n_bytes)
        utf8_read(s->text->data, &second);
    if (second < s->text->n_bytes && is_align(s->text->data[second])) {
        s->n_fill = second - s->at;
        memcpy(s->fill, s->text->data + s->at, s->n_fill);
        s->fill_given = true;
        s->fill_user = string_has_user(s->text, s->at, second);
        s->at = second;
    }
    if (is_align(peek(s))) {
        s->align = peek(s);
        s->align_given = true;
        s->at++;
    }
}

/* Digits; *out stays when there are none. */
static bool read_number(struct run *r, struct spec *s, int64_t *out)
{
    if (peek(s) < '0' || peek(s) > '9')
        return true;
    for (*out = 0; peek(s) >= '0' && peek(s) <= '9'; s->at++) {
        const int digit = peek(s) - '0';
        if (*out > (INT64_MAX - digit) / 10)
            return run_raise(r, VALUE_ERROR, "Too many decimal digits in format string");
        *out = *out * 10 + digit;
    }
    return true;
}

static bool read_grouping(struct run *r, struct spec *s)
{
    if (peek(s) == ',') {
        s->grouping = ',';
        s->at++;
    }
    if (peek(s) == '_') {
        if (s->grouping != 0)
            return run_raise(r, VALUE_ERROR, "Cannot specify both ',' and '_'.");
        s->grouping = '_';
        s->at++;
    }
    if (peek(s) == ',' && s->grouping == '_')
        return run_raise(r, VALUE_ERROR, "Cannot specify both ',' and '_'.");
    return true;
}

/* The last character, and whether its kind of number has groups. */
static bool read_type(struct run *r, struct spec *s)
{
    if (s->at < s->text->n_bytes) {
        s->type = utf8_read(s->text->data, &s->at);
        if (s->at < s->text->n_bytes) {
            struct builder b;
            builder_init(&b, r);
            return builder_add_text(&b, "Invalid format specifier '") &&
                   builder_add_string(&b, s->text) &&
                   builder_printf(&b, "' for object of type '%s'", s->type_name) &&
                   run_raise_text(r, VALUE_ERROR, b.data, b.n);
        }
    }
    if (s->grouping == 0 || s->type == 0)
        return true;
    const char *grouped = s->grouping == '_' ? "defgEG%FboxX" : "defgEG%F";
    if (s->type < 0x80 && strchr(grouped, (int)s->type) != NULL)
        return true;
    if (s->type > 32 && s->type < 128)
        return run_raise(r, VALUE_ERROR, "Cannot specify '%c' with '%c'.", s->grouping,
                         (char)s->type);
    return run_raise(r, VALUE_ERROR, "Cannot specify '%c' with '\\x%" PRIx32 "'.", s->grouping,
                     s->type);
}

static bool spec_read(struct run *r, struct spec *s, char default_align)
{
    s->fill[0] = ' ';
    s->n_fill = 1;
    s->align = default_align;
    s->width = s->precision = ABSENT;
    read_align(s);
    if (peek(s) == '+' || peek(s) == '-' || peek(s) == ' ')
        s->sign = s->text->data[s->at++];
    if (peek(s) == 'z') {
        s->no_negative_zero = true;
        s->at++;
    }
    if (peek(s) == '#') {
        s->alternate = true;
        s->at++;
    }
    if (!s->fill_given && peek(s) == '0') {
        s->fill[0] = '0';
        if (!s->align_given && default_align == '>')
            s->align = '=';
        s->at++;
    }
    if (!read_number(r, s, &s->width) || !read_grouping(r, s))
        return false;
    if (peek(s) == '.') {
        s->at++;
        if (!read_number(r, s, &s->precision))
            return false;
        if (s->precision == ABSENT)
            return run_raise(r, VALUE_ERROR, "Format specifier missing precision");
    }
    return read_type(r, s);
}

/* ---- writing ----------------------------------------------------------------------------------*/

struct parts {
    char sign[2], prefix[3];
    const struct string *digits; /* of a number: digits, and what follows them */
    size_t n_bytes;              /* of them to show */
    size_t n_chars;
    size_t n_whole; /* digits before the point */
};

static bool add_fill(struct builder *b, const struct spec *s, size_t times)
{
    return builder_add_fill(b, s->fill, s->n_fill, s->fill_user, times);
}

/* The digits before the point in groups, with zeros in front until there are `least` characters. */
static bool add_groups(struct builder *b, const struct spec *s, const struct parts *p, size_t least)
{
    const bool fours = s->type != 0 && s->type < 0x80 && strchr("boxX", (int)s->type) != NULL;
    const size_t group = s->grouping == 0 ? SIZE_MAX : fours ? 4 : 3;
    size_t n = p->n_whole;
    if (n == 0)
        return true;
    /* before the loops, so that a huge width ends at once */
    if (!builder_reserve(b, least > n ? least : n) ||
        !run_step(b->run, least / TEXT_BYTES_PER_STEP))
        return false;
    if (s->grouping == 0 && least > n)
        n = least;
    while (s->grouping != 0 && n + (n - 1) / group < least)
        n += least - n - (n - 1) / group > group ? group : 1;
    for (size_t left = n; left > 0; left--) {
        const char digit = left > p->n_whole ? '0' : p->digits->data[p->n_whole - left];
        if (!builder_add(b, &digit, 1, false))
            return false;
        if (left > 1 && s->grouping != 0 && (left - 1) % group == 0 &&
            !builder_add(b, &s->grouping, 1, false))
            return false;
    }
    return true;
}

static bool add_number(struct run *r, const struct spec *s, const struct parts *p,
                       struct value *out)
{
    const size_t width = s->width > 0 ? (size_t)s->width : 0;
    const size_t n_around = strlen(p->sign) + strlen(p->prefix) + (p->n_chars - p->n_whole);
    const bool zeros = s->align == '=' && s->n_fill == 1 && s->fill[0] == '0';
    if (width > UINT32_MAX)
        return run_raise(r, LIMIT_EXCEEDED, "a text of more than 4 GB");
    struct builder groups, b;
    builder_init(&groups, r);
    builder_init(&b, r);
    if (!add_groups(&groups, s, p, zeros && width > n_around ? width - n_around : 0))
        return false;
    const size_t n = n_around + groups.n, n_fill = width > n ? width - n : 0;
    const size_t before = s->align == '>' ? n_fill : s->align == '^' ? n_fill / 2 : 0;
    const size_t inside = s->align == '=' ? n_fill : 0;
    return add_fill(&b, s, before) && builder_add_text(&b, p->sign) &&
           builder_add_text(&b, p->prefix) && add_fill(&b, s, inside) &&
           builder_add(&b, groups.data, groups.n, false) &&
           builder_add_part(&b, p->digits, p->n_whole, p->n_bytes) &&
           add_fill(&b, s, n_fill - before - inside) && builder_end(&b, out);
}

static void set_sign(struct parts *p, const struct spec *s, bool negative)
{
    p->sign[0] = negative ? '-' : s->sign == '+' || s->sign == ' ' ? s->sign : '\0';
}

static bool wrong_spec(struct run *r, const char *message)
{
    return run_raise(r, VALUE_ERROR, "%s", message);
}

/* Nobody knows who wrote a number, so its character counts as the users'. */
static bool format_char(struct run *r, const struct spec *s, int64_t c, struct value *out)
{
    if (s->sign != 0)
        return wrong_spec(r, "Sign not allowed with integer format specifier 'c'");
    if (s->alternate)
        return wrong_spec(r, "Alternate form (#) not allowed with integer format specifier 'c'");
    if (c < 0 || c > MAX_CHAR)
        return run_raise(r, OVERFLOW_ERROR, "%%c arg not in range(0x110000)");
    if (c >= 0xD800 && c <= 0xDFFF)
        return run_raise(r, NOT_SUPPORTED, "surrogates are no characters");
    struct builder b;
    builder_init(&b, r);
    struct value text;
    if (!builder_add_char(&b, (uint32_t)c, true) || !builder_end(&b, &text))
        return false;
    const struct parts p = {
        .digits = text.as.string, .n_bytes = text.as.string->n_bytes, .n_chars = 1};
    return add_number(r, s, &p, out);
}

static bool format_int(struct run *r, const struct spec *s, int64_t i, struct value *out)
{
    if (s->precision != ABSENT)
        return wrong_spec(r, "Precision not allowed in integer format specifier");
    if (s->no_negative_zero)
        return wrong_spec(r, "Negative zero coercion (z) not allowed in integer format specifier");
    if (s->type == 'c')
        return format_char(r, s, i, out);
    static const char digits[] = "0123456789abcdef", upper_digits[] = "0123456789ABCDEF";
    const unsigned base = s->type == 'b'                     ? 2
                          : s->type == 'o'                   ? 8
                          : s->type == 'x' || s->type == 'X' ? 16
                                                             : 10;
    char text[64];
    size_t at = sizeof text;
    uint64_t rest = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    do {
        text[--at] = (s->type == 'X' ? upper_digits : digits)[rest % base];
        rest /= base;
    } while (rest > 0);
    const struct string shown = {.data = text + at, .n_bytes = (uint32_t)(sizeof text - at)};
    struct parts p = {.digits = &shown, .n_bytes = shown.n_bytes};
    p.n_chars = p.n_whole = p.n_bytes;
    set_sign(&p, s, i < 0);
    if (s->alternate && base != 10)
        snprintf(p.prefix, sizeof p.prefix, "0%c", (char)s->type);
    return add_number(r, s, &p, out);
}

/* A float without a type: repr(), or with a precision like 'g', but never as a whole number. */
static bool add_plain_float(struct builder *b, const struct spec *s, double d)
{
    char text[32];
    size_t n = float_repr(d, text);
    if (!isfinite(d))
        return builder_add(b, text, n, false);
    if (s->precision == ABSENT) {
        const char *exponent = memchr(text, 'e', n);
        const bool bare = exponent != NULL && memchr(text, '.', n) == NULL;
        const size_t head = exponent != NULL ? (size_t)(exponent - text) : n;
        return builder_add(b, text, head, false) &&
               (!bare || !s->alternate || builder_add_text(b, ".")) &&
               builder_add(b, text + head, n - head, false);
    }
    int precision = s->precision > 0 ? (int)s->precision : 1;
    if (!s->alternate && precision > MOST_DIGITS)
        precision = MOST_DIGITS; /* the rest would be zeros, which are dropped */
    struct builder scientific;
    builder_init(&scientific, b->run);
    if (!builder_add_float(&scientific, d, 'e', precision - 1, s->alternate))
        return false;
    const char *exponent = memchr(scientific.data, 'e', scientific.n);
    int power = 0;
    for (const char *at = exponent + 2; at < scientific.data + scientific.n; at++)
        power = power * 10 + (*at - '0');
    if (exponent[1] == '+' && power == precision - 1) { /* here 'g' would drop the point */
        size_t head = (size_t)(exponent - scientific.data);
        while (!s->alternate && head > 1 && memchr(scientific.data, '.', head) != NULL &&
               (scientific.data[head - 1] == '0' || scientific.data[head - 1] == '.'))
            head--;
        return builder_add(b, scientific.data, head, false) &&
               builder_add(b, exponent, (size_t)(scientific.data + scientific.n - exponent), false);
    }
    const size_t begin = b->n;
    if (!builder_add_float(b, d, 'g', precision, s->alternate))
        return false;
    const bool whole = memchr(b->data + begin, '.', b->n - begin) == NULL &&
                       memchr(b->data + begin, 'e', b->n - begin) == NULL;
    return !whole || builder_add_text(b, ".0");
}

static bool format_float(struct run *r, const struct spec *s, double d, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    bool negative = signbit(d) && !isnan(d);
    d = isnan(d) ? d : fabs(d);
    if (s->precision > INT_MAX)
        return wrong_spec(r, "precision too big");
    const int precision = s->precision == ABSENT ? DEFAULT_PRECISION : (int)s->precision;
    bool ok;
    if (s->type == 0)
        ok = add_plain_float(&b, s, d);
    else if (s->type == '%')
        ok = builder_add_float(&b, d * 100, 'f', precision, s->alternate) &&
             builder_add_text(&b, "%");
    else
        ok =
            builder_add_float(&b, d, s->type == 'n' ? 'g' : (char)s->type, precision, s->alternate);
    struct value text;
    if (!ok || !builder_end(&b, &text))
        return false;
    const struct string *digits = text.as.string;
    struct parts p = {.digits = digits, .n_bytes = digits->n_bytes, .n_chars = digits->n_bytes};
    bool zero = true;
    for (size_t i = 0; i < digits->n_bytes && digits->data[i] != 'e' && digits->data[i] != 'E'; i++)
        zero = zero && (digits->data[i] < '1' || digits->data[i] > '9');
    if (s->no_negative_zero && zero && isfinite(d))
        negative = false;
    while (p.n_whole < p.n_bytes && digits->data[p.n_whole] >= '0' &&
           digits->data[p.n_whole] <= '9')
        p.n_whole++;
    set_sign(&p, s, negative);
    return add_number(r, s, &p, out);
}

static bool format_text(struct run *r, const struct spec *s, const struct string *text,
                        struct value *out)
{
    if (s->sign != 0)
        return wrong_spec(r, s->sign == ' ' ? "Space not allowed in string format specifier"
                                            : "Sign not allowed in string format specifier");
    if (s->no_negative_zero)
        return wrong_spec(r, "Negative zero coercion (z) not allowed in string format specifier");
    if (s->alternate)
        return wrong_spec(r, "Alternate form (#) not allowed in string format specifier");
    if (s->align == '=')
        return wrong_spec(r, "'=' alignment not allowed in string format specifier");
    size_t n_chars = text->n_chars;
    if (s->precision != ABSENT && (uint64_t)s->precision < n_chars)
        n_chars = (size_t)s->precision;
    const size_t width = s->width > 0 ? (size_t)s->width : 0;
    const size_t n_fill = width > n_chars ? width - n_chars : 0;
    const size_t before = s->align == '>' ? n_fill : s->align == '^' ? n_fill / 2 : 0;
    struct builder b;
    builder_init(&b, r);
    return add_fill(&b, s, before) &&
           builder_add_part(&b, text, 0, string_byte_of(text, n_chars)) &&
           add_fill(&b, s, n_fill - before) && builder_end(&b, out);
}

static bool unknown_type(struct run *r, const struct spec *s)
{
    if (s->type > 32 && s->type < 128)
        return run_raise(r, VALUE_ERROR, "Unknown format code '%c' for object of type '%s'",
                         (char)s->type, s->type_name);
    return run_raise(r, VALUE_ERROR, "Unknown format code '\\x%" PRIx32 "' for object of type '%s'",
                     s->type, s->type_name);
}

bool value_format(struct run *r, struct value v, const struct string *spec, struct value *out)
{
    if (spec->n_bytes == 0)
        return value_text(r, v, out) && text_unsafe(r, out);
    struct spec s = {.text = spec, .type_name = value_type_name(v)};
    bool is_float_type;
    switch (v.kind) {
    case VALUE_STRING:
        s.type = 's';
        return spec_read(r, &s, '<') && (s.type == 's' || unknown_type(r, &s)) &&
               format_text(r, &s, v.as.string, out);
    case VALUE_BOOL:
    case VALUE_INT:
        s.type = 'd';
        if (!spec_read(r, &s, '>'))
            return false;
        break;
    case VALUE_FLOAT:
        if (!spec_read(r, &s, '>'))
            return false;
        break;
    default:
        return run_raise(r, TYPE_ERROR, "unsupported format string passed to %s.__format__",
                         s.type_name);
    }
    const char *whole_types = "bcdoxXn", *float_types = "eEfFgG%n";
    is_float_type = s.type != 0 && s.type < 0x80 && strchr(float_types, (int)s.type) != NULL;
    if (v.kind == VALUE_FLOAT)
        return s.type == 0 || is_float_type ? format_float(r, &s, v.as.number, out)
                                            : unknown_type(r, &s);
    const int64_t i = value_whole(v);
    if (s.type < 0x80 && s.type != 0 && strchr(whole_types, (int)s.type) != NULL)
        return format_int(r, &s, i, out);
    return is_float_type ? format_float(r, &s, (double)i, out) : unknown_type(r, &s);
}
