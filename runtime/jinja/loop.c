/* The loops of a template, and what `loop` is inside them.
 *
 * The items are asked for one by one, and one ahead only when the template asks for the last or
 * the next one, because the items of a filter may be computed as they come. */
#include "base/check.h"
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/eval.h"
#include "runtime/jinja/values/object.h"

struct loop {
    struct object object;
    struct render *render;
    const struct node *node;
    struct scope *around;
    struct value iterable; /* what was given, for its length */
    struct iterator *items;
    int64_t index0, depth0;
    int64_t length; /* -1: not asked for yet */
    struct value previous, current, next;
    bool has_previous, has_next;
    struct list *changed; /* what changed() saw last, or NULL */
};

/* ---- items ---------------------------------------------------------------------------------- */

/* A walk over the items for which the condition of the loop holds. */
struct filtered {
    struct iterator iterator;
    struct render *render;
    const struct node *node;
    struct scope *around;
    struct iterator *items;
};

static bool filtered_next(struct run *run, struct iterator *self, struct value *out, bool *done)
{
    struct filtered *f = (struct filtered *)self;
    struct render *r = f->render;
    struct scope *const before = r->scope;
    struct scope *scope = scope_make(run, f->around);
    bool good = scope != NULL, truth = false;
    while (good && !truth) {
        good = iterator_next(run, f->items, out, done);
        if (!good || *done)
            break;
        scope = scope_renew(run, scope);
        r->scope = scope;
        good = scope != NULL && render_assign(r, f->node->parts[0], *out) &&
               eval_truth(r, f->node->parts[2], &truth);
        r->scope = before;
    }
    return good;
}

static bool open_items(struct loop *l)
{
    struct run *run = &l->render->run;
    struct iterator *items;
    if (!value_iterate(run, l->iterable, &items))
        return false;
    l->items = items;
    if (l->node->parts[2] == NULL)
        return true;
    struct filtered *f = run_alloc(run, 1, sizeof *f);
    if (f == NULL)
        return false;
    *f = (struct filtered){{filtered_next}, l->render, l->node, l->around, items};
    l->items = &f->iterator;
    l->iterable = value_none(); /* its length says nothing */
    return true;
}

/* Looks one item ahead. */
static bool peek(struct loop *l, bool *has_next)
{
    if (!l->has_next) {
        bool done = false;
        if (l->items != NULL && !iterator_next(&l->render->run, l->items, &l->next, &done))
            return false;
        if (done)
            l->items = NULL;
        l->has_next = l->items != NULL;
    }
    *has_next = l->has_next;
    return true;
}

static bool advance(struct loop *l, bool *done)
{
    bool has_next;
    if (!peek(l, &has_next))
        return false;
    *done = !has_next;
    if (*done)
        return true;
    l->index0++;
    l->has_previous = l->index0 > 0;
    l->previous = l->current;
    l->current = l->next;
    l->has_next = false;
    return true;
}

/* Where the values have no length, all that is left is fetched and counted. */
static bool find_length(struct loop *l)
{
    struct run *run = &l->render->run;
    const struct value v = l->iterable;
    const bool object_has = v.kind == VALUE_OBJECT && v.as.object->type->has_length;
    if (l->length >= 0)
        return true;
    if (object_has || v.kind == VALUE_STRING || v.kind == VALUE_LIST || v.kind == VALUE_TUPLE ||
        v.kind == VALUE_DICT || v.kind == VALUE_UNDEFINED)
        return value_length(run, v, &l->length);
    struct list *list = list_make(run, 0);
    if (list == NULL)
        return false;
    bool done = l->items == NULL;
    while (!done) {
        struct value item;
        if (!iterator_next(run, l->items, &item, &done) || (!done && !list_add(run, list, item)))
            return false;
    }
    l->length = list->n + l->index0 + 1 + l->has_next;
    return value_iterate(run, value_list(list), &l->items);
}

/* ---- the variable `loop` -------------------------------------------------------------------- */

static bool cycle(struct run *run, struct value self, const struct arguments *args,
                  struct value *out)
{
    const struct loop *l = (const struct loop *)self.as.object;
    if (args->n_positional == 0)
        return run_raise(run, TYPE_ERROR, "no items for cycling given");
    *out = args->positional[l->index0 % args->n_positional];
    return true;
}

static bool changed(struct run *run, struct value self, const struct arguments *args,
                    struct value *out)
{
    struct loop *l = (struct loop *)self.as.object;
    struct list *now = list_make(run, (size_t)args->n_positional);
    bool same = false;
    for (int i = 0; now != NULL && i < args->n_positional; i++)
        if (!list_add(run, now, args->positional[i]))
            return false;
    if (now == NULL ||
        (l->changed != NULL && !value_equal(run, value_tuple(l->changed), value_tuple(now), &same)))
        return false;
    l->changed = now;
    *out = value_bool(!same);
    return true;
}

static bool neighbour(struct loop *l, bool next, struct value *out)
{
    bool there = l->has_previous;
    if (next && !peek(l, &there))
        return false;
    if (!there)
        return eval_undefined(l->render, out, "there is no %s item", next ? "next" : "previous");
    *out = next ? l->next : l->previous;
    return true;
}

static bool is_last(struct loop *l, struct value *out)
{
    bool has_next;
    if (!peek(l, &has_next))
        return false;
    *out = value_bool(!has_next);
    return true;
}

static bool from_length(struct loop *l, int64_t offset, int64_t sign, struct value *out)
{
    if (!find_length(l))
        return false;
    *out = value_int(l->length + sign * l->index0 + offset);
    return true;
}

static bool loop_attribute(struct run *run, struct object *self, const struct string *name,
                           struct value *out, bool *found)
{
    struct loop *l = (struct loop *)self;
    *found = true;
    if (string_is(name, "index0") || string_is(name, "index"))
        *out = value_int(l->index0 + string_is(name, "index"));
    else if (string_is(name, "first"))
        *out = value_bool(l->index0 == 0);
    else if (string_is(name, "last"))
        return is_last(l, out);
    else if (string_is(name, "length"))
        return from_length(l, 0, 0, out);
    else if (string_is(name, "revindex"))
        return from_length(l, 0, -1, out);
    else if (string_is(name, "revindex0"))
        return from_length(l, -1, -1, out);
    else if (string_is(name, "depth0") || string_is(name, "depth"))
        *out = value_int(l->depth0 + string_is(name, "depth"));
    else if (string_is(name, "previtem"))
        return neighbour(l, false, out);
    else if (string_is(name, "nextitem"))
        return neighbour(l, true, out);
    else if (string_is(name, "cycle"))
        return native_make(run, "cycle", cycle, value_object(self), out);
    else if (string_is(name, "changed"))
        return native_make(run, "changed", changed, value_object(self), out);
    else
        *found = false;
    return true;
}

static bool loop_length(struct run *run, struct object *self, int64_t *out)
{
    struct loop *l = (struct loop *)self;
    (void)run;
    if (!find_length(l))
        return false;
    *out = l->length;
    return true;
}

static bool loop_repr(struct run *run, struct object *self, struct value *out)
{
    struct loop *l = (struct loop *)self;
    struct builder b;
    builder_init(&b, run);
    return find_length(l) &&
           builder_printf(&b, "<LoopContext %lld/%lld>", (long long)l->index0 + 1,
                          (long long)l->length) &&
           builder_end(&b, out);
}

/* Walking over `loop` itself gives the rest of the items, each with the loop. */
struct rest {
    struct iterator iterator;
    struct loop *loop;
};

static bool rest_next(struct run *run, struct iterator *self, struct value *out, bool *done)
{
    struct loop *l = ((struct rest *)self)->loop;
    if (!advance(l, done))
        return false;
    if (*done)
        return true;
    struct list *pair = list_make(run, 2);
    if (pair == NULL || !list_add(run, pair, l->current) ||
        !list_add(run, pair, value_object(&l->object)))
        return false;
    *out = value_tuple(pair);
    return true;
}

static bool loop_iterate(struct run *run, struct object *self, struct iterator **out)
{
    struct rest *rest = run_alloc(run, 1, sizeof *rest);
    if (rest == NULL)
        return false;
    *rest = (struct rest){{rest_next}, (struct loop *)self};
    *out = &rest->iterator;
    return true;
}

static enum flow run_loop(struct render *r, const struct node *node, struct scope *around,
                          struct value iterable, int64_t depth0);

/* loop(items): the same loop over other items, one deeper. */
static bool loop_call(struct run *run, struct object *self, const struct arguments *args,
                      struct value *out)
{
    struct loop *l = (struct loop *)self;
    struct render *r = l->render;
    struct value iterable;
    if (!l->node->flag)
        return run_raise(run, TYPE_ERROR,
                         "The loop must have the 'recursive' marker to be called recursively.");
    if (!arguments_bind(run, "LoopContext.__call__", "iterable", args, &iterable, 1) ||
        !run_enter(run))
        return false;
    struct builder text, *const before = r->out;
    builder_init(&text, run);
    text.safe = r->run.autoescape;
    r->out = &text;
    const enum flow flow = run_loop(r, l->node, l->around, iterable, l->depth0 + 1);
    r->out = before;
    run_leave(run);
    return flow != FLOW_FAILED && builder_end(&text, out);
}

static const struct object_type loop_type = {
    .name = "LoopContext",
    .module = "jinja2.runtime",
    .attribute = loop_attribute,
    .item = object_no_item,
    .call = loop_call,
    .iterate = loop_iterate,
    .length = loop_length,
    .repr = loop_repr,
    .equal = object_is_same,
    .is_callable = true,
    .is_iterable = true,
    .has_length = true,
};

/* ---- the statement -------------------------------------------------------------------------- */

static enum flow turn(struct loop *l, struct scope *scope)
{
    struct render *r = l->render;
    r->scope = scope;
    if (!scope_hide(&r->run, scope, l->node->hides) ||
        !render_assign(r, l->node->parts[0], l->current) ||
        !scope_set(&r->run, scope, AST_NAME_LOOP, value_object(&l->object)))
        return FLOW_FAILED;
    return render_body(r, &l->node->body);
}

static enum flow run_loop(struct render *r, const struct node *node, struct scope *around,
                          struct value iterable, int64_t depth0)
{
    struct scope *const before = r->scope;
    struct loop *l = run_alloc(&r->run, 1, sizeof *l);
    struct scope *scope = scope_make(&r->run, around);
    if (l == NULL || scope == NULL)
        return FLOW_FAILED;
    *l = (struct loop){.object = {&loop_type},
                       .render = r,
                       .node = node,
                       .around = around,
                       .iterable = iterable,
                       .index0 = -1,
                       .depth0 = depth0,
                       .length = -1};
    if (!open_items(l))
        return FLOW_FAILED;
    enum flow flow = FLOW_NEXT;
    /* the reference asks whether a turn came to its end, not to its begin */
    bool completed = false;
    while (flow == FLOW_NEXT || flow == FLOW_CONTINUE) {
        bool done;
        if (!advance(l, &done))
            flow = FLOW_FAILED;
        else if (done)
            break;
        else {
            scope = scope_renew(&r->run, scope);
            flow = scope != NULL ? turn(l, scope) : FLOW_FAILED;
            completed |= flow == FLOW_NEXT;
        }
    }
    if (flow != FLOW_FAILED && !completed && node->otherwise.n > 0) {
        r->scope = scope = scope_renew(&r->run, scope);
        if (scope == NULL || !scope_hide(&r->run, scope, node->otherwise_hides))
            return FLOW_FAILED;
        flow = render_body(r, &node->otherwise);
        r->scope = before;
        return flow; /* a break here is one of the loop around */
    }
    r->scope = before;
    return flow == FLOW_FAILED ? FLOW_FAILED : FLOW_NEXT;
}

enum flow loop_render(struct render *r, const struct node *node)
{
    struct value iterable;
    if (!eval(r, node->parts[1], &iterable))
        return FLOW_FAILED;
    if (node->parts[2] != NULL || node->flag)
        scope_keep(r->scope); /* its filter and its recursion look at it later */
    return run_loop(r, node, r->scope, iterable, 0);
}
