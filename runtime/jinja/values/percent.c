/* text % values.
 *
 * Markup escapes what it is given: its values are wrapped, so that texts of them are escaped and
 * only d, i, u, e, f, g find the number below.
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

enum { NO_PRECISION = -1, DEFAULT_PRECISION = 6, MAX_CHAR = 0x10FFFF };

struct percent {
    struct run *run;
    const struct string *format;
    size_t at;          /* byte of the format */
    struct builder out; /* of one directive */
    bool escapes;       /* the format is Markup */
    /* What is left to take: items of a tuple, or one value. */
    const struct value *values;
    size_t n_values, next;
    struct value all;
    bool has_keys; /* `all` can be asked for keys */
};

struct directive { /* %(key)-5.2f */
    bool left, plus, blank, alternate, zero;
    int64_t width;
    int precision;
    char type;
};

/* ---- reading ----------------------------------------------------------------------------------*/

static bool take(struct percent *p, struct value *out)
{
    if (p->next == p->n_values)
        return run_raise(p->run, TYPE_ERROR, "not enough arguments for format string");
    *out = p->values[p->next++];
    return true;
}

static bool incomplete(struct percent *p, const char *what)
{
    return run_raise(p->run, VALUE_ERROR, "incomplete format%s", what);
}

static bool is_end(const struct percent *p) { return p->at >= p->format->n_bytes; }

static char peek(const struct percent *p) { return is_end(p) ? '\0' : p->format->data[p->at]; }

/* Makes the item of a key the one value that is left. Subscripts of Python, so no undefined. */
static bool take_key(struct percent *p, struct value key)
{
    const struct value *item;
    struct value text;
    if (p->all.kind == VALUE_UNDEFINED)
        return run_raise_undefined(p->run, p->all);
    if (p->all.kind == VALUE_LIST)
        return run_raise(p->run, TYPE_ERROR, "list indices must be integers or slices, not str");
    bool found = false;
    if (p->all.kind == VALUE_DICT) {
        if (!dict_find(p->run, p->all.as.dict, key, &item))
            return false;
        found = item != NULL;
        if (found)
            p->all = *item;
    } else if (!p->all.as.object->type->item(p->run, p->all.as.object, key, &p->all, &found)) {
        return false;
    }
    if (!found)
        return value_repr(p->run, key, &text) &&
               run_raise_text(p->run, KEY_ERROR, text.as.string->data, text.as.string->n_bytes);
    p->values = &p->all;
    p->n_values = 1;
    p->next = 0;
    return true;
}

static bool read_key(struct percent *p, struct value source)
{
    const size_t begin = ++p->at;
    if (!p->has_keys)
        return run_raise(p->run, TYPE_ERROR, "format requires a mapping");
    for (int depth = 1; depth > 0; p->at++) {
        if (is_end(p))
            return incomplete(p, " key");
        depth += (peek(p) == '(') - (peek(p) == ')');
    }
    struct value key;
    p->all = source;
    return string_part(p->run, p->format, begin, p->at - 1, &key) && take_key(p, key);
}

/* Digits, or the next value for '*'. */
static bool read_number(struct percent *p, const char *what, int64_t most, int64_t *out)
{
    if (peek(p) == '*') {
        struct value v;
        p->at++;
        if (!take(p, &v))
            return false;
        if (!value_is_whole(v) || p->escapes)
            return run_raise(p->run, TYPE_ERROR, "* wants int");
        *out = value_whole(v);
        if (*out > most || *out < -most)
            return run_raise(p->run, OVERFLOW_ERROR, "Python int too large to convert to C %s",
                             what);
        return true;
    }
    *out = 0;
    for (; peek(p) >= '0' && peek(p) <= '9'; p->at++) {
        const int digit = peek(p) - '0';
        if (*out > (most - digit) / 10)
            return run_raise(p->run, VALUE_ERROR, "%s too big",
                             most == INT_MAX ? "precision" : "width");
        *out = *out * 10 + digit;
    }
    return true;
}

static void read_flags(struct percent *p, struct directive *d)
{
    for (;; p->at++) {
        switch (peek(p)) {
        case '-':
            d->left = true;
            break;
        case '+':
            d->plus = true;
            break;
        case ' ':
            d->blank = true;
            break;
        case '#':
            d->alternate = true;
            break;
        case '0':
            d->zero = true;
            break;
        default:
            return;
        }
    }
}

/* Up to the letter of the type, which is not taken. */
static bool read_directive(struct percent *p, struct value source, struct directive *d)
{
    int64_t precision;
    *d = (struct directive){.precision = NO_PRECISION};
    if (peek(p) == '(' && !read_key(p, source))
        return false;
    read_flags(p, d);
    if (!read_number(p, "ssize_t", INT64_MAX, &d->width))
        return false;
    if (d->width < 0) {
        d->left = true;
        d->width = -d->width;
    }
    if (peek(p) == '.') {
        p->at++;
        if (!read_number(p, "int", INT_MAX, &precision))
            return false;
        d->precision = precision < 0 ? 0 : (int)precision;
    }
    if (peek(p) == 'h' || peek(p) == 'l' || peek(p) == 'L')
        p->at++;
    return is_end(p) ? incomplete(p, "") : true;
}

/* ---- writing ----------------------------------------------------------------------------------*/

/* [begin, end) of a text in the width of the directive; for numbers it begins with a sign and
 * `prefix`, before which or behind which the room is filled. */
static bool add_padded(struct percent *p, const struct directive *d, const struct string *s,
                       size_t n_bytes, size_t n_chars, const char *prefix, bool is_number)
{
    size_t skip = 0; /* of the sign and of the prefix */
    if (is_number)
        skip = strspn(s->data, "+- ") + strlen(prefix);
    const size_t width = (size_t)d->width;
    const size_t n_fill = width > n_chars ? width - n_chars : 0;
    struct builder *b = &p->out;
    const size_t room = d->left ? 0 : n_fill;
    const bool zero = d->zero && is_number;
    return builder_add_fill(b, " ", 1, false, zero ? 0 : room) && builder_add_part(b, s, 0, skip) &&
           builder_add_fill(b, "0", 1, false, zero ? room : 0) &&
           builder_add_part(b, s, skip, n_bytes) &&
           builder_add_fill(b, " ", 1, false, d->left ? n_fill : 0);
}

static bool add_sign(struct builder *b, const struct directive *d, bool negative)
{
    const char *sign = negative ? "-" : d->plus ? "+" : d->blank ? " " : "";
    return builder_add_text(b, sign);
}

static bool add_text(struct percent *p, const struct directive *d, struct value v)
{
    struct value text;
    bool ok = d->type == 's'   ? value_text(p->run, v, &text)
              : d->type == 'r' ? value_repr(p->run, v, &text)
              : p->escapes     ? value_repr(p->run, v, &text)
                               : value_ascii(p->run, v, &text);
    if (ok && p->escapes && !(d->type == 's' && text.as.string->safe)) {
        struct builder b;
        builder_init(&b, p->run);
        ok = builder_add_escaped(&b, text.as.string) && builder_end(&b, &text);
        if (ok && d->type == 'a')
            ok = text_ascii(p->run, text.as.string, &text);
    }
    if (!ok)
        return false;
    const struct string *s = text.as.string;
    size_t n_bytes = s->n_bytes, n_chars = s->n_chars;
    if (d->precision != NO_PRECISION && (size_t)d->precision < n_chars) {
        n_chars = (size_t)d->precision;
        n_bytes = string_byte_of(s, n_chars);
    }
    return add_padded(p, d, s, n_bytes, n_chars, "", false);
}

static bool wrong_type(struct percent *p, char type, struct value v)
{
    const bool whole = type == 'x' || type == 'X' || type == 'o';
    return run_raise(p->run, TYPE_ERROR, "%%%c format: %s is required, not %s", type,
                     whole ? "an integer" : "a real number",
                     p->escapes ? "_MarkupEscapeHelper" : value_type_name(v));
}

static bool whole_of(struct percent *p, char type, struct value v, int64_t *out)
{
    const bool any = type == 'd' || type == 'i' || type == 'u';
    if ((p->escapes && !any) || (v.kind == VALUE_UNDEFINED && !any))
        return wrong_type(p, type, v);
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(p->run, v);
    if (value_is_whole(v)) {
        *out = value_whole(v);
        return true;
    }
    if (v.kind != VALUE_FLOAT || !any)
        return wrong_type(p, type, v);
    return float_truncate(p->run, v.as.number, out);
}

static bool add_whole(struct percent *p, const struct directive *d, struct value v)
{
    int64_t i;
    char digits[32];
    struct value text;
    if (!whole_of(p, d->type, v, &i))
        return false;
    const uint64_t magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    const char *prefix = "";
    if (d->alternate)
        prefix = d->type == 'x' ? "0x" : d->type == 'X' ? "0X" : d->type == 'o' ? "0o" : "";
    const int n = snprintf(digits, sizeof digits,
                           d->type == 'x'   ? "%" PRIx64
                           : d->type == 'X' ? "%" PRIX64
                           : d->type == 'o' ? "%" PRIo64
                                            : "%" PRIu64,
                           magnitude);
    const size_t zeros = d->precision > n ? (size_t)(d->precision - n) : 0;
    struct builder b;
    builder_init(&b, p->run);
    return add_sign(&b, d, i < 0) && builder_add_text(&b, prefix) &&
           builder_add_fill(&b, "0", 1, false, zeros) &&
           builder_add(&b, digits, (size_t)n, false) && builder_end(&b, &text) &&
           add_padded(p, d, text.as.string, text.as.string->n_bytes, text.as.string->n_chars,
                      prefix, true);
}

static bool add_float(struct percent *p, const struct directive *d, struct value v)
{
    double number;
    struct value text;
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(p->run, v);
    if (v.kind == VALUE_FLOAT)
        number = v.as.number;
    else if (value_is_whole(v))
        number = (double)value_whole(v);
    else
        return run_raise(p->run, TYPE_ERROR,
                         p->escapes ? "float() argument must be a string or a real number, not '%s'"
                                    : "must be real number, not %s",
                         value_type_name(v));
    const int precision = d->precision == NO_PRECISION ? DEFAULT_PRECISION : d->precision;
    struct builder b;
    builder_init(&b, p->run);
    const bool negative = signbit(number) && !isnan(number);
    return add_sign(&b, d, negative) &&
           builder_add_float(&b, isnan(number) ? number : fabs(number), d->type, precision,
                             d->alternate) &&
           builder_end(&b, &text) &&
           add_padded(p, d, text.as.string, text.as.string->n_bytes, text.as.string->n_chars, "",
                      true);
}

static bool add_char(struct percent *p, const struct directive *d, struct value v)
{
    const bool whole = value_is_whole(v);
    const bool text = v.kind == VALUE_STRING && v.as.string->n_chars == 1;
    if ((!whole && !text) || p->escapes)
        return run_raise(p->run, TYPE_ERROR, "%%c requires int or char");
    if (whole) {
        const int64_t c = value_whole(v);
        if (c < 0 || c > MAX_CHAR)
            return run_raise(p->run, OVERFLOW_ERROR, "%%c arg not in range(0x110000)");
        if (c >= 0xD800 && c <= 0xDFFF)
            return run_raise(p->run, NOT_SUPPORTED, "surrogates are no characters");
        struct builder b;
        builder_init(&b, p->run);
        if (!builder_add_char(&b, (uint32_t)c, true) || /* nobody knows who wrote the number */
            !builder_end(&b, &v))
            return false;
    }
    return add_padded(p, d, v.as.string, v.as.string->n_bytes, 1, "", false);
}

static bool add_value(struct percent *p, const struct directive *d, size_t type_at)
{
    struct value v;
    if (!take(p, &v))
        return false;
    switch (d->type) {
    case 's':
    case 'r':
    case 'a':
        return add_text(p, d, v);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        return add_whole(p, d, v);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        return add_float(p, d, v);
    case 'c':
        return add_char(p, d, v);
    default:
        break;
    }
    size_t end = type_at;
    const uint32_t c = utf8_read(p->format->data, &end);
    const bool shown = c >= 31 && c <= 126;
    return run_raise(p->run, VALUE_ERROR,
                     "unsupported format character '%c' (0x%" PRIx32 ") at index %zu",
                     shown ? (char)c : '?', c, text_count_chars(p->format->data, type_at));
}

bool string_percent(struct run *r, const struct string *format, struct value values,
                    struct value *out)
{
    struct percent p = {.run = r, .format = format, .escapes = format->safe, .all = values};
    const bool is_tuple = values.kind == VALUE_TUPLE;
    p.values = is_tuple ? values.as.list->items : &p.all;
    p.n_values = is_tuple ? values.as.list->n : 1;
    p.has_keys = values.kind == VALUE_DICT || values.kind == VALUE_LIST ||
                 values.kind == VALUE_UNDEFINED ||
                 (values.kind == VALUE_OBJECT &&
                  (values.as.object->type->is_mapping || values.as.object->type->is_sequence));
    struct builder all;
    struct value text;
    builder_init(&p.out, r);
    builder_init(&all, r);
    all.safe = format->safe;
    if (!run_step(r, format->n_bytes / TEXT_BYTES_PER_STEP)) /* flags and widths leave no text */
        return false;
    while (!is_end(&p)) {
        const char *found = memchr(format->data + p.at, '%', format->n_bytes - p.at);
        const size_t sign = found != NULL ? (size_t)(found - format->data) : format->n_bytes;
        if (!run_step(r, 1) || !builder_add_part(&all, format, p.at, sign))
            return false;
        if (found == NULL)
            break;
        p.at = sign + 1;
        if (peek(&p) == '%') {
            if (!builder_add_part(&all, format, sign, sign + 1))
                return false;
            p.at++;
            continue;
        }
        struct directive d;
        if (!read_directive(&p, values, &d))
            return false;
        d.type = peek(&p);
        const size_t type_at = p.at;
        utf8_read(format->data, &p.at);
        if (!add_value(&p, &d, type_at) || !builder_end(&p.out, &text) ||
            !builder_add_formatted(&all, text.as.string, string_has_user(format, sign, p.at)))
            return false;
    }
    if (p.next < p.n_values && !p.has_keys)
        return run_raise(r, TYPE_ERROR, "not all arguments converted during string formatting");
    return builder_end(&all, out);
}
