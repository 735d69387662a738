/* The reference tries regular expressions at each place; here every byte is looked at once or
 * twice, so that the time is linear in the source. Which alternative comes first, and what an
 * unfinished tag at the very end means, is as there. */
#include "runtime/jinja/syntax/lexer.h"

#include "base/utf8.h"
#include "runtime/jinja/values/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool failure_set(struct failure *f, enum exception kind, uint32_t line, uint32_t column,
                 const char *fmt, ...)
{
    if (f->kind != EXCEPTION_NONE)
        return false;
    *f = (struct failure){.kind = kind, .line = line, .column = column};
    va_list list;
    va_start(list, fmt);
    const int n = vsnprintf(f->message, sizeof f->message, fmt, list);
    va_end(list);
    if (n >= (int)sizeof f->message) /* cut at a character */
        f->message[utf8_valid_bytes(f->message, sizeof f->message - 1)] = '\0';
    return false;
}

static const struct {
    const char *text; /* of an operator; NULL for others */
    const char *description;
} kinds[] = {
    [TOKEN_END] = {NULL, "end of template"},
    [TOKEN_FAILED] = {NULL, "failure"},
    [TOKEN_DATA] = {NULL, "template data / text"},
    [TOKEN_PRINT_BEGIN] = {NULL, "begin of print statement"},
    [TOKEN_PRINT_END] = {NULL, "end of print statement"},
    [TOKEN_BLOCK_BEGIN] = {NULL, "begin of statement block"},
    [TOKEN_BLOCK_END] = {NULL, "end of statement block"},
    [TOKEN_NAME] = {NULL, "name"},
    [TOKEN_STRING] = {NULL, "string"},
    [TOKEN_INTEGER] = {NULL, "integer"},
    [TOKEN_FLOAT] = {NULL, "float"},
    [TOKEN_ADD] = {"+", "+"},
    [TOKEN_SUB] = {"-", "-"},
    [TOKEN_MUL] = {"*", "*"},
    [TOKEN_DIV] = {"/", "/"},
    [TOKEN_FLOORDIV] = {"//", "//"},
    [TOKEN_MOD] = {"%", "%"},
    [TOKEN_POW] = {"**", "**"},
    [TOKEN_TILDE] = {"~", "~"},
    [TOKEN_EQ] = {"==", "=="},
    [TOKEN_NE] = {"!=", "!="},
    [TOKEN_LT] = {"<", "<"},
    [TOKEN_LE] = {"<=", "<="},
    [TOKEN_GT] = {">", ">"},
    [TOKEN_GE] = {">=", ">="},
    [TOKEN_ASSIGN] = {"=", "="},
    [TOKEN_DOT] = {".", "."},
    [TOKEN_COLON] = {":", ":"},
    [TOKEN_PIPE] = {"|", "|"},
    [TOKEN_COMMA] = {",", ","},
    [TOKEN_SEMICOLON] = {";", ";"},
    [TOKEN_LEFT_PARENTHESIS] = {"(", "("},
    [TOKEN_RIGHT_PARENTHESIS] = {")", ")"},
    [TOKEN_LEFT_BRACKET] = {"[", "["},
    [TOKEN_RIGHT_BRACKET] = {"]", "]"},
    [TOKEN_LEFT_BRACE] = {"{", "{"},
    [TOKEN_RIGHT_BRACE] = {"}", "}"},
};

const char *token_describe(enum token_kind kind) { return kinds[kind].description; }

void lexer_init(struct lexer *l, const char *source, size_t n_bytes, struct arena *arena)
{
    *l = (struct lexer){.source = source,
                        .n = n_bytes,
                        .arena = arena,
                        .line_starting = true,
                        .line = 1,
                        .column = 1};
}

/* ---- places --------------------------------------------------------------------------------- */

/* Counts on to `at`, which is never before what was counted: tokens come in order. */
static void count_to(struct lexer *l, size_t at)
{
    for (; l->counted < at; l->counted++) {
        const unsigned char c = (unsigned char)l->source[l->counted];
        if (c == '\n') {
            l->line++;
            l->column = 0;
        }
        l->column += (c & 0xC0) != 0x80;
        l->n_chars += (c & 0xC0) != 0x80;
    }
}

static struct token token_at(struct lexer *l, enum token_kind kind, size_t begin, size_t end)
{
    count_to(l, begin);
    return (struct token){.kind = kind,
                          .line = l->line,
                          .column = l->column,
                          .text = l->source + begin,
                          .n_bytes = end - begin};
}

static struct token fail_at(struct lexer *l, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static struct token fail_at(struct lexer *l, size_t at, const char *fmt, ...)
{
    char what[RUN_MESSAGE_BYTES];
    va_list list;
    va_start(list, fmt);
    vsnprintf(what, sizeof what, fmt, list);
    va_end(list);
    count_to(l, at);
    failure_set(&l->failure, TEMPLATE_SYNTAX_ERROR, l->line, l->column, "%s", what);
    return token_at(l, TOKEN_FAILED, at, at);
}

static bool has(const struct lexer *l, size_t at, const char *text)
{
    const size_t n = strlen(text);
    return l->n - at >= n && memcmp(l->source + at, text, n) == 0;
}

static size_t space_end(const struct lexer *l, size_t at)
{
    while (at < l->n) {
        size_t next = at;
        if (!char_is_space(utf8_read(l->source, &next)))
            break;
        at = next;
    }
    return at;
}

/* Where the white space before `end` begins; not before `begin`. */
static size_t space_begin(const struct lexer *l, size_t begin, size_t end)
{
    while (end > begin) {
        const size_t before = utf8_before(l->source, end);
        size_t at = before;
        if (!char_is_space(utf8_read(l->source, &at)))
            break;
        end = before;
    }
    return end;
}

/* ---- text and what ends it ------------------------------------------------------------------ */

static bool is_sign(const struct lexer *l, size_t at)
{
    return at < l->n && (l->source[at] == '-' || l->source[at] == '+');
}

/* Behind the end of a block tag or comment at `at` ("-%}" and white space, "+%}", "%}" and a
 * newline); `at` if there is none. */
static size_t close_end(const struct lexer *l, size_t at, const char *close)
{
    const size_t sign = is_sign(l, at);
    if (!has(l, at + sign, close))
        return at;
    const size_t end = at + sign + strlen(close);
    if (sign == 0)
        return end + (end < l->n && l->source[end] == '\n');
    return l->source[at] == '-' ? space_end(l, end) : end;
}

/* Goes on behind a tag. */
static void move_to(struct lexer *l, size_t at, enum lexer_state state)
{
    l->line_starting = at > 0 && l->source[at - 1] == '\n';
    l->at = at;
    l->state = state;
}

/* Behind "{% raw %}" at `at`, or `at`. It takes no newline, and "+%}" does not end it. */
static size_t raw_begin_end(const struct lexer *l, size_t at)
{
    const size_t word = space_end(l, at + 2 + is_sign(l, at + 2));
    if (!has(l, word, "raw"))
        return at;
    const size_t close = space_end(l, word + 3);
    if (has(l, close, "-%}"))
        return space_end(l, close + 3);
    return has(l, close, "%}") ? close + 2 : at;
}

/* Behind "{% endraw %}" at `at`, or `at`. */
static size_t raw_end_end(const struct lexer *l, size_t at)
{
    const size_t word = space_end(l, at + 2 + is_sign(l, at + 2));
    if (!has(l, word, "endraw"))
        return at;
    const size_t close = space_end(l, word + 6);
    const size_t end = close_end(l, close, "%}");
    return end > close ? end : at;
}

/* Where the text [begin, tag) ends, when the white space is gone that the tag takes. */
static size_t text_end(const struct lexer *l, size_t begin, size_t tag)
{
    const char sign = tag + 2 < l->n ? l->source[tag + 2] : '\0';
    if (sign == '-')
        return space_begin(l, begin, tag);
    if (sign == '+' || l->source[tag + 1] == '{')
        return tag;
    size_t line = tag;
    while (line > begin && l->source[line - 1] != '\n')
        line--;
    const bool from_its_start = line > begin || l->line_starting;
    return from_its_start && space_begin(l, line, tag) == line ? line : tag;
}

/* The first tag at or behind `at`; n: none. */
static size_t find_tag(const struct lexer *l, size_t at)
{
    while (at < l->n) {
        const char *brace = memchr(l->source + at, '{', l->n - at);
        if (brace == NULL)
            break;
        at = (size_t)(brace - l->source);
        if (at + 1 < l->n && strchr("{%#", l->source[at + 1]) != NULL && l->source[at + 1] != '\0')
            return at;
        at++;
    }
    return l->n;
}

/* Text up to a tag, and the tag as the pending token. False: there is no text. */
static bool read_text(struct lexer *l, struct token *out)
{
    const size_t begin = l->at, tag = find_tag(l, begin);
    *out = token_at(l, TOKEN_DATA, begin, tag);
    if (tag == l->n) {
        move_to(l, tag, IN_TEXT);
        return tag > begin;
    }
    out->n_bytes = text_end(l, begin, tag) - begin;
    const size_t open = tag + 2 + is_sign(l, tag + 2);
    const size_t raw = l->source[tag + 1] == '%' ? raw_begin_end(l, tag) : tag;
    if (raw > tag)
        move_to(l, raw, IN_RAW);
    else if (l->source[tag + 1] == '#')
        move_to(l, open, IN_COMMENT);
    else {
        const bool print = l->source[tag + 1] == '{';
        move_to(l, open, print ? IN_PRINT : IN_BLOCK);
        l->pending = token_at(l, print ? TOKEN_PRINT_BEGIN : TOKEN_BLOCK_BEGIN, tag, open);
        l->has_pending = true;
    }
    return out->n_bytes > 0;
}

static bool skip_comment(struct lexer *l)
{
    const size_t begin = l->at;
    for (size_t at = begin; at < l->n; at++) {
        const char *hash = memchr(l->source + at, '#', l->n - at);
        if (hash == NULL)
            break;
        at = (size_t)(hash - l->source);
        const size_t close = at - (at > begin && is_sign(l, at - 1));
        const size_t end = close_end(l, close, "#}");
        if (end > close) {
            move_to(l, end, IN_TEXT);
            return true;
        }
    }
    fail_at(l, begin, "Missing end of comment tag");
    return false;
}

/* What stands in a raw block. False: nothing does. */
static bool read_raw(struct lexer *l, struct token *out)
{
    const size_t begin = l->at;
    for (size_t tag = begin; tag < l->n; tag++) {
        tag = find_tag(l, tag);
        const size_t end = has(l, tag, "{%") ? raw_end_end(l, tag) : tag;
        if (end > tag) {
            *out = token_at(l, TOKEN_DATA, begin, text_end(l, begin, tag));
            move_to(l, end, IN_TEXT);
            return out->n_bytes > 0;
        }
    }
    *out = fail_at(l, begin, "Missing end of raw directive");
    return true;
}

/* ---- inside of tags ------------------------------------------------------------------------- */

/* Behind the quote that closes the string at `at`; `at` if it stays open or there is none. */
static size_t string_end(const struct lexer *l, size_t at)
{
    const char quote = l->source[at];
    if (quote != '\'' && quote != '"')
        return at;
    for (size_t i = at + 1; i < l->n; i++) {
        if (l->source[i] == quote)
            return i + 1;
        i += l->source[i] == '\\';
    }
    return at;
}

static struct token read_string(struct lexer *l, size_t begin, size_t end)
{
    enum exception kind = TEMPLATE_SYNTAX_ERROR;
    struct token token = token_at(l, TOKEN_STRING, begin, end);
    const char *why =
        literal_string(l->source + begin + 1, end - begin - 2, l->arena, &token, &kind);
    if (why != NULL) {
        failure_set(&l->failure, kind, token.line, token.column, "%s", why);
        token.kind = TOKEN_FAILED;
    }
    return token;
}

static struct token read_integer(struct lexer *l, size_t begin, size_t end)
{
    struct token token = token_at(l, TOKEN_INTEGER, begin, end);
    if (!literal_integer(token.text, token.n_bytes, &token.integer)) {
        failure_set(&l->failure, NOT_SUPPORTED, token.line, token.column,
                    "the whole number %.*s is beyond 64 bits", (int)token.n_bytes, token.text);
        token.kind = TOKEN_FAILED;
    }
    return token;
}

static struct token read_bracket(struct lexer *l, struct token token)
{
    const char c = *token.text;
    const char closing = c == '(' ? ')' : c == '[' ? ']' : c == '{' ? '}' : '\0';
    if (closing != '\0') {
        if (l->n_brackets == LEXER_MAX_BRACKETS)
            return fail_at(l, l->counted, "more than %d open brackets", LEXER_MAX_BRACKETS);
        l->brackets[l->n_brackets++] = closing;
    } else if (c == ')' || c == ']' || c == '}') {
        if (l->n_brackets == 0)
            return fail_at(l, l->counted, "unexpected '%c'", c);
        if (l->brackets[--l->n_brackets] != c)
            return fail_at(l, l->counted, "unexpected '%c', expected '%c'", c,
                           l->brackets[l->n_brackets]);
    }
    return token;
}

static struct token read_operator(struct lexer *l)
{
    for (size_t n = 2; n > 0; n--)
        for (int kind = TOKEN_ADD; kind <= TOKEN_RIGHT_BRACE; kind++)
            if (strlen(kinds[kind].text) == n && has(l, l->at, kinds[kind].text)) {
                const struct token token = token_at(l, (enum token_kind)kind, l->at, l->at + n);
                l->at += n;
                return read_bracket(l, token);
            }
    char shown[16];
    size_t end = l->at;
    const uint32_t c = utf8_read(l->source, &end);
    count_to(l, l->at);
    if (!char_is_printable(c))
        snprintf(shown, sizeof shown,
                 c < 0x100     ? "\\x%02x"
                 : c < 0x10000 ? "\\u%04x"
                               : "\\U%08x",
                 c);
    else
        snprintf(shown, sizeof shown, "%.*s", (int)(end - l->at), l->source + l->at);
    const char quote = c == '\'' ? '"' : '\'';
    return fail_at(l, l->at, "unexpected char %c%s%c at %zu", quote, c == '\\' ? "\\\\" : shown,
                   quote, l->n_chars);
}

/* One token of a tag, which is its end when all brackets are closed. */
static struct token read_in_tag(struct lexer *l)
{
    const size_t begin = l->at = space_end(l, l->at);
    size_t end = begin;
    struct token token;
    if (begin == l->n)
        return (struct token){.kind = TOKEN_END};
    if (l->n_brackets == 0 && l->state == IN_BLOCK)
        end = close_end(l, begin, "%}");
    else if (l->n_brackets == 0 && has(l, begin, "-}}"))
        end = space_end(l, begin + 3);
    else if (l->n_brackets == 0 && has(l, begin, "}}"))
        end = begin + 2; /* and no newline */
    if (end > begin) {
        token = token_at(l, l->state == IN_BLOCK ? TOKEN_BLOCK_END : TOKEN_PRINT_END, begin, end);
        move_to(l, end, IN_TEXT);
        return token;
    }
    if ((end = literal_float_end(l->source, l->n, begin)) > begin) {
        token = token_at(l, TOKEN_FLOAT, begin, end);
        token.number = literal_float(token.text, token.n_bytes, l->arena);
    } else if ((end = literal_integer_end(l->source, l->n, begin)) > begin)
        token = read_integer(l, begin, end);
    else if ((end = literal_name_end(l->source, l->n, begin)) > begin) {
        token = token_at(l, TOKEN_NAME, begin, end);
        if (!literal_is_name(token.text, token.n_bytes))
            return fail_at(l, begin, "Invalid character in identifier");
    } else if ((end = string_end(l, begin)) > begin)
        token = read_string(l, begin, end);
    else
        return read_operator(l);
    l->at = end;
    return token;
}

struct token lexer_next(struct lexer *l)
{
    struct token token = {.kind = TOKEN_FAILED};
    bool found = false;
    while (!found && l->failure.kind == EXCEPTION_NONE) {
        if (l->has_pending) {
            l->has_pending = false;
            return l->pending;
        }
        found = true;
        if (l->at == l->n) /* also of a comment or raw block that has only its beginning */
            token.kind = TOKEN_END;
        else if (l->state == IN_TEXT)
            found = read_text(l, &token);
        else if (l->state == IN_RAW)
            found = read_raw(l, &token);
        else if (l->state == IN_COMMENT)
            found = !skip_comment(l);
        else
            token = read_in_tag(l);
    }
    return token;
}
