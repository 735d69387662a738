/* Frame by frame, the outer ones first. One array holds what is known of each name in the frame of
 * now; a journal of its changes tells what the branches of an `if` did, and empties it again. */
#include "runtime/jinja/syntax/scoping.h"

#include "base/memory.h"
#include "runtime/jinja/syntax/ast.h"

#include <string.h>

enum {
    KNOWN = 1, /* this frame has a variable for it */
    SET = 2,
    EMPTY = 4, /* the variable begins without a value */
};

struct change {
    uint32_t name;
    uint8_t state; /* before, or in the list of a branch after it */
};

struct changes {
    struct change *items;
    size_t n, capacity;
};

struct analysis {
    struct ast *ast;
    uint8_t *state;          /* [n_names] in this frame */
    uint8_t *n_branches_set; /* [n_names] scratch */
    uint32_t *n_around;      /* [n_names] frames around that know it */
    struct changes journal;
    struct node **blocks; /* they are frames without others around */
    size_t n_blocks, blocks_capacity;
};

static void add_change(struct changes *c, uint32_t name, uint8_t state)
{
    if (c->n == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 16;
        c->items = memory_resize(c->items, c->capacity, sizeof *c->items);
    }
    c->items[c->n++] = (struct change){name, state};
}

static void change_state(struct analysis *a, uint32_t name, uint8_t state)
{
    if (a->state[name] == state)
        return;
    add_change(&a->journal, name, a->state[name]);
    a->state[name] = state;
}

/* ---- names ------------------------------------------------------------------------------------*/

static void load_name(struct analysis *a, uint32_t name)
{
    if (!(a->state[name] & KNOWN) && a->n_around[name] == 0)
        change_state(a, name, a->state[name] | KNOWN);
}

static void set_name(struct analysis *a, uint32_t name)
{
    const bool empty = !(a->state[name] & KNOWN) && a->n_around[name] == 0;
    change_state(a, name, (uint8_t)(a->state[name] | KNOWN | SET | (empty ? EMPTY : 0)));
}

/* Parameters and targets of loops begin with a value. */
static void declare_name(struct analysis *a, uint32_t name)
{
    change_state(a, name, (uint8_t)((a->state[name] | KNOWN | SET) & ~EMPTY));
}

static void visit_target(struct analysis *a, const struct node *target,
                         void (*name)(struct analysis *, uint32_t))
{
    if (target->kind == NODE_NAME)
        name(a, target->name);
    else if (target->kind == NODE_NAMESPACE_TARGET)
        load_name(a, target->name);
    for (uint32_t i = 0; target->kind == NODE_TUPLE && i < target->list.n; i++)
        visit_target(a, target->list.items[i], name);
}

/* ---- what a frame looks at and sets ---------------------------------------------------------- */

static void visit(struct analysis *a, const struct node *node);

static void visit_list(struct analysis *a, const struct node_list *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        visit(a, list->items[i]);
}

static void visit_expression(struct analysis *a, const struct node *node)
{
    if (node->kind == NODE_NAME) {
        load_name(a, node->name);
        return;
    }
    for (int i = 0; i < 3; i++)
        visit(a, node->parts[i]);
    visit_list(a, &node->list);
    const bool calls =
        node->kind == NODE_FILTER || node->kind == NODE_TEST || node->kind == NODE_CALL;
    const struct call *call = calls ? node->as.use.call : NULL;
    if (call == NULL)
        return;
    visit_list(a, &call->positional);
    visit_list(a, &call->keywords);
    visit(a, call->star);
    visit(a, call->star_star);
}

/* Ends a branch: what it changed goes to `out`, and everything is as before it. */
static void take_branch(struct analysis *a, size_t begin, struct changes *out)
{
    for (size_t i = begin; i < a->journal.n; i++) {
        const uint32_t name = a->journal.items[i].name;
        add_change(out, name, a->state[name]); /* more than once is harmless */
    }
    while (a->journal.n > begin) {
        const struct change *last = &a->journal.items[--a->journal.n];
        a->state[last->name] = last->state;
    }
}

/* What is set in all branches is set; what is set in some begins with the value it had. */
static void merge_branches(struct analysis *a, struct changes *branches, int n)
{
    for (int b = 0; b < n; b++)
        for (size_t i = 0; i < branches[b].n; i++) {
            const struct change *c = &branches[b].items[i];
            const uint8_t bit = (uint8_t)(1 << b);
            if ((c->state & SET) && !(a->state[c->name] & SET))
                a->n_branches_set[c->name] |= bit;
        }
    for (int b = 0; b < n; b++)
        for (size_t i = 0; i < branches[b].n; i++) {
            const struct change *c = &branches[b].items[i];
            change_state(a, c->name, (uint8_t)((a->state[c->name] & ~EMPTY) | c->state));
        }
    const uint8_t all = (uint8_t)((1 << n) - 1);
    for (int b = 0; b < n; b++) {
        for (size_t i = 0; i < branches[b].n; i++) {
            const uint32_t name = branches[b].items[i].name;
            if (a->n_branches_set[name] != 0 && a->n_branches_set[name] != all)
                change_state(a, name, a->state[name] & (uint8_t)~EMPTY);
        }
    }
    for (int b = 0; b < n; b++) {
        for (size_t i = 0; i < branches[b].n; i++)
            a->n_branches_set[branches[b].items[i].name] = 0;
        memory_free(branches[b].items);
    }
}

/* An `elif` is the only node of `otherwise`. */
static const struct node *elif_of(const struct node *node)
{
    const struct node_list *rest = &node->otherwise;
    return rest->n == 1 && rest->items[0]->kind == NODE_IF ? rest->items[0] : NULL;
}

static void visit_if(struct analysis *a, const struct node *node)
{
    enum { BRANCHES = 3 }; /* if, all elif, else: also those that are not there */
    struct changes branches[BRANCHES] = {{0}};
    const struct node *last = node;
    visit(a, node->parts[0]);
    const size_t begin = a->journal.n;
    visit_list(a, &node->body);
    take_branch(a, begin, &branches[0]);
    while (elif_of(last) != NULL) {
        struct changes inner[BRANCHES] = {{0}};
        last = elif_of(last);
        visit(a, last->parts[0]);
        const size_t inner_begin = a->journal.n;
        visit_list(a, &last->body);
        take_branch(a, inner_begin, &inner[0]);
        merge_branches(a, inner, BRANCHES);
    }
    take_branch(a, begin, &branches[1]);
    visit_list(a, &last->otherwise);
    take_branch(a, begin, &branches[2]);
    merge_branches(a, branches, BRANCHES);
}

/* Inner frames are not looked into: only at what stands outside of them. */
static void visit(struct analysis *a, const struct node *node)
{
    if (node == NULL)
        return;
    switch (node->kind) {
    case NODE_IF:
        visit_if(a, node);
        break;
    case NODE_FOR:
        visit(a, node->parts[1]);
        break;
    case NODE_SET:
        visit(a, node->parts[1]);
        visit_target(a, node->parts[0], set_name);
        break;
    case NODE_SET_BLOCK:
        visit_target(a, node->parts[0], set_name);
        break;
    case NODE_MACRO:
        set_name(a, node->as.macro->name);
        break;
    case NODE_WITH:
        for (uint32_t i = 1; i < node->list.n; i += 2)
            visit(a, node->list.items[i]);
        break;
    case NODE_BLOCK:
    case NODE_GENERATION:
    case NODE_AUTOESCAPE:
        break;
    default: /* expressions; and statements that are all expression outside of their body */
        visit_expression(a, node);
    }
}

/* ---- frames -----------------------------------------------------------------------------------*/

static void analyze_inner(struct analysis *a, const struct node_list *body);

/* The names that begin without a value; NULL: none. A name enters the journal once from nothing. */
static const struct name_list *hidden_names(struct analysis *a)
{
    uint32_t n = 0;
    for (size_t i = 0; i < a->journal.n; i++)
        n += a->journal.items[i].state == 0 && (a->state[a->journal.items[i].name] & EMPTY);
    if (n == 0)
        return NULL;
    struct name_list *hidden =
        arena_alloc(&a->ast->arena, 1, sizeof *hidden + n * sizeof *hidden->names);
    for (size_t i = 0; i < a->journal.n; i++) {
        const struct change *c = &a->journal.items[i];
        if (c->state == 0 && (a->state[c->name] & EMPTY))
            hidden->names[hidden->n++] = c->name;
    }
    return hidden;
}

/* Ends a frame whose names were visited, and goes on with the frames inside. */
static const struct name_list *finish_frame(struct analysis *a, const struct node_list *body)
{
    const struct name_list *hidden = hidden_names(a);
    const struct changes names = a->journal;
    size_t n_known = 0; /* moved to the front of the list */
    a->journal = (struct changes){0};
    for (size_t i = 0; i < names.n; i++) {
        const struct change c = names.items[i];
        if (c.state == 0 && (a->state[c.name] & KNOWN))
            names.items[n_known++].name = c.name;
        a->state[c.name] &= c.state == 0 ? KNOWN : 0xFF;
    }
    for (size_t i = 0; i < n_known; i++) {
        a->state[names.items[i].name] = 0;
        a->n_around[names.items[i].name]++;
    }
    analyze_inner(a, body);
    for (size_t i = 0; i < n_known; i++)
        a->n_around[names.items[i].name]--;
    memory_free(names.items);
    return hidden;
}

static const struct name_list *frame_of(struct analysis *a, const struct node_list *body)
{
    visit_list(a, body);
    return finish_frame(a, body);
}

static void analyze_macro(struct analysis *a, struct macro *macro)
{
    for (uint32_t i = 0; i < macro->n_parameters; i++)
        declare_name(a, macro->parameters[i]);
    for (uint32_t i = 0; i < macro->n_parameters; i++)
        visit(a, macro->defaults[i]);
    macro->hides = frame_of(a, &macro->body);
}

static void analyze_node(struct analysis *a, struct node *node)
{
    switch (node->kind) {
    case NODE_IF:
        analyze_inner(a, &node->body);
        analyze_inner(a, &node->otherwise);
        break;
    case NODE_FOR:
        visit_target(a, node->parts[0], declare_name);
        declare_name(a, AST_NAME_LOOP);
        node->hides = frame_of(a, &node->body);
        node->otherwise_hides = frame_of(a, &node->otherwise);
        break;
    case NODE_MACRO:
    case NODE_CALL_BLOCK:
        analyze_macro(a, node->as.macro);
        break;
    case NODE_WITH:
        for (uint32_t i = 0; i < node->list.n; i += 2)
            visit_target(a, node->list.items[i], declare_name);
        node->hides = frame_of(a, &node->body);
        break;
    case NODE_FILTER_BLOCK:
        visit_list(a, &node->body);
        visit(a, node->parts[0]);
        node->hides = finish_frame(a, &node->body);
        break;
    case NODE_AUTOESCAPE:
        visit(a, node->parts[0]);
        node->hides = frame_of(a, &node->body);
        break;
    case NODE_SET_BLOCK:
    case NODE_GENERATION:
        node->hides = frame_of(a, &node->body);
        break;
    case NODE_BLOCK:
        if (a->n_blocks == a->blocks_capacity) {
            a->blocks_capacity = a->blocks_capacity ? 2 * a->blocks_capacity : 16;
            a->blocks = memory_resize(a->blocks, a->blocks_capacity, sizeof *a->blocks);
        }
        a->blocks[a->n_blocks++] = node;
        break;
    default:
        break;
    }
}

static void analyze_inner(struct analysis *a, const struct node_list *body)
{
    for (uint32_t i = 0; i < body->n; i++)
        analyze_node(a, body->items[i]);
}

void scoping_analyze(struct ast *ast)
{
    struct analysis a = {.ast = ast,
                         .state = memory_alloc(ast->n_names, 1),
                         .n_branches_set = memory_alloc(ast->n_names, 1),
                         .n_around = memory_alloc(ast->n_names, sizeof(uint32_t))};
    ast->hides = frame_of(&a, &ast->body);
    for (size_t i = 0; i < a.n_blocks; i++) /* blocks in blocks are added meanwhile */
        a.blocks[i]->hides = frame_of(&a, &a.blocks[i]->body);
    memory_free(a.state);
    memory_free(a.n_branches_set);
    memory_free(a.n_around);
    memory_free(a.blocks);
    memory_free(a.journal.items);
}
