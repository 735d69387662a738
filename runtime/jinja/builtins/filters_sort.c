/* Filters that put items in order.
 *
 * The order is that of Python's list.sort(): runs that are there already, insertion by halving up
 * to 64 items, and stable merges above. Up to 64 items the comparisons are the same ones in the
 * same sequence, so that what cannot be compared is reported in the same words.
 */
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/builtins/group.h"
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <string.h>

enum { INSERTED = 64 };

struct keyed {
    struct value key, item;
};

static void turn(struct keyed *items, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        const struct keyed other = items[n - 1 - i];
        items[n - 1 - i] = items[i];
        items[i] = other;
    }
}

static bool less(struct run *r, const struct keyed *a, const struct keyed *b, bool *out)
{
    return run_step(r, 1) && value_less(r, a->key, b->key, "<", out);
}

/* How many items at the beginning are in order; those in strictly falling order are turned. */
static bool count_run(struct run *r, struct keyed *items, size_t n, size_t *out)
{
    bool falling, down;
    *out = n;
    if (n < 2)
        return true;
    if (!less(r, &items[1], &items[0], &falling))
        return false;
    size_t i = 2;
    for (; i < n; i++) {
        if (!less(r, &items[i], &items[i - 1], &down))
            return false;
        if (down != falling)
            break;
    }
    if (falling)
        turn(items, i);
    *out = i;
    return true;
}

/* The first `sorted` items are in order; puts the others to their places among them. */
static bool insert_rest(struct run *r, struct keyed *items, size_t n, size_t sorted)
{
    for (size_t i = sorted; i < n; i++) {
        const struct keyed pivot = items[i];
        size_t low = 0, high = i;
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            bool before;
            if (!less(r, &pivot, &items[middle], &before))
                return false;
            if (before)
                high = middle;
            else
                low = middle + 1;
        }
        memmove(items + low + 1, items + low, (i - low) * sizeof *items);
        items[low] = pivot;
    }
    return true;
}

static bool merge(struct run *r, struct keyed *items, size_t half, size_t n, struct keyed *room)
{
    memcpy(room, items, half * sizeof *items);
    size_t a = 0, b = half, to = 0;
    while (a < half && b < n) {
        bool right_first;
        if (!less(r, &items[b], &room[a], &right_first))
            return false;
        items[to++] = right_first ? items[b++] : room[a++];
    }
    memcpy(items + to, room + a, (half - a) * sizeof *items);
    return true;
}

/* The recursion halves, so it is no deeper than 32. */
static bool sort(struct run *r, struct keyed *items, size_t n, struct keyed *room)
{
    size_t sorted;
    if (n < INSERTED)
        return count_run(r, items, n, &sorted) && insert_rest(r, items, n, sorted);
    const size_t half = n / 2;
    return sort(r, items, half, room) && sort(r, items + half, n - half, room) &&
           merge(r, items, half, n, room);
}

static bool sort_keyed(struct run *r, struct keyed *items, size_t n, bool reverse)
{
    struct keyed *room = run_alloc(r, n / 2 + 1, sizeof *room);
    if (room == NULL)
        return false;
    if (reverse) /* equal items keep their order this way */
        turn(items, n);
    if (!sort(r, items, n, room))
        return false;
    if (reverse)
        turn(items, n);
    return true;
}

/* ---- keys -------------------------------------------------------------------------------------*/

/* Keys by one path, or where there are several by a list of what they find. */
struct key_paths {
    struct attribute_path *paths;
    int n;
    bool as_list;
};

static bool key_of(struct run *r, const struct key_paths *keys, struct value item,
                   struct value *out)
{
    if (!keys->as_list)
        return attribute_path_get(r, &keys->paths[0], item, out);
    struct list *list = list_make(r, (size_t)keys->n);
    if (list == NULL)
        return false;
    *out = value_list(list);
    for (int i = 0; i < keys->n; i++) {
        struct value key;
        if (!attribute_path_get(r, &keys->paths[i], item, &key) || !list_add(r, list, key))
            return false;
    }
    return true;
}

/* sorted(v, key, reverse), with keys. */
static bool sorted(struct run *r, struct value v, const struct key_paths *keys, bool reverse,
                   struct keyed **out, size_t *n)
{
    struct list *items;
    if (!value_items(r, v, &items))
        return false;
    *n = items->n;
    *out = run_alloc(r, *n, sizeof **out);
    if (*out == NULL)
        return false;
    for (size_t i = 0; i < *n; i++) {
        (*out)[i].item = items->items[i];
        if (!key_of(r, keys, items->items[i], &(*out)[i].key))
            return false;
    }
    return sort_keyed(r, *out, *n, reverse);
}

static bool list_of_items(struct run *r, const struct keyed *items, size_t n, struct value *out)
{
    struct list *list = list_make(r, n);
    if (list == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        list->items[i] = items[i].item;
    list->n = (uint32_t)n;
    *out = value_list(list);
    return true;
}

/* ---- sort -------------------------------------------------------------------------------------*/

/* "age,name": several paths. */
static bool key_paths_init(struct run *r, struct key_paths *keys, struct value attribute,
                           bool ignore_case)
{
    int n = 1;
    const bool is_text = attribute.kind == VALUE_STRING;
    for (uint32_t i = 0; is_text && i < attribute.as.string->n_bytes; i++)
        n += attribute.as.string->data[i] == ',';
    *keys = (struct key_paths){run_alloc(r, (size_t)n, sizeof *keys->paths), n, true};
    if (keys->paths == NULL)
        return false;
    size_t begin = 0;
    for (int i = 0; i < n; i++) {
        struct value part = attribute;
        if (is_text) {
            const struct string *s = attribute.as.string;
            size_t end = begin;
            while (end < s->n_bytes && s->data[end] != ',')
                end++;
            if (!run_step(r, 1) || !string_part(r, s, begin, end, &part))
                return false;
            begin = end + 1;
        }
        if (!attribute_path_init(r, &keys->paths[i], part))
            return false;
        keys->paths[i].ignore_case = ignore_case;
    }
    return true;
}

static bool do_sort(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct value slots[] = {value_bool(false), value_bool(false), value_none()};
    struct key_paths keys;
    struct keyed *items;
    size_t n;
    bool case_sensitive;
    int64_t reverse;
    if (!arguments_bind(r, "do_sort", "environment, value | reverse=, case_sensitive=, attribute=",
                        args, slots, 3) ||
        !value_truth(r, slots[1], &case_sensitive) ||
        !key_paths_init(r, &keys, slots[2], !case_sensitive))
        return false;
    if (!value_is_iterable(v)) /* before Python looks at `reverse` */
        return run_raise(r, TYPE_ERROR, "'%s' object is not iterable", value_type_name(v));
    return argument_integer(r, slots[0], &reverse) &&
           sorted(r, v, &keys, reverse != 0, &items, &n) && list_of_items(r, items, n, out);
}

/* ---- dictsort ---------------------------------------------------------------------------------*/

static bool do_dictsort(struct run *r, struct value v, const struct arguments *args,
                        struct value *out)
{
    struct value slots[] = {value_bool(false), value_none(), value_bool(false)}, place;
    struct attribute_path path;
    struct value pairs;
    struct keyed *items;
    size_t n;
    int64_t reverse;
    bool case_sensitive;
    if (!value_make_static(r, "key", &slots[1]) ||
        !arguments_bind(r, "do_dictsort", "value | case_sensitive=, by=, reverse=", args, slots, 3))
        return false;
    if (!value_is_text(slots[1], "key") && !value_is_text(slots[1], "value"))
        return run_raise(r, FILTER_ARGUMENT_ERROR,
                         "You can only sort by either \"key\" or \"value\"");
    place = value_int(value_is_text(slots[1], "value"));
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (v.kind != VALUE_DICT)
        return run_raise(r, ATTRIBUTE_ERROR, "'%s' object has no attribute 'items'",
                         value_type_name(v));
    if (!value_truth(r, slots[0], &case_sensitive) || !attribute_path_init(r, &path, place) ||
        !dict_view_make(r, v.as.dict, DICT_ITEMS, &pairs) ||
        !argument_integer(r, slots[2], &reverse))
        return false;
    path.ignore_case = !case_sensitive;
    const struct key_paths keys = {&path, 1, false};
    return sorted(r, pairs, &keys, reverse != 0, &items, &n) && list_of_items(r, items, n, out);
}

/* ---- groupby ----------------------------------------------------------------------------------*/

/* Items next to each other with equal keys become groups. Without regard to case, a group is called
 * what its first item has. */
static bool make_groups(struct run *r, const struct keyed *items, size_t n,
                        const struct attribute_path *named_by, struct list *out)
{
    for (size_t begin = 0, end; begin < n; begin = end) {
        struct list *list = list_make(r, 0);
        struct value grouper = items[begin].key, group;
        bool same = true;
        for (end = begin; end < n && same;) {
            if (list == NULL || !list_add(r, list, items[end++].item))
                return false;
            if (end < n && !value_same_or_equal(r, items[begin].key, items[end].key, &same))
                return false;
        }
        if ((named_by != NULL && !attribute_path_get(r, named_by, items[begin].item, &grouper)) ||
            !group_make(r, grouper, list, &group) || !list_add(r, out, group))
            return false;
    }
    return true;
}

static bool do_groupby(struct run *r, struct value v, const struct arguments *args,
                       struct value *out)
{
    struct value slots[] = {value_none(), value_none(), value_bool(false)};
    struct attribute_path path, plain;
    struct keyed *items;
    size_t n;
    bool case_sensitive;
    if (!arguments_bind(r, "sync_do_groupby",
                        "environment, value | attribute, default=, case_sensitive=", args, slots,
                        3) ||
        !attribute_path_init(r, &path, slots[0]) || !value_truth(r, slots[2], &case_sensitive))
        return false;
    path.otherwise = slots[1];
    plain = path;
    path.ignore_case = !case_sensitive;
    const struct key_paths keys = {&path, 1, false};
    struct list *groups = list_make(r, 0);
    if (groups == NULL || !sorted(r, v, &keys, false, &items, &n) ||
        !make_groups(r, items, n, case_sensitive ? NULL : &plain, groups))
        return false;
    *out = value_list(groups);
    return true;
}

static const struct filter filters[] = {
    {"dictsort", do_dictsort},
    {"groupby", do_groupby},
    {"sort", do_sort},
};
const struct filter_table sort_filters = {filters, sizeof filters / sizeof *filters};
