/* Bodies: text, prints and statements, up to the tags that end them. */
#include "runtime/jinja/syntax/parser.h"

#include <stdio.h>
#include <string.h>

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

/* "'elif' or 'else' or 'endif'" */
static void join_words(const struct awaited *awaited, char out[RUN_MESSAGE_BYTES])
{
    int n = 0;
    for (int i = 0; i < awaited->n; i++)
        n += snprintf(out + n, (size_t)(RUN_MESSAGE_BYTES - n), "%s'%s'", i > 0 ? " or " : "",
                      awaited->words[i]);
}

static bool is_awaited(const struct awaited *all, const struct token *tag)
{
    for (const struct awaited *awaited = all; awaited != NULL; awaited = awaited->around)
        for (int i = 0; i < awaited->n; i++)
            if (token_is(tag, awaited->words[i]))
                return true;
    return false;
}

/* For a tag that fits nowhere, or the end of the template. */
static bool fail_unexpected(struct parser *p, const struct awaited *awaited)
{
    char what[RUN_MESSAGE_BYTES], words[RUN_MESSAGE_BYTES], open[RUN_MESSAGE_BYTES] = "";
    const bool at_end = p->current.kind == TOKEN_END;
    if (at_end)
        snprintf(what, sizeof what, "Unexpected end of template.");
    else
        snprintf(what, sizeof what, "Encountered unknown tag '%.*s'.", (int)p->current.n_bytes,
                 p->current.text);
    if (p->tag != NULL)
        snprintf(open, sizeof open, " The innermost block that needs to be closed is '%.*s'.",
                 (int)p->tag->name->n_bytes, p->tag->name->text);
    if (awaited == NULL)
        return parser_fail(p, &p->current, "%s%s", what, open);
    join_words(awaited, words);
    if (!at_end && is_awaited(awaited, &p->current))
        return parser_fail(p, &p->current,
                           "%s You probably made a nesting mistake. Jinja is expecting this tag, "
                           "but currently looking for %s.%s",
                           what, words, open);
    return parser_fail(p, &p->current, "%s Jinja was looking for the following tags: %s.%s", what,
                       words, open);
}

static bool statement(struct parser *p, struct node_vector *out);

static bool print(struct parser *p, const struct token *at, struct node *value,
                  struct node_vector *out)
{
    if (value == NULL)
        return false;
    struct node *node = parser_node(p, NODE_PRINT, at);
    node->parts[0] = value;
    node = parser_finish(p, node);
    if (node == NULL)
        return false;
    parser_add(p, out, node);
    return true;
}

static bool print_tag(struct parser *p, struct node_vector *out)
{
    parser_next(p);
    const struct token begin = p->current;
    return print(p, &begin, parse_tuple(p, TUPLE_OF_ANY, false), out) &&
           parser_expect(p, TOKEN_PRINT_END);
}

static void text(struct parser *p, struct node_vector *out)
{
    struct node *node = parser_node(p, NODE_TEXT, &p->current);
    node->as.constant = value_string(parser_string(p, p->current.text, p->current.n_bytes));
    parser_add(p, out, parser_finish(p, node));
    parser_next(p);
}

static bool pieces(struct parser *p, struct node_vector *out)
{
    while (p->current.kind != TOKEN_END) {
        if (p->current.kind == TOKEN_DATA) {
            text(p, out);
        } else if (p->current.kind == TOKEN_PRINT_BEGIN) {
            if (!print_tag(p, out))
                return false;
        } else if (p->current.kind == TOKEN_BLOCK_BEGIN) {
            parser_next(p);
            if (p->awaited != NULL)
                for (int i = 0; i < p->awaited->n; i++)
                    if (token_is(&p->current, p->awaited->words[i]))
                        return true;
            if (!statement(p, out) || !parser_expect(p, TOKEN_BLOCK_END))
                return false;
        } else
            return false; /* TOKEN_FAILED */
    }
    return true;
}

bool parse_body(struct parser *p, const char *const *words, int n_words, struct node_list *out)
{
    const struct awaited awaited = {words, n_words, p->awaited};
    struct node_vector body = {0};
    if (n_words > 0)
        p->awaited = &awaited;
    const bool good = pieces(p, &body);
    p->awaited = awaited.around;
    *out = body.list;
    if (good && n_words > 0 && p->current.kind == TOKEN_END)
        return fail_unexpected(p, &awaited);
    return good;
}

bool parse_body_of(struct parser *p, const char *const *words, int n_words, struct node_list *out)
{
    parser_skip(p, TOKEN_COLON); /* as one writes in Python */
    return parser_expect(p, TOKEN_BLOCK_END) && parse_body(p, words, n_words, out);
}

bool parse_body_until(struct parser *p, const char *word, struct node_list *out)
{
    if (!parse_body_of(p, &word, 1, out))
        return false;
    parser_next(p);
    return true;
}

/* {% print a, b %} is as many prints. */
static bool parse_print(struct parser *p, struct node_vector *out)
{
    for (bool first = true; p->current.kind != TOKEN_BLOCK_END; first = false) {
        if (!first && !parser_expect(p, TOKEN_COMMA))
            return false;
        const struct token begin = p->current;
        if (!print(p, &begin, parse_expression(p), out))
            return false;
    }
    return true;
}

static bool statement_of(struct parser *p, const struct token *name, struct node_vector *out)
{
    static const struct {
        const char *word;
        struct node *(*parse)(struct parser *p, const struct token *at);
    } tags[] = {
        {"autoescape", parse_autoescape},
        {"block", parse_block},
        {"break", parse_break},
        {"call", parse_call_block},
        {"continue", parse_break},
        {"extends", parse_include},
        {"filter", parse_filter_block},
        {"for", parse_for},
        {"from", parse_from},
        {"generation", parse_generation},
        {"if", parse_if},
        {"import", parse_include},
        {"include", parse_include},
        {"macro", parse_macro},
        {"set", parse_set},
        {"with", parse_with},
    };
    for (int i = 0; i < COUNT(tags); i++) {
        if (!token_is(name, tags[i].word))
            continue;
        const struct open_tag open = {name, p->tag};
        p->tag = &open;
        parser_next(p);
        struct node *node = tags[i].parse(p, name);
        p->tag = open.around;
        if (node == NULL)
            return false;
        parser_add(p, out, node);
        return true;
    }
    if (!token_is(name, "print"))
        return fail_unexpected(p, p->awaited);
    parser_next(p);
    return parse_print(p, out);
}

static bool statement(struct parser *p, struct node_vector *out)
{
    const struct token name = p->current;
    if (name.kind != TOKEN_NAME)
        return parser_fail(p, &name, "tag name expected");
    if (!parser_enter(p))
        return false;
    const bool good = statement_of(p, &name, out);
    parser_leave(p);
    return good;
}
