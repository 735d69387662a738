/* Values without operators: literals, names, brackets, and what follows a value directly. */
#include "runtime/jinja/syntax/parser.h"

#include <string.h>

/* ---- literals and names --------------------------------------------------------------------- */

static struct node *constant(struct parser *p, const struct token *at, struct value v)
{
    struct node *node = parser_node(p, NODE_CONSTANT, at);
    node->as.constant = v;
    return parser_finish(p, node);
}

static struct node *name_or_constant(struct parser *p)
{
    const struct token token = p->current;
    parser_next(p);
    if (token_is(&token, "true") || token_is(&token, "True"))
        return constant(p, &token, value_bool(true));
    if (token_is(&token, "false") || token_is(&token, "False"))
        return constant(p, &token, value_bool(false));
    if (token_is(&token, "none") || token_is(&token, "None"))
        return constant(p, &token, value_none());
    struct node *node = parser_node(p, NODE_NAME, &token);
    node->name = parser_name(p, token.text, token.n_bytes);
    return parser_finish(p, node);
}

/* Strings that stand side by side are one. */
static struct node *string(struct parser *p)
{
    const struct token first = p->current;
    struct text_vector joined = {first.text, first.n_bytes, 0};
    for (parser_next(p); p->current.kind == TOKEN_STRING; parser_next(p))
        parser_add_text(p, &joined, p->current.text, p->current.n_bytes);
    return constant(p, &first, value_string(parser_string(p, joined.text, joined.n)));
}

static struct node *list(struct parser *p)
{
    struct node *node = parser_node(p, NODE_LIST, &p->current);
    struct node_vector items = {0};
    parser_next(p);
    while (p->current.kind != TOKEN_RIGHT_BRACKET) {
        if (items.list.n > 0 && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        if (p->current.kind == TOKEN_RIGHT_BRACKET)
            break;
        struct node *item = parse_expression(p);
        if (item == NULL)
            return NULL;
        parser_add(p, &items, item);
    }
    parser_next(p);
    node->list = items.list;
    return parser_finish(p, node);
}

static struct node *dict(struct parser *p)
{
    struct node *node = parser_node(p, NODE_DICT, &p->current);
    struct node_vector items = {0};
    parser_next(p);
    while (p->current.kind != TOKEN_RIGHT_BRACE) {
        if (items.list.n > 0 && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        if (p->current.kind == TOKEN_RIGHT_BRACE)
            break;
        struct node *key = parse_expression(p);
        if (key == NULL || !parser_expect(p, TOKEN_COLON))
            return NULL;
        struct node *item = parse_expression(p);
        if (item == NULL)
            return NULL;
        parser_add(p, &items, key);
        parser_add(p, &items, item);
    }
    parser_next(p);
    node->list = items.list;
    return parser_finish(p, node);
}

struct node *parse_primary(struct parser *p)
{
    const struct token token = p->current;
    char got[RUN_MESSAGE_BYTES];
    struct node *node;
    switch (token.kind) {
    case TOKEN_NAME:
        return name_or_constant(p);
    case TOKEN_STRING:
        return string(p);
    case TOKEN_INTEGER:
        parser_next(p);
        return constant(p, &token, value_int(token.integer));
    case TOKEN_FLOAT:
        parser_next(p);
        return constant(p, &token, value_float(token.number));
    case TOKEN_LEFT_PARENTHESIS:
        parser_next(p);
        node = parse_tuple(p, TUPLE_OF_ANY, true);
        return node != NULL && parser_expect(p, TOKEN_RIGHT_PARENTHESIS) ? node : NULL;
    case TOKEN_LEFT_BRACKET:
        return list(p);
    case TOKEN_LEFT_BRACE:
        return dict(p);
    default:
        parser_fail(p, &token, "unexpected '%s'", parser_show(&token, got));
        return NULL;
    }
}

/* ---- tuples --------------------------------------------------------------------------------- */

static struct node *tuple_item(struct parser *p, enum tuple_of of)
{
    return of == TUPLE_OF_ANY                ? parse_expression(p)
           : of == TUPLE_WITHOUT_CONDITIONAL ? parse_or(p)
                                             : parse_primary(p);
}

static bool at_tuple_end(const struct parser *p)
{
    const enum token_kind kind = p->current.kind;
    return kind == TOKEN_PRINT_END || kind == TOKEN_BLOCK_END || kind == TOKEN_RIGHT_PARENTHESIS;
}

struct node *parse_tuple(struct parser *p, enum tuple_of of, bool in_parentheses)
{
    const struct token begin = p->current;
    struct node_vector items = {0};
    bool is_tuple = false;
    for (;;) {
        if (items.list.n > 0 && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        if (at_tuple_end(p))
            break;
        struct node *item = tuple_item(p, of);
        if (item == NULL)
            return NULL;
        if (p->current.kind != TOKEN_COMMA && !is_tuple)
            return item;
        parser_add(p, &items, item);
        if (p->current.kind != TOKEN_COMMA)
            break;
        is_tuple = true;
    }
    if (!is_tuple && !in_parentheses) { /* an empty tuple has parentheses */
        char got[RUN_MESSAGE_BYTES];
        parser_fail(p, &p->current, "Expected an expression, got '%s'",
                    parser_show(&p->current, got));
        return NULL;
    }
    struct node *node = parser_node(p, NODE_TUPLE, &begin);
    node->list = items.list;
    return parser_finish(p, node);
}

/* ---- what follows a value ------------------------------------------------------------------- */

static bool keyword_argument(struct parser *p, struct node_vector *values,
                             struct node_vector *names)
{
    /* Names ride in nodes of their own until their number is known. */
    struct node *name = parser_node(p, NODE_ATTRIBUTE, &p->current);
    name->as.text = parser_string(p, p->current.text, p->current.n_bytes);
    parser_next(p);
    parser_next(p); /* "=" */
    struct node *value = parse_expression(p);
    if (value == NULL)
        return false;
    parser_add(p, names, name);
    parser_add(p, values, value);
    return true;
}

/* One argument; `open` is where messages point to. */
static bool argument(struct parser *p, const struct token *open, struct call *call,
                     struct node_vector *positional, struct node_vector *keywords,
                     struct node_vector *names)
{
    const bool is_star = p->current.kind == TOKEN_MUL;
    const bool is_star_star = p->current.kind == TOKEN_POW;
    const bool is_keyword = p->current.kind == TOKEN_NAME && parser_look(p)->kind == TOKEN_ASSIGN;
    /* f(1, *a, k=2, **b): each kind only before those to its right, but *a and k=2 as you like */
    if (call->star_star != NULL || (call->star != NULL && !is_keyword && !is_star_star) ||
        (keywords->list.n > 0 && !is_keyword && !is_star && !is_star_star))
        return parser_fail(p, open, "invalid syntax for function call expression");
    if (is_keyword)
        return keyword_argument(p, keywords, names);
    if (is_star || is_star_star)
        parser_next(p);
    struct node *value = parse_expression(p);
    if (value == NULL)
        return false;
    if (is_star)
        call->star = value;
    else if (is_star_star)
        call->star_star = value;
    else
        parser_add(p, positional, value);
    return true;
}

/* NULL: failed. The current token is "(". */
struct call *parse_arguments(struct parser *p)
{
    const struct token open = p->current;
    struct call *call = parser_alloc(p, 1, sizeof *call);
    struct node_vector positional = {0}, keywords = {0}, names = {0};
    bool has_one = false;
    parser_next(p);
    while (p->current.kind != TOKEN_RIGHT_PARENTHESIS) {
        if (has_one && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        if (has_one && p->current.kind == TOKEN_RIGHT_PARENTHESIS)
            break;
        if (!argument(p, &open, call, &positional, &keywords, &names))
            return NULL;
        has_one = true;
    }
    parser_next(p);
    call->positional = positional.list;
    call->keywords = keywords.list;
    call->keyword_names = parser_alloc(p, keywords.list.n, sizeof *call->keyword_names);
    for (uint32_t i = 0; i < keywords.list.n; i++)
        call->keyword_names[i] = names.list.items[i]->as.text;
    return call;
}

struct node *parse_call(struct parser *p, struct node *callee)
{
    const struct token at = {.line = callee->line, .column = callee->column};
    struct node *node = parser_node(p, NODE_CALL, &at);
    node->parts[0] = callee;
    node->as.use.call = parse_arguments(p);
    return node->as.use.call != NULL ? parser_finish(p, node) : NULL;
}

/* Behind a dot: a name, or a number that is taken as an item. */
static struct node *attribute(struct parser *p, struct node *owner)
{
    parser_next(p);
    const struct token token = p->current;
    struct node *node;
    parser_next(p);
    if (token.kind == TOKEN_NAME) {
        node = parser_node(p, NODE_ATTRIBUTE, &token);
        node->as.text = parser_string(p, token.text, token.n_bytes);
    } else if (token.kind == TOKEN_INTEGER) {
        node = parser_node(p, NODE_ITEM, &token);
        node->parts[1] = constant(p, &token, value_int(token.integer));
    } else {
        parser_fail(p, &token, "expected name or number");
        return NULL;
    }
    node->parts[0] = owner;
    return parser_finish(p, node);
}

/* One part of a slice: parts[i], if there is one. */
static bool slice_part(struct parser *p, struct node *slice, int i)
{
    const enum token_kind kind = p->current.kind;
    if (kind == TOKEN_RIGHT_BRACKET || kind == TOKEN_COMMA || (kind == TOKEN_COLON && i < 2))
        return true;
    slice->parts[i] = parse_expression(p);
    return slice->parts[i] != NULL;
}

static struct node *subscript(struct parser *p)
{
    const struct token begin = p->current;
    struct node *first = NULL;
    if (begin.kind != TOKEN_COLON) {
        first = parse_expression(p);
        if (first == NULL || p->current.kind != TOKEN_COLON)
            return first;
    }
    parser_next(p);
    struct node *slice = parser_node(p, NODE_SLICE, &begin);
    slice->parts[0] = first;
    if (!slice_part(p, slice, 1))
        return NULL;
    if (parser_skip(p, TOKEN_COLON) && !slice_part(p, slice, 2))
        return NULL;
    return parser_finish(p, slice);
}

/* owner[…]: several subscripts are a tuple, and so are none. */
static struct node *item(struct parser *p, struct node *owner)
{
    const struct token open = p->current;
    struct node *node = parser_node(p, NODE_ITEM, &open);
    struct node_vector keys = {0};
    parser_next(p);
    while (p->current.kind != TOKEN_RIGHT_BRACKET) {
        if (keys.list.n > 0 && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        struct node *key = subscript(p);
        if (key == NULL)
            return NULL;
        parser_add(p, &keys, key);
    }
    parser_next(p);
    node->parts[0] = owner;
    if (keys.list.n == 1)
        node->parts[1] = keys.list.items[0];
    else {
        struct node *tuple = parser_node(p, NODE_TUPLE, &open);
        tuple->list = keys.list;
        node->parts[1] = parser_finish(p, tuple);
        if (node->parts[1] == NULL)
            return NULL;
    }
    return parser_finish(p, node);
}

struct node *parse_postfix(struct parser *p, struct node *node)
{
    while (node != NULL) {
        if (p->current.kind == TOKEN_DOT)
            node = attribute(p, node);
        else if (p->current.kind == TOKEN_LEFT_BRACKET)
            node = item(p, node);
        else if (p->current.kind == TOKEN_LEFT_PARENTHESIS)
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}
