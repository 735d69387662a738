/* Methods of dicts, and the views that items(), keys() and values() give: objects that look at
 * their dict, have a length, and can be walked again and again. */
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/object.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

/* ---- views ------------------------------------------------------------------------------------*/

struct dict_view {
    struct object object;
    const struct dict *dict;
};

struct view_walk {
    struct iterator base;
    const struct dict *dict;
    enum dict_part part;
    uint32_t at;
    bool backwards;
};

enum { N_VIEWS = DICT_ITEMS + 1 };
static const struct object_type view_types[N_VIEWS];

static enum dict_part part_of(const struct object *view)
{
    return (enum dict_part)(view->type - view_types);
}

static bool pair_make(struct run *r, const struct dict_item *item, struct value *out)
{
    struct list *pair = list_make(r, 2);
    if (pair == NULL)
        return false;
    *out = value_tuple(pair);
    return list_add(r, pair, item->key) && list_add(r, pair, item->value);
}

static bool view_next(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct view_walk *walk = (struct view_walk *)self;
    *done = walk->at == walk->dict->n;
    if (*done)
        return true;
    const uint32_t at = walk->backwards ? walk->dict->n - 1 - walk->at : walk->at;
    const struct dict_item *item = &walk->dict->items[at];
    walk->at++;
    if (walk->part == DICT_ITEMS)
        return pair_make(r, item, out);
    *out = walk->part == DICT_KEYS ? item->key : item->value;
    return true;
}

bool dict_walk(struct run *r, const struct dict *dict, enum dict_part part, bool backwards,
               struct iterator **out)
{
    struct view_walk *walk = run_alloc(r, 1, sizeof *walk);
    if (walk == NULL)
        return false;
    *walk = (struct view_walk){{view_next}, dict, part, 0, backwards};
    *out = &walk->base;
    return true;
}

static bool view_iterate(struct run *r, struct object *self, struct iterator **out)
{
    return dict_walk(r, ((struct dict_view *)self)->dict, part_of(self), false, out);
}

static bool view_length(struct run *r, struct object *self, int64_t *out)
{
    (void)r;
    *out = ((struct dict_view *)self)->dict->n;
    return true;
}

static bool view_repr(struct run *r, struct object *self, struct value *out)
{
    struct list *items;
    struct builder b;
    builder_init(&b, r);
    return value_items(r, value_object(self), &items) &&
           builder_printf(&b, "%s(", self->type->name) && builder_add_repr(&b, value_list(items)) &&
           builder_add_text(&b, ")") && builder_end(&b, out);
}

/* Views of keys and items are sets; two views of values are never equal. */
static bool view_equal(struct run *r, struct object *self, struct object *other, bool *out)
{
    const enum dict_part part = part_of(self);
    *out = self == other;
    if (*out || other->type != self->type || part == DICT_VALUES)
        return true;
    const struct dict *a = ((struct dict_view *)self)->dict;
    const struct dict *b = ((struct dict_view *)other)->dict;
    *out = a->n == b->n;
    for (uint32_t i = 0; *out && i < a->n; i++) {
        const struct value *found;
        if (!run_step(r, 1) || !dict_find(r, b, a->items[i].key, &found))
            return false;
        *out = found != NULL;
        if (*out && part == DICT_ITEMS && !value_same_or_equal(r, a->items[i].value, *found, out))
            return false;
    }
    return true;
}

#define VIEW_TYPE(type_name, is_set)                                                     \
    {                                                                                    \
        .name = type_name, .attribute = object_no_attribute, .item = object_no_item,     \
        .call = object_not_callable, .iterate = view_iterate, .length = view_length,     \
        .repr = view_repr, .equal = view_equal, .is_iterable = true, .has_length = true, \
        .is_unhashable = is_set,                                                         \
    }
static const struct object_type view_types[N_VIEWS] = {
    [DICT_KEYS] = VIEW_TYPE("dict_keys", true),
    [DICT_VALUES] = VIEW_TYPE("dict_values", false),
    [DICT_ITEMS] = VIEW_TYPE("dict_items", true),
};

bool dict_view_make(struct run *r, const struct dict *dict, enum dict_part part, struct value *out)
{
    struct dict_view *view = run_alloc(r, 1, sizeof *view);
    if (view == NULL)
        return false;
    *view = (struct dict_view){{&view_types[part]}, dict};
    *out = value_object(&view->object);
    return true;
}

const struct dict *dict_view_of(struct value v, enum dict_part *part)
{
    if (v.kind != VALUE_OBJECT || v.as.object->type->iterate != view_iterate)
        return NULL;
    *part = part_of(v.as.object);
    return ((const struct dict_view *)v.as.object)->dict;
}

/* Keys and pairs are looked up; values are looked through. */
bool dict_view_contains(struct run *r, struct value v, struct value item, bool *out, bool *known)
{
    enum dict_part part;
    const struct dict *dict = dict_view_of(v, &part);
    const struct value *found = NULL;
    *known = dict != NULL && part != DICT_VALUES;
    *out = false;
    if (!*known)
        return true;
    if (part == DICT_KEYS) {
        const bool good = dict_find(r, dict, item, &found);
        *out = found != NULL;
        return good;
    }
    if (item.kind != VALUE_TUPLE || item.as.list->n != 2)
        return true;
    if (!dict_find(r, dict, item.as.list->items[0], &found))
        return false;
    return found == NULL || value_same_or_equal(r, *found, item.as.list->items[1], out);
}

/* ---- methods ----------------------------------------------------------------------------------*/

static bool dict_get(struct run *r, struct value self, const struct value *slots, struct value *out)
{
    const struct value *found;
    if (!dict_find(r, self.as.dict, slots[0], &found))
        return false;
    *out = found != NULL ? *found : value_is_absent(slots[1]) ? value_none() : slots[1];
    return true;
}

static bool dict_items(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    (void)slots;
    return dict_view_make(r, self.as.dict, DICT_ITEMS, out);
}

static bool dict_keys(struct run *r, struct value self, const struct value *slots,
                      struct value *out)
{
    (void)slots;
    return dict_view_make(r, self.as.dict, DICT_KEYS, out);
}

static bool dict_values(struct run *r, struct value self, const struct value *slots,
                        struct value *out)
{
    (void)slots;
    return dict_view_make(r, self.as.dict, DICT_VALUES, out);
}

static bool dict_copy(struct run *r, struct value self, const struct value *slots,
                      struct value *out)
{
    const struct dict *from = self.as.dict;
    struct dict *copy = dict_make(r);
    (void)slots;
    if (copy == NULL || !run_step(r, from->n))
        return false;
    for (uint32_t i = 0; i < from->n; i++)
        if (!dict_set(r, copy, from->items[i].key, from->items[i].value))
            return false;
    *out = value_dict(copy);
    return true;
}

static bool dict_fromkeys(struct run *r, struct value self, const struct value *slots,
                          struct value *out)
{
    (void)self;
    const struct value item = value_is_absent(slots[1]) ? value_none() : slots[1];
    struct iterator *it;
    struct dict *dict = dict_make(r);
    if (dict == NULL || !value_iterate(r, slots[0], &it))
        return false;
    *out = value_dict(dict);
    for (;;) {
        struct value key;
        bool done = false;
        if (!iterator_next(r, it, &key, &done))
            return false;
        if (done)
            return true;
        if (!dict_set(r, dict, key, item))
            return false;
    }
}

static const struct method of_dict[] = {
    {.signature = {.name = "copy", .style = CALL_NONE}, .call = dict_copy},
    {.signature = {.name = "fromkeys", .style = CALL_PLACES, .min = 1, .max = 2},
     .call = dict_fromkeys},
    {.signature = {.name = "get", .style = CALL_PLACES, .min = 1, .max = 2}, .call = dict_get},
    {.signature = {.name = "items", .style = CALL_NONE}, .call = dict_items},
    {.signature = {.name = "keys", .style = CALL_NONE}, .call = dict_keys},
    {.signature = {.name = "values", .style = CALL_NONE}, .call = dict_values},
};
const struct method_table dict_methods = {of_dict, sizeof of_dict / sizeof *of_dict};
