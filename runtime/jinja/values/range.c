/* Places are computed, never stored: range(100000) is three numbers. */
#include "runtime/jinja/values/range.h"

#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/object.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <inttypes.h>

struct range {
    struct object object;
    int64_t start, stop, step, n; /* start, start + step, …: n of them */
};

/* Numbers within a range have 64 bits; what lies between two of them may need one more, so the way
 * from one to another is computed modulo 2^64. */
static int64_t add_steps(int64_t from, int64_t n, int64_t step)
{
    return (int64_t)((uint64_t)from + (uint64_t)n * (uint64_t)step);
}

/* How far it is up or down to a number that lies there. */
static uint64_t way(int64_t from, int64_t to, bool up)
{
    return up ? (uint64_t)to - (uint64_t)from : (uint64_t)from - (uint64_t)to;
}

struct range_walk {
    struct iterator base;
    int64_t at, step, left;
};

static bool range_next(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    (void)r;
    struct range_walk *walk = (struct range_walk *)self;
    *done = walk->left == 0;
    if (*done)
        return true;
    *out = value_int(walk->at);
    if (--walk->left > 0)
        walk->at = add_steps(walk->at, 1, walk->step);
    return true;
}

static bool walk_make(struct run *r, int64_t at, int64_t step, int64_t n, struct iterator **out)
{
    struct range_walk *walk = run_alloc(r, 1, sizeof *walk);
    if (walk == NULL)
        return false;
    *walk = (struct range_walk){{range_next}, at, step, n};
    *out = &walk->base;
    return true;
}

static bool range_iterate(struct run *r, struct object *self, struct iterator **out)
{
    const struct range *range = (const struct range *)self;
    return walk_make(r, range->start, range->step, range->n, out);
}

static bool range_length(struct run *r, struct object *self, int64_t *out)
{
    (void)r;
    *out = ((struct range *)self)->n;
    return true;
}

static bool range_item(struct run *r, struct object *self, struct value key, struct value *out,
                       bool *found)
{
    (void)r;
    const struct range *range = (const struct range *)self;
    *found = value_is_whole(key);
    if (!*found)
        return true;
    int64_t i = value_whole(key);
    i = i < 0 ? i + range->n : i;
    *found = i >= 0 && i < range->n;
    if (*found)
        *out = value_int(add_steps(range->start, i, range->step));
    return true;
}

static bool range_repr(struct run *r, struct object *self, struct value *out)
{
    const struct range *range = (const struct range *)self;
    struct builder b;
    builder_init(&b, r);
    return builder_printf(&b, "range(%" PRId64 ", %" PRId64, range->start, range->stop) &&
           (range->step == 1 || builder_printf(&b, ", %" PRId64, range->step)) &&
           builder_add_text(&b, ")") && builder_end(&b, out);
}

/* ---- methods ----------------------------------------------------------------------------------*/

/* Place of a number in the range; -1: it is not there. */
static int64_t place_of(const struct range *range, struct value v)
{
    int64_t number;
    if (v.kind == VALUE_INT)
        number = v.as.integer;
    else if (v.kind == VALUE_BOOL)
        number = v.as.boolean;
    else if (v.kind == VALUE_FLOAT && v.as.number >= -0x1p63 && v.as.number < 0x1p63 &&
             v.as.number == (double)(int64_t)v.as.number)
        number = (int64_t)v.as.number;
    else
        return -1;
    const bool up = range->step > 0;
    if (up ? number < range->start : number > range->start)
        return -1;
    const uint64_t distance = way(range->start, number, up), size = way(0, range->step, up);
    return distance % size == 0 && distance / size < (uint64_t)range->n ? (int64_t)(distance / size)
                                                                        : -1;
}

static bool range_count(struct run *r, struct value self, const struct value *slots,
                        struct value *out)
{
    (void)r;
    *out = value_int(place_of((const struct range *)self.as.object, slots[0]) >= 0);
    return true;
}

static bool range_index(struct run *r, struct value self, const struct value *slots,
                        struct value *out)
{
    const int64_t place = place_of((const struct range *)self.as.object, slots[0]);
    *out = value_int(place);
    if (place >= 0)
        return true;
    if (!value_is_whole(slots[0]))
        return run_raise(r, VALUE_ERROR, "sequence.index(x): x not in sequence");
    struct builder b;
    builder_init(&b, r);
    return builder_add_repr(&b, slots[0]) && builder_add_text(&b, " is not in range") &&
           run_raise_text(r, VALUE_ERROR, b.data, b.n);
}

static const struct method of_range[] = {
    {.signature = {.name = "count", .style = CALL_ONE}, .call = range_count},
    {.signature = {.name = "index", .style = CALL_ONE}, .call = range_index},
};
static const struct method_table range_methods = {of_range, sizeof of_range / sizeof *of_range};

static bool range_attribute(struct run *r, struct object *self, const struct string *name,
                            struct value *out, bool *found)
{
    const struct range *range = (const struct range *)self;
    *found = true;
    if (string_is(name, "start"))
        *out = value_int(range->start);
    else if (string_is(name, "stop"))
        *out = value_int(range->stop);
    else if (string_is(name, "step"))
        *out = value_int(range->step);
    else
        return method_table_find(r, &range_methods, "range", value_object(self), name, out, found);
    return true;
}

static bool range_equal(struct run *r, struct object *self, struct object *other, bool *out)
{
    (void)r;
    const struct range *a = (const struct range *)self, *b = (const struct range *)other;
    *out = other->type == self->type && a->n == b->n &&
           (a->n == 0 || (a->start == b->start && (a->n == 1 || a->step == b->step)));
    return true;
}

static const struct object_type range_type = {
    .name = "range",
    .attribute = range_attribute,
    .item = range_item,
    .call = object_not_callable,
    .iterate = range_iterate,
    .length = range_length,
    .repr = range_repr,
    .equal = range_equal,
    .is_iterable = true,
    .is_sequence = true,
    .has_length = true,
};

bool range_is(const struct object *o) { return o->type == &range_type; }

bool range_walk_back(struct run *r, struct object *self, struct iterator **out, bool *found)
{
    *found = self->type == &range_type;
    if (!*found)
        return true;
    const struct range *range = (const struct range *)self;
    const int64_t last = add_steps(range->start, range->n - 1, range->step);
    return walk_make(r, last, add_steps(0, -1, range->step), range->n, out);
}

/* ---- range() ----------------------------------------------------------------------------------*/

static int64_t count_places(int64_t start, int64_t stop, int64_t step)
{
    if (step > 0 ? start >= stop : start <= stop)
        return 0;
    const uint64_t n = (way(start, stop, step > 0) - 1) / way(0, step, step > 0) + 1;
    return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static struct range *range_make(struct run *r, int64_t start, int64_t stop, int64_t step)
{
    struct range *range = run_alloc(r, 1, sizeof *range);
    if (range != NULL)
        *range = (struct range){{&range_type}, start, stop, step, count_places(start, stop, step)};
    return range;
}

/* What it has no place for is one behind its last place, or before its first. */
bool range_part(struct run *r, const struct object *self, int64_t start, int64_t stop, int64_t step,
                struct value *out)
{
    const struct range *from = (const struct range *)self;
    int64_t numbers[3];
    if (__builtin_mul_overflow(start, from->step, &numbers[0]) ||
        __builtin_add_overflow(numbers[0], from->start, &numbers[0]) ||
        __builtin_mul_overflow(stop, from->step, &numbers[1]) ||
        __builtin_add_overflow(numbers[1], from->start, &numbers[1]) ||
        __builtin_mul_overflow(step, from->step, &numbers[2]))
        return run_raise_too_large(r);
    struct range *range = range_make(r, numbers[0], numbers[1], numbers[2]);
    *out = range != NULL ? value_object(&range->object) : value_none();
    return range != NULL;
}

bool range_call(struct run *r, struct value self, const struct arguments *args, struct value *out)
{
    (void)self;
    const int n = args->n_positional;
    int64_t numbers[3];
    if (args->n_keywords > 0)
        return run_raise(r, TYPE_ERROR, "safe_range() got an unexpected keyword argument '%.*s'",
                         (int)args->keywords[0].name->n_bytes, args->keywords[0].name->data);
    if (n < 1 || n > 3)
        return run_raise(r, TYPE_ERROR, "range expected at %s argument%s, got %d",
                         n < 1 ? "least 1" : "most 3", n < 1 ? "" : "s", n);
    for (int i = 0; i < n; i++)
        if (!argument_integer(r, args->positional[i], &numbers[i]))
            return false;
    const int64_t step = n > 2 ? numbers[2] : 1;
    if (step == 0)
        return run_raise(r, VALUE_ERROR, "range() arg 3 must not be zero");
    struct range *range =
        range_make(r, n > 1 ? numbers[0] : 0, n > 1 ? numbers[1] : numbers[0], step);
    if (range == NULL)
        return false;
    if (range->n > RUN_MAX_RANGE)
        return run_raise(r, OVERFLOW_ERROR,
                         "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                         RUN_MAX_RANGE);
    *out = value_object(&range->object);
    return true;
}
