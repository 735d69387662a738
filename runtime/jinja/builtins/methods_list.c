/* Methods of lists and tuples: those that change nothing. */
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

static bool list_count(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    const struct list *list = self.as.list;
    int64_t n = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        bool same;
        if (!run_step(r, 1) || !value_same_or_equal(r, list->items[i], slots[0], &same))
            return false;
        n += same;
    }
    *out = value_int(n);
    return true;
}

/* Place of a value among the items of the slice; UINT32_MAX: it is not there. */
static bool find_item(struct run *r, const struct list *list, const struct value *slots,
                      uint32_t *out)
{
    int64_t begin, end;
    for (int i = 1; i < 3; i++)
        if (!value_is_absent(slots[i]) && !value_is_whole(slots[i]))
            return run_raise(r, TYPE_ERROR,
                             "slice indices must be integers or have an __index__ method");
    if (!argument_slice(r, slots[1], slots[2], list->n, &begin, &end))
        return false;
    *out = UINT32_MAX;
    for (int64_t i = begin; i < end; i++) {
        bool same;
        if (!run_step(r, 1) || !value_same_or_equal(r, list->items[i], slots[0], &same))
            return false;
        if (same) {
            *out = (uint32_t)i;
            return true;
        }
    }
    return true;
}

static bool list_index(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    uint32_t i;
    if (!find_item(r, self.as.list, slots, &i))
        return false;
    *out = value_int(i);
    if (i != UINT32_MAX)
        return true;
    struct builder b;
    builder_init(&b, r);
    return builder_add_repr(&b, slots[0]) && builder_add_text(&b, " is not in list") &&
           run_raise_text(r, VALUE_ERROR, b.data, b.n);
}

static bool tuple_index(struct run *r, struct value self, const struct value *slots,
                        struct value *out)
{
    uint32_t i;
    if (!find_item(r, self.as.list, slots, &i))
        return false;
    *out = value_int(i);
    return i != UINT32_MAX || run_raise(r, VALUE_ERROR, "tuple.index(x): x not in tuple");
}

static bool list_copy(struct run *r, struct value self, const struct value *slots,
                      struct value *out)
{
    struct list *copy;
    (void)slots;
    if (!value_items(r, self, &copy))
        return false;
    *out = value_list(copy);
    return true;
}

static const struct method of_list[] = {
    {.signature = {.name = "copy", .style = CALL_NONE}, .call = list_copy},
    {.signature = {.name = "count", .style = CALL_ONE}, .call = list_count},
    {.signature = {.name = "index", .style = CALL_PLACES, .min = 1, .max = 3}, .call = list_index},
};
const struct method_table list_methods = {of_list, sizeof of_list / sizeof *of_list};

static const struct method of_tuple[] = {
    {.signature = {.name = "count", .style = CALL_ONE}, .call = list_count},
    {.signature = {.name = "index", .style = CALL_PLACES, .min = 1, .max = 3}, .call = tuple_index},
};
const struct method_table tuple_methods = {of_tuple, sizeof of_tuple / sizeof *of_tuple};
