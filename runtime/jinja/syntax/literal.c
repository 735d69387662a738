/* Numbers, names and texts as templates write them: those of Python, without its prefixes. */
#include "base/utf8.h"
#include "runtime/jinja/syntax/lexer.h"
#include "runtime/jinja/values/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int digit_value(char c)
{
    if (is_digit(c))
        return c - '0';
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

/* Behind digits with single underscores between them; `at` if there is no digit. */
static size_t digits_end(const char *source, size_t n, size_t at)
{
    if (at >= n || !is_digit(source[at]))
        return at;
    while (at < n &&
           (is_digit(source[at]) || (source[at] == '_' && at + 1 < n && is_digit(source[at + 1]))))
        at++;
    return at;
}

static size_t exponent_end(const char *source, size_t n, size_t at)
{
    if (at >= n || (source[at] | 0x20) != 'e')
        return at;
    const size_t sign = at + 1 < n && (source[at + 1] == '+' || source[at + 1] == '-');
    const size_t end = digits_end(source, n, at + 1 + sign);
    return end > at + 1 + sign ? end : at;
}

/* "1.5", "1e3", "1.5e-3"; behind a dot there are only whole numbers: a.0.5 is (a.0).5 */
size_t literal_float_end(const char *source, size_t n, size_t at)
{
    const size_t whole = digits_end(source, n, at);
    if (whole == at || (at > 0 && source[at - 1] == '.'))
        return at;
    size_t end = whole;
    if (end < n && source[end] == '.' && digits_end(source, n, end + 1) > end + 1)
        end = digits_end(source, n, end + 1);
    end = exponent_end(source, n, end);
    return end > whole ? end : at;
}

static int base_of(const char *text, size_t n)
{
    const char letter = n >= 2 && text[0] == '0' ? (char)(text[1] | 0x20) : '\0';
    return letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
}

size_t literal_integer_end(const char *source, size_t n, size_t at)
{
    const bool is_zero = source[at] == '0';
    int base = base_of(source + at, n - at);
    const size_t begin = at + (base == 10 ? 0 : 2);
    size_t end = begin;
    if (base == 10 && is_zero)
        base = 1; /* zeros only: 01 is two numbers */
    while (end < n) {
        /* An underscore may stand between digits, and behind a prefix. */
        const size_t digit = end + (source[end] == '_' && end > at);
        if (digit >= n || digit_value(source[digit]) >= base)
            break;
        end = digit + 1;
    }
    if (end == begin) /* "0x" without digits is the number 0, then a name */
        return at + is_zero;
    return end;
}

bool literal_integer(const char *text, size_t n_bytes, int64_t *out)
{
    const int base = base_of(text, n_bytes);
    *out = 0;
    for (size_t i = base == 10 ? 0 : 2; i < n_bytes; i++)
        if (text[i] != '_' && (__builtin_mul_overflow(*out, base, out) ||
                               __builtin_add_overflow(*out, digit_value(text[i]), out)))
            return false;
    return true;
}

double literal_float(const char *text, size_t n_bytes, struct arena *arena)
{
    char *plain = arena_alloc(arena, n_bytes + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++)
        if (text[i] != '_')
            plain[n++] = text[i];
    return strtod(plain, NULL);
}

/* ---- names --------------------------------------------------------------------------------- */

/* Python's \w, and what else its identifiers may have. */
static bool is_name_char(uint32_t c)
{
    if (c < 0x80)
        return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_PC || c == 0xB7 || c == 0x387 || c == 0x2118 ||
           c == 0x212E || char_is_alpha(c) || char_is_numeric(c);
}

/* str.isidentifier() of a text of such characters: those that are digits and such only in their
 * looks are none, and the first is no mark. */
bool literal_is_name(const char *text, size_t n_bytes)
{
    for (size_t at = 0, first = 1; at < n_bytes; first = 0) {
        const uint32_t c = utf8_read(text, &at);
        if (c < 0x80 || c == 0x2118 || c == 0x212E)
            continue;
        const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
        const bool letter =
            (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
            category == UTF8PROC_CATEGORY_NL;
        const bool mark = category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
                          category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_PC ||
                          c == 0xB7 || c == 0x387 || (c >= 0x1369 && c <= 0x1371) || c == 0x19DA;
        if (!letter && (first || !mark))
            return false;
    }
    return true;
}

size_t literal_name_end(const char *source, size_t n, size_t at)
{
    while (at < n) {
        size_t next = at;
        if (!is_name_char(utf8_read(source, &next)))
            break;
        at = next;
    }
    return at;
}

/* ---- texts ---------------------------------------------------------------------------------- */

struct unescape {
    const char *text;
    size_t n, at; /* behind the backslash and the letter */
    char *out;
    size_t n_out;
    enum exception kind;
};

static const char *add_char(struct unescape *u, uint32_t c)
{
    if (c > 0x10FFFF)
        return "illegal Unicode character";
    if (c >= 0xD800 && c < 0xE000) {
        u->kind = NOT_SUPPORTED;
        return "a text with a surrogate, which is half a character";
    }
    u->n_out += utf8_write(u->out + u->n_out, c);
    return NULL;
}

static const char *add_hex(struct unescape *u, int n_digits, const char *truncated)
{
    uint32_t c = 0;
    for (int i = 0; i < n_digits; i++) {
        const int value = u->at < u->n ? digit_value(u->text[u->at]) : 99;
        if (value >= 16)
            return truncated;
        c = c << 4 | (uint32_t)value;
        u->at++;
    }
    return add_char(u, c);
}

static const char *add_octal(struct unescape *u)
{
    uint32_t c = 0;
    u->at--;
    for (int i = 0; i < 3 && u->at < u->n && u->text[u->at] >= '0' && u->text[u->at] <= '7'; i++)
        c = c << 3 | (uint32_t)(u->text[u->at++] - '0');
    return add_char(u, c);
}

static const char *add_named(struct unescape *u)
{
    const char *close = NULL;
    if (u->at < u->n && u->text[u->at] == '{')
        close = memchr(u->text + u->at, '}', u->n - u->at);
    if (close == NULL || close == u->text + u->at + 1)
        return "malformed \\N character escape";
    u->kind = NOT_SUPPORTED;
    return "characters by name, \\N{…}: write the character itself";
}

/* The reference writes characters beyond ASCII as escapes first, so that behind a backslash they
 * become the text of their escape. */
static void add_escape_of(struct unescape *u)
{
    char text[16];
    u->at--;
    const uint32_t c = utf8_read(u->text, &u->at);
    const char *fmt = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    const int n = snprintf(text, sizeof text, fmt, c);
    memcpy(u->out + u->n_out, text, (size_t)n);
    u->n_out += (size_t)n;
}

static const char *add_escape(struct unescape *u)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char letter = u->text[u->at++];
    const char *found = letter != '\0' ? strchr(from, letter) : NULL;
    if (found != NULL)
        u->out[u->n_out++] = to[found - from];
    else if (letter == 'x')
        return add_hex(u, 2, "truncated \\xXX escape");
    else if (letter == 'u')
        return add_hex(u, 4, "truncated \\uXXXX escape");
    else if (letter == 'U')
        return add_hex(u, 8, "truncated \\UXXXXXXXX escape");
    else if (letter == 'N')
        return add_named(u);
    else if (letter >= '0' && letter <= '7')
        return add_octal(u);
    else if (((unsigned char)letter & 0x80) != 0)
        add_escape_of(u);
    else if (letter != '\n') { /* an unknown escape stays as it is; a newline is taken out */
        u->out[u->n_out++] = '\\';
        u->out[u->n_out++] = letter;
    }
    return NULL;
}

const char *literal_string(const char *text, size_t n_bytes, struct arena *arena, struct token *out,
                           enum exception *kind)
{
    out->text = text;
    out->n_bytes = n_bytes;
    if (memchr(text, '\\', n_bytes) == NULL)
        return NULL;
    /* The longest a text can grow: "\" and two bytes become "\u0123". */
    struct unescape u = {.text = text,
                         .n = n_bytes,
                         .out = arena_alloc(arena, 2 * n_bytes + 1, 1),
                         .kind = TEMPLATE_SYNTAX_ERROR};
    const char *why = NULL;
    while (u.at < u.n && why == NULL) {
        const char c = text[u.at++];
        if (c == '\\' && u.at < u.n)
            why = add_escape(&u);
        else
            u.out[u.n_out++] = c;
    }
    *kind = u.kind;
    out->text = u.out;
    out->n_bytes = u.n_out;
    return why;
}
