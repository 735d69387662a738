/* What values are to each other.
 *
 * Inside of containers Python holds a thing for equal to itself, which matters for NaN only: there,
 * NaNs with the same bits are the same thing here. Long texts cost steps, because a template can
 * compare them over and over without making anything.
 */
#include "runtime/jinja/builtins/group.h"
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/value.h"

#include <math.h>
#include <string.h>

enum order { LESS = -1, EQUAL = 0, GREATER = 1, UNORDERED = 2 };

const char *value_type_name(struct value v)
{
    static const char *const names[] = {
        [VALUE_UNDEFINED] = "Undefined", [VALUE_NONE] = "NoneType",
        [VALUE_BOOL] = "bool",           [VALUE_INT] = "int",
        [VALUE_FLOAT] = "float",         [VALUE_STRING] = "str",
        [VALUE_LIST] = "list",           [VALUE_TUPLE] = "tuple",
        [VALUE_DICT] = "dict",
    };
    if (v.kind == VALUE_OBJECT)
        return v.as.object->type->name;
    return v.kind == VALUE_STRING && v.as.string->safe ? "Markup" : names[v.kind];
}

bool value_is_text(struct value v, const char *text)
{
    return v.kind == VALUE_STRING && string_is(v.as.string, text);
}

bool value_truth(struct run *r, struct value v, bool *out)
{
    int64_t length = 1;
    switch (v.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        length = 0;
        break;
    case VALUE_BOOL:
        length = v.as.boolean;
        break;
    case VALUE_INT:
        length = v.as.integer;
        break;
    case VALUE_FLOAT:
        length = v.as.number != 0;
        break;
    case VALUE_STRING:
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_DICT:
        if (!value_length(r, v, &length))
            return false;
        break;
    case VALUE_OBJECT:
        if (v.as.object->type->has_length && !v.as.object->type->length(r, v.as.object, &length))
            return false;
        break;
    }
    *out = length != 0;
    return true;
}

bool value_length(struct run *r, struct value v, int64_t *out)
{
    *out = -1;
    if (v.kind == VALUE_UNDEFINED)
        *out = 0;
    else if (v.kind == VALUE_STRING)
        *out = v.as.string->n_chars;
    else if (v.kind == VALUE_LIST || v.kind == VALUE_TUPLE)
        *out = v.as.list->n;
    else if (v.kind == VALUE_DICT)
        *out = v.as.dict->n;
    else if (v.kind == VALUE_OBJECT && !v.as.object->type->length(r, v.as.object, out))
        return false;
    return *out >= 0 ||
           run_raise(r, TYPE_ERROR, "object of type '%s' has no len()", value_type_name(v));
}

/* ---- numbers ----------------------------------------------------------------------------------*/

static enum order order_of(bool less, bool greater)
{
    return less ? LESS : greater ? GREATER : EQUAL;
}

/* Exactly: not every whole number of 64 bits is a double. */
static enum order compare_int_float(int64_t i, double d)
{
    if (isnan(d))
        return UNORDERED;
    if (d >= 0x1p63)
        return LESS;
    if (d < -0x1p63)
        return GREATER;
    const int64_t truncated = (int64_t)d;
    if (i != truncated)
        return i < truncated ? LESS : GREATER;
    const double rest = d - (double)truncated; /* exact: both have the same magnitude */
    return order_of(rest > 0, rest < 0);
}

static enum order compare_numbers(struct value a, struct value b)
{
    if (a.kind == VALUE_FLOAT && b.kind == VALUE_FLOAT) {
        if (isnan(a.as.number) || isnan(b.as.number))
            return UNORDERED;
        return order_of(a.as.number<b.as.number, a.as.number> b.as.number);
    }
    if (b.kind == VALUE_FLOAT)
        return compare_int_float(value_whole(a), b.as.number);
    if (a.kind == VALUE_FLOAT) {
        const enum order turned = compare_int_float(value_whole(b), a.as.number);
        return turned == UNORDERED ? UNORDERED : (enum order)(-(int)turned);
    }
    return order_of(value_whole(a) < value_whole(b), value_whole(a) > value_whole(b));
}

/* ---- equality ---------------------------------------------------------------------------------*/

static bool equal_lists(struct run *r, const struct list *a, const struct list *b, bool *out)
{
    *out = a->n == b->n;
    for (uint32_t i = 0; *out && a != b && i < a->n; i++) {
        if (!run_step(r, 1) || !value_same_or_equal(r, a->items[i], b->items[i], out))
            return false;
    }
    return true;
}

static bool equal_dicts(struct run *r, const struct dict *a, const struct dict *b, bool *out)
{
    *out = a->n == b->n;
    for (uint32_t i = 0; *out && a != b && i < a->n; i++) {
        const struct value *found;
        if (!run_step(r, 1) || !dict_find(r, b, a->items[i].key, &found))
            return false;
        *out = found != NULL;
        if (found != NULL && !value_same_or_equal(r, a->items[i].value, *found, out))
            return false;
    }
    return true;
}

bool value_equal(struct run *r, struct value a, struct value b, bool *out)
{
    if (value_is_number(a) && value_is_number(b)) {
        *out = compare_numbers(a, b) == EQUAL;
        return true;
    }
    *out = false;
    a = group_as_tuple(a);
    b = group_as_tuple(b);
    if (a.kind != b.kind)
        return true;
    if (a.kind == VALUE_STRING) {
        if (a.as.string->n_bytes == b.as.string->n_bytes) {
            *out = string_equal(a.as.string, b.as.string);
            return run_step(r, a.as.string->n_bytes / TEXT_BYTES_PER_STEP);
        }
        return true;
    }
    if (a.kind == VALUE_UNDEFINED || a.kind == VALUE_NONE) {
        *out = true;
        return true;
    }
    if (!run_enter(r))
        return false;
    bool ok;
    if (a.kind == VALUE_DICT)
        ok = equal_dicts(r, a.as.dict, b.as.dict, out);
    else if (a.kind == VALUE_OBJECT)
        ok = a.as.object->type->equal(r, a.as.object, b.as.object, out);
    else
        ok = equal_lists(r, a.as.list, b.as.list, out);
    run_leave(r);
    return ok;
}

bool value_same_or_equal(struct run *r, struct value a, struct value b, bool *out)
{
    if (a.kind == VALUE_FLOAT && b.kind == VALUE_FLOAT &&
        memcmp(&a.as.number, &b.as.number, sizeof a.as.number) == 0) {
        *out = true;
        return true;
    }
    return value_equal(r, a, b, out);
}

/* ---- order ------------------------------------------------------------------------------------*/

static bool apply(const char *op, enum order order)
{
    if (order == UNORDERED)
        return false;
    if (order == EQUAL)
        return op[1] == '=';
    return (order == LESS) == (op[0] == '<');
}

static bool order_lists(struct run *r, const struct list *a, const struct list *b, const char *op,
                        bool *out)
{
    for (uint32_t i = 0; i < a->n && i < b->n; i++) {
        bool same;
        if (!run_step(r, 1) || !value_same_or_equal(r, a->items[i], b->items[i], &same))
            return false;
        if (!same)
            return value_less(r, a->items[i], b->items[i], op, out);
    }
    *out = apply(op, order_of(a->n<b->n, a->n> b->n));
    return true;
}

bool value_less(struct run *r, struct value a, struct value b, const char *op, bool *out)
{
    if (value_is_number(a) && value_is_number(b)) {
        *out = apply(op, compare_numbers(a, b));
        return true;
    }
    if (a.kind == VALUE_STRING && b.kind == VALUE_STRING) {
        const int order = string_compare(a.as.string, b.as.string);
        *out = apply(op, order_of(order<0, order> 0));
        const uint32_t n_a = a.as.string->n_bytes, n_b = b.as.string->n_bytes;
        return run_step(r, (n_a < n_b ? n_a : n_b) / TEXT_BYTES_PER_STEP);
    }
    const struct value x = group_as_tuple(a), y = group_as_tuple(b);
    if (x.kind == y.kind && (x.kind == VALUE_LIST || x.kind == VALUE_TUPLE)) {
        if (!run_enter(r))
            return false;
        const bool ok = order_lists(r, x.as.list, y.as.list, op, out);
        run_leave(r);
        return ok;
    }
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, a.kind == VALUE_UNDEFINED ? a : b);
    return run_raise(r, TYPE_ERROR, "'%s' not supported between instances of '%s' and '%s'", op,
                     value_type_name(a), value_type_name(b));
}

/* ---- containment ------------------------------------------------------------------------------*/

static bool contains_item(struct run *r, struct value container, struct value item, bool *out)
{
    struct iterator *it;
    if (!value_iterate(r, container, &it))
        return false;
    for (*out = false; !*out;) {
        struct value found;
        bool done = false;
        if (!iterator_next(r, it, &found, &done))
            return false;
        if (done)
            return true;
        if (!value_same_or_equal(r, found, item, out))
            return false;
    }
    return true;
}

bool value_contains(struct run *r, struct value container, struct value item, bool *out)
{
    bool known;
    *out = false;
    switch (container.kind) {
    case VALUE_UNDEFINED:
        return true;
    case VALUE_STRING:
        if (item.kind != VALUE_STRING)
            return run_raise(r, TYPE_ERROR, "'in <string>' requires string as left operand, not %s",
                             value_type_name(item));
        *out = string_find(container.as.string, item.as.string, 0) != SIZE_MAX;
        return run_step(r, container.as.string->n_bytes / TEXT_BYTES_PER_STEP);
    case VALUE_DICT: {
        const struct value *found = NULL;
        const bool ok = dict_find(r, container.as.dict, item, &found);
        *out = found != NULL;
        return ok;
    }
    case VALUE_LIST:
    case VALUE_TUPLE:
        return contains_item(r, container, item, out);
    case VALUE_OBJECT:
        if (!dict_view_contains(r, container, item, out, &known))
            return false;
        if (known)
            return true;
        if (container.as.object->type->is_iterable)
            return contains_item(r, container, item, out);
        break;
    default:
        break;
    }
    return run_raise(r, TYPE_ERROR, "argument of type '%s' is not iterable",
                     value_type_name(container));
}
