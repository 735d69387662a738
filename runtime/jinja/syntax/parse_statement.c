/* The tags of statements, but macros (parse_macro.c). */
#include "base/utf8.h"
#include "runtime/jinja/syntax/parser.h"
#include "runtime/jinja/values/text.h"

#include <stdio.h>
#include <string.h>

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

/* ---- targets -------------------------------------------------------------------------------- */

static bool can_assign(const struct node *target)
{
    for (uint32_t i = 0; target->kind == NODE_TUPLE && i < target->list.n; i++)
        if (!can_assign(target->list.items[i]))
            return false;
    return target->kind == NODE_NAME || target->kind == NODE_TUPLE;
}

/* As the reference calls the class of a node. */
static const char *class_name(const struct node *node)
{
    static const char *const arithmetic[] = {
        [OP_ADD] = "add",           [OP_SUB] = "sub", [OP_MUL] = "mul", [OP_DIV] = "div",
        [OP_FLOORDIV] = "floordiv", [OP_MOD] = "mod", [OP_POW] = "pow",
    };
    static const char *const names[] = {
        [NODE_CONSTANT] = "const",  [NODE_NAME] = "name",     [NODE_TUPLE] = "tuple",
        [NODE_LIST] = "list",       [NODE_DICT] = "dict",     [NODE_CONDITIONAL] = "condexpr",
        [NODE_NEGATIVE] = "neg",    [NODE_POSITIVE] = "pos",  [NODE_NOT] = "not",
        [NODE_AND] = "and",         [NODE_OR] = "or",         [NODE_CONCAT] = "concat",
        [NODE_COMPARE] = "compare", [NODE_FILTER] = "filter", [NODE_TEST] = "test",
        [NODE_CALL] = "call",       [NODE_ITEM] = "getitem",  [NODE_ATTRIBUTE] = "getattr",
    };
    return node->kind == NODE_BINARY ? arithmetic[node->as.op] : names[node->kind];
}

/* A name, or names with commas between them and parentheses around them. */
static struct node *parse_target(struct parser *p)
{
    struct node *target = parse_tuple(p, TUPLE_OF_PRIMARIES, false);
    if (target == NULL || can_assign(target))
        return target;
    const struct token at = {.line = target->line, .column = target->column};
    parser_fail(p, &at, "can't assign to '%s'", class_name(target));
    return NULL;
}

/* One name and nothing else. */
bool parse_name(struct parser *p, struct token *out)
{
    static const char *const constants[] = {"true", "false", "none", "True", "False", "None"};
    *out = p->current;
    if (!parser_expect(p, TOKEN_NAME))
        return false;
    for (int i = 0; i < COUNT(constants); i++)
        if (token_is(out, constants[i]))
            return parser_fail(p, out, "can't assign to 'name'");
    return true;
}

/* Of set: also "name.attribute", which only a namespace lets be set. */
static struct node *parse_set_target(struct parser *p)
{
    if (parser_look(p)->kind != TOKEN_DOT)
        return parse_target(p);
    const struct token name = p->current;
    if (!parser_expect(p, TOKEN_NAME))
        return NULL;
    parser_next(p);
    const struct token attribute = p->current;
    if (!parser_expect(p, TOKEN_NAME))
        return NULL;
    struct node *node = parser_node(p, NODE_NAMESPACE_TARGET, &name);
    node->name = parser_name(p, name.text, name.n_bytes);
    node->as.text = parser_string(p, attribute.text, attribute.n_bytes);
    return parser_finish(p, node);
}

/* ---- one function for each tag; the current token is behind its name, which is `at` ---------- */

struct node *parse_set(struct parser *p, const struct token *at)
{
    struct node *target = parse_set_target(p);
    if (target == NULL)
        return NULL;
    const bool is_block = !parser_skip(p, TOKEN_ASSIGN);
    struct node *node = parser_node(p, is_block ? NODE_SET_BLOCK : NODE_SET, at);
    node->parts[0] = target;
    if (is_block) {
        if (!parse_filters(p, &node->parts[1], false) ||
            !parse_body_until(p, "endset", &node->body))
            return NULL;
    } else {
        node->parts[1] = parse_tuple(p, TUPLE_OF_ANY, false);
        if (node->parts[1] == NULL)
            return NULL;
    }
    return parser_finish(p, node);
}

struct node *parse_for(struct parser *p, const struct token *at)
{
    static const char *const ends[] = {"endfor", "else"};
    struct node *node = parser_node(p, NODE_FOR, at);
    node->parts[0] = parse_target(p);
    if (node->parts[0] == NULL || !parser_expect_word(p, "in"))
        return NULL;
    node->parts[1] = parse_tuple(p, TUPLE_WITHOUT_CONDITIONAL, false);
    if (node->parts[1] == NULL)
        return NULL;
    if (parser_skip_word(p, "if")) {
        node->parts[2] = parse_expression(p);
        if (node->parts[2] == NULL)
            return NULL;
    }
    node->flag = parser_skip_word(p, "recursive");
    if (!parse_body_of(p, ends, COUNT(ends), &node->body))
        return NULL;
    const bool has_else = token_is(&p->current, "else");
    parser_next(p);
    if (has_else && !parse_body_until(p, "endfor", &node->otherwise))
        return NULL;
    return parser_finish(p, node);
}

static struct node *parse_branch(struct parser *p, const struct token *at)
{
    static const char *const ends[] = {"elif", "else", "endif"};
    struct node *node = parser_node(p, NODE_IF, at);
    node->parts[0] = parse_tuple(p, TUPLE_WITHOUT_CONDITIONAL, false);
    if (node->parts[0] == NULL || !parse_body_of(p, ends, COUNT(ends), &node->body))
        return NULL;
    return node;
}

struct node *parse_if(struct parser *p, const struct token *at)
{
    struct node_vector branches = {0};
    struct token begin = *at;
    struct node *node;
    for (;;) {
        node = parse_branch(p, &begin);
        if (node == NULL)
            return NULL;
        parser_add(p, &branches, node);
        if (!parser_skip_word(p, "elif"))
            break;
        begin = p->current;
    }
    const bool has_else = token_is(&p->current, "else");
    parser_next(p);
    if (has_else && !parse_body_until(p, "endif", &node->otherwise))
        return NULL;
    /* From the last: each elif is what its predecessor has otherwise. */
    for (uint32_t i = branches.list.n; i > 1; i--) {
        if (parser_finish(p, branches.list.items[i - 1]) == NULL)
            return NULL;
        branches.list.items[i - 2]->otherwise = (struct node_list){&branches.list.items[i - 1], 1};
    }
    return parser_finish(p, branches.list.items[0]);
}

struct node *parse_with(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_WITH, at);
    struct node_vector pairs = {0};
    while (p->current.kind != TOKEN_BLOCK_END) {
        if (pairs.list.n > 0 && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        struct node *target = parse_target(p);
        if (target == NULL || !parser_expect(p, TOKEN_ASSIGN))
            return NULL;
        struct node *value = parse_expression(p);
        if (value == NULL)
            return NULL;
        parser_add(p, &pairs, target);
        parser_add(p, &pairs, value);
    }
    node->list = pairs.list;
    return parse_body_until(p, "endwith", &node->body) ? parser_finish(p, node) : NULL;
}

struct node *parse_autoescape(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_AUTOESCAPE, at);
    node->parts[0] = parse_expression(p);
    if (node->parts[0] == NULL || !parse_body_until(p, "endautoescape", &node->body))
        return NULL;
    return parser_finish(p, node);
}

/* White space, and nothing else. */
static bool is_blank(const struct node_list *body)
{
    for (uint32_t i = 0; i < body->n; i++) {
        if (body->items[i]->kind != NODE_TEXT)
            return false;
        const struct string *text = body->items[i]->as.constant.as.string;
        for (size_t at = 0; at < text->n_bytes;)
            if (!char_is_space(utf8_read(text->data, &at)))
                return false;
    }
    return true;
}

struct node *parse_block(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_BLOCK, at);
    const struct token name = p->current;
    if (!parser_expect(p, TOKEN_NAME))
        return NULL;
    node->name = parser_name(p, name.text, name.n_bytes);
    node->flag = parser_skip_word(p, "scoped");
    node->required = parser_skip_word(p, "required");
    if (p->current.kind == TOKEN_SUB) {
        parser_fail(p, &p->current,
                    "Block names in Jinja have to be valid Python identifiers and may not contain "
                    "hyphens, use an underscore instead.");
        return NULL;
    }
    if (!parse_body_until(p, "endblock", &node->body))
        return NULL;
    if (node->required && !is_blank(&node->body)) {
        parser_fail(p, &p->current, "Required blocks can only contain comments or whitespace");
        return NULL;
    }
    if (p->current.kind == TOKEN_NAME && p->current.n_bytes == name.n_bytes &&
        memcmp(p->current.text, name.text, name.n_bytes) == 0)
        parser_next(p);
    return parser_finish(p, node);
}

struct node *parse_filter_block(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_FILTER_BLOCK, at);
    if (!parse_filters(p, &node->parts[0], true) || !parse_body_until(p, "endfilter", &node->body))
        return NULL;
    return parser_finish(p, node);
}

struct node *parse_generation(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_GENERATION, at);
    return parse_body_until(p, "endgeneration", &node->body) ? parser_finish(p, node) : NULL;
}

struct node *parse_break(struct parser *p, const struct token *at)
{
    return parser_finish(p, parser_node(p, token_is(at, "break") ? NODE_BREAK : NODE_CONTINUE, at));
}

/* "with context", "without context" */
static bool skip_context(struct parser *p)
{
    if ((!token_is(&p->current, "with") && !token_is(&p->current, "without")) ||
        !token_is(parser_look(p), "context"))
        return false;
    parser_next(p);
    parser_next(p);
    return true;
}

struct node *parse_include(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_NO_LOADER, at);
    node->flag = token_is(at, "extends");
    node->parts[0] = parse_expression(p);
    if (node->parts[0] == NULL)
        return NULL;
    if (token_is(at, "include")) {
        if (token_is(&p->current, "ignore") && token_is(parser_look(p), "missing")) {
            parser_next(p);
            parser_next(p);
        }
        skip_context(p);
    } else if (token_is(at, "import")) {
        struct token name;
        if (!parser_expect_word(p, "as") || !parse_name(p, &name))
            return NULL;
        skip_context(p);
    }
    return parser_finish(p, node);
}

static bool skip_imported_name(struct parser *p)
{
    struct token name, alias;
    if (!parse_name(p, &name))
        return false;
    if (name.text[0] == '_') {
        failure_set(&p->lexer.failure, TEMPLATE_ASSERTION_ERROR, name.line, name.column,
                    "names starting with an underline can not be imported");
        return false;
    }
    return !parser_skip_word(p, "as") || parse_name(p, &alias);
}

struct node *parse_from(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_NO_LOADER, at);
    node->parts[0] = parse_expression(p);
    if (node->parts[0] == NULL || !parser_expect_word(p, "import"))
        return NULL;
    for (bool first = true, more = true; more; first = false) {
        if (!first && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        if (skip_context(p))
            break;
        if (!skip_imported_name(p))
            return NULL;
        more = !skip_context(p) && p->current.kind == TOKEN_COMMA;
    }
    return parser_finish(p, node);
}
