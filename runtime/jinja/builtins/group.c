#include "runtime/jinja/builtins/group.h"

#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/object.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

struct group { /* a named tuple: (grouper, list) */
    struct object object;
    struct list pair;
    struct value items[2];
};

static bool group_attribute(struct run *r, struct object *self, const struct string *name,
                            struct value *out, bool *found)
{
    const struct group *group = (const struct group *)self;
    *found = string_is(name, "grouper") || string_is(name, "list");
    if (*found)
        *out = group->items[string_is(name, "list")];
    else
        return method_table_find(r, &tuple_methods, "_GroupTuple", value_tuple(&group->pair), name,
                                 out, found);
    return true;
}

static bool group_item(struct run *r, struct object *self, struct value key, struct value *out,
                       bool *found)
{
    (void)r;
    *found = value_is_whole(key);
    if (!*found)
        return true;
    int64_t i = value_whole(key);
    i = i < 0 ? i + 2 : i;
    *found = i >= 0 && i < 2;
    if (*found)
        *out = ((struct group *)self)->items[i];
    return true;
}

static bool group_iterate(struct run *r, struct object *self, struct iterator **out)
{
    return value_iterate(r, value_tuple(&((struct group *)self)->pair), out);
}

static bool group_length(struct run *r, struct object *self, int64_t *out)
{
    (void)r, (void)self;
    *out = 2;
    return true;
}

static bool group_repr(struct run *r, struct object *self, struct value *out)
{
    return value_repr(r, value_tuple(&((struct group *)self)->pair), out);
}

static bool group_equal(struct run *r, struct object *self, struct object *other, bool *out)
{
    *out = false;
    return other->type != self->type ||
           value_equal(r, value_tuple(&((struct group *)self)->pair),
                       value_tuple(&((struct group *)other)->pair), out);
}

static const struct object_type group_type = {
    .name = "_GroupTuple",
    .module = "jinja2.filters",
    .attribute = group_attribute,
    .item = group_item,
    .call = object_not_callable,
    .iterate = group_iterate,
    .length = group_length,
    .repr = group_repr,
    .equal = group_equal,
    .is_iterable = true,
    .is_sequence = true,
    .has_length = true,
};

bool group_make(struct run *r, struct value grouper, const struct list *items, struct value *out)
{
    struct group *group = run_alloc(r, 1, sizeof *group);
    if (group == NULL)
        return false;
    group->object.type = &group_type;
    group->items[0] = grouper;
    group->items[1] = value_list(items);
    group->pair = (struct list){.items = group->items, .n = 2, .capacity = 2};
    *out = value_object(&group->object);
    return true;
}

struct value group_as_tuple(struct value v)
{
    if (v.kind != VALUE_OBJECT || v.as.object->type != &group_type)
        return v;
    return value_tuple(&((const struct group *)v.as.object)->pair);
}
