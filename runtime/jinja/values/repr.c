/* Values as Python writes them. */
#include "base/utf8.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAFE_DIGITS = 15, /* every decimal of so many digits survives a double */
    MOST_DIGITS = 17, /* so many tell every double from its neighbours */
    FIXED_BELOW = 16, /* 1e16 is the first that is written with an exponent */
};

/* ---- floats -----------------------------------------------------------------------------------*/

/* One more in the last digit of d.ddde±x: "9.99" has no such neighbour of the same length, but
 * then fewer digits would have been enough. */
static void next_digits(char *text)
{
    char *last = strchr(text, 'e') - 1;
    for (; last > text && *last == '9'; last--)
        *last = '0';
    if (*last == '.')
        last--;
    if (*last != '9')
        (*last)++;
}

/* The shortest "d.ddde±x" that reads back as d > 0. Below a power of two doubles are denser than
 * above, so the nearest decimal of some length may fail where the next larger one does not. */
static void shortest(double d, char out[32])
{
    int n = d < 0x1p-1022 ? 1 : SAFE_DIGITS; /* those below have fewer digits to give */
    for (;; n++) {
        snprintf(out, 32, "%.*e", n - 1, d);
        if (n == MOST_DIGITS || strtod(out, NULL) == d)
            return;
        next_digits(out);
        if (strtod(out, NULL) == d)
            return;
    }
}

size_t float_repr(double d, char out[32])
{
    if (isnan(d))
        return (size_t)snprintf(out, 32, "nan");
    if (isinf(d))
        return (size_t)snprintf(out, 32, d < 0 ? "-inf" : "inf");
    const char *sign = signbit(d) ? "-" : "";
    if (d == 0)
        return (size_t)snprintf(out, 32, "%s0.0", sign);
    char text[32], digits[MOST_DIGITS + 1];
    shortest(fabs(d), text);
    const char *exponent_at = strchr(text, 'e');
    const int exponent = (int)strtol(exponent_at + 1, NULL, 10);
    int n = 0;
    for (const char *at = text; at < exponent_at; at++) {
        if (*at != '.' && n < MOST_DIGITS)
            digits[n++] = *at;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (exponent < -4 || exponent >= FIXED_BELOW)
        return (size_t)snprintf(out, 32, "%s%c%s%.*se%c%02d", sign, digits[0], n > 1 ? "." : "",
                                n - 1, digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
    if (exponent < 0)
        return (size_t)snprintf(out, 32, "%s0.%.*s%.*s", sign, -exponent - 1, "000", n, digits);
    if (n <= exponent + 1)
        return (size_t)snprintf(out, 32, "%s%.*s%.*s.0", sign, n, digits, exponent + 1 - n,
                                "0000000000000000");
    return (size_t)snprintf(out, 32, "%s%.*s.%.*s", sign, exponent + 1, digits, n - exponent - 1,
                            digits + exponent + 1);
}

/* What printf has no room for: digits that are all zero. A double has at most 1074 decimals. */
enum { MOST_PRECISION = 1100 };

bool builder_add_float(struct builder *b, double d, char type, int precision, bool alternate)
{
    const bool upper = type >= 'A' && type <= 'Z';
    if (isnan(d))
        return builder_add_text(b, upper ? "NAN" : "nan");
    if (isinf(d))
        return builder_add_text(b, d < 0 ? (upper ? "-INF" : "-inf") : (upper ? "INF" : "inf"));
    const char format[] = {'%', alternate ? '#' : '-', '.', '*', type, '\0'};
    char text[2 * MOST_PRECISION];
    const int n_digits = precision < MOST_PRECISION ? precision : MOST_PRECISION;
    const int n = snprintf(text, sizeof text, format, n_digits, d);
    size_t head = (size_t)n, zeros = (size_t)(precision - n_digits);
    const char *exponent = memchr(text, upper ? 'E' : 'e', head);
    if (exponent != NULL)
        head = (size_t)(exponent - text);
    if (!alternate && (type == 'g' || type == 'G'))
        zeros = 0;
    return builder_add(b, text, head, false) && builder_add_fill(b, "0", 1, false, zeros) &&
           builder_add(b, text + head, (size_t)n - head, false);
}

bool float_truncate(struct run *r, double d, int64_t *out)
{
    if (isnan(d))
        return run_raise(r, VALUE_ERROR, "cannot convert float NaN to integer");
    if (isinf(d))
        return run_raise(r, OVERFLOW_ERROR, "cannot convert float infinity to integer");
    if (d >= 0x1p63 || d < -0x1p63)
        return run_raise_too_large(r);
    *out = (int64_t)d;
    return true;
}

/* ---- texts ------------------------------------------------------------------------------------*/

static void write_escape(uint32_t c, char escape[12])
{
    if (c <= 0xFF)
        snprintf(escape, 12, "\\x%02" PRIx32, c);
    else
        snprintf(escape, 12, c <= 0xFFFF ? "\\u%04" PRIx32 : "\\U%08" PRIx32, c);
}

/* Whether repr() shows this character as it is; if not, *escape is what stands for it. */
static bool is_plain(uint32_t c, char quote, char escape[12])
{
    if (c == (uint32_t)quote || c == '\\')
        snprintf(escape, 12, "\\%c", (char)c);
    else if (c == '\n' || c == '\r' || c == '\t')
        snprintf(escape, 12, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else if (char_is_printable(c))
        return true;
    else
        write_escape(c, escape);
    return false;
}

static bool add_quoted(struct builder *b, const struct string *s)
{
    if (s->safe && !builder_add_text(b, "Markup("))
        return false;
    const bool single = s->n_bytes > 0 && memchr(s->data, '\'', s->n_bytes) != NULL;
    const char quote = single && memchr(s->data, '"', s->n_bytes) == NULL ? '"' : '\'';
    bool ok = builder_add_char(b, (uint32_t)quote, false);
    size_t plain = 0; /* everything before is written */
    for (size_t at = 0; ok && at < s->n_bytes;) {
        const size_t begin = at;
        char escape[12];
        if (is_plain(utf8_read(s->data, &at), quote, escape))
            continue;
        ok = builder_add_part(b, s, plain, begin) &&
             builder_add(b, escape, strlen(escape), string_has_user(s, begin, at));
        plain = at;
    }
    return ok && builder_add_part(b, s, plain, s->n_bytes) &&
           builder_add_char(b, (uint32_t)quote, false) && (!s->safe || builder_add_text(b, ")"));
}

/* ---- everything -------------------------------------------------------------------------------*/

static bool add_items(struct builder *b, const struct list *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (!run_step(b->run, 1) || (i > 0 && !builder_add_text(b, ", ")) ||
            !builder_add_repr(b, list->items[i]))
            return false;
    }
    return true;
}

static bool add_dict(struct builder *b, const struct dict *dict)
{
    if (!builder_add_text(b, "{"))
        return false;
    for (uint32_t i = 0; i < dict->n; i++) {
        if (!run_step(b->run, 1) || (i > 0 && !builder_add_text(b, ", ")) ||
            !builder_add_repr(b, dict->items[i].key) || !builder_add_text(b, ": ") ||
            !builder_add_repr(b, dict->items[i].value))
            return false;
    }
    return builder_add_text(b, "}");
}

static bool add_container(struct builder *b, struct value v)
{
    if (!run_enter(b->run))
        return false;
    bool ok;
    struct value text;
    switch (v.kind) {
    case VALUE_LIST:
        ok = builder_add_text(b, "[") && add_items(b, v.as.list) && builder_add_text(b, "]");
        break;
    case VALUE_TUPLE:
        ok = builder_add_text(b, "(") && add_items(b, v.as.list) &&
             builder_add_text(b, v.as.list->n == 1 ? ",)" : ")");
        break;
    case VALUE_DICT:
        ok = add_dict(b, v.as.dict);
        break;
    default:
        ok = v.as.object->type->repr(b->run, v.as.object, &text) &&
             builder_add_string(b, text.as.string);
    }
    run_leave(b->run);
    return ok;
}

bool builder_add_repr(struct builder *b, struct value v)
{
    char number[32];
    switch (v.kind) {
    case VALUE_UNDEFINED:
        return builder_add_text(b, "Undefined");
    case VALUE_NONE:
        return builder_add_text(b, "None");
    case VALUE_BOOL:
        return builder_add_text(b, v.as.boolean ? "True" : "False");
    case VALUE_INT:
        return builder_printf(b, "%" PRId64, v.as.integer);
    case VALUE_FLOAT:
        return builder_add(b, number, float_repr(v.as.number, number), false);
    case VALUE_STRING:
        return add_quoted(b, v.as.string);
    default:
        return add_container(b, v);
    }
}

bool value_repr(struct run *r, struct value v, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    return builder_add_repr(&b, v) && builder_end(&b, out);
}

bool text_ascii(struct run *r, const struct string *s, struct value *out)
{
    if (s->n_bytes == s->n_chars) {
        *out = value_string(s);
        return true;
    }
    struct builder b;
    builder_init(&b, r);
    for (size_t at = 0; at < s->n_bytes;) {
        char escape[12];
        const size_t begin = at;
        const uint32_t c = utf8_read(s->data, &at);
        if (c >= 0x80)
            write_escape(c, escape);
        if (c < 0x80 ? !builder_add_part(&b, s, begin, at)
                     : !builder_add(&b, escape, strlen(escape), string_has_user(s, begin, at)))
            return false;
    }
    return builder_end(&b, out);
}

bool value_ascii(struct run *r, struct value v, struct value *out)
{
    return value_repr(r, v, out) && text_ascii(r, out->as.string, out);
}

bool value_text(struct run *r, struct value v, struct value *out)
{
    if (v.kind == VALUE_STRING) {
        *out = v;
        return true;
    }
    if (v.kind == VALUE_OBJECT) /* which may be Markup, as a macro's text is: not copied */
        return v.as.object->type->repr(r, v.as.object, out);
    struct builder b;
    builder_init(&b, r);
    return (v.kind == VALUE_UNDEFINED || builder_add_repr(&b, v)) && builder_end(&b, out);
}
