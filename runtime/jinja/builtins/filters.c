/* The table of filters, and what several of them share. */
#include "runtime/jinja/builtins/filters.h"

#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/letter_case.h"
#include "runtime/jinja/values/numerals.h"
#include "runtime/jinja/values/range.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/text_walk.h"

#include <string.h>

const struct filter *filter_find(const char *name, size_t n_bytes)
{
    static const struct filter_table *const tables[] = {
        &text_filters, &wrap_filters, &number_filters, &list_filters, &select_filters,
        &sort_filters, &html_filters, &url_filters,    &show_filters,
    };
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (int i = 0; i < tables[t]->n; i++) {
            const struct filter *filter = &tables[t]->filters[i];
            if (strlen(filter->name) == n_bytes && memcmp(filter->name, name, n_bytes) == 0)
                return filter;
        }
    return NULL;
}

/* ---- reversed() -------------------------------------------------------------------------------*/

struct back_walk { /* over a text, or the items of a list */
    struct iterator base;
    const struct string *text;
    const struct list *list;
    size_t left; /* bytes or items before the last one */
};

static bool back_next(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct back_walk *walk = (struct back_walk *)self;
    *done = walk->left == 0;
    if (*done)
        return true;
    if (walk->list != NULL) {
        *out = walk->list->items[--walk->left];
        return true;
    }
    const size_t end = walk->left;
    walk->left = utf8_before(walk->text->data, end);
    return string_part(r, walk->text, walk->left, end, out);
}

static bool walk_back(struct run *r, const struct string *text, const struct list *list,
                      struct iterator **out)
{
    struct back_walk *walk = run_alloc(r, 1, sizeof *walk);
    if (walk == NULL)
        return false;
    *walk = (struct back_walk){{back_next}, text, list, 0};
    walk->left = text != NULL ? text->n_bytes : list != NULL ? list->n : 0;
    *out = &walk->base;
    return true;
}

static bool object_reversed(struct run *r, struct value v, struct iterator **out,
                            const char **type_name, bool *found)
{
    enum dict_part part;
    const struct dict *dict = dict_view_of(v, &part);
    if (dict != NULL) {
        static const char *const names[] = {"dict_reversekeyiterator", "dict_reversevalueiterator",
                                            "dict_reverseitemiterator"};
        *type_name = names[part];
        return dict_walk(r, dict, part, true, out);
    }
    *type_name = "range_iterator";
    return range_walk_back(r, v.as.object, out, found);
}

bool value_reversed(struct run *r, struct value v, struct iterator **out, const char **type_name,
                    bool *found)
{
    *found = true;
    *type_name = "reversed";
    switch (v.kind) {
    case VALUE_UNDEFINED:
        return walk_back(r, NULL, NULL, out);
    case VALUE_STRING:
        return walk_back(r, v.as.string, NULL, out);
    case VALUE_LIST:
        *type_name = "list_reverseiterator";
        return walk_back(r, NULL, v.as.list, out);
    case VALUE_TUPLE:
        return walk_back(r, NULL, v.as.list, out);
    case VALUE_DICT:
        *type_name = "dict_reversekeyiterator";
        return dict_walk(r, v.as.dict, DICT_KEYS, true, out);
    case VALUE_OBJECT:
        return object_reversed(r, v, out, type_name, found);
    default:
        *found = false;
        return true;
    }
}

/* ---- attributes by path -----------------------------------------------------------------------*/

/* "name" or, where all are digits, a whole number. */
static bool path_part(struct run *r, const struct string *s, size_t begin, size_t end,
                      struct value *out)
{
    if (!run_step(r, 1) || !string_part(r, s, begin, end, out))
        return false;
    bool digits = begin < end;
    for (size_t at = begin; digits && at < end;)
        digits = char_is_digit(utf8_read(s->data, &at));
    if (!digits)
        return true;
    enum numeral kind;
    int64_t i;
    const struct string part = *out->as.string;
    if (!numeral_to_int(r, &part, 10, &i, &kind))
        return false;
    *out = value_int(i);
    return kind == NUMERAL_GOOD || numeral_raise(r, &part);
}

bool attribute_path_init(struct run *r, struct attribute_path *path, struct value attribute)
{
    *path = (struct attribute_path){.otherwise = value_none()};
    if (attribute.kind == VALUE_NONE)
        return true;
    if (attribute.kind != VALUE_STRING) {
        struct value *only = run_alloc(r, 1, sizeof *only);
        if (only == NULL)
            return false;
        *only = attribute;
        path->parts = only;
        path->n = 1;
        return true;
    }
    const struct string *s = attribute.as.string;
    struct list *parts = list_make(r, 0);
    if (parts == NULL || !run_step(r, s->n_bytes / TEXT_BYTES_PER_STEP))
        return false;
    for (size_t begin = 0, end = 0;; begin = ++end) {
        while (end < s->n_bytes && s->data[end] != '.')
            end++;
        struct value part;
        if (!path_part(r, s, begin, end, &part) || !list_add(r, parts, part))
            return false;
        if (end == s->n_bytes)
            break;
    }
    path->parts = parts->items;
    path->n = (int)parts->n;
    return true;
}

bool attribute_path_get(struct run *r, const struct attribute_path *path, struct value item,
                        struct value *out)
{
    for (int i = 0; i < path->n; i++) {
        if (!run_step(r, 1) || !value_item(r, item, path->parts[i], &item))
            return false;
        if (path->otherwise.kind != VALUE_NONE && item.kind == VALUE_UNDEFINED)
            item = path->otherwise;
    }
    *out = item;
    return !path->ignore_case || item.kind != VALUE_STRING ||
           text_to_case(r, item.as.string, CASE_LOWER, out);
}
