#include "runtime/jinja/values/numerals.h"

#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

/* The value of a decimal digit of any script: they come in tens, 0 first. */
static int decimal_value(uint32_t c)
{
    if (c >= '0' && c <= '9')
        return (int)(c - '0');
    if (c >= 0x1D7CE && c <= 0x1D7FF) /* mathematical digits: five tens without a gap */
        return (int)((c - 0x1D7CE) % 10);
    int before = 0;
    while (before < 9 && char_is_decimal(c - 1 - (uint32_t)before))
        before++;
    return before;
}

/* The text in ASCII, NUL-terminated, without white space around; what is not ASCII and no digit
 * becomes '?'. NULL: raised. */
static char *to_ascii(struct run *r, const struct string *s)
{
    char *text = run_alloc(r, (size_t)s->n_chars + 1, 1);
    if (text == NULL || !run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP))
        return NULL;
    const bool ascii = s->n_bytes == s->n_chars;
    size_t n = 0;
    for (size_t at = 0; at < s->n_bytes;) {
        const uint32_t c = utf8_read(s->data, &at);
        /* space to Python beside other scripts only */
        const bool separator = c >= 0x1C && c <= 0x1F;
        if (char_is_space(c) && !(ascii && separator))
            text[n++] = ' ';
        else if (c < 0x80)
            text[n++] = c == 0 ? '?' : (char)c;
        else
            text[n++] = char_is_decimal(c) ? (char)('0' + decimal_value(c)) : '?';
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
    return text + strspn(text, " ");
}

/* ---- int() ------------------------------------------------------------------------------------*/

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

static int prefix_base(const char *text)
{
    if (text[0] != '0')
        return 0;
    const char c = (char)(text[1] | 0x20);
    return c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
}

bool numeral_to_int(struct run *r, const struct string *s, int64_t base, int64_t *out,
                    enum numeral *kind)
{
    *out = 0;
    *kind = NUMERAL_BAD_BASE;
    if (base < 0 || base == 1 || base > 36)
        return true;
    const char *text = to_ascii(r, s);
    if (text == NULL)
        return false;
    *kind = NUMERAL_BAD;
    const bool negative = *text == '-';
    text += *text == '-' || *text == '+';
    const int prefix = prefix_base(text);
    bool octal_like = false; /* base 0: "010" is an error, "00" is not */
    if (prefix != 0 && (base == 0 || base == prefix)) {
        base = prefix;
        text += 2;
        text += *text == '_';
    } else if (base == 0) {
        octal_like = *text == '0';
        base = 10;
    }
    bool after_digit = false, overflow = false;
    for (; *text != '\0'; text++) {
        const int digit = digit_value(*text);
        if (*text == '_' ? !after_digit : digit >= base)
            return true;
        after_digit = *text != '_';
        if (!after_digit)
            continue;
        overflow |= __builtin_mul_overflow(*out, base, out);
        overflow |= negative ? __builtin_sub_overflow(*out, digit, out)
                             : __builtin_add_overflow(*out, digit, out);
    }
    if (!after_digit || (octal_like && (*out != 0 || overflow)))
        return true;
    *kind = NUMERAL_GOOD;
    return !overflow || run_raise_too_large(r);
}

bool numeral_raise(struct run *r, const struct string *s)
{
    struct builder b;
    builder_init(&b, r);
    return builder_add_text(&b, "invalid literal for int() with base 10: ") &&
           builder_add_repr(&b, value_string(s)) && run_raise_text(r, VALUE_ERROR, b.data, b.n);
}

/* ---- float() ----------------------------------------------------------------------------------*/

/* Digits with single underscores between them, which are taken out: `to` may be `from`. */
static bool copy_digits(const char **from, char **to)
{
    bool after_digit = false, any = false;
    for (;; (*from)++) {
        const char c = **from;
        if (c >= '0' && c <= '9') {
            *(*to)++ = c;
            after_digit = any = true;
        } else if (c == '_' && after_digit && (*from)[1] >= '0' && (*from)[1] <= '9')
            after_digit = false;
        else
            return any;
    }
}

static bool is_special(const char *text)
{
    text += *text == '-' || *text == '+';
    return strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0 ||
           strcasecmp(text, "nan") == 0;
}

bool numeral_to_float(struct run *r, const struct string *s, double *out, enum numeral *kind)
{
    char *text = to_ascii(r, s);
    *kind = NUMERAL_BAD;
    if (text == NULL)
        return false;
    if (is_special(text)) {
        *out = strtod(text, NULL);
        *kind = NUMERAL_GOOD;
        return true;
    }
    const char *from = text;
    char *to = text;
    if (*from == '-' || *from == '+')
        *to++ = *from++;
    bool any = copy_digits(&from, &to);
    if (*from == '.') {
        *to++ = *from++;
        any |= copy_digits(&from, &to);
    }
    if (any && (*from == 'e' || *from == 'E')) {
        *to++ = *from++;
        if (*from == '-' || *from == '+')
            *to++ = *from++;
        any = copy_digits(&from, &to);
    }
    if (!any || *from != '\0')
        return true;
    *to = '\0';
    *out = strtod(text, NULL);
    *kind = NUMERAL_GOOD;
    return true;
}

bool value_to_float(struct run *r, struct value v, double *out)
{
    enum numeral kind = NUMERAL_GOOD;
    if (v.kind == VALUE_FLOAT)
        *out = v.as.number;
    else if (v.kind == VALUE_INT)
        *out = (double)v.as.integer;
    else if (v.kind == VALUE_BOOL)
        *out = v.as.boolean;
    else if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    else if (v.kind != VALUE_STRING)
        return run_raise(r, TYPE_ERROR,
                         "float() argument must be a string or a real number, not '%s'",
                         value_type_name(v));
    else if (!numeral_to_float(r, v.as.string, out, &kind))
        return false;
    if (kind == NUMERAL_GOOD)
        return true;
    struct builder b;
    builder_init(&b, r);
    return builder_add_text(&b, "could not convert string to float: ") && builder_add_repr(&b, v) &&
           run_raise_text(r, VALUE_ERROR, b.data, b.n);
}
