/* runtime/jinja/syntax/parser.h: what the parts of the parser share: the tokens ahead, the memory
 * of nodes, and how deep it is.
 *
 * After a failure the token ahead is TOKEN_FAILED, which fits nowhere, so that all functions come
 * back soon; the first failure is the one that counts, and what they then return does not matter.
 *
 * Source: jinja2.parser; jinja2.compiler for what parse_check.c refuses.
 */
#pragma once
#include "runtime/jinja/syntax/ast.h"
#include "runtime/jinja/syntax/lexer.h"

struct open_tag { /* a statement that is being parsed */
    const struct token *name;
    const struct open_tag *around;
};

struct awaited {              /* the tags that end a body that is being parsed */
    const char *const *words; /* [n] */
    int n;
    const struct awaited *around;
};

struct parser {
    struct ast *ast;
    struct lexer lexer;
    struct token current, ahead;
    bool has_ahead;
    int depth; /* of expressions in expressions and statements in statements */
    const struct open_tag *tag;
    const struct awaited *awaited;
    char *block; /* rest of a block for nodes */
    size_t block_left;
    uint32_t *slots; /* [n_slots]: number of a name plus one, 0 is free */
    uint32_t n_slots, names_capacity;
    size_t n_looks, n_probes; /* for names, and beyond the first slot of each */
};

struct node_vector { /* a list that grows */
    struct node_list list;
    uint32_t capacity;
};

struct text_vector { /* the same of bytes; begins as a text that is not copied */
    const char *text;
    size_t n, capacity; /* capacity 0: not ours */
};

/* ---- parse.c ----------------------------------------------------------------------------------*/
void parser_next(struct parser *p);
const struct token *parser_look(struct parser *p);          /* the one behind the current */
bool token_is(const struct token *token, const char *word); /* a name of just these letters */
bool parser_skip(struct parser *p, enum token_kind kind);   /* false: the current is another */
bool parser_skip_word(struct parser *p, const char *word);
bool parser_expect(struct parser *p, enum token_kind kind);
bool parser_expect_word(struct parser *p, const char *word);
/* At the place of `token`. Always false. */
bool parser_fail(struct parser *p, const struct token *token, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "a token" as messages show it: a name itself, else what kind it is. Writes at most
 * RUN_MESSAGE_BYTES. */
const char *parser_show(const struct token *token, char out[RUN_MESSAGE_BYTES]);

bool parser_enter(struct parser *p); /* false: nested too deep, failed */
void parser_leave(struct parser *p);

void *parser_alloc(struct parser *p, size_t count, size_t item_bytes); /* in the arena of the ast */
const struct string *parser_string(struct parser *p, const char *text, size_t n_bytes);
uint32_t parser_name(struct parser *p, const char *text, size_t n_bytes); /* its number */
struct node *parser_node(struct parser *p, enum node_kind kind, const struct token *at);
void parser_add(struct parser *p, struct node_vector *v, struct node *node);
void parser_add_text(struct parser *p, struct text_vector *v, const char *text, size_t n_bytes);
/* To be called when a node has all its children: measures its height. NULL: too high, failed. */
struct node *parser_finish(struct parser *p, struct node *node);

/* ---- parse_expression.c, parse_primary.c: NULL or false: failed ------------------------------ */
enum tuple_of { TUPLE_OF_ANY, TUPLE_WITHOUT_CONDITIONAL, TUPLE_OF_PRIMARIES };
struct node *parse_expression(struct parser *p);
struct node *parse_or(struct parser *p); /* an expression without `if` on its top */
struct node *parse_primary(struct parser *p);
struct node *parse_postfix(struct parser *p, struct node *node); /* NULL stays NULL */
struct node *parse_call(struct parser *p, struct node *callee);
struct call *parse_arguments(struct parser *p); /* from "(" to ")" */
/* One expression, or with commas a tuple. */
struct node *parse_tuple(struct parser *p, enum tuple_of of, bool in_parentheses);
/* Zero or more "|name(…)" over node, which may be NULL; `inside`: the first has no "|". */
bool parse_filters(struct parser *p, struct node **node, bool inside);

/* ---- parse_body.c: false: failed ------------------------------------------------------------- */
/* Text, prints and statements up to one of the words as a tag, which is then the current token; up
 * to the end where there are none. */
bool parse_body(struct parser *p, const char *const *words, int n_words, struct node_list *out);
/* The end of the tag before, and then such a body. */
bool parse_body_of(struct parser *p, const char *const *words, int n_words, struct node_list *out);
/* The same with one word, which is taken. */
bool parse_body_until(struct parser *p, const char *word, struct node_list *out);

/* ---- parse_statement.c, parse_macro.c ----------------------------------------------------------
 * One function for each tag. `at` is its name, and the current token is behind it. */
struct node *parse_autoescape(struct parser *p, const struct token *at);
struct node *parse_block(struct parser *p, const struct token *at);
struct node *parse_break(struct parser *p, const struct token *at);
struct node *parse_call_block(struct parser *p, const struct token *at);
struct node *parse_filter_block(struct parser *p, const struct token *at);
struct node *parse_for(struct parser *p, const struct token *at);
struct node *parse_from(struct parser *p, const struct token *at);
struct node *parse_generation(struct parser *p, const struct token *at);
struct node *parse_if(struct parser *p, const struct token *at);
struct node *parse_include(struct parser *p, const struct token *at);
struct node *parse_macro(struct parser *p, const struct token *at);
struct node *parse_set(struct parser *p, const struct token *at);
struct node *parse_with(struct parser *p, const struct token *at);
bool parse_name(struct parser *p, struct token *out); /* one that can be assigned to */

/* ---- parse_check.c --------------------------------------------------------------------------- */
/* Refuses what the reference refuses when it compiles a tree, and fills what macros use. */
bool parse_check(struct parser *p);

/* How a name is used: a target of set or for is stored, one of `with` is a parameter. */
enum name_use { NAME_READ, NAME_STORED, NAME_PARAMETER };
typedef bool node_visitor(void *context, struct node *child, enum name_use use);
/* Calls visit() for the children of a node in the order of the reference; false as soon as it
 * returns false. `use`: how the node itself is used. */
bool node_children(struct node *node, enum name_use use, node_visitor *visit, void *context);
