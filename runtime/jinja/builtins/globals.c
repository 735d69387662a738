/* The functions that every template can call. Cyclers and joiners remember where they are: calling
 * them is the one thing besides namespaces that changes anything. */
#include "base/system.h"
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/builtins/strftime.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/object.h"
#include "runtime/jinja/values/range.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <string.h>

/* ---- dict() -----------------------------------------------------------------------------------*/

/* Pair number i of those that dict() gets. */
static bool set_pair(struct run *r, struct dict *dict, struct value pair, int64_t i)
{
    struct list *items;
    if (!value_is_iterable(pair))
        return run_raise(r, TYPE_ERROR,
                         "cannot convert dictionary update sequence element #%lld to a sequence",
                         (long long)i);
    if (!value_items(r, pair, &items))
        return false;
    if (items->n != 2)
        return run_raise(r, VALUE_ERROR,
                         "dictionary update sequence element #%lld has length %u; 2 is required",
                         (long long)i, items->n);
    return dict_set(r, dict, items->items[0], items->items[1]);
}

static bool set_all(struct run *r, struct dict *dict, struct value from)
{
    if (from.kind == VALUE_DICT) {
        for (uint32_t i = 0; i < from.as.dict->n; i++)
            if (!run_step(r, 1) ||
                !dict_set(r, dict, from.as.dict->items[i].key, from.as.dict->items[i].value))
                return false;
        return true;
    }
    if (from.kind == VALUE_UNDEFINED) /* Python asks it for `keys` first */
        return run_raise_undefined(r, from);
    struct iterator *it;
    if (!value_iterate(r, from, &it))
        return false;
    for (int64_t i = 0;; i++) {
        struct value pair;
        bool done = false;
        if (!iterator_next(r, it, &pair, &done))
            return false;
        if (done)
            return true;
        if (!set_pair(r, dict, pair, i))
            return false;
    }
}

static bool dict_from(struct run *r, const struct arguments *args, struct dict **out)
{
    struct dict *dict = dict_make(r);
    *out = dict;
    if (dict == NULL)
        return false;
    if (args->n_positional > 1)
        return run_raise(r, TYPE_ERROR, "dict expected at most 1 argument, got %d",
                         args->n_positional);
    if (args->n_positional == 1 && !set_all(r, dict, args->positional[0]))
        return false;
    for (int i = 0; i < args->n_keywords; i++)
        if (!dict_set(r, dict, value_string(args->keywords[i].name), args->keywords[i].value))
            return false;
    return true;
}

static bool call_dict(struct run *r, struct value self, const struct arguments *args,
                      struct value *out)
{
    (void)self;
    struct dict *dict;
    if (!dict_from(r, args, &dict))
        return false;
    *out = value_dict(dict);
    return true;
}

/* ---- namespace() ------------------------------------------------------------------------------*/

struct namespace
{
    struct object object;
    struct dict *attributes;
};

static bool namespace_attribute(struct run *r, struct object *self, const struct string *name,
                                struct value *out, bool *found)
{
    const struct value *item;
    if (!dict_find(r, ((struct namespace *)self)->attributes, value_string(name), &item))
        return false;
    *found = item != NULL;
    if (item != NULL)
        *out = *item;
    return true;
}

static bool namespace_repr(struct run *r, struct object *self, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    if (!run_enter(r)) /* it may hold itself */
        return false;
    const bool ok = builder_add_text(&b, "<Namespace ") &&
                    builder_add_repr(&b, value_dict(((struct namespace *)self)->attributes)) &&
                    builder_add_text(&b, ">") && builder_end(&b, out);
    run_leave(r);
    return ok;
}

static const struct object_type namespace_type = {
    .name = "Namespace",
    .module = "jinja2.utils",
    .attribute = namespace_attribute,
    .item = object_no_item,
    .call = object_not_callable,
    .iterate = object_not_iterable,
    .length = object_no_length,
    .repr = namespace_repr,
    .equal = object_is_same,
};

static bool call_namespace(struct run *r, struct value self, const struct arguments *args,
                           struct value *out)
{
    (void)self;
    struct namespace *namespace = run_alloc(r, 1, sizeof *namespace);
    if (namespace == NULL)
        return false;
    namespace->object.type = &namespace_type;
    *out = value_object(&namespace->object);
    return dict_from(r, args, &namespace->attributes);
}

bool namespace_check(struct run *r, struct value ns)
{
    return (ns.kind == VALUE_OBJECT && ns.as.object->type == &namespace_type) ||
           run_raise(r, TEMPLATE_RUNTIME_ERROR, "cannot assign attribute on non-namespace object");
}

bool namespace_set(struct run *r, struct value ns, const struct string *name, struct value v)
{
    return namespace_check(r, ns) &&
           dict_set(r, ((struct namespace *)ns.as.object)->attributes, value_string(name), v);
}

/* ---- cycler() ---------------------------------------------------------------------------------*/

struct cycler {
    struct object object;
    struct list *items;
    uint32_t at;
};

static bool cycler_next(struct run *r, struct value self, const struct arguments *args,
                        struct value *out)
{
    struct cycler *cycler = (struct cycler *)self.as.object;
    if (!arguments_bind(r, "Cycler.next", "self |", args, NULL, 0))
        return false;
    *out = cycler->items->items[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->items->n;
    return true;
}

static bool cycler_reset(struct run *r, struct value self, const struct arguments *args,
                         struct value *out)
{
    if (!arguments_bind(r, "Cycler.reset", "self |", args, NULL, 0))
        return false;
    ((struct cycler *)self.as.object)->at = 0;
    *out = value_none();
    return true;
}

static bool cycler_attribute(struct run *r, struct object *self, const struct string *name,
                             struct value *out, bool *found)
{
    const struct cycler *cycler = (const struct cycler *)self;
    *found = true;
    if (string_is(name, "next"))
        return native_make(r, "next", cycler_next, value_object(self), out);
    if (string_is(name, "reset"))
        return native_make(r, "reset", cycler_reset, value_object(self), out);
    if (string_is(name, "current"))
        *out = cycler->items->items[cycler->at];
    else if (string_is(name, "items"))
        *out = value_tuple(cycler->items);
    else if (string_is(name, "pos"))
        *out = value_int(cycler->at);
    else
        *found = false;
    return true;
}

static const struct object_type cycler_type = {
    .name = "Cycler",
    .module = "jinja2.utils",
    .attribute = cycler_attribute,
    .item = object_no_item,
    .call = object_not_callable,
    .iterate = object_not_iterable,
    .length = object_no_length,
    .repr = object_plain_repr,
    .equal = object_is_same,
};

static bool call_cycler(struct run *r, struct value self, const struct arguments *args,
                        struct value *out)
{
    (void)self;
    if (args->n_keywords > 0)
        return run_raise(r, TYPE_ERROR,
                         "Cycler.__init__() got an unexpected keyword argument '%.*s'",
                         (int)args->keywords[0].name->n_bytes, args->keywords[0].name->data);
    if (args->n_positional == 0)
        return run_raise(r, RUNTIME_ERROR, "at least one item has to be provided");
    struct cycler *cycler = run_alloc(r, 1, sizeof *cycler);
    if (cycler == NULL)
        return false;
    cycler->object.type = &cycler_type;
    cycler->items = list_make(r, (size_t)args->n_positional);
    *out = value_object(&cycler->object);
    for (int i = 0; cycler->items != NULL && i < args->n_positional; i++)
        if (!list_add(r, cycler->items, args->positional[i]))
            return false;
    return cycler->items != NULL;
}

/* ---- joiner() ---------------------------------------------------------------------------------*/

struct joiner {
    struct object object;
    struct value between;
    bool used;
};

static bool joiner_call(struct run *r, struct object *self, const struct arguments *args,
                        struct value *out)
{
    struct joiner *joiner = (struct joiner *)self;
    if (!arguments_bind(r, "Joiner.__call__", "self |", args, NULL, 0))
        return false;
    if (!joiner->used) {
        joiner->used = true;
        return value_make_static(r, "", out);
    }
    *out = joiner->between;
    return true;
}

static bool joiner_attribute(struct run *r, struct object *self, const struct string *name,
                             struct value *out, bool *found)
{
    (void)r;
    const struct joiner *joiner = (const struct joiner *)self;
    *found = string_is(name, "sep") || string_is(name, "used");
    if (*found)
        *out = string_is(name, "sep") ? joiner->between : value_bool(joiner->used);
    return true;
}

static const struct object_type joiner_type = {
    .name = "Joiner",
    .module = "jinja2.utils",
    .attribute = joiner_attribute,
    .item = object_no_item,
    .call = joiner_call,
    .iterate = object_not_iterable,
    .length = object_no_length,
    .repr = object_plain_repr,
    .equal = object_is_same,
    .is_callable = true,
};

static bool call_joiner(struct run *r, struct value self, const struct arguments *args,
                        struct value *out)
{
    (void)self;
    struct joiner *joiner = run_alloc(r, 1, sizeof *joiner);
    if (joiner == NULL)
        return false;
    joiner->object.type = &joiner_type;
    *out = value_object(&joiner->object);
    return value_make_static(r, ", ", &joiner->between) &&
           arguments_bind(r, "Joiner.__init__", "self | sep=", args, &joiner->between, 1);
}

/* ---- of transformers, and what there is not ---------------------------------------------------*/

static bool call_raise(struct run *r, struct value self, const struct arguments *args,
                       struct value *out)
{
    (void)self, (void)out;
    struct value message = value_none();
    return arguments_bind(r, "raise_exception", "message", args, &message, 1) &&
           value_text(r, message, &message) &&
           run_raise_text(r, TEMPLATE_ERROR, message.as.string->data, message.as.string->n_bytes);
}

static bool call_strftime(struct run *r, struct value self, const struct arguments *args,
                          struct value *out)
{
    (void)self;
    struct value format = value_none();
    struct calendar_time now;
    if (!arguments_bind(r, "strftime_now", "format", args, &format, 1))
        return false;
    if (format.kind != VALUE_STRING)
        return run_raise(r, TYPE_ERROR, "strftime() argument 1 must be str, not %s",
                         format.kind == VALUE_NONE ? "None" : value_type_name(format));
    if (r->now == NULL)
        clock_calendar(&now);
    else
        now = *r->now;
    return strftime_text(r, &now, format.as.string, out);
}

static bool call_lipsum(struct run *r, struct value self, const struct arguments *args,
                        struct value *out)
{
    (void)self, (void)args, (void)out;
    return run_raise(r, NOT_SUPPORTED, "lipsum: its text is random");
}

/* `self`, whose attributes are the blocks of the template. They are not values here. */
static bool self_attribute(struct run *r, struct object *self, const struct string *name,
                           struct value *out, bool *found)
{
    (void)self, (void)out, (void)found;
    return run_raise(r, NOT_SUPPORTED, "self.%.*s: blocks cannot be called", (int)name->n_bytes,
                     name->data);
}

static bool self_repr(struct run *r, struct object *self, struct value *out)
{
    (void)self;
    return value_make_static(r, "<TemplateReference None>", out);
}

static const struct object_type self_type = {
    .name = "TemplateReference",
    .module = "jinja2.runtime",
    .attribute = self_attribute,
    .item = object_no_item,
    .call = object_not_callable,
    .iterate = object_not_iterable,
    .length = object_no_length,
    .repr = self_repr,
    .equal = object_is_same,
};

static bool make_self(struct run *r, struct value *out)
{
    struct object *self = run_alloc(r, 1, sizeof *self);
    if (self == NULL)
        return false;
    self->type = &self_type;
    *out = value_object(self);
    return true;
}

bool global_find(struct run *r, const char *name, size_t n_bytes, struct value *out, bool *found)
{
    static const struct {
        const char *name;
        native_fn *call;
    } globals[] = {
        {"cycler", call_cycler},       {"dict", call_dict},
        {"joiner", call_joiner},       {"lipsum", call_lipsum},
        {"namespace", call_namespace}, {"raise_exception", call_raise},
        {"range", range_call},         {"strftime_now", call_strftime},
    };
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        *found = strlen(globals[i].name) == n_bytes && memcmp(globals[i].name, name, n_bytes) == 0;
        if (*found)
            return native_make(r, globals[i].name, globals[i].call, value_none(), out);
    }
    *found = n_bytes == 4 && memcmp(name, "self", 4) == 0;
    return !*found || make_self(r, out);
}
