/* runtime/jinja/syntax/lexer.h: the source of a template as tokens, one at a time.
 *
 * White space is decided here: newlines are one character already (ast_parse()), a block tag and a
 * comment take the newline behind them (trim_blocks) and the blanks before them when nothing else
 * stands in their line (lstrip_blocks), `-` takes all white space on its side, and `+` keeps it.
 * Comments and the tags of raw blocks are no tokens.
 *
 * Tokens are made when they are asked for, so that of several mistakes the first is found, as the
 * reference does: a wrong character does not hide what is wrong before it.
 *
 * Source: jinja2.lexer, as compiled with trim_blocks and lstrip_blocks.
 */
#pragma once
#include "base/memory.h"
#include "runtime/jinja/values/run.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
    TOKEN_END,    /* of the template */
    TOKEN_FAILED, /* lexer.failure says why; nothing comes after it */
    TOKEN_DATA,   /* text outside of tags */
    TOKEN_PRINT_BEGIN,
    TOKEN_PRINT_END,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_ADD,
    TOKEN_SUB,
    TOKEN_MUL,
    TOKEN_DIV,
    TOKEN_FLOORDIV,
    TOKEN_MOD,
    TOKEN_POW,
    TOKEN_TILDE,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_LT,
    TOKEN_LE,
    TOKEN_GT,
    TOKEN_GE,
    TOKEN_ASSIGN,
    TOKEN_DOT,
    TOKEN_COLON,
    TOKEN_PIPE,
    TOKEN_COMMA,
    TOKEN_SEMICOLON,
    TOKEN_LEFT_PARENTHESIS,
    TOKEN_RIGHT_PARENTHESIS,
    TOKEN_LEFT_BRACKET,
    TOKEN_RIGHT_BRACKET,
    TOKEN_LEFT_BRACE,
    TOKEN_RIGHT_BRACE,
};

struct token {
    enum token_kind kind;
    uint32_t line, column; /* from 1, in characters */
    const char *text;      /* data, a name, or what a string literal stands for */
    size_t n_bytes;
    int64_t integer;
    double number;
};

/* Why a template cannot be compiled. */
struct failure { /* all zero: nothing failed */
    enum exception kind;
    uint32_t line, column;
    char message[RUN_MESSAGE_BYTES];
};
/* Always false. The first failure stays. */
bool failure_set(struct failure *f, enum exception kind, uint32_t line, uint32_t column,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

enum lexer_state { IN_TEXT, IN_BLOCK, IN_PRINT, IN_COMMENT, IN_RAW };
enum { LEXER_MAX_BRACKETS = 1024 }; /* more than the parser lets through */

struct lexer {
    const char *source;
    size_t n, at;
    struct arena *arena; /* for literals with escapes */
    struct failure failure;
    enum lexer_state state;
    bool line_starting; /* what was read last ended with a newline */
    bool has_pending;   /* the tag behind the text that was returned last */
    struct token pending;
    char brackets[LEXER_MAX_BRACKETS]; /* those open, as what closes them */
    int n_brackets;
    size_t counted; /* line, column and character are those of this byte */
    uint32_t line, column;
    size_t n_chars;
};

/* `source` is well-formed UTF-8 with "\n" as its only newline; it and the arena outlive all tokens.
 */
void lexer_init(struct lexer *l, const char *source, size_t n_bytes, struct arena *arena);
/* After TOKEN_END and TOKEN_FAILED the same again. */
struct token lexer_next(struct lexer *l);
/* As in messages: "end of print statement", "name", ",". */
const char *token_describe(enum token_kind kind);

/* ---- literals (literal.c) -----------------------------------------------------------------------
 * Of a number or name that begins at `at`: its end, or `at` if none of this kind begins there. */
size_t literal_float_end(const char *source, size_t n, size_t at);
size_t literal_integer_end(const char *source, size_t n, size_t at);
size_t literal_name_end(const char *source, size_t n, size_t at);
bool literal_is_name(const char *text, size_t n_bytes); /* str.isidentifier(), of such a name */
double literal_float(const char *text, size_t n_bytes, struct arena *arena);
bool literal_integer(const char *text, size_t n_bytes, int64_t *out); /* false: beyond 64 bits */
/* What stands between the quotes, with its escapes resolved. NULL: that is good; else why it is
 * not, and *kind is the class of that error. */
const char *literal_string(const char *text, size_t n_bytes, struct arena *arena, struct token *out,
                           enum exception *kind);
