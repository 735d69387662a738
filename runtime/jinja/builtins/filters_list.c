/* Filters of sequences that look at items and keep their order. */
#include "base/utf8.h"
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/markup.h"
#include "runtime/jinja/values/object.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

/* An undefined value of which this is all that is known. */
static bool make_missing(struct run *r, const char *hint, struct value *out)
{
    struct undefined *undefined = run_alloc(r, 1, sizeof *undefined);
    if (undefined == NULL)
        return false;
    *undefined = (struct undefined){.hint = hint};
    *out = (struct value){.kind = VALUE_UNDEFINED, .as.undefined = undefined};
    return true;
}

/* ---- one of the items -------------------------------------------------------------------------*/

static bool do_first(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct iterator *it;
    bool done = false;
    if (!arguments_bind(r, "sync_do_first", "environment, seq |", args, NULL, 0) ||
        !value_iterate(r, v, &it) || !iterator_next(r, it, out, &done))
        return false;
    return !done || make_missing(r, "No first item, sequence was empty.", out);
}

static bool do_last(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct iterator *it;
    const char *type_name;
    bool found, done = false;
    if (!arguments_bind(r, "do_last", "environment, seq |", args, NULL, 0) ||
        !value_reversed(r, v, &it, &type_name, &found))
        return false;
    if (!found)
        return run_raise(r, TYPE_ERROR, "'%s' object is not reversible", value_type_name(v));
    if (!iterator_next(r, it, out, &done))
        return false;
    return !done || make_missing(r, "No last item, sequence was empty.", out);
}

static bool do_random(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    (void)v, (void)args, (void)out;
    return run_raise(r, NOT_SUPPORTED, "random: a chat must not depend on chance");
}

static bool min_or_max(struct run *r, const char *function, struct value v,
                       const struct arguments *args, const char *op, struct value *out)
{
    struct value slots[] = {value_bool(false), value_none()}, key, best_key;
    struct attribute_path path;
    struct iterator *it;
    bool case_sensitive, done = false, better;
    if (!arguments_bind(r, function, "environment, value | case_sensitive=, attribute=", args,
                        slots, 2) ||
        !value_iterate(r, v, &it) || !iterator_next(r, it, out, &done))
        return false;
    if (done)
        return make_missing(r, "No aggregated item, sequence was empty.", out);
    if (!attribute_path_init(r, &path, slots[1]) || !value_truth(r, slots[0], &case_sensitive))
        return false;
    path.ignore_case = !case_sensitive;
    if (!attribute_path_get(r, &path, *out, &best_key))
        return false;
    for (;;) {
        struct value item;
        if (!iterator_next(r, it, &item, &done))
            return false;
        if (done)
            return true;
        if (!attribute_path_get(r, &path, item, &key) || !value_less(r, key, best_key, op, &better))
            return false;
        if (better) {
            best_key = key;
            *out = item;
        }
    }
}

static bool do_min(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    return min_or_max(r, "do_min", v, args, "<", out);
}

static bool do_max(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    return min_or_max(r, "do_max", v, args, ">", out);
}

/* ---- all of the items -------------------------------------------------------------------------*/

static bool do_length(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    static const struct signature signature = {.name = "len", .style = CALL_ONE};
    struct value slots[CALL_MAX_SLOTS];
    *out = value_int(0);
    return arguments_bind_builtin(r, &signature, NULL, args, 1, slots) &&
           value_length(r, v, &out->as.integer);
}

static bool do_list(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct list *items;
    if (!arguments_bind(r, "sync_do_list", "value |", args, NULL, 0) || !value_items(r, v, &items))
        return false;
    *out = value_list(items);
    return true;
}

static bool do_sum(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct value slots[] = {value_none(), value_int(0)};
    struct attribute_path path;
    struct iterator *it;
    if (!arguments_bind(r, "sync_do_sum", "environment, iterable | attribute=, start=", args, slots,
                        2) ||
        !attribute_path_init(r, &path, slots[0]) || !value_iterate(r, v, &it))
        return false;
    *out = slots[1];
    if (out->kind == VALUE_STRING)
        return run_raise(r, TYPE_ERROR, "sum() can't sum strings [use ''.join(seq) instead]");
    for (;;) {
        struct value item;
        bool done = false;
        if (!iterator_next(r, it, &item, &done))
            return false;
        if (done)
            return true;
        if (!attribute_path_get(r, &path, item, &item) || !value_binary(r, OP_ADD, *out, item, out))
            return false;
    }
}

static bool reverse_text(struct run *r, const struct string *s, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    b.safe = s->safe;
    if (!run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP))
        return false;
    for (size_t end = s->n_bytes; end > 0;) {
        const size_t begin = utf8_before(s->data, end);
        if (!builder_add_part(&b, s, begin, end))
            return false;
        end = begin;
    }
    return builder_end(&b, out);
}

static bool do_reverse(struct run *r, struct value v, const struct arguments *args,
                       struct value *out)
{
    struct iterator *it;
    const char *type_name;
    bool found;
    struct list *items;
    if (!arguments_bind(r, "do_reverse", "value |", args, NULL, 0))
        return false;
    if (v.kind == VALUE_STRING)
        return reverse_text(r, v.as.string, out);
    if (!value_reversed(r, v, &it, &type_name, &found))
        return false;
    if (found)
        return generator_make(r, it, type_name, out);
    if (!value_is_iterable(v))
        return run_raise(r, FILTER_ARGUMENT_ERROR, "argument must be iterable");
    if (!value_items(r, v, &items)) {
        if (r->exception != TYPE_ERROR)
            return false;
        r->exception = EXCEPTION_NONE; /* the reference reads every TypeError so */
        return run_raise(r, FILTER_ARGUMENT_ERROR, "argument must be iterable");
    }
    list_turn(items);
    *out = value_list(items);
    return true;
}

/* ---- join -------------------------------------------------------------------------------------*/

/* The items of v, or their attribute, as texts: str() of them, or as they are where they are texts
 * and may be Markup. *markup: one of them is. */
static bool join_items(struct run *r, struct value v, struct value attribute, bool plain,
                       struct list **out, bool *markup)
{
    struct attribute_path path;
    struct list *items;
    if (!attribute_path_init(r, &path, attribute) || !value_items(r, v, &items))
        return false;
    *markup = false;
    for (uint32_t i = 0; i < items->n; i++) {
        struct value *item = &items->items[i];
        if (!attribute_path_get(r, &path, *item, item) ||
            !(plain ? value_plain_text : value_text)(r, *item, item))
            return false;
        *markup |= item->as.string->safe;
    }
    *out = items;
    return true;
}

static bool do_join(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct value slots[] = {value_none(), value_none()};
    struct list *items;
    bool markup;
    if (!value_make_static(r, "", &slots[0]) ||
        !arguments_bind(r, "sync_do_join", "eval_ctx, value | d=, attribute=", args, slots, 2) ||
        !join_items(r, v, slots[1], !r->autoescape, &items, &markup))
        return false;
    const bool safe_between = slots[0].kind == VALUE_STRING && slots[0].as.string->safe;
    const struct value joined = value_list(items);
    if (r->autoescape && (safe_between || markup))
        return value_escape(r, slots[0], &slots[0]) && text_join(r, slots[0], &joined, out);
    return value_plain_text(r, slots[0], &slots[0]) && text_join(r, slots[0], &joined, out);
}

/* ---- pairs, attributes, defaults --------------------------------------------------------------*/

struct lazy_items {
    struct iterator base;
    struct value v;
    struct iterator *pairs; /* NULL: not begun */
};

static bool lazy_items_next(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct lazy_items *lazy = (struct lazy_items *)self;
    *done = lazy->v.kind == VALUE_UNDEFINED;
    if (*done)
        return true;
    if (lazy->v.kind != VALUE_DICT)
        return run_raise(r, TYPE_ERROR, "Can only get item pairs from a mapping.");
    if (lazy->pairs == NULL && !dict_walk(r, lazy->v.as.dict, DICT_ITEMS, false, &lazy->pairs))
        return false;
    return lazy->pairs->next(r, lazy->pairs, out, done);
}

static bool do_items(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    if (!arguments_bind(r, "do_items", "value |", args, NULL, 0))
        return false;
    struct lazy_items *lazy = run_alloc(r, 1, sizeof *lazy);
    if (lazy == NULL)
        return false;
    *lazy = (struct lazy_items){.base.next = lazy_items_next, .v = v};
    return generator_make(r, &lazy->base, "generator", out);
}

static bool do_attr(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct value name = value_none(), of_none;
    if (!arguments_bind(r, "do_attr", "environment, obj | name", args, &name, 1) ||
        !value_plain_text(r, name, &name))
        return false;
    if (v.kind == VALUE_DICT) { /* its items are no attributes: ask a dict that has none */
        const struct dict *none = dict_make(r);
        if (none == NULL || !value_attribute(r, value_dict(none), name.as.string, &of_none))
            return false;
        if (of_none.kind == VALUE_UNDEFINED && !of_none.as.undefined->unsafe)
            return value_make_undefined(r, v, name, out);
    }
    return value_attribute(r, v, name.as.string, out);
}

static bool do_default(struct run *r, struct value v, const struct arguments *args,
                       struct value *out)
{
    struct value slots[] = {value_none(), value_bool(false)};
    bool falsy_too, is_true = true;
    if (!value_make_static(r, "", &slots[0]) ||
        !arguments_bind(r, "do_default", "value | default_value=, boolean=", args, slots, 2))
        return false;
    *out = v.kind == VALUE_UNDEFINED ? slots[0] : v;
    if (v.kind == VALUE_UNDEFINED || !value_truth(r, slots[1], &falsy_too))
        return r->exception == EXCEPTION_NONE;
    if (falsy_too && !value_truth(r, v, &is_true))
        return false;
    if (!is_true)
        *out = slots[0];
    return true;
}

static const struct filter filters[] = {
    {"attr", do_attr},     {"count", do_length}, {"d", do_default},       {"default", do_default},
    {"first", do_first},   {"items", do_items},  {"join", do_join},       {"last", do_last},
    {"length", do_length}, {"list", do_list},    {"max", do_max},         {"min", do_min},
    {"random", do_random}, {"sum", do_sum},      {"reverse", do_reverse},
};
const struct filter_table list_filters = {filters, sizeof filters / sizeof *filters};
