/* What a template reaches from a value, and what it is told when there is nothing.
 *
 * The sandbox refuses what exists and must not be touched: such an attribute is an undefined value
 * that raises SecurityError. What does not exist is undefined as everything else, so the names that
 * Python's own classes have are listed here.
 */
#include "runtime/jinja/values/access.h"

#include "base/utf8.h"
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/values/range.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <string.h>

/* ---- undefined --------------------------------------------------------------------------------*/

static bool make_undefined(struct run *r, const struct undefined *why, struct value *out)
{
    struct undefined *undefined = run_alloc(r, 1, sizeof *undefined);
    if (undefined == NULL)
        return false;
    *undefined = *why;
    *out = (struct value){.kind = VALUE_UNDEFINED, .as.undefined = undefined};
    return true;
}

bool value_make_undefined(struct run *r, struct value owner, struct value name, struct value *out)
{
    return make_undefined(r, &(struct undefined){.owner = owner, .name = name}, out);
}

static bool make_unsafe(struct run *r, struct value owner, const struct string *name,
                        struct value *out)
{
    const struct undefined why = {.owner = owner, .name = value_string(name), .unsafe = true};
    return make_undefined(r, &why, out);
}

/* "'dict object'", "None", "'jinja2.utils.Namespace object'": quoted before an attribute only. */
static bool add_owner(struct builder *b, struct value owner, const char *quote)
{
    if (owner.kind == VALUE_NONE)
        return builder_printf(b, "%sNone%s", quote, quote);
    const char *module = owner.kind == VALUE_OBJECT ? owner.as.object->type->module : NULL;
    if (owner.kind == VALUE_STRING && owner.as.string->safe)
        module = "markupsafe";
    return builder_printf(b, "%s%s%s%s object%s", quote, module != NULL ? module : "",
                          module != NULL ? "." : "", value_type_name(owner), quote);
}

static bool add_reason(struct builder *b, const struct undefined *why)
{
    if (why->unsafe)
        return builder_add_text(b, "access to attribute ") && builder_add_repr(b, why->name) &&
               builder_printf(b, " of '%s' object is unsafe.", value_type_name(why->owner));
    if (why->owner.kind == VALUE_UNDEFINED)
        return builder_add_repr(b, why->name) && builder_add_text(b, " is undefined");
    const bool named = why->name.kind == VALUE_STRING;
    return add_owner(b, why->owner, named ? "'" : "") &&
           builder_add_text(b, named ? " has no attribute " : " has no element ") &&
           builder_add_repr(b, why->name);
}

bool run_raise_undefined(struct run *r, struct value undefined)
{
    static const struct undefined unknown = {.name.kind = VALUE_NONE};
    const struct undefined *why = undefined.as.undefined;
    if (why == NULL)
        why = &unknown;
    const enum exception kind = why->unsafe ? SECURITY_ERROR : UNDEFINED_ERROR;
    if (why->hint != NULL)
        return run_raise_text(r, kind, why->hint, strlen(why->hint));
    struct builder b;
    builder_init(&b, r);
    return add_reason(&b, why) && run_raise_text(r, kind, b.data, b.n);
}

/* ---- attributes -------------------------------------------------------------------------------*/

/* Whether `name` is one of these, which are separated by blanks. */
static bool is_one_of(const char *names, const struct string *name)
{
    for (const char *at = names; *at != '\0';) {
        const size_t n = (size_t)(strchrnul(at, ' ') - at);
        if (n == name->n_bytes && memcmp(at, name->data, n) == 0)
            return true;
        at += n + (at[n] == ' ');
    }
    return false;
}

/* Attributes with an underscore that every object of Python has, and that some classes add. */
static const char all_have[] =
    "__class__ __delattr__ __dir__ __doc__ __eq__ __format__ __ge__ __getattribute__ __getstate__ "
    "__gt__ __hash__ __init__ __init_subclass__ __le__ __lt__ __ne__ __new__ __reduce__ "
    "__reduce_ex__ __repr__ __setattr__ __sizeof__ __str__ __subclasshook__";
static const char numbers_have[] =
    "__abs__ __add__ __bool__ __ceil__ __divmod__ __float__ __floor__ __floordiv__ __getnewargs__ "
    "__int__ __mod__ __mul__ __neg__ __pos__ __pow__ __radd__ __rdivmod__ __rfloordiv__ __rmod__ "
    "__rmul__ __round__ __rpow__ __rsub__ __rtruediv__ __sub__ __truediv__ __trunc__";
static const char ints_have[] = "__and__ __index__ __invert__ __lshift__ __or__ __rand__ "
                                "__rlshift__ __ror__ __rrshift__ __rshift__ __rxor__ __xor__";
static const char sequences_have[] =
    "__add__ __contains__ __getitem__ __iter__ __len__ __mul__ __rmul__";

static bool has_private(struct value v, const struct string *name)
{
    static const char *const more[] = {
        [VALUE_UNDEFINED] =
            "__add__ __aiter__ __bool__ __call__ __complex__ __div__ __float__ __floordiv__ "
            "__getattr__ __getitem__ __int__ __iter__ __len__ __mod__ __module__ __mul__ __neg__ "
            "__pos__ __pow__ __radd__ __rdiv__ __rfloordiv__ __rmod__ __rmul__ __rpow__ __rsub__ "
            "__rtruediv__ __slots__ __sub__ __truediv__ _fail_with_undefined_error "
            "_undefined_exception _undefined_hint _undefined_message _undefined_name "
            "_undefined_obj",
        [VALUE_NONE] = "__bool__",
        [VALUE_BOOL] = ints_have,
        [VALUE_INT] = ints_have,
        [VALUE_FLOAT] = "__getformat__",
        [VALUE_STRING] = "__getnewargs__ __mod__ __rmod__",
        [VALUE_LIST] = "__class_getitem__ __delitem__ __iadd__ __imul__ __reversed__ __setitem__",
        [VALUE_TUPLE] = "__class_getitem__ __getnewargs__",
        [VALUE_DICT] = "__class_getitem__ __contains__ __delitem__ __getitem__ __ior__ __iter__ "
                       "__len__ __or__ __reversed__ __ror__ __setitem__",
        [VALUE_OBJECT] = "",
    };
    if (name->n_bytes == 0 || name->data[0] != '_')
        return false;
    if (v.kind == VALUE_OBJECT && strcmp(v.as.object->type->name, "Namespace") == 0)
        return string_is(name, "__class__") || string_is(name, "_Namespace__attrs");
    if (is_one_of(all_have, name) || is_one_of(more[v.kind], name))
        return true;
    if (value_is_number(v))
        return is_one_of(numbers_have, name);
    if (v.kind == VALUE_STRING && v.as.string->safe &&
        is_one_of("__html__ __html_format__ __module__ __radd__ __slots__", name))
        return true;
    return (v.kind == VALUE_STRING || v.kind == VALUE_LIST || v.kind == VALUE_TUPLE) &&
           is_one_of(sequences_have, name);
}

/* Methods that change their value. jinja2 3.1.2 forgot `pop` and `clear` of a list; values
 * cannot change here, so they are refused as later releases do. */
static bool is_changing(struct value v, const struct string *name)
{
    if (v.kind == VALUE_LIST)
        return is_one_of("append clear extend insert pop remove reverse sort", name);
    return v.kind == VALUE_DICT && is_one_of("clear pop popitem setdefault update", name);
}

/* getattr(v, name), through the sandbox. */
static bool find_attribute(struct run *r, struct value v, const struct string *name,
                           struct value *out, bool *found)
{
    *found = true;
    if (has_private(v, name) || is_changing(v, name))
        return make_unsafe(r, v, name, out);
    *found = false;
    switch (v.kind) {
    case VALUE_UNDEFINED:
        return run_raise_undefined(r, v);
    case VALUE_OBJECT:
        if (!v.as.object->type->attribute(r, v.as.object, name, out, found))
            return false;
        if (*found && name->n_bytes > 0 && name->data[0] == '_')
            return make_unsafe(r, v, name, out);
        return true;
    case VALUE_DICT: /* most attributes of a dict are its items, which this tells apart at once */
        if (!is_one_of("copy fromkeys get items keys values", name))
            return true;
        return method_find(r, v, name, out, found);
    default:
        return method_find(r, v, name, out, found);
    }
}

bool value_attribute(struct run *r, struct value v, const struct string *name, struct value *out)
{
    bool found;
    if (!find_attribute(r, v, name, out, &found))
        return false;
    if (found)
        return true;
    if (v.kind == VALUE_DICT) {
        const struct value *item;
        if (!dict_find(r, v.as.dict, value_string(name), &item))
            return false;
        if (item != NULL) {
            *out = *item;
            return true;
        }
    } else if (v.kind == VALUE_OBJECT) {
        if (!v.as.object->type->item(r, v.as.object, value_string(name), out, &found))
            return false;
        if (found)
            return true;
    }
    return value_make_undefined(r, v, value_string(name), out);
}

/* ---- items ------------------------------------------------------------------------------------*/

static bool is_hashable(struct run *r, struct value v, bool *out)
{
    *out = v.kind != VALUE_LIST && v.kind != VALUE_DICT;
    if (v.kind != VALUE_TUPLE)
        return true;
    if (!run_enter(r))
        return false;
    bool ok = run_step(r, v.as.list->n);
    for (uint32_t i = 0; ok && *out && i < v.as.list->n; i++)
        ok = is_hashable(r, v.as.list->items[i], out);
    run_leave(r);
    return ok;
}

static bool find_item(struct run *r, struct value v, struct value key, struct value *out,
                      bool *found)
{
    *found = false;
    if (v.kind == VALUE_DICT) {
        const struct value *item = NULL;
        bool hashable;
        if (!is_hashable(r, key, &hashable) || (hashable && !dict_find(r, v.as.dict, key, &item)))
            return false;
        *found = item != NULL;
        if (item != NULL)
            *out = *item;
        return true;
    }
    if (v.kind == VALUE_OBJECT)
        return v.as.object->type->item(r, v.as.object, key, out, found);
    const bool is_text = v.kind == VALUE_STRING;
    if ((!is_text && v.kind != VALUE_LIST && v.kind != VALUE_TUPLE) || !value_is_whole(key))
        return true;
    const int64_t n = is_text ? v.as.string->n_chars : v.as.list->n;
    int64_t i = value_whole(key);
    i = i < 0 ? i + n : i;
    *found = i >= 0 && i < n;
    if (!*found)
        return true;
    if (!is_text) {
        *out = v.as.list->items[i];
        return true;
    }
    const struct string *s = v.as.string;
    const size_t begin = string_byte_of(s, (size_t)i);
    size_t end = begin;
    utf8_read(s->data, &end);
    return (s->n_bytes == s->n_chars || run_step(r, begin / TEXT_BYTES_PER_STEP)) &&
           string_part(r, s, begin, end, out);
}

bool value_item(struct run *r, struct value v, struct value key, struct value *out)
{
    bool found;
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (!find_item(r, v, key, out, &found))
        return false;
    if (!found && key.kind == VALUE_STRING && !find_attribute(r, v, key.as.string, out, &found))
        return false;
    return found || value_make_undefined(r, v, key, out);
}

/* ---- slices -----------------------------------------------------------------------------------*/

static bool slice_number(struct run *r, struct value v, int64_t absent, int64_t *out)
{
    *out = absent;
    if (v.kind == VALUE_INT)
        *out = v.as.integer;
    else if (v.kind == VALUE_BOOL)
        *out = v.as.boolean;
    else if (v.kind != VALUE_NONE)
        return run_raise(r, TYPE_ERROR,
                         "slice indices must be integers or None or have an __index__ method");
    return true;
}

/* A place counted from the end if negative, within [low, high]. */
static int64_t clamp(int64_t place, int64_t n, int64_t low, int64_t high)
{
    if (place < 0)
        place += n;
    return place < low ? low : place > high ? high : place;
}

struct slice { /* places start, start + step, …: `count` of them */
    int64_t start, stop, step, count;
};

static bool slice_make(struct run *r, struct value start, struct value stop, struct value step,
                       int64_t n, struct slice *out)
{
    int64_t from, to;
    if (!slice_number(r, step, 1, &out->step))
        return false;
    if (out->step == 0)
        return run_raise(r, VALUE_ERROR, "slice step cannot be zero");
    if (out->step < -INT64_MAX)
        out->step = -INT64_MAX;
    const bool forward = out->step > 0;
    const int64_t low = forward ? 0 : -1, high = forward ? n : n - 1;
    if (!slice_number(r, start, 0, &from) || !slice_number(r, stop, 0, &to))
        return false;
    from = start.kind == VALUE_NONE ? (forward ? low : high) : clamp(from, n, low, high);
    to = stop.kind == VALUE_NONE ? (forward ? high : low) : clamp(to, n, low, high);
    out->start = from;
    out->stop = to;
    out->count = 0;
    if (forward && from < to)
        out->count = (to - from - 1) / out->step + 1;
    else if (!forward && to < from)
        out->count = (from - to - 1) / -out->step + 1;
    return true;
}

static bool slice_text(struct run *r, const struct string *s, const struct slice *slice,
                       struct value *out)
{
    if (slice->count == 0)
        return string_part(r, s, 0, 0, out);
    size_t at = string_byte_of(s, (size_t)slice->start);
    if (!run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP))
        return false;
    if (slice->step == 1) {
        const size_t end = string_byte_of(s, (size_t)(slice->start + slice->count));
        return string_part(r, s, at, end, out);
    }
    struct builder b;
    builder_init(&b, r);
    b.safe = s->safe;
    const bool ascii = s->n_bytes == s->n_chars;
    for (int64_t i = 0; i < slice->count; i++) {
        size_t end = at;
        utf8_read(s->data, &end);
        if (!builder_add_part(&b, s, at, end))
            return false;
        if (i + 1 == slice->count)
            break;
        if (ascii)
            at = (size_t)((int64_t)at + slice->step);
        for (int64_t k = 0; !ascii && k < slice->step; k++)
            utf8_read(s->data, &at);
        for (int64_t k = 0; !ascii && k > slice->step; k--)
            at = utf8_before(s->data, at);
    }
    return builder_end(&b, out);
}

bool value_slice(struct run *r, struct value v, struct value start, struct value stop,
                 struct value step, struct value *out)
{
    struct slice slice;
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (v.kind == VALUE_DICT)
        return run_raise(r, TYPE_ERROR, "unhashable type: 'slice'");
    if (v.kind == VALUE_STRING)
        return slice_make(r, start, stop, step, v.as.string->n_chars, &slice) &&
               slice_text(r, v.as.string, &slice, out);
    if (v.kind == VALUE_OBJECT && v.as.object->type->is_sequence) {
        struct list *items;
        int64_t n;
        if (range_is(v.as.object)) /* a part of a range is a range */
            return value_length(r, v, &n) && slice_make(r, start, stop, step, n, &slice) &&
                   range_part(r, v.as.object, slice.start, slice.stop, slice.step, out);
        if (!value_items(r, v, &items)) /* a named tuple */
            return false;
        v = value_tuple(items);
    }
    if (v.kind != VALUE_LIST && v.kind != VALUE_TUPLE)
        return run_raise(r, TYPE_ERROR, "'%s' object is not subscriptable", value_type_name(v));
    if (!slice_make(r, start, stop, step, v.as.list->n, &slice) ||
        !run_step(r, (size_t)slice.count))
        return false;
    struct list *list = list_make(r, (size_t)slice.count);
    if (list == NULL)
        return false;
    list->n = (uint32_t)slice.count;
    for (int64_t i = 0; i < slice.count; i++)
        list->items[i] = v.as.list->items[slice.start + i * slice.step];
    *out = v.kind == VALUE_LIST ? value_list(list) : value_tuple(list);
    return true;
}

/* ---- calls ------------------------------------------------------------------------------------*/

bool value_call(struct run *r, struct value callee, const struct arguments *args, struct value *out)
{
    if (callee.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, callee);
    if (callee.kind != VALUE_OBJECT)
        return run_raise(r, TYPE_ERROR, "'%s' object is not callable", value_type_name(callee));
    if (!run_enter(r))
        return false;
    const bool ok = callee.as.object->type->call(r, callee.as.object, args, out);
    run_leave(r);
    return ok;
}
