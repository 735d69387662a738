/* What is wrong with a tree that could be parsed.
 *
 * The reference turns the tree into Python and compiles that. Both steps refuse things, in an order
 * of their own: first what jinja2 finds while it writes (TemplateAssertionError; the root, then the
 * blocks), then what Python finds in it (SyntaxError, which is a TemplateSyntaxError here). The
 * walk below goes as the writing does, and keeps the first of each.
 *
 * A filter or test that does not exist is an error here, but not in a branch of `if` and not in an
 * inline `if`: there it is one only if it is reached. A loop, macro or block inside of such a
 * branch is outside again. */
#include "runtime/jinja/syntax/parser.h"
#include "runtime/jinja/values/text.h"

#include <stdlib.h>
#include <string.h>

struct place {     /* where a node stands */
    bool soft;     /* in a branch */
    bool toplevel; /* in no loop, macro, block or scope */
    bool in_loop;  /* `break` has something to end */
    bool in_for;   /* somewhere inside of a `for`, also in macros in it */
};

struct checker {
    struct parser *p;
    struct failure refused, python; /* the first of each kind */
    struct node_vector blocks;
};

static void check_node(struct checker *c, struct node *node, struct place at);

static void check_list(struct checker *c, const struct node_list *list, struct place at)
{
    for (uint32_t i = 0; i < list->n; i++)
        check_node(c, list->items[i], at);
}

/* ---- names that a tree uses ----------------------------------------------------------------- */

/* Which of a macro's own names its body reads before it sets them. Like the reference, this looks
 * at the order in which they are written, whatever runs first, and knows no scopes. */
struct own_names {
    bool wanted[AST_FIRST_NAME], read[AST_FIRST_NAME];
};

static void set_here(struct own_names *names, uint32_t name)
{
    if (name < AST_FIRST_NAME)
        names->wanted[name] = false;
}

static bool find_own_names(void *context, struct node *node, enum name_use use)
{
    struct own_names *names = context;
    if (node->kind == NODE_NAME) {
        if (use == NAME_READ && node->name < AST_FIRST_NAME && names->wanted[node->name])
            names->read[node->name] = true;
        else
            set_here(names, node->name);
        return true;
    }
    if (node->kind == NODE_BLOCK)
        return true;
    if (node->kind == NODE_CALL_BLOCK) /* its call comes before its parameters */
        find_own_names(names, node->parts[0], NAME_READ);
    if (node->kind == NODE_MACRO || node->kind == NODE_CALL_BLOCK)
        for (uint32_t i = 0; i < node->as.macro->n_parameters; i++)
            set_here(names, node->as.macro->parameters[i]);
    return node_children(node, use, find_own_names, names);
}

static bool find_stored_loop(void *context, struct node *node, enum name_use use)
{
    const struct node **found = context;
    if (node->kind == NODE_NAME && node->name == AST_NAME_LOOP && use == NAME_STORED) {
        *found = node;
        return false;
    }
    return node_children(node, use, find_stored_loop, context);
}

/* ---- expressions ---------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return string_compare(*(const struct string *const *)a, *(const struct string *const *)b);
}

/* One of several equal names; NULL: they all differ. */
static const struct string *find_repeated(const struct string *const *names, uint32_t n)
{
    const struct string *found = NULL;
    if (n < 2)
        return NULL;
    const struct string **sorted = memory_alloc(n, sizeof *sorted);
    memcpy(sorted, names, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_text);
    for (uint32_t i = 1; i < n && found == NULL; i++)
        if (string_equal(sorted[i - 1], sorted[i]))
            found = sorted[i];
    memory_free(sorted);
    return found;
}

static void refuse_repeated(struct checker *c, const struct node *node, const struct string *name)
{
    if (name != NULL)
        failure_set(&c->python, TEMPLATE_SYNTAX_ERROR, node->line, node->column,
                    "keyword argument repeated: %.*s", (int)name->n_bytes, name->data);
}

static void check_arguments(struct checker *c, const struct node *node, struct place at)
{
    const struct call *call = node->as.use.call;
    if (call == NULL)
        return;
    check_list(c, &call->positional, at);
    check_list(c, &call->keywords, at);
    if (call->star != NULL)
        check_node(c, call->star, at);
    if (call->star_star != NULL)
        check_node(c, call->star_star, at);
    refuse_repeated(c, node, find_repeated(call->keyword_names, call->keywords.n));
}

/* The outermost filter comes first. */
static void check_use(struct checker *c, const struct node *node, struct place at)
{
    const bool is_filter = node->kind == NODE_FILTER;
    const bool exists = is_filter ? node->as.use.filter != NULL : node->as.use.test != NULL;
    const struct string *name = node->as.use.shown;
    if (!exists && !at.soft)
        failure_set(&c->refused, TEMPLATE_ASSERTION_ERROR, node->line, node->column,
                    "No %s named '%.*s'.", is_filter ? "filter" : "test", (int)name->n_bytes,
                    name->data);
    if (node->parts[0] != NULL)
        check_node(c, node->parts[0], at);
    check_arguments(c, node, at);
}

static void check_tuple(struct checker *c, const struct node *node, struct place at)
{
    for (uint32_t i = 0; i < node->list.n; i++) {
        const struct node *item = node->list.items[i];
        if (item->kind == NODE_SLICE) /* a[1:2, 3] */
            failure_set(&c->python, TEMPLATE_SYNTAX_ERROR, item->line, item->column,
                        "invalid syntax");
    }
    check_list(c, &node->list, at);
}

/* ---- statements ----------------------------------------------------------------------------- */

/* In a scope of its own. */
static struct place inside(struct place at)
{
    at.soft = at.toplevel = false;
    return at;
}

/* In a function of its own. */
static struct place inside_function(struct place at)
{
    at = inside(at);
    at.in_loop = false;
    return at;
}

static void check_for(struct checker *c, struct node *node, struct place at)
{
    struct place body = inside(at), otherwise = inside(at);
    const struct node *stored = NULL;
    body.in_loop = true;
    body.in_for = otherwise.in_for = true;
    if (node->flag) /* a recursive loop is a function with the loop in it */
        otherwise.in_loop = false;
    if (node->parts[2] != NULL)
        check_node(c, node->parts[2], inside(at));
    if (!at.in_for && !node_children(node, NAME_READ, find_stored_loop, &stored))
        failure_set(&c->refused, TEMPLATE_ASSERTION_ERROR, stored->line, stored->column,
                    "Can't assign to special loop variable in for-loop target");
    if (!node->flag)
        check_node(c, node->parts[1], at);
    check_list(c, &node->body, body);
    check_list(c, &node->otherwise, otherwise);
    if (node->flag)
        check_node(c, node->parts[1], at);
}

static void check_macro(struct checker *c, const struct node *node, struct place at)
{
    struct macro *m = node->as.macro;
    const struct place body = inside_function(at);
    struct own_names names = {
        .wanted = {[AST_NAME_CALLER] = true, [AST_NAME_VARARGS] = true, [AST_NAME_KWARGS] = true}};
    for (uint32_t i = 0; i < m->body.n; i++)
        find_own_names(&names, m->body.items[i], NAME_READ);
    m->uses_caller = names.read[AST_NAME_CALLER];
    m->uses_varargs = names.read[AST_NAME_VARARGS];
    m->uses_kwargs = names.read[AST_NAME_KWARGS];
    for (uint32_t i = 0; i < m->n_parameters; i++) {
        m->uses_varargs = m->uses_varargs && m->parameters[i] != AST_NAME_VARARGS;
        m->uses_kwargs = m->uses_kwargs && m->parameters[i] != AST_NAME_KWARGS;
        if (m->uses_caller && m->parameters[i] == AST_NAME_CALLER && m->defaults[i] == NULL)
            failure_set(&c->refused, TEMPLATE_ASSERTION_ERROR, node->line, node->column,
                        "When defining macros or call blocks the special \"caller\" argument must "
                        "be omitted or be given a default.");
    }
    for (uint32_t i = 0; i < m->n_parameters; i++)
        if (m->defaults[i] != NULL)
            check_node(c, m->defaults[i], body);
    check_list(c, &m->body, body);
    const struct string *twice = find_repeated(m->parameter_names, m->n_parameters);
    if (twice != NULL)
        failure_set(&c->python, TEMPLATE_SYNTAX_ERROR, node->line, node->column,
                    "duplicate argument '%.*s' in function definition", (int)twice->n_bytes,
                    twice->data);
}

static void check_call_block(struct checker *c, const struct node *node, struct place at)
{
    const struct node *call_node = node->parts[0];
    const struct call *call = call_node->as.use.call;
    check_macro(c, node, at);
    check_node(c, node->parts[0], at);
    for (uint32_t i = 0; i < call->keywords.n; i++)
        if (string_is(call->keyword_names[i], "caller"))
            refuse_repeated(c, call_node, call->keyword_names[i]);
}

static void check_with(struct checker *c, const struct node *node, struct place at)
{
    for (uint32_t i = 1; i < node->list.n; i += 2)
        check_node(c, node->list.items[i], at);
    check_list(c, &node->body, inside(at));
}

static void check_extends(struct checker *c, const struct node *node, struct place at)
{
    if (node->flag && !at.toplevel)
        failure_set(&c->refused, TEMPLATE_ASSERTION_ERROR, node->line, node->column,
                    "cannot use extend from a non top-level scope");
    check_node(c, node->parts[0], at);
}

struct child_context {
    struct checker *c;
    struct place at;
};

static bool check_child(void *context, struct node *child, enum name_use use)
{
    const struct child_context *with = context;
    (void)use;
    check_node(with->c, child, with->at);
    return true;
}

static void check_children(struct checker *c, struct node *node, struct place at)
{
    struct child_context with = {c, at};
    node_children(node, NAME_READ, check_child, &with);
}

static void check_node(struct checker *c, struct node *node, struct place at)
{
    struct place branch = at;
    branch.soft = true;
    switch (node->kind) {
    case NODE_FILTER:
    case NODE_TEST:
        check_use(c, node, at);
        break;
    case NODE_CALL:
        check_node(c, node->parts[0], at);
        check_arguments(c, node, at);
        break;
    case NODE_TUPLE:
        check_tuple(c, node, at);
        break;
    case NODE_CONDITIONAL:
    case NODE_IF:
        check_children(c, node, branch);
        break;
    case NODE_FOR:
        check_for(c, node, at);
        break;
    case NODE_MACRO:
        check_macro(c, node, at);
        break;
    case NODE_CALL_BLOCK:
        check_call_block(c, node, at);
        break;
    case NODE_SET_BLOCK: /* its filters belong to it */
    case NODE_FILTER_BLOCK:
    case NODE_AUTOESCAPE:
        check_children(c, node, inside(at));
        break;
    case NODE_WITH:
        check_with(c, node, at);
        break;
    case NODE_GENERATION:
        check_list(c, &node->body, inside_function(at));
        break;
    case NODE_NO_LOADER:
        check_extends(c, node, at);
        break;
    case NODE_BREAK:
    case NODE_CONTINUE:
        if (!at.in_loop)
            failure_set(&c->python, TEMPLATE_SYNTAX_ERROR, node->line, node->column,
                        node->kind == NODE_BREAK ? "'break' outside loop"
                                                 : "'continue' not properly in loop");
        break;
    case NODE_BLOCK: /* the blocks come later */
        break;
    default:
        check_children(c, node, at);
    }
}

/* ---- blocks --------------------------------------------------------------------------------- */

static bool find_block(void *context, struct node *node, enum name_use use)
{
    struct checker *c = context;
    if (node->kind == NODE_BLOCK)
        parser_add(c->p, &c->blocks, node);
    return node_children(node, use, find_block, context);
}

static void check_blocks(struct checker *c)
{
    const struct ast *ast = c->p->ast;
    bool *seen = memory_alloc(ast->n_names, sizeof *seen);
    for (uint32_t i = 0; i < ast->body.n; i++)
        find_block(c, ast->body.items[i], NAME_READ);
    for (uint32_t i = 0; i < c->blocks.list.n; i++) {
        const struct node *block = c->blocks.list.items[i];
        const struct string *name = ast->names[block->name];
        if (seen[block->name])
            failure_set(&c->refused, TEMPLATE_ASSERTION_ERROR, block->line, block->column,
                        "block '%.*s' defined twice", (int)name->n_bytes, name->data);
        seen[block->name] = true;
    }
    memory_free(seen);
}

bool parse_check(struct parser *p)
{
    struct checker c = {.p = p};
    check_blocks(&c);
    check_list(&c, &p->ast->body, (struct place){.toplevel = true});
    for (uint32_t i = 0; i < c.blocks.list.n; i++)
        check_list(&c, &c.blocks.list.items[i]->body, (struct place){0});
    p->lexer.failure = c.refused.kind != EXCEPTION_NONE ? c.refused : c.python;
    return p->lexer.failure.kind == EXCEPTION_NONE;
}
