/* Filters that give their items one by one, when somebody asks: Python's generators. What is wrong
 * with their arguments is found at the first item too. */
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/object.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <string.h>

struct lazy {
    struct iterator base;
    struct value v;
    struct arguments args; /* of the filter or test that is applied */
    struct iterator *items;
    bool begun, nothing;
    /* map and select */
    struct attribute_path path;
    const struct filter *filter;
    const struct test *test;
    bool wanted; /* select: what the test must say */
    bool by_attribute;
    /* unique, batch */
    struct value slots[2];
    struct dict *seen;
    int64_t count; /* slice: number of the next slice */
    struct list *list;
};

typedef bool lazy_fn(struct run *r, struct iterator *self, struct value *out, bool *done);

/* The arguments may lie on the stack of the caller. */
static bool copy_arguments(struct run *r, const struct arguments *args, struct arguments *out)
{
    const size_t n = (size_t)args->n_positional, n_keywords = (size_t)args->n_keywords;
    struct value *positional = run_alloc(r, n, sizeof *positional);
    struct keyword *keywords = run_alloc(r, n_keywords, sizeof *keywords);
    if (positional == NULL || keywords == NULL)
        return false;
    if (n > 0)
        memcpy(positional, args->positional, n * sizeof *positional);
    if (n_keywords > 0)
        memcpy(keywords, args->keywords, n_keywords * sizeof *keywords);
    *out = (struct arguments){positional, args->n_positional, keywords, args->n_keywords};
    return true;
}

static bool lazy_make(struct run *r, const struct lazy *from, lazy_fn *next, struct value *out)
{
    struct lazy *lazy = run_alloc(r, 1, sizeof *lazy);
    if (lazy == NULL)
        return false;
    *lazy = *from;
    lazy->base.next = next;
    return copy_arguments(r, &from->args, &lazy->args) &&
           generator_make(r, &lazy->base, "generator", out);
}

/* ---- filters and tests by name ----------------------------------------------------------------*/

/* Always false. */
static bool raise_no_such(struct run *r, const char *what, struct value name)
{
    struct builder b;
    builder_init(&b, r);
    if (!builder_printf(&b, "No %s named ", what) || !builder_add_repr(&b, name) ||
        !builder_add_text(&b, "."))
        return false;
    if (name.kind == VALUE_UNDEFINED) {
        run_raise_undefined(r, name); /* only for its text */
        const bool good =
            builder_printf(&b, " (%s; did you forget to quote the callable name?)", r->message);
        r->exception = EXCEPTION_NONE;
        if (!good)
            return run_raise(r, LIMIT_EXCEEDED, "the template needs more memory than it may have");
    }
    return run_raise_text(r, TEMPLATE_RUNTIME_ERROR, b.data, b.n);
}

static bool find_filter(struct run *r, struct value name, const struct filter **out)
{
    uint64_t hash;
    if (!value_hash(r, name, &hash))
        return false;
    *out = name.kind == VALUE_STRING ? filter_find(name.as.string->data, name.as.string->n_bytes)
                                     : NULL;
    return *out != NULL || raise_no_such(r, "filter", name);
}

static bool find_test(struct run *r, struct value name, const struct test **out)
{
    uint64_t hash;
    if (!value_hash(r, name, &hash))
        return false;
    *out =
        name.kind == VALUE_STRING ? test_find(name.as.string->data, name.as.string->n_bytes) : NULL;
    return *out != NULL || raise_no_such(r, "test", name);
}

/* Nothing of what is not true, without looking at arguments; else its items. */
static bool begin(struct run *r, struct lazy *lazy)
{
    bool is_true;
    lazy->begun = true;
    if (!value_truth(r, lazy->v, &is_true))
        return false;
    lazy->nothing = !is_true;
    return true;
}

static void drop_first(struct arguments *args)
{
    args->positional++;
    args->n_positional--;
}

static const struct value *find_keyword(const struct arguments *args, const char *name)
{
    for (int i = 0; i < args->n_keywords; i++)
        if (string_is(args->keywords[i].name, name))
            return &args->keywords[i].value;
    return NULL;
}

/* ---- map --------------------------------------------------------------------------------------*/

static bool begin_map(struct run *r, struct lazy *lazy)
{
    const struct arguments *args = &lazy->args;
    const struct value *attribute = find_keyword(args, "attribute");
    if (!begin(r, lazy) || lazy->nothing)
        return r->exception == EXCEPTION_NONE;
    lazy->by_attribute = args->n_positional == 0 && attribute != NULL;
    if (!lazy->by_attribute) {
        if (args->n_positional == 0)
            return run_raise(r, FILTER_ARGUMENT_ERROR, "map requires a filter argument");
        return value_iterate(r, lazy->v, &lazy->items);
    }
    for (int i = 0; i < args->n_keywords; i++) {
        const struct string *name = args->keywords[i].name;
        if (string_is(name, "attribute") || string_is(name, "default"))
            continue;
        struct builder b;
        builder_init(&b, r);
        return builder_add_text(&b, "Unexpected keyword argument ") &&
               builder_add_repr(&b, value_string(name)) &&
               run_raise_text(r, FILTER_ARGUMENT_ERROR, b.data, b.n);
    }
    if (!attribute_path_init(r, &lazy->path, *attribute))
        return false;
    const struct value *otherwise = find_keyword(args, "default");
    if (otherwise != NULL)
        lazy->path.otherwise = *otherwise;
    return value_iterate(r, lazy->v, &lazy->items);
}

static bool next_mapped(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct lazy *lazy = (struct lazy *)self;
    struct value item;
    if (!lazy->begun && !begin_map(r, lazy))
        return false;
    *done = lazy->nothing;
    if (*done)
        return true;
    if (!iterator_next(r, lazy->items, &item, done) || *done)
        return r->exception == EXCEPTION_NONE;
    if (lazy->by_attribute)
        return attribute_path_get(r, &lazy->path, item, out);
    struct arguments args = lazy->args;
    if (lazy->filter == NULL && !find_filter(r, args.positional[0], &lazy->filter))
        return false;
    drop_first(&args);
    return lazy->filter->apply(r, item, &args, out);
}

static bool do_map(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    return lazy_make(r, &(struct lazy){.v = v, .args = *args}, next_mapped, out);
}

/* ---- select, reject, selectattr, rejectattr ---------------------------------------------------*/

static bool begin_select(struct run *r, struct lazy *lazy)
{
    if (!begin(r, lazy) || lazy->nothing)
        return r->exception == EXCEPTION_NONE;
    if (lazy->by_attribute) {
        if (lazy->args.n_positional == 0)
            return run_raise(r, FILTER_ARGUMENT_ERROR, "Missing parameter for attribute name");
        if (!attribute_path_init(r, &lazy->path, lazy->args.positional[0]))
            return false;
        drop_first(&lazy->args);
    }
    return value_iterate(r, lazy->v, &lazy->items);
}

/* What the test says of an item, or whether it is true where there is no test. */
static bool ask(struct run *r, struct lazy *lazy, struct value item, bool *out)
{
    struct arguments args = lazy->args;
    if (!attribute_path_get(r, &lazy->path, item, &item))
        return false;
    if (args.n_positional == 0)
        return value_truth(r, item, out);
    if (lazy->test == NULL && !find_test(r, args.positional[0], &lazy->test))
        return false;
    drop_first(&args);
    return lazy->test->apply(r, item, &args, out);
}

static bool next_selected(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct lazy *lazy = (struct lazy *)self;
    if (!lazy->begun && !begin_select(r, lazy))
        return false;
    *done = lazy->nothing;
    while (!*done) {
        bool answer;
        if (!iterator_next(r, lazy->items, out, done))
            return false;
        if (*done)
            break;
        if (!ask(r, lazy, *out, &answer))
            return false;
        if (answer == lazy->wanted)
            return true;
    }
    return true;
}

static bool select_make(struct run *r, struct value v, const struct arguments *args, bool wanted,
                        bool by_attribute, struct value *out)
{
    const struct lazy lazy = {.v = v,
                              .args = *args,
                              .path.otherwise = value_none(),
                              .wanted = wanted,
                              .by_attribute = by_attribute};
    return lazy_make(r, &lazy, next_selected, out);
}

static bool do_select(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    return select_make(r, v, args, true, false, out);
}

static bool do_reject(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    return select_make(r, v, args, false, false, out);
}

static bool do_selectattr(struct run *r, struct value v, const struct arguments *args,
                          struct value *out)
{
    return select_make(r, v, args, true, true, out);
}

static bool do_rejectattr(struct run *r, struct value v, const struct arguments *args,
                          struct value *out)
{
    return select_make(r, v, args, false, true, out);
}

/* ---- unique -----------------------------------------------------------------------------------*/

static bool next_unique(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct lazy *lazy = (struct lazy *)self;
    if (!lazy->begun) {
        bool case_sensitive;
        lazy->begun = true;
        lazy->seen = dict_make(r);
        if (lazy->seen == NULL || !attribute_path_init(r, &lazy->path, lazy->slots[1]) ||
            !value_truth(r, lazy->slots[0], &case_sensitive) ||
            !value_iterate(r, lazy->v, &lazy->items))
            return false;
        lazy->path.ignore_case = !case_sensitive;
    }
    for (;;) {
        struct value key;
        const struct value *found;
        if (!iterator_next(r, lazy->items, out, done) || *done)
            return r->exception == EXCEPTION_NONE;
        if (!attribute_path_get(r, &lazy->path, *out, &key) ||
            !dict_find(r, lazy->seen, key, &found))
            return false;
        if (found == NULL)
            return dict_set(r, lazy->seen, key, value_none());
    }
}

static bool do_unique(struct run *r, struct value v, const struct arguments *args,
                      struct value *out)
{
    struct lazy lazy = {.v = v, .slots = {value_bool(false), value_none()}};
    return arguments_bind(r, "do_unique", "environment, value | case_sensitive=, attribute=", args,
                          lazy.slots, 2) &&
           lazy_make(r, &lazy, next_unique, out);
}

/* ---- batch and slice --------------------------------------------------------------------------*/

/* Up to `count` items; the last batch is filled up. */
static bool fill_batch(struct run *r, struct lazy *lazy, struct list *batch)
{
    bool fewer;
    struct value missing;
    if (lazy->slots[1].kind == VALUE_NONE)
        return true;
    if (!value_less(r, value_int(batch->n), lazy->slots[0], "<", &fewer) || !fewer)
        return r->exception == EXCEPTION_NONE;
    if (!value_binary(r, OP_SUB, lazy->slots[0], value_int(batch->n), &missing))
        return false;
    if (missing.kind != VALUE_INT)
        return run_raise(r, TYPE_ERROR, "can't multiply sequence by non-int of type '%s'",
                         value_type_name(missing));
    if (!run_step(r, (size_t)missing.as.integer))
        return false;
    for (int64_t i = 0; i < missing.as.integer; i++)
        if (!list_add(r, batch, lazy->slots[1]))
            return false;
    return true;
}

static bool next_batch(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct lazy *lazy = (struct lazy *)self;
    *done = lazy->nothing;
    if (*done)
        return true;
    if (!lazy->begun) {
        lazy->begun = true;
        lazy->list = list_make(r, 0);
        if (lazy->list == NULL || !value_iterate(r, lazy->v, &lazy->items))
            return false;
    }
    for (;;) {
        struct value item;
        bool ended = false, full;
        if (!iterator_next(r, lazy->items, &item, &ended))
            return false;
        *out = value_list(lazy->list);
        if (ended) {
            lazy->nothing = true;
            *done = lazy->list->n == 0;
            return *done || fill_batch(r, lazy, lazy->list);
        }
        if (!value_equal(r, value_int(lazy->list->n), lazy->slots[0], &full))
            return false;
        if (full)
            lazy->list = list_make(r, 0);
        if (lazy->list == NULL || !list_add(r, lazy->list, item))
            return false;
        if (full)
            return true;
    }
}

static bool do_batch(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct lazy lazy = {.v = v, .slots = {value_none(), value_none()}};
    return arguments_bind(r, "do_batch", "value | linecount, fill_with=", args, lazy.slots, 2) &&
           lazy_make(r, &lazy, next_batch, out);
}

static bool begin_slices(struct run *r, struct lazy *lazy)
{
    struct value size, rest;
    int64_t n;
    lazy->begun = true;
    if (!value_items(r, lazy->v, &lazy->list))
        return false;
    const struct value length = value_int(lazy->list->n);
    return value_binary(r, OP_FLOORDIV, length, lazy->slots[0], &size) &&
           value_binary(r, OP_MOD, length, lazy->slots[0], &rest) &&
           argument_integer(r, lazy->slots[0], &n);
}

static bool next_slice(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct lazy *lazy = (struct lazy *)self;
    int64_t slices;
    if ((!lazy->begun && !begin_slices(r, lazy)) || !argument_integer(r, lazy->slots[0], &slices))
        return false;
    const int64_t number = lazy->count++;
    *done = number >= slices;
    if (*done)
        return true;
    const int64_t size = lazy->list->n / slices, with_extra = lazy->list->n % slices;
    const int64_t before = number < with_extra ? number : with_extra;
    const int64_t first = before + number * size;
    const int64_t n = size + (number < with_extra);
    struct list *slice = run_step(r, (size_t)n) ? list_make(r, (size_t)n + 1) : NULL;
    if (slice == NULL)
        return false;
    *out = value_list(slice);
    for (int64_t i = first; i < first + n; i++)
        if (!list_add(r, slice, lazy->list->items[i]))
            return false;
    return lazy->slots[1].kind == VALUE_NONE || number < with_extra ||
           list_add(r, slice, lazy->slots[1]);
}

static bool do_slice(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct lazy lazy = {.v = v, .slots = {value_none(), value_none()}};
    return arguments_bind(r, "sync_do_slice", "value | slices, fill_with=", args, lazy.slots, 2) &&
           lazy_make(r, &lazy, next_slice, out);
}

static const struct filter filters[] = {
    {"batch", do_batch},           {"map", do_map},       {"reject", do_reject},
    {"rejectattr", do_rejectattr}, {"select", do_select}, {"selectattr", do_selectattr},
    {"slice", do_slice},           {"unique", do_unique},
};
const struct filter_table select_filters = {filters, sizeof filters / sizeof *filters};
