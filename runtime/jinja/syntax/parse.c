/* From a source to a checked tree: the frame around the parser. */
#include "base/error.h"
#include "base/utf8.h"
#include "runtime/jinja/jinja.h"
#include "runtime/jinja/syntax/parser.h"
#include "runtime/jinja/syntax/scoping.h"
#include "runtime/jinja/values/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 16 << 10, ALIGNMENT = 8, FIRST_SLOTS = 64 };

/* ---- tokens --------------------------------------------------------------------------------- */

void parser_next(struct parser *p)
{
    const struct token before = p->current;
    p->current = p->has_ahead ? p->ahead : lexer_next(&p->lexer);
    p->has_ahead = false;
    if (p->current.kind == TOKEN_END) { /* shown where the last token was, as the reference does */
        p->current.line = before.line;
        p->current.column = before.column;
    }
}

const struct token *parser_look(struct parser *p)
{
    if (!p->has_ahead)
        p->ahead = lexer_next(&p->lexer);
    p->has_ahead = true;
    return &p->ahead;
}

bool token_is(const struct token *token, const char *word)
{
    return token->kind == TOKEN_NAME && token->n_bytes == strlen(word) &&
           memcmp(token->text, word, token->n_bytes) == 0;
}

bool parser_skip(struct parser *p, enum token_kind kind)
{
    if (p->current.kind != kind)
        return false;
    parser_next(p);
    return true;
}

bool parser_skip_word(struct parser *p, const char *word)
{
    if (!token_is(&p->current, word))
        return false;
    parser_next(p);
    return true;
}

bool parser_fail(struct parser *p, const struct token *token, const char *fmt, ...)
{
    char what[2 * RUN_MESSAGE_BYTES];
    va_list list;
    va_start(list, fmt);
    vsnprintf(what, sizeof what, fmt, list);
    va_end(list);
    failure_set(&p->lexer.failure, TEMPLATE_SYNTAX_ERROR, token->line, token->column, "%s", what);
    p->current.kind = TOKEN_FAILED;
    return false;
}

const char *parser_show(const struct token *token, char out[RUN_MESSAGE_BYTES])
{
    if (token->kind == TOKEN_NAME)
        snprintf(out, RUN_MESSAGE_BYTES, "%.*s", (int)token->n_bytes, token->text);
    else
        snprintf(out, RUN_MESSAGE_BYTES, "%s", token_describe(token->kind));
    return out;
}

static bool fail_expected(struct parser *p, const char *expected)
{
    char got[RUN_MESSAGE_BYTES];
    if (p->current.kind == TOKEN_END)
        return parser_fail(p, &p->current, "unexpected end of template, expected '%s'.", expected);
    return parser_fail(p, &p->current, "expected token '%s', got '%s'", expected,
                       parser_show(&p->current, got));
}

bool parser_expect(struct parser *p, enum token_kind kind)
{
    return parser_skip(p, kind) || fail_expected(p, token_describe(kind));
}

bool parser_expect_word(struct parser *p, const char *word)
{
    return parser_skip_word(p, word) || fail_expected(p, word);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

bool parser_enter(struct parser *p)
{
    if (p->depth >= AST_MAX_HEIGHT)
        return parser_fail(p, &p->current, "nested more than %d deep", AST_MAX_HEIGHT);
    p->depth++;
    return true;
}

void parser_leave(struct parser *p) { p->depth--; }

/* Out of blocks: the arena aligns to a cache line, and most of what is asked for is smaller. */
void *parser_alloc(struct parser *p, size_t count, size_t item_bytes)
{
    const size_t n_bytes = (count * item_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (n_bytes > BLOCK_BYTES / 8)
        return arena_alloc(&p->ast->arena, 1, n_bytes);
    if (n_bytes > p->block_left) {
        p->block = arena_alloc(&p->ast->arena, 1, BLOCK_BYTES);
        p->block_left = BLOCK_BYTES;
    }
    void *out = p->block;
    p->block += n_bytes;
    p->block_left -= n_bytes;
    return out;
}

const struct string *parser_string(struct parser *p, const char *text, size_t n_bytes)
{
    struct string *s = parser_alloc(p, 1, sizeof *s);
    *s = (struct string){.data = text,
                         .n_bytes = (uint32_t)n_bytes,
                         .n_chars = (uint32_t)text_count_chars(text, n_bytes)};
    return s;
}

/* FNV-1a */
static uint32_t hash_of(const char *text, size_t n_bytes)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < n_bytes; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    return hash;
}

/* Names that were not chosen for it collide with one or two others. */
enum { PROBES_PER_LOOK = 16, FREE_PROBES = 1024 };

static uint32_t *find_slot(struct parser *p, const char *text, size_t n_bytes)
{
    p->n_looks++;
    uint32_t at = hash_of(text, n_bytes) & (p->n_slots - 1);
    while (p->slots[at] != 0) {
        const struct string *name = p->ast->names[p->slots[at] - 1];
        if (name->n_bytes == n_bytes && memcmp(name->data, text, n_bytes) == 0)
            break;
        p->n_probes++;
        at = (at + 1) & (p->n_slots - 1);
    }
    return &p->slots[at];
}

static void grow_names(struct parser *p)
{
    struct ast *ast = p->ast;
    const struct string **names = arena_alloc(&ast->arena, p->n_slots, sizeof *names);
    if (ast->n_names > 0)
        memcpy(names, ast->names, ast->n_names * sizeof *names);
    ast->names = names;
    memory_free(p->slots);
    p->names_capacity = p->n_slots;
    p->n_slots *= 2;
    p->slots = memory_alloc(p->n_slots, sizeof *p->slots);
    for (uint32_t i = 0; i < ast->n_names; i++)
        *find_slot(p, names[i]->data, names[i]->n_bytes) = i + 1;
}

uint32_t parser_name(struct parser *p, const char *text, size_t n_bytes)
{
    struct ast *ast = p->ast;
    if (ast->n_names == p->names_capacity)
        grow_names(p);
    uint32_t *slot = find_slot(p, text, n_bytes);
    if (p->n_probes > FREE_PROBES + PROBES_PER_LOOK * p->n_looks) {
        parser_fail(p, &p->current, "names that were chosen to collide");
        return 0;
    }
    if (*slot == 0) {
        ast->names[ast->n_names] = parser_string(p, text, n_bytes);
        *slot = ++ast->n_names;
    }
    return *slot - 1;
}

struct node *parser_node(struct parser *p, enum node_kind kind, const struct token *at)
{
    struct node *node = parser_alloc(p, 1, sizeof *node);
    node->kind = kind;
    node->line = at->line;
    node->column = at->column;
    return node;
}

void parser_add(struct parser *p, struct node_vector *v, struct node *node)
{
    if (v->list.n == v->capacity) {
        v->capacity = v->capacity ? 2 * v->capacity : 4;
        struct node **items = parser_alloc(p, v->capacity, sizeof *items);
        if (v->list.n > 0)
            memcpy(items, v->list.items, v->list.n * sizeof *items);
        v->list.items = items;
    }
    v->list.items[v->list.n++] = node;
}

void parser_add_text(struct parser *p, struct text_vector *v, const char *text, size_t n_bytes)
{
    if (v->n + n_bytes > v->capacity) {
        v->capacity = 2 * (v->n + n_bytes);
        char *grown = parser_alloc(p, v->capacity, 1);
        memcpy(grown, v->text, v->n);
        v->text = grown;
    }
    memcpy((char *)v->text + v->n, text, n_bytes);
    v->n += n_bytes;
}

static bool measure(void *context, struct node *child, enum name_use use)
{
    struct node *parent = context;
    (void)use;
    if (parent->height <= child->height)
        parent->height = child->height + 1;
    return true;
}

struct node *parser_finish(struct parser *p, struct node *node)
{
    node->height = 1;
    node_children(node, NAME_READ, measure, node);
    if (node->height <= AST_MAX_HEIGHT)
        return node;
    const struct token at = {.line = node->line, .column = node->column};
    parser_fail(p, &at,
                "nested more than %d deep, where chains of operators, filters and elif count",
                AST_MAX_HEIGHT);
    return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* All newlines become "\n", and one at the very end is taken off. */
static void take_source(struct ast *ast, const char *source, size_t n_bytes)
{
    ast->source = arena_alloc(&ast->arena, n_bytes + 1, 1);
    for (size_t i = 0; i < n_bytes; i++) {
        const bool is_return = source[i] == '\r';
        ast->source[ast->n_source++] = is_return ? '\n' : source[i];
        i += is_return && i + 1 < n_bytes && source[i + 1] == '\n';
    }
    ast->n_source -= ast->n_source > 0 && ast->source[ast->n_source - 1] == '\n';
}

bool ast_parse(struct ast *out, const char *source, size_t n_bytes, struct error *err)
{
    static const char *const own_names[] = {"loop", "caller", "varargs", "kwargs"};
    struct parser p = {.ast = out, .n_slots = FIRST_SLOTS};
    *out = (struct ast){0};
    if (n_bytes > JINJA_MAX_SOURCE_BYTES)
        return error_set(err, ERROR_INPUT, "a template of %zu bytes: the most is %d", n_bytes,
                         JINJA_MAX_SOURCE_BYTES);
    const size_t n_valid = utf8_valid_bytes(source, n_bytes);
    if (n_valid < n_bytes)
        return error_set(err, ERROR_INPUT, "the template is not UTF-8 at byte %zu", n_valid);
    take_source(out, source, n_bytes);
    lexer_init(&p.lexer, out->source, out->n_source, &out->arena);
    for (int i = 0; i < AST_FIRST_NAME; i++)
        parser_name(&p, own_names[i], strlen(own_names[i]));
    p.current = (struct token){.line = 1, .column = 1};
    parser_next(&p);
    const bool good = parse_body(&p, NULL, 0, &out->body) &&
                      p.lexer.failure.kind == EXCEPTION_NONE && parse_check(&p);
    memory_free(p.slots);
    if (good)
        scoping_analyze(out);
    const struct failure *why = &p.lexer.failure;
    return good || ast_error(out, why->line, why->column, why->kind, why->message, err);
}
