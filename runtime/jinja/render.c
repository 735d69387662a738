/* Statements. */
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/eval.h"
#include "runtime/jinja/values/markup.h"

#include "base/check.h"

static bool assign_tuple(struct render *r, const struct node *target, struct value value)
{
    const uint32_t n = target->list.n;
    struct value *items = run_alloc(&r->run, n, sizeof *items);
    if (items == NULL || !value_unpack(&r->run, value, n, items))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!render_assign(r, target->list.items[i], items[i]))
            return false;
    return true;
}

/* The value of the name before the dot; None, which is no namespace, where it has none. */
static bool find_namespace(struct render *r, const struct node *target, struct value *out)
{
    const struct value *found;
    if (!scope_find(&r->run, r->scope, target->name, &found))
        return false;
    *out = found != NULL ? *found : value_none();
    return true;
}

bool render_assign(struct render *r, const struct node *target, struct value value)
{
    struct value ns;
    if (target->kind == NODE_NAME)
        return scope_set(&r->run, r->scope, target->name, value);
    if (target->kind == NODE_NAMESPACE_TARGET)
        return find_namespace(r, target, &ns) && namespace_set(&r->run, ns, target->as.text, value);
    return assign_tuple(r, target, value);
}

/* Attributes are of namespaces only; the reference says so before it computes what they get. */
static bool check_target(struct render *r, const struct node *target)
{
    struct value ns;
    if (target->kind == NODE_NAMESPACE_TARGET)
        return find_namespace(r, target, &ns) && namespace_check(&r->run, ns);
    for (uint32_t i = 0; target->kind == NODE_TUPLE && i < target->list.n; i++)
        if (!check_target(r, target->list.items[i]))
            return false;
    return true;
}

static bool write_text(struct render *r, const struct string *s)
{
    if (!builder_add_string(r->out, s))
        return false;
    return r->out->n <= r->max_output_bytes ||
           run_raise(&r->run, LIMIT_EXCEEDED, "the template writes more than %zu MB",
                     r->max_output_bytes >> 20);
}

static bool write_value(struct render *r, struct value v)
{
    struct value text;
    return (r->run.autoescape ? value_escape : value_text)(&r->run, v, &text) &&
           write_text(r, text.as.string);
}

static struct scope *scope_inside(struct render *r, struct scope *around,
                                  const struct name_list *hides)
{
    struct scope *scope = scope_make(&r->run, around);
    return scope != NULL && scope_hide(&r->run, scope, hides) ? scope : NULL;
}

enum flow render_to_text(struct render *r, const struct node_list *body, struct scope *scope,
                         struct value *out)
{
    struct builder text, *const out_before = r->out;
    struct scope *const scope_before = r->scope;
    if (scope == NULL)
        return FLOW_FAILED;
    builder_init(&text, &r->run);
    text.safe = r->run.autoescape;
    r->out = &text;
    r->scope = scope;
    enum flow flow = render_body(r, body);
    r->out = out_before;
    r->scope = scope_before;
    if (flow == FLOW_NEXT && !builder_end(&text, out))
        flow = FLOW_FAILED;
    return flow;
}

/* A body in a scope of its own, written where text goes now. */
static enum flow render_inside(struct render *r, const struct node_list *body, struct scope *scope)
{
    struct scope *const before = r->scope;
    if (scope == NULL)
        return FLOW_FAILED;
    r->scope = scope;
    const enum flow flow = render_body(r, body);
    r->scope = before;
    return flow;
}

static enum flow render_if(struct render *r, const struct node *node)
{
    bool truth;
    if (!eval_truth(r, node->parts[0], &truth))
        return FLOW_FAILED;
    return render_body(r, truth ? &node->body : &node->otherwise);
}

/* The filters of a block over its text. */
static bool filter_text(struct render *r, const struct node *filters, struct value *text)
{
    const struct value before = r->block_text;
    r->block_text = *text;
    const bool good = eval(r, filters, text);
    r->block_text = before;
    return good;
}

static enum flow render_set_block(struct render *r, const struct node *node)
{
    struct value text;
    const enum flow flow =
        render_to_text(r, &node->body, scope_inside(r, r->scope, node->hides), &text);
    if (flow != FLOW_NEXT)
        return flow;
    if (!check_target(r, node->parts[0]) ||
        (node->parts[1] != NULL && !filter_text(r, node->parts[1], &text)))
        return FLOW_FAILED;
    return render_assign(r, node->parts[0], text) ? FLOW_NEXT : FLOW_FAILED;
}

static enum flow render_filter_block(struct render *r, const struct node *node)
{
    struct value text;
    const enum flow flow =
        render_to_text(r, &node->body, scope_inside(r, r->scope, node->hides), &text);
    if (flow != FLOW_NEXT)
        return flow;
    if (!filter_text(r, node->parts[0], &text))
        return FLOW_FAILED;
    if (text.kind != VALUE_STRING) { /* the reference joins its output as it is, without str() */
        run_raise(&r->run, TYPE_ERROR, "sequence item 0: expected str instance, %s found",
                  value_type_name(text));
        return FLOW_FAILED;
    }
    return write_text(r, text.as.string) ? FLOW_NEXT : FLOW_FAILED;
}

/* The values of `with` are computed outside of it: none sees another. */
static enum flow render_with(struct render *r, const struct node *node)
{
    struct scope *const outside = r->scope;
    struct scope *inside = scope_inside(r, outside, node->hides);
    for (uint32_t i = 0; inside != NULL && i + 1 < node->list.n; i += 2) {
        struct value value;
        bool good = eval(r, node->list.items[i + 1], &value);
        r->scope = inside;
        good = good && render_assign(r, node->list.items[i], value);
        r->scope = outside;
        if (!good)
            return FLOW_FAILED;
    }
    return render_inside(r, &node->body, inside);
}

static enum flow render_call_block(struct render *r, const struct node *node)
{
    static const struct string name = {.data = "caller", .n_bytes = 6, .n_chars = 6};
    struct keyword caller = {.name = &name};
    struct value result;
    if (!macro_make(r, node->as.macro, &caller.value) ||
        !eval_call(r, node->parts[0], &caller, &result) || !write_value(r, result))
        return FLOW_FAILED;
    return FLOW_NEXT;
}

/* A call block to the reference: it has arguments, though none are given. */
static enum flow render_generation(struct render *r, const struct node *node)
{
    struct scope *scope = scope_inside(r, r->scope, node->hides);
    struct list *varargs = list_make(&r->run, 0);
    struct dict *kwargs = dict_make(&r->run);
    struct value caller;
    if (scope == NULL || varargs == NULL || kwargs == NULL ||
        !eval_undefined(r, &caller, "No caller defined") ||
        !scope_set(&r->run, scope, AST_NAME_CALLER, caller) ||
        !scope_set(&r->run, scope, AST_NAME_VARARGS, value_tuple(varargs)) ||
        !scope_set(&r->run, scope, AST_NAME_KWARGS, value_dict(kwargs)))
        return FLOW_FAILED;
    return render_inside(r, &node->body, scope);
}

static enum flow render_autoescape(struct render *r, const struct node *node)
{
    const bool before = r->run.autoescape;
    if (!eval_truth(r, node->parts[0], &r->run.autoescape))
        return FLOW_FAILED;
    const enum flow flow = render_inside(r, &node->body, scope_inside(r, r->scope, node->hides));
    r->run.autoescape = before;
    return flow;
}

static bool render_macro(struct render *r, const struct node *node)
{
    struct value macro;
    return macro_make(r, node->as.macro, &macro) &&
           scope_set(&r->run, r->scope, node->as.macro->name, macro);
}

/* A function of its own to the reference: no autoescape around it counts, and it sees the scope
 * around it only when it is scoped (flag). One that is required is a hole for a template that
 * extends this one, and there are none. */
static enum flow render_block(struct render *r, const struct node *node)
{
    const struct string *name = r->ast->names[node->name];
    if (node->required) {
        run_raise(&r->run, TEMPLATE_RUNTIME_ERROR, "Required block '%.*s' not found",
                  (int)name->n_bytes, name->data);
        return FLOW_FAILED;
    }
    const bool before = r->run.autoescape;
    r->run.autoescape = false;
    const enum flow flow = render_inside(
        r, &node->body, scope_inside(r, node->flag ? r->scope : r->context, node->hides));
    r->run.autoescape = before;
    return flow;
}

/* What names the other template is computed first, and may fail in its own way. */
static bool render_include(struct render *r, const struct node *node)
{
    struct value v;
    return eval(r, node->parts[0], &v) &&
           run_raise(&r->run, TYPE_ERROR, "no loader for this environment specified");
}

static bool render_print(struct render *r, const struct node *node)
{
    struct value v;
    return eval(r, node->parts[0], &v) && write_value(r, v);
}

static bool render_set(struct render *r, const struct node *node)
{
    struct value v;
    return check_target(r, node->parts[0]) && eval(r, node->parts[1], &v) &&
           render_assign(r, node->parts[0], v);
}

static enum flow render_kind(struct render *r, const struct node *node)
{
    bool good = true;
    switch (node->kind) {
    case NODE_TEXT:
        good = write_text(r, node->as.constant.as.string);
        break;
    case NODE_PRINT:
        good = render_print(r, node);
        break;
    case NODE_SET:
        good = render_set(r, node);
        break;
    case NODE_MACRO:
        good = render_macro(r, node);
        break;
    case NODE_FOR:
        return loop_render(r, node);
    case NODE_IF:
        return render_if(r, node);
    case NODE_SET_BLOCK:
        return render_set_block(r, node);
    case NODE_CALL_BLOCK:
        return render_call_block(r, node);
    case NODE_FILTER_BLOCK:
        return render_filter_block(r, node);
    case NODE_WITH:
        return render_with(r, node);
    case NODE_BLOCK:
        return render_block(r, node);
    case NODE_GENERATION:
        return render_generation(r, node);
    case NODE_AUTOESCAPE:
        return render_autoescape(r, node);
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    case NODE_NO_LOADER:
        good = render_include(r, node);
        break;
    default:
        check(false); /* the parser puts no expression here */
    }
    return good ? FLOW_NEXT : FLOW_FAILED;
}

enum flow render_body(struct render *r, const struct node_list *body)
{
    struct run *run = &r->run;
    if (!run_enter(run))
        return FLOW_FAILED;
    enum flow flow = FLOW_NEXT;
    for (uint32_t i = 0; flow == FLOW_NEXT && i < body->n; i++) {
        const struct node *node = body->items[i];
        flow = run_step(run, 1) ? render_kind(r, node) : FLOW_FAILED;
        if (flow == FLOW_FAILED && run->line == 0) {
            run->line = node->line;
            run->column = node->column;
        }
    }
    run_leave(run);
    return flow;
}
