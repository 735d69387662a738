/* A recursive descent over RFC 8259 that keeps nothing. A position becomes a line and a column
 * only when something is wrong, by counting from the start. */
#include "base/json_scan.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX_BYTES = 255 }; /* a double has at most 17 digits that matter */

struct scan {
    const unsigned char *text, *at, *end;
    const struct json_limits *limits;
    size_t n_values;
    int depth;
    struct error *err;
};

static bool scan_value(struct scan *s);

static bool fail_at(struct scan *s, const unsigned char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail_at(struct scan *s, const unsigned char *at, const char *fmt, ...)
{
    size_t line = 1, column = 1;
    for (const unsigned char *p = s->text; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xc0) != 0x80) { /* counts characters, not bytes */
            column++;
        }
    }
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return error_set(s->err, ERROR_INPUT, "line %zu, column %zu: %s", line, column, what);
}

static bool fail_here(struct scan *s, const char *wanted)
{
    if (s->at == s->end)
        return fail_at(s, s->at, "the text ends where %s should be", wanted);
    if (*s->at > 0x20 && *s->at < 0x7f)
        return fail_at(s, s->at, "'%c' where %s should be", *s->at, wanted);
    return fail_at(s, s->at, "byte 0x%02x where %s should be", *s->at, wanted);
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool next_is(const struct scan *s, char c)
{
    return s->at < s->end && *s->at == (unsigned char)c;
}

static bool count_value(struct scan *s)
{
    if (s->n_values == s->limits->max_values)
        return fail_at(s, s->at, "more than %zu values and keys", s->limits->max_values);
    s->n_values++;
    return true;
}

/* One character beyond ASCII: no overlong form, no surrogate, nothing above U+10FFFF (RFC 3629). */
static bool scan_utf8(struct scan *s)
{
    const unsigned char *p = s->at, lead = *p;
    const int n = lead >= 0xc2 && lead <= 0xdf   ? 2
                  : lead >= 0xe0 && lead <= 0xef ? 3
                  : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                 : 0;
    bool good = n > 0 && s->end - p >= n;
    for (int i = 1; good && i < n; i++)
        good = (p[i] & 0xc0) == 0x80;
    if (good && ((lead == 0xe0 && p[1] < 0xa0) || (lead == 0xed && p[1] > 0x9f) ||
                 (lead == 0xf0 && p[1] < 0x90) || (lead == 0xf4 && p[1] > 0x8f)))
        good = false;
    if (!good)
        return fail_at(s, p, "byte 0x%02x is not UTF-8", lead);
    s->at += n;
    return true;
}

/* Four digits; -1 when they are not. */
static int hex4(const struct scan *s, const unsigned char *p)
{
    if (s->end - p < 4)
        return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit((char)p[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* At the backslash. */
static bool scan_escape(struct scan *s)
{
    const unsigned char *start = s->at++;
    if (s->at == s->end || *s->at == '\0' || strchr("\"\\/bfnrtu", *s->at) == NULL)
        return fail_at(s, start, "a backslash starts no escape that JSON knows");
    if (*s->at++ != 'u')
        return true;
    const int first = hex4(s, s->at);
    if (first < 0)
        return fail_at(s, start, "\\u wants four hexadecimal digits");
    if (first == 0)
        return fail_at(s, start, "\\u0000 is not taken: texts hold no NUL");
    s->at += 4;
    if (first < 0xd800 || first > 0xdfff)
        return true;
    const bool has_second =
        first < 0xdc00 && s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u';
    const int second = has_second ? hex4(s, s->at + 2) : -1;
    if (second < 0xdc00 || second > 0xdfff)
        return fail_at(s, start, "\\u%04x is half of a surrogate pair", first);
    s->at += 6;
    return true;
}

/* At the opening quote. */
static bool scan_string(struct scan *s)
{
    const unsigned char *start = s->at++;
    while (s->at < s->end && *s->at != '"') {
        if (*s->at < 0x20)
            return fail_at(s, s->at, "control character 0x%02x in a text: write it as \\u%04x",
                           *s->at, *s->at);
        if (*s->at == '\\') {
            if (!scan_escape(s))
                return false;
        } else if (*s->at >= 0x80) {
            if (!scan_utf8(s))
                return false;
        } else {
            s->at++;
        }
    }
    if (s->at == s->end)
        return fail_at(s, start, "a text without its closing quote");
    s->at++;
    return true;
}

static bool skip_digits(struct scan *s)
{
    const unsigned char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

static bool number_in_range(const char *text, bool whole)
{
    if (!whole)
        return isfinite(strtod(text, NULL));
    int64_t value = 0;
    const bool negative = *text == '-';
    for (const char *p = text + negative; *p != '\0'; p++) {
        const int64_t digit = negative ? '0' - *p : *p - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    return true;
}

static bool scan_number(struct scan *s)
{
    const unsigned char *start = s->at;
    bool whole = true;
    s->at += next_is(s, '-');
    if (next_is(s, '0'))
        s->at++;
    else if (!skip_digits(s))
        return fail_here(s, "a digit");
    if (next_is(s, '.')) {
        whole = false;
        s->at++;
        if (!skip_digits(s))
            return fail_here(s, "a digit");
    }
    if (next_is(s, 'e') || next_is(s, 'E')) {
        whole = false;
        s->at++;
        s->at += next_is(s, '+') || next_is(s, '-');
        if (!skip_digits(s))
            return fail_here(s, "a digit");
    }
    const size_t n_bytes = (size_t)(s->at - start);
    if (n_bytes > NUMBER_MAX_BYTES)
        return fail_at(s, start, "a number of %zu characters", n_bytes);
    char text[NUMBER_MAX_BYTES + 1]; /* with the NUL that strtod() wants */
    memcpy(text, start, n_bytes);
    text[n_bytes] = '\0';
    if (!number_in_range(text, whole))
        return fail_at(s, start, "%.40s is beyond the range of %s", text,
                       whole ? "64-bit whole numbers" : "a double");
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    const size_t n_bytes = strlen(word);
    if ((size_t)(s->end - s->at) < n_bytes || memcmp(s->at, word, n_bytes) != 0)
        return fail_here(s, "a value");
    s->at += n_bytes;
    return true;
}

/* Whatever is wrong inside a member of the outermost object, that member is its parameter. */
static bool name_member(struct scan *s, const unsigned char *key, const unsigned char *end)
{
    char name[sizeof s->err->param];
    snprintf(name, sizeof name, "%.*s", (int)(end - key < 64 ? end - key : 64), (const char *)key);
    return error_param(s->err, name);
}

static bool scan_member(struct scan *s)
{
    const bool is_outermost = s->depth == 1;
    const unsigned char *key = s->at + 1;
    if (!next_is(s, '"'))
        return fail_here(s, "a key in quotes");
    if (!count_value(s) || !scan_string(s))
        return false;
    const unsigned char *end = s->at - 1;
    skip_space(s);
    if (!next_is(s, ':'))
        return fail_here(s, "':'");
    s->at++;
    return scan_value(s) || (is_outermost ? name_member(s, key, end) : false);
}

/* At the bracket or brace that opens. */
static bool scan_container(struct scan *s, char close, bool (*scan_item)(struct scan *))
{
    if (s->depth == s->limits->max_depth)
        return fail_at(s, s->at, "nested deeper than %d", s->limits->max_depth);
    s->depth++;
    s->at++;
    skip_space(s);
    if (!next_is(s, close)) {
        for (;;) {
            skip_space(s);
            if (!scan_item(s))
                return false;
            skip_space(s);
            if (!next_is(s, ','))
                break;
            s->at++;
        }
    }
    if (!next_is(s, close))
        return fail_here(s, close == '}' ? "',' or '}'" : "',' or ']'");
    s->at++;
    s->depth--;
    return true;
}

static bool scan_value(struct scan *s)
{
    skip_space(s);
    if (!count_value(s))
        return false;
    switch (s->at < s->end ? *s->at : 0) {
    case '{':
        return scan_container(s, '}', scan_member);
    case '[':
        return scan_container(s, ']', scan_value);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        if (next_is(s, '-') || (s->at < s->end && *s->at >= '0' && *s->at <= '9'))
            return scan_number(s);
        return fail_here(s, "a value");
    }
}

bool json_scan(const char *text, size_t n_bytes, const struct json_limits *limits,
               struct error *err)
{
    check(limits->max_depth >= 0 && limits->max_depth <= JSON_MAX_DEPTH);
    if (n_bytes > limits->max_bytes)
        return error_set(err, ERROR_INPUT, "%zu bytes of JSON, the most is %zu", n_bytes,
                         limits->max_bytes);
    const unsigned char *start = (const unsigned char *)text;
    struct scan s = {.text = start, .at = start, .limits = limits, .err = err};
    s.end = n_bytes > 0 ? start + n_bytes : start;
    if (!scan_value(&s))
        return false;
    skip_space(&s);
    if (s.at < s.end)
        return fail_here(&s, "the end of the text");
    return true;
}
