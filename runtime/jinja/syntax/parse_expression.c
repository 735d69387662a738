/* Expressions, from what binds least to what binds most.
 *
 * A chain (a + b + c, a.b.c, a|f|g) is a loop here, and a tree as high as it is long: its height is
 * limited, not the depth of the parser. */
#include "runtime/jinja/syntax/parser.h"

#include <string.h>

/* ---- filters and tests ---------------------------------------------------------------------- */

/* "name" or "a.b.c" */
static const struct string *dotted_name(struct parser *p)
{
    const struct token first = p->current;
    struct text_vector name = {first.text, first.n_bytes, 0};
    if (!parser_expect(p, TOKEN_NAME))
        return NULL;
    while (parser_skip(p, TOKEN_DOT)) {
        const struct token more = p->current;
        if (!parser_expect(p, TOKEN_NAME))
            return NULL;
        parser_add_text(p, &name, ".", 1);
        parser_add_text(p, &name, more.text, more.n_bytes);
    }
    return parser_string(p, name.text, name.n);
}

bool parse_filters(struct parser *p, struct node **node, bool inside)
{
    while (inside || p->current.kind == TOKEN_PIPE) {
        if (!inside)
            parser_next(p);
        inside = false;
        struct node *filter = parser_node(p, NODE_FILTER, &p->current);
        const struct string *name = dotted_name(p);
        if (name == NULL)
            return false;
        filter->parts[0] = *node;
        filter->as.use.shown = name;
        filter->as.use.filter = filter_find(name->data, name->n_bytes);
        if (p->current.kind == TOKEN_LEFT_PARENTHESIS) {
            filter->as.use.call = parse_arguments(p);
            if (filter->as.use.call == NULL)
                return false;
        }
        *node = parser_finish(p, filter);
        if (*node == NULL)
            return false;
    }
    return true;
}

/* Whether what follows the name of a test is its argument, without parentheses. Any name is but
 * these: "x is defined if y" gives the test an argument. */
static bool begins_argument(const struct token *token)
{
    switch (token->kind) {
    case TOKEN_NAME:
        return !token_is(token, "else") && !token_is(token, "or") && !token_is(token, "and");
    case TOKEN_STRING:
    case TOKEN_INTEGER:
    case TOKEN_FLOAT:
    case TOKEN_LEFT_BRACKET:
    case TOKEN_LEFT_BRACE:
        return true;
    default:
        return false;
    }
}

static struct call *test_arguments(struct parser *p, bool *good)
{
    struct call *call = NULL;
    *good = true;
    if (p->current.kind == TOKEN_LEFT_PARENTHESIS) {
        call = parse_arguments(p);
        *good = call != NULL;
    } else if (begins_argument(&p->current)) {
        struct node_vector positional = {0};
        if (token_is(&p->current, "is")) {
            *good = parser_fail(p, &p->current, "You cannot chain multiple tests with is");
            return NULL;
        }
        struct node *only = parse_postfix(p, parse_primary(p));
        *good = only != NULL;
        parser_add(p, &positional, only);
        call = parser_alloc(p, 1, sizeof *call);
        call->positional = positional.list;
    }
    return call;
}

static struct node *parse_test(struct parser *p, struct node *value)
{
    bool good;
    parser_next(p); /* "is" */
    const struct token not = p->current;
    const bool negated = parser_skip_word(p, "not");
    struct node *node = parser_node(p, NODE_TEST, &p->current);
    const struct string *name = dotted_name(p);
    if (name == NULL)
        return NULL;
    node->parts[0] = value;
    node->as.use.shown = name;
    node->as.use.test = test_find(name->data, name->n_bytes);
    node->as.use.call = test_arguments(p, &good);
    node = good ? parser_finish(p, node) : NULL;
    if (node == NULL || !negated)
        return node;
    struct node *negation = parser_node(p, NODE_NOT, &not );
    negation->parts[0] = node;
    return parser_finish(p, negation);
}

/* ---- operators ------------------------------------------------------------------------------ */

/* Binds closer than all operators with two sides; filters bind closer than "-" alone. */
static struct node *sign_or_value(struct parser *p)
{
    const struct token sign = p->current;
    if (sign.kind != TOKEN_SUB && sign.kind != TOKEN_ADD)
        return parse_postfix(p, parse_primary(p));
    parser_next(p);
    if (!parser_enter(p))
        return NULL;
    struct node *operand = sign_or_value(p);
    parser_leave(p);
    if (operand == NULL)
        return NULL;
    struct node *node =
        parser_node(p, sign.kind == TOKEN_SUB ? NODE_NEGATIVE : NODE_POSITIVE, &sign);
    node->parts[0] = operand;
    return parse_postfix(p, parser_finish(p, node));
}

static struct node *parse_unary(struct parser *p)
{
    struct node *node = sign_or_value(p);
    while (node != NULL) {
        if (p->current.kind == TOKEN_PIPE) {
            if (!parse_filters(p, &node, false))
                return NULL;
        } else if (token_is(&p->current, "is"))
            node = parse_test(p, node);
        else if (p->current.kind == TOKEN_LEFT_PARENTHESIS)
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

struct infix {
    enum token_kind token;
    const char *word; /* or NULL */
    enum node_kind kind;
    enum arithmetic op;
};
struct level { /* operators that bind alike; all of them group from the left, ** too */
    struct node *(*operand)(struct parser *p);
    struct infix infixes[4];
    int n;
};

static const struct infix *find_infix(const struct parser *p, const struct level *level)
{
    for (int i = 0; i < level->n; i++) {
        const struct infix *infix = &level->infixes[i];
        if (infix->word != NULL ? token_is(&p->current, infix->word)
                                : p->current.kind == infix->token)
            return infix;
    }
    return NULL;
}

static struct node *parse_level(struct parser *p, const struct level *level)
{
    const struct token begin = p->current;
    struct node *left = level->operand(p);
    const struct infix *infix;
    while (left != NULL && (infix = find_infix(p, level)) != NULL) {
        parser_next(p);
        struct node *right = level->operand(p);
        if (right == NULL)
            return NULL;
        struct node *node = parser_node(p, infix->kind, &begin);
        node->parts[0] = left;
        node->parts[1] = right;
        if (infix->kind == NODE_BINARY)
            node->as.op = infix->op;
        left = parser_finish(p, node);
    }
    return left;
}

static struct node *parse_power(struct parser *p)
{
    static const struct level level = {parse_unary, {{TOKEN_POW, NULL, NODE_BINARY, OP_POW}}, 1};
    return parse_level(p, &level);
}

static struct node *parse_product(struct parser *p)
{
    static const struct level level = {parse_power,
                                       {{TOKEN_MUL, NULL, NODE_BINARY, OP_MUL},
                                        {TOKEN_DIV, NULL, NODE_BINARY, OP_DIV},
                                        {TOKEN_FLOORDIV, NULL, NODE_BINARY, OP_FLOORDIV},
                                        {TOKEN_MOD, NULL, NODE_BINARY, OP_MOD}},
                                       4};
    return parse_level(p, &level);
}

static struct node *parse_concat(struct parser *p)
{
    const struct token begin = p->current;
    struct node *first = parse_product(p);
    struct node_vector items = {0};
    if (first == NULL || p->current.kind != TOKEN_TILDE)
        return first;
    parser_add(p, &items, first);
    while (parser_skip(p, TOKEN_TILDE)) {
        struct node *next = parse_product(p);
        if (next == NULL)
            return NULL;
        parser_add(p, &items, next);
    }
    struct node *node = parser_node(p, NODE_CONCAT, &begin);
    node->list = items.list;
    return parser_finish(p, node);
}

static struct node *parse_sum(struct parser *p)
{
    static const struct level level = {
        parse_concat,
        {{TOKEN_ADD, NULL, NODE_BINARY, OP_ADD}, {TOKEN_SUB, NULL, NODE_BINARY, OP_SUB}},
        2};
    return parse_level(p, &level);
}

/* Takes a comparison, if one stands here. */
static bool skip_comparison(struct parser *p, enum compare *out)
{
    if (p->current.kind >= TOKEN_EQ && p->current.kind <= TOKEN_GE) {
        *out = (enum compare)(COMPARE_EQ + (p->current.kind - TOKEN_EQ));
        parser_next(p);
        return true;
    }
    *out = COMPARE_IN;
    if (parser_skip_word(p, "in"))
        return true;
    if (!token_is(&p->current, "not") || !token_is(parser_look(p), "in"))
        return false;
    *out = COMPARE_NOT_IN;
    parser_next(p);
    parser_next(p);
    return true;
}

static struct node *parse_compare(struct parser *p)
{
    const struct token begin = p->current;
    struct node *operand = parse_sum(p);
    struct node_vector operands = {0};
    enum compare op, *ops = NULL;
    uint32_t capacity = 0;
    while (operand != NULL && skip_comparison(p, &op)) {
        if (operands.list.n == 0)
            parser_add(p, &operands, operand);
        const uint32_t n = operands.list.n - 1;
        if (n == capacity) {
            capacity = capacity ? 2 * capacity : 1;
            enum compare *more = parser_alloc(p, capacity, sizeof *more);
            if (n > 0)
                memcpy(more, ops, n * sizeof *more);
            ops = more;
        }
        ops[n] = op;
        operand = parse_sum(p);
        parser_add(p, &operands, operand);
    }
    if (operand == NULL || operands.list.n == 0)
        return operand;
    struct node *node = parser_node(p, NODE_COMPARE, &begin);
    node->list = operands.list;
    node->as.compare = ops;
    return parser_finish(p, node);
}

static struct node *parse_not(struct parser *p)
{
    const struct token begin = p->current;
    if (!parser_skip_word(p, "not"))
        return parse_compare(p);
    if (!parser_enter(p))
        return NULL;
    struct node *operand = parse_not(p);
    parser_leave(p);
    if (operand == NULL)
        return NULL;
    struct node *node = parser_node(p, NODE_NOT, &begin);
    node->parts[0] = operand;
    return parser_finish(p, node);
}

static struct node *parse_and(struct parser *p)
{
    static const struct level level = {parse_not, {{TOKEN_NAME, "and", NODE_AND, 0}}, 1};
    return parse_level(p, &level);
}

struct node *parse_or(struct parser *p)
{
    static const struct level level = {parse_and, {{TOKEN_NAME, "or", NODE_OR, 0}}, 1};
    return parse_level(p, &level);
}

/* a if b else c; several without `else` group from the left. */
static struct node *parse_conditional(struct parser *p)
{
    struct token begin = p->current;
    struct node *value = parse_or(p);
    while (value != NULL && parser_skip_word(p, "if")) {
        struct node *node = parser_node(p, NODE_CONDITIONAL, &begin);
        node->parts[0] = value;
        node->parts[1] = parse_or(p);
        if (node->parts[1] == NULL)
            return NULL;
        if (parser_skip_word(p, "else")) {
            node->parts[2] = parse_expression(p);
            if (node->parts[2] == NULL)
                return NULL;
        }
        value = parser_finish(p, node);
        begin = p->current; /* whose line an undefined result names, as the reference's does */
    }
    return value;
}

struct node *parse_expression(struct parser *p)
{
    if (!parser_enter(p))
        return NULL;
    struct node *node = parse_conditional(p);
    parser_leave(p);
    return node;
}
