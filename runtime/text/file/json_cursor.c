#include "runtime/text/file/json_cursor.h"

#include "base/error.h"
#include "base/hex.h"
#include "base/utf8.h"

#include <float.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 }; /* real files nest 8 deep */

bool json_cursor_fail(const struct json_cursor *c, struct error *err, const char *fmt, ...)
{
    char what[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    size_t line = 1, line_at = 0;
    for (size_t i = 0; i < c->at && i < c->n_bytes; i++) {
        if (c->text[i] == '\n') {
            line++;
            line_at = i + 1;
        }
    }
    return error_set(err, ERROR_INPUT, "line %zu, column %zu: %s", line, c->at - line_at + 1, what);
}

/* What stands at the cursor, for a message. */
static bool fail_found(const struct json_cursor *c, const char *wanted, struct error *err)
{
    if (c->at >= c->n_bytes)
        return json_cursor_fail(c, err, "the file ends where %s should be: is it truncated?",
                                wanted);
    const unsigned char found = (unsigned char)c->text[c->at];
    if (found < 0x20 || found >= 0x7F)
        return json_cursor_fail(c, err, "found byte 0x%02x, want %s", found, wanted);
    return json_cursor_fail(c, err, "found '%c', want %s", found, wanted);
}

char json_cursor_peek(struct json_cursor *c)
{
    while (c->at < c->n_bytes) {
        const char next = c->text[c->at];
        if (next != ' ' && next != '\n' && next != '\r' && next != '\t')
            return next;
        c->at++;
    }
    return '\0';
}

bool json_cursor_take(struct json_cursor *c, char punctuation)
{
    if (json_cursor_peek(c) != punctuation)
        return false;
    c->at++;
    return true;
}

bool json_cursor_expect(struct json_cursor *c, char punctuation, struct error *err)
{
    const char wanted[] = {'\'', punctuation, '\'', '\0'};
    return json_cursor_take(c, punctuation) || fail_found(c, wanted, err);
}

static bool hex4(struct json_cursor *c, uint32_t *out)
{
    if (c->n_bytes - c->at < 4)
        return false;
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(c->text[c->at++]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *out = value;
    return true;
}

/* Behind "\u". A character outside the basic plane is written as two escapes. */
static bool unicode_escape(struct json_cursor *c, char *out, size_t *n_out)
{
    uint32_t value, low;
    if (!hex4(c, &value) || (value >= 0xDC00 && value < 0xE000))
        return false;
    if (value >= 0xD800 && value < 0xDC00) {
        if (c->n_bytes - c->at < 2 || c->text[c->at] != '\\' || c->text[c->at + 1] != 'u')
            return false;
        c->at += 2;
        if (!hex4(c, &low) || low < 0xDC00 || low >= 0xE000)
            return false;
        value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    }
    *n_out += utf8_write(out + *n_out, value);
    return true;
}

static bool escape(struct json_cursor *c, char *out, size_t *n_out, struct error *err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const size_t begin = c->at++;
    const char kind = c->at < c->n_bytes ? c->text[c->at++] : '\0';
    const char *found = kind ? strchr(from, kind) : NULL;
    if (found != NULL) {
        out[(*n_out)++] = to[found - from];
        return true;
    }
    if (kind == 'u' && unicode_escape(c, out, n_out))
        return true;
    c->at = begin;
    return json_cursor_fail(c, err, "an escape that stands for no character");
}

bool json_cursor_string(struct json_cursor *c, char *out, size_t *n_out, struct error *err)
{
    if (!json_cursor_take(c, '"'))
        return fail_found(c, "a string", err);
    const size_t begin = c->at;
    bool ascii = true;
    *n_out = 0;
    while (c->at < c->n_bytes) {
        const unsigned char next = (unsigned char)c->text[c->at];
        if (next == '"') {
            c->at++;
            if (ascii || utf8_valid_bytes(out, *n_out) == *n_out)
                return true;
            c->at = begin;
            return json_cursor_fail(c, err, "a string that is not UTF-8");
        }
        if (next < 0x20)
            return fail_found(c, "the end of a string", err);
        if (next == '\\') {
            if (!escape(c, out, n_out, err))
                return false;
            continue;
        }
        ascii = ascii && next < 0x80;
        out[(*n_out)++] = (char)next;
        c->at++;
    }
    return fail_found(c, "the end of a string", err);
}

bool json_cursor_integer(struct json_cursor *c, int64_t *out, struct error *err)
{
    const bool negative = json_cursor_take(c, '-');
    const size_t begin = c->at;
    uint64_t value = 0;
    for (; c->at < c->n_bytes && c->text[c->at] >= '0' && c->text[c->at] <= '9'; c->at++) {
        if (c->at - begin >= 18) /* 18 digits always fit */
            return json_cursor_fail(c, err, "a number that is absurdly large");
        value = value * 10 + (uint64_t)(c->text[c->at] - '0');
    }
    const char next = c->at < c->n_bytes ? c->text[c->at] : '\0';
    if (c->at == begin || next == '.' || next == 'e' || next == 'E')
        return fail_found(c, "a whole number", err);
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static bool is_digit(const struct json_cursor *c)
{
    return c->at < c->n_bytes && c->text[c->at] >= '0' && c->text[c->at] <= '9';
}

/* Takes digits into *value as long as they fit, and returns how many were left out. */
static int64_t take_digits(struct json_cursor *c, uint64_t *value, bool *full, int64_t *n_taken)
{
    int64_t n_left_out = 0;
    for (; is_digit(c); c->at++) {
        const uint64_t digit = (uint64_t)(c->text[c->at] - '0');
        *full = *full || *value > (UINT64_MAX - digit) / 10;
        if (*full) {
            n_left_out++;
            continue;
        }
        *value = *value * 10 + digit;
        ++*n_taken;
    }
    return n_left_out;
}

/* Behind 'e': -9999 to 9999 is far more than a double has. */
static bool take_exponent(struct json_cursor *c, int64_t *exponent)
{
    int64_t value = 0;
    const bool negative = c->at < c->n_bytes && c->text[c->at] == '-';
    if (negative || (c->at < c->n_bytes && c->text[c->at] == '+'))
        c->at++;
    if (!is_digit(c))
        return false;
    for (; is_digit(c); c->at++)
        value = value < 9999 ? value * 10 + (c->text[c->at] - '0') : 9999;
    *exponent += negative ? -value : value;
    return true;
}

/* The double nearest to it. Up to 22 it is exact; no text with a point goes through strtod(), so
 * the locale does not matter. */
static double power_of_ten(int exponent)
{
    double power = 1;
    char text[16];
    if (exponent > 22) {
        snprintf(text, sizeof text, "1e%d", exponent);
        return strtod(text, NULL);
    }
    for (; exponent > 0; exponent--)
        power *= 10;
    return power;
}

/* False: it is too large for a double. */
static bool scale(double *value, int64_t exponent)
{
    enum { MAX_POWER = 308 };
    while (exponent<-MAX_POWER && * value> 0) {
        *value /= power_of_ten(MAX_POWER);
        exponent += MAX_POWER;
    }
    if (*value <= 0)
        return true;
    if (exponent > MAX_POWER)
        return false;
    if (exponent < 0)
        *value /= power_of_ten((int)-exponent);
    else
        *value *= power_of_ten((int)exponent);
    return *value <= DBL_MAX;
}

bool json_cursor_number(struct json_cursor *c, double *out, struct error *err)
{
    const bool negative = json_cursor_take(c, '-');
    const size_t begin = c->at;
    uint64_t digits = 0;
    bool full = false;
    int64_t n_whole = 0, n_fraction = 0;
    int64_t exponent = take_digits(c, &digits, &full, &n_whole);
    const size_t n_begin = c->at - begin;
    if (n_begin == 0 || (n_begin > 1 && c->text[begin] == '0'))
        return fail_found(c, "a number", err);
    if (c->at < c->n_bytes && c->text[c->at] == '.') {
        c->at++;
        if (!is_digit(c))
            return fail_found(c, "a digit", err);
        take_digits(c, &digits, &full, &n_fraction);
        exponent -= n_fraction;
    }
    if (c->at < c->n_bytes && (c->text[c->at] | 0x20) == 'e') {
        c->at++;
        if (!take_exponent(c, &exponent))
            return fail_found(c, "a digit", err);
    }
    *out = (double)digits;
    if (!scale(out, exponent))
        return json_cursor_fail(c, err, "a number that is absurdly large");
    if (negative)
        *out = -*out;
    return true;
}

static bool skip_string(struct json_cursor *c)
{
    for (c->at++; c->at < c->n_bytes; c->at++) {
        if (c->text[c->at] == '"') {
            c->at++;
            return true;
        }
        if (c->text[c->at] == '\\')
            c->at++;
    }
    c->at = c->n_bytes;
    return false;
}

bool json_cursor_skip(struct json_cursor *c, size_t *n_commas, struct error *err)
{
    int depth = 0;
    *n_commas = 0;
    if (json_cursor_peek(c) == '\0')
        return fail_found(c, "a value", err);
    while (c->at < c->n_bytes) {
        switch (c->text[c->at]) {
        case '"':
            if (!skip_string(c))
                return fail_found(c, "the end of a string", err);
            if (depth == 0)
                return true;
            continue;
        case '{':
        case '[':
            if (++depth > MAX_DEPTH)
                return json_cursor_fail(c, err, "nested more than %d deep", MAX_DEPTH);
            break;
        case '}':
        case ']':
            if (depth == 0)
                return true;
            c->at++;
            if (--depth == 0)
                return true;
            continue;
        case ',':
            if (depth == 0)
                return true;
            *n_commas += depth == 1;
            break;
        default:
            break;
        }
        c->at++;
    }
    return depth == 0 || fail_found(c, "the end of a list or object", err);
}
