/* Macros, and call blocks, whose bodies are macros called `caller`. */
#include "runtime/jinja/syntax/parser.h"

/* (a, b=1): names whose nodes hold their defaults. */
static bool parse_parameters(struct parser *p, struct node_vector *out)
{
    bool has_default = false;
    if (!parser_expect(p, TOKEN_LEFT_PARENTHESIS))
        return false;
    while (p->current.kind != TOKEN_RIGHT_PARENTHESIS) {
        struct token name;
        if (out->list.n > 0 && !parser_expect(p, TOKEN_COMMA))
            return false;
        if (!parse_name(p, &name))
            return false;
        struct node *parameter = parser_node(p, NODE_NAME, &name);
        parameter->name = parser_name(p, name.text, name.n_bytes);
        if (parser_skip(p, TOKEN_ASSIGN)) {
            has_default = true;
            parameter->parts[0] = parse_expression(p);
            if (parameter->parts[0] == NULL)
                return false;
        } else if (has_default)
            return parser_fail(p, &p->current, "non-default argument follows default argument");
        parser_add(p, out, parameter);
    }
    parser_next(p);
    return true;
}

static struct macro *make_macro(struct parser *p, const struct node_list *parameters)
{
    struct macro *macro = parser_alloc(p, 1, sizeof *macro);
    uint32_t *numbers = parser_alloc(p, parameters->n, sizeof *numbers);
    macro->n_parameters = parameters->n;
    macro->parameters = numbers;
    macro->parameter_names = parser_alloc(p, parameters->n, sizeof *macro->parameter_names);
    macro->defaults = parser_alloc(p, parameters->n, sizeof(struct node *));
    for (uint32_t i = 0; i < parameters->n; i++) {
        numbers[i] = parameters->items[i]->name;
        macro->parameter_names[i] = p->ast->names[numbers[i]];
        macro->defaults[i] = parameters->items[i]->parts[0];
    }
    return macro;
}

struct node *parse_macro(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_MACRO, at);
    struct node_vector parameters = {0};
    struct token name;
    if (!parse_name(p, &name) || !parse_parameters(p, &parameters))
        return NULL;
    struct macro *macro = make_macro(p, &parameters.list);
    macro->name = parser_name(p, name.text, name.n_bytes);
    macro->shown_name = p->ast->names[macro->name];
    node->as.macro = macro;
    return parse_body_until(p, "endmacro", &macro->body) ? parser_finish(p, node) : NULL;
}

struct node *parse_call_block(struct parser *p, const struct token *at)
{
    struct node *node = parser_node(p, NODE_CALL_BLOCK, at);
    struct node_vector parameters = {0};
    if (p->current.kind == TOKEN_LEFT_PARENTHESIS && !parse_parameters(p, &parameters))
        return NULL;
    node->parts[0] = parse_expression(p);
    if (node->parts[0] == NULL)
        return NULL;
    if (node->parts[0]->kind != NODE_CALL) {
        parser_fail(p, at, "expected call");
        return NULL;
    }
    struct macro *macro = make_macro(p, &parameters.list);
    macro->name = AST_NAME_CALLER;
    node->as.macro = macro;
    return parse_body_until(p, "endcall", &macro->body) ? parser_finish(p, node) : NULL;
}
