/* Expressions. The innermost node that fails says where it happened. */
#include "runtime/jinja/eval.h"

#include "base/check.h"
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/values/access.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_HINT_BYTES = 200 };

bool eval_undefined(struct render *r, struct value *out, const char *fmt, ...)
{
    char text[MAX_HINT_BYTES];
    va_list list;
    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    struct undefined *why = run_alloc(&r->run, 1, sizeof *why);
    char *hint = run_alloc(&r->run, strlen(text) + 1, 1);
    if (why == NULL || hint == NULL)
        return false;
    memcpy(hint, text, strlen(text) + 1);
    why->hint = hint;
    *out = (struct value){.kind = VALUE_UNDEFINED, .as.undefined = why};
    return true;
}

bool eval_truth(struct render *r, const struct node *node, bool *out)
{
    struct value v;
    return eval(r, node, &v) && value_truth(&r->run, v, out);
}

static bool eval_name(struct render *r, const struct node *node, struct value *out)
{
    const struct value *found;
    if (!scope_find(&r->run, r->scope, node->name, &found))
        return false;
    if (found != NULL) {
        *out = *found;
        return true;
    }
    return value_make_undefined(&r->run, (struct value){.kind = VALUE_UNDEFINED},
                                value_string(r->ast->names[node->name]), out);
}

static bool eval_list(struct render *r, const struct node_list *nodes, struct list **out)
{
    *out = list_make(&r->run, nodes->n);
    if (*out == NULL)
        return false;
    for (uint32_t i = 0; i < nodes->n; i++) {
        struct value item;
        if (!eval(r, nodes->items[i], &item) || !list_add(&r->run, *out, item))
            return false;
    }
    return true;
}

static bool eval_dict(struct render *r, const struct node *node, struct value *out)
{
    struct dict *dict = dict_make(&r->run);
    if (dict == NULL)
        return false;
    for (uint32_t i = 0; i + 1 < node->list.n; i += 2) {
        struct value key, item;
        if (!eval(r, node->list.items[i], &key) || !eval(r, node->list.items[i + 1], &item) ||
            !dict_set(&r->run, dict, key, item))
            return false;
    }
    *out = value_dict(dict);
    return true;
}

static bool eval_conditional(struct render *r, const struct node *node, struct value *out)
{
    bool truth;
    if (!eval_truth(r, node->parts[1], &truth))
        return false;
    if (truth)
        return eval(r, node->parts[0], out);
    if (node->parts[2] != NULL)
        return eval(r, node->parts[2], out);
    return eval_undefined(r, out,
                          "the inline if-expression on line %u evaluated to false and no else "
                          "section was defined.",
                          node->line);
}

/* `a and b`, `a or b`: the operand that decided. */
static bool eval_logic(struct render *r, const struct node *node, struct value *out)
{
    bool truth;
    if (!eval(r, node->parts[0], out) || !value_truth(&r->run, *out, &truth))
        return false;
    return truth == (node->kind == NODE_OR) || eval(r, node->parts[1], out);
}

/* Under autoescape, one part that is Markup makes the whole Markup, and the others are escaped. */
static bool eval_concat(struct render *r, const struct node *node, struct value *out)
{
    const uint32_t n = node->list.n;
    struct builder b;
    builder_init(&b, &r->run);
    struct value *parts = run_alloc(&r->run, n, sizeof *parts);
    if (parts == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct value item;
        if (!eval(r, node->list.items[i], &item) || !value_text(&r->run, item, &parts[i]))
            return false;
        b.safe |= r->run.autoescape && parts[i].as.string->safe;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct string *part = parts[i].as.string;
        if (!(b.safe && !part->safe ? builder_add_escaped : builder_add_string)(&b, part))
            return false;
    }
    return builder_end(&b, out);
}

static bool compare_once(struct render *r, enum compare op, struct value a, struct value b,
                         bool *out)
{
    switch (op) {
    case COMPARE_EQ:
        return value_equal(&r->run, a, b, out);
    case COMPARE_NE:
        if (!value_equal(&r->run, a, b, out))
            return false;
        *out = !*out;
        return true;
    case COMPARE_LT:
        return value_less(&r->run, a, b, "<", out);
    case COMPARE_LE:
        return value_less(&r->run, a, b, "<=", out);
    case COMPARE_GT:
        return value_less(&r->run, a, b, ">", out);
    case COMPARE_GE:
        return value_less(&r->run, a, b, ">=", out);
    case COMPARE_IN:
        return value_contains(&r->run, b, a, out);
    case COMPARE_NOT_IN:
        if (!value_contains(&r->run, b, a, out))
            return false;
        *out = !*out;
        return true;
    }
    check(false);
    return false;
}

/* a < b < c: each operand is computed once, and none after the first pair that is false. */
static bool eval_compare(struct render *r, const struct node *node, struct value *out)
{
    struct value left, right;
    bool truth = true;
    if (!eval(r, node->list.items[0], &left))
        return false;
    for (uint32_t i = 1; truth && i < node->list.n; i++) {
        if (!eval(r, node->list.items[i], &right) ||
            !compare_once(r, node->as.compare[i - 1], left, right, &truth))
            return false;
        left = right;
    }
    *out = value_bool(truth);
    return true;
}

/* Who calls everything in the reference, and is named where the call itself is wrong. */
static const char caller[] = "jinja2.sandbox.SandboxedEnvironment.call()";

static bool add_keyword(struct render *r, struct keyword *keywords, int *n,
                        const struct string *name, struct value value)
{
    if (!run_step(&r->run, (size_t)*n)) /* each is compared with all before */
        return false;
    for (int i = 0; i < *n; i++)
        if (string_equal(keywords[i].name, name))
            return run_raise(&r->run, TYPE_ERROR,
                             "%s got multiple values for keyword argument '%.*s'", caller,
                             (int)name->n_bytes, name->data);
    keywords[(*n)++] = (struct keyword){name, value};
    return true;
}

/* **kwargs behind the keywords of a call. */
static bool add_star_star(struct render *r, struct value value, struct keyword *keywords, int *n)
{
    for (uint32_t i = 0; i < value.as.dict->n; i++) {
        const struct dict_item *item = &value.as.dict->items[i];
        if (item->key.kind != VALUE_STRING)
            return run_raise(&r->run, TYPE_ERROR, "keywords must be strings");
        if (!add_keyword(r, keywords, n, item->key.as.string, item->value))
            return false;
    }
    return true;
}

static bool eval_positional(struct render *r, const struct call *call, struct arguments *out)
{
    struct list *list;
    if (!eval_list(r, &call->positional, &list))
        return false;
    if (call->star != NULL) {
        struct value star;
        struct list *more;
        if (!eval(r, call->star, &star))
            return false;
        if (!value_is_iterable(star))
            return run_raise(&r->run, TYPE_ERROR, "Value after * must be an iterable, not %s",
                             value_type_name(star));
        if (!value_items(&r->run, star, &more))
            return false;
        for (uint32_t i = 0; i < more->n; i++)
            if (!list_add(&r->run, list, more->items[i]))
                return false;
    }
    out->positional = list->items;
    out->n_positional = (int)list->n;
    return true;
}

/* `extra` (NULL: none) is one more keyword. */
static bool eval_arguments(struct render *r, const struct call *call, const struct keyword *extra,
                           struct arguments *out)
{
    *out = (struct arguments){0};
    if (call == NULL)
        return true;
    struct value star_star = value_none();
    uint32_t n_most = call->keywords.n + 1;
    if (!eval_positional(r, call, out))
        return false;
    if (call->keywords.n == 0 && call->star_star == NULL && extra == NULL)
        return true;
    struct value *values = run_alloc(&r->run, n_most, sizeof *values);
    if (values == NULL)
        return false;
    for (uint32_t i = 0; i < call->keywords.n; i++)
        if (!eval(r, call->keywords.items[i], &values[i]))
            return false;
    if (call->star_star != NULL) {
        if (!eval(r, call->star_star, &star_star))
            return false;
        if (star_star.kind == VALUE_UNDEFINED)
            return run_raise_undefined(&r->run, star_star);
        if (star_star.kind != VALUE_DICT)
            return run_raise(&r->run, TYPE_ERROR, "%s argument after ** must be a mapping, not %s",
                             caller, value_type_name(star_star));
        n_most += star_star.as.dict->n;
    }
    struct keyword *keywords = run_alloc(&r->run, n_most, sizeof *keywords);
    if (keywords == NULL)
        return false;
    for (uint32_t i = 0; i < call->keywords.n; i++)
        if (!add_keyword(r, keywords, &out->n_keywords, call->keyword_names[i], values[i]))
            return false;
    if (extra != NULL && !add_keyword(r, keywords, &out->n_keywords, extra->name, extra->value))
        return false;
    out->keywords = keywords;
    return star_star.kind == VALUE_NONE || add_star_star(r, star_star, keywords, &out->n_keywords);
}

static bool eval_filter(struct render *r, const struct node *node, struct value *out)
{
    struct value v = r->block_text;
    struct arguments args;
    const struct string *name = node->as.use.shown;
    if (node->parts[0] != NULL && !eval(r, node->parts[0], &v))
        return false;
    if (node->as.use.filter == NULL)
        return run_raise(&r->run, TEMPLATE_RUNTIME_ERROR, "No filter named '%.*s' found.",
                         (int)name->n_bytes, name->data);
    return eval_arguments(r, node->as.use.call, NULL, &args) &&
           node->as.use.filter->apply(&r->run, v, &args, out);
}

static bool eval_test(struct render *r, const struct node *node, struct value *out)
{
    struct value v;
    struct arguments args;
    bool truth;
    const struct string *name = node->as.use.shown;
    if (!eval(r, node->parts[0], &v))
        return false;
    if (node->as.use.test == NULL)
        return run_raise(&r->run, TEMPLATE_RUNTIME_ERROR, "No test named '%.*s' found.",
                         (int)name->n_bytes, name->data);
    if (!eval_arguments(r, node->as.use.call, NULL, &args) ||
        !node->as.use.test->apply(&r->run, v, &args, &truth))
        return false;
    *out = value_bool(truth);
    return true;
}

bool eval_call(struct render *r, const struct node *node, const struct keyword *extra,
               struct value *out)
{
    struct value callee;
    struct arguments args;
    return eval(r, node->parts[0], &callee) && eval_arguments(r, node->as.use.call, extra, &args) &&
           value_call(&r->run, callee, &args, out);
}

static bool eval_item(struct render *r, const struct node *node, struct value *out)
{
    struct value owner, key;
    const struct node *subscript = node->parts[1];
    if (!eval(r, node->parts[0], &owner))
        return false;
    if (subscript->kind != NODE_SLICE)
        return eval(r, subscript, &key) && value_item(&r->run, owner, key, out);
    struct value bound[3];
    for (int i = 0; i < 3; i++) {
        bound[i] = value_none();
        if (subscript->parts[i] != NULL && !eval(r, subscript->parts[i], &bound[i]))
            return false;
    }
    return value_slice(&r->run, owner, bound[0], bound[1], bound[2], out);
}

static bool eval_sequence(struct render *r, const struct node *node, struct value *out)
{
    struct list *list;
    if (!eval_list(r, &node->list, &list))
        return false;
    *out = node->kind == NODE_TUPLE ? value_tuple(list) : value_list(list);
    return true;
}

static bool eval_operator(struct render *r, const struct node *node, struct value *out)
{
    struct value a, b;
    bool truth;
    if (!eval(r, node->parts[0], &a))
        return false;
    switch (node->kind) {
    case NODE_NEGATIVE:
        return value_negative(&r->run, a, out);
    case NODE_POSITIVE:
        return value_positive(&r->run, a, out);
    case NODE_NOT:
        if (!value_truth(&r->run, a, &truth))
            return false;
        *out = value_bool(!truth);
        return true;
    default:
        return eval(r, node->parts[1], &b) && value_binary(&r->run, node->as.op, a, b, out);
    }
}

static bool eval_kind(struct render *r, const struct node *node, struct value *out)
{
    switch (node->kind) {
    case NODE_CONSTANT:
        *out = node->as.constant;
        return true;
    case NODE_NAME:
        return eval_name(r, node, out);
    case NODE_TUPLE:
    case NODE_LIST:
        return eval_sequence(r, node, out);
    case NODE_DICT:
        return eval_dict(r, node, out);
    case NODE_CONDITIONAL:
        return eval_conditional(r, node, out);
    case NODE_BINARY:
    case NODE_NEGATIVE:
    case NODE_POSITIVE:
    case NODE_NOT:
        return eval_operator(r, node, out);
    case NODE_AND:
    case NODE_OR:
        return eval_logic(r, node, out);
    case NODE_CONCAT:
        return eval_concat(r, node, out);
    case NODE_COMPARE:
        return eval_compare(r, node, out);
    case NODE_FILTER:
        return eval_filter(r, node, out);
    case NODE_TEST:
        return eval_test(r, node, out);
    case NODE_CALL:
        return eval_call(r, node, NULL, out);
    case NODE_ATTRIBUTE: {
        struct value owner;
        return eval(r, node->parts[0], &owner) &&
               value_attribute(&r->run, owner, node->as.text, out);
    }
    case NODE_ITEM:
        return eval_item(r, node, out);
    default:
        check(false); /* the parser puts no statement here */
        return false;
    }
}

bool eval(struct render *r, const struct node *node, struct value *out)
{
    struct run *run = &r->run;
    const bool good = run_step(run, 1) && run_enter(run) && eval_kind(r, node, out);
    if (good)
        run_leave(run);
    else if (run->line == 0) {
        run->line = node->line;
        run->column = node->column;
    }
    return good;
}
