/* Making values, dicts, and walks over values.
 *
 * A dict is an array of items in their order. Up to SCANNED items are looked through one by one;
 * beyond, open addressing finds the place of an item, and every probe beyond the first SCANNED
 * costs a step, so that keys chosen to collide end at the budget.
 */
#include "runtime/jinja/values/value.h"

#include "runtime/jinja/builtins/group.h"
#include "runtime/jinja/values/markup.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <math.h>
#include <string.h>

enum { SCANNED = 8, FIRST_ITEMS = 4 };

/* ---- texts and lists --------------------------------------------------------------------------*/

bool value_make_text(struct run *r, const char *data, size_t n_bytes, bool user, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    /* exactly this many: a builder's first room is for texts that grow */
    if (n_bytes > UINT32_MAX)
        return run_raise(r, LIMIT_EXCEEDED, "a text of more than 4 GB");
    if (n_bytes > 0) {
        b.data = run_alloc(r, n_bytes, 1);
        b.capacity = n_bytes;
        if (b.data == NULL)
            return false;
    }
    return builder_add(&b, data, n_bytes, user) && builder_end(&b, out);
}

bool value_make_static(struct run *r, const char *text, struct value *out)
{
    struct string *s = run_alloc(r, 1, sizeof *s);
    if (s == NULL)
        return false;
    s->data = text;
    s->n_bytes = (uint32_t)strlen(text);
    s->n_chars = (uint32_t)text_count_chars(text, s->n_bytes);
    *out = value_string(s);
    return true;
}

struct list *list_make(struct run *r, size_t capacity)
{
    if (capacity > UINT32_MAX) {
        run_raise(r, LIMIT_EXCEEDED, "a list of more than %u items", UINT32_MAX);
        return NULL;
    }
    struct list *list = run_alloc(r, 1, sizeof *list);
    if (list == NULL)
        return NULL;
    list->items = run_alloc(r, capacity, sizeof *list->items);
    list->capacity = (uint32_t)capacity;
    return list->items != NULL ? list : NULL;
}

/* Room for one more item after n; the array moves. */
static void *grow(struct run *r, const void *items, uint32_t n, uint32_t *capacity,
                  size_t item_bytes)
{
    if (n > UINT32_MAX / 8) {
        run_raise(r, LIMIT_EXCEEDED, "more than %u items", UINT32_MAX / 8);
        return NULL;
    }
    const uint32_t wanted = n < FIRST_ITEMS ? FIRST_ITEMS : 2 * n;
    void *grown = run_alloc(r, wanted, item_bytes);
    if (grown != NULL && n > 0)
        memcpy(grown, items, n * item_bytes);
    if (grown != NULL)
        *capacity = wanted;
    return grown;
}

bool list_add(struct run *r, struct list *list, struct value item)
{
    if (list->n == list->capacity) {
        struct value *items = grow(r, list->items, list->n, &list->capacity, sizeof *items);
        if (items == NULL)
            return false;
        list->items = items;
    }
    list->items[list->n++] = item;
    return true;
}

void list_turn(struct list *list)
{
    for (uint32_t i = 0; i < list->n / 2; i++) {
        const struct value other = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = list->items[i];
        list->items[i] = other;
    }
}

/* ---- hashes -----------------------------------------------------------------------------------*/

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t a, uint64_t b)
{
    const wide product = (wide)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD1B54A32D192ED03u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_bytes(const char *data, size_t n_bytes)
{
    uint64_t h = mix(n_bytes, 0);
    for (size_t at = 0; at < n_bytes; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, data + at, n_bytes - at < sizeof word ? n_bytes - at : sizeof word);
        h = mix(h, word);
    }
    return mix(h, n_bytes);
}

/* A float that is a whole number is the same key as that number. */
static uint64_t hash_float(double d)
{
    if (d >= -0x1p63 && d < 0x1p63 && d == floor(d))
        return mix((uint64_t)(int64_t)d, VALUE_INT);
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return mix(bits, VALUE_FLOAT);
}

static bool hash_tuple(struct run *r, const struct list *list, uint64_t *out)
{
    if (!run_enter(r))
        return false;
    bool ok = run_step(r, list->n);
    uint64_t h = mix(list->n, VALUE_TUPLE), item;
    for (uint32_t i = 0; ok && i < list->n; i++) {
        ok = value_hash(r, list->items[i], &item);
        if (ok)
            h = mix(h, item);
    }
    run_leave(r);
    *out = h;
    return ok;
}

bool value_hash(struct run *r, struct value v, uint64_t *out)
{
    switch (v.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        *out = mix(0, v.kind);
        return true;
    case VALUE_BOOL:
        *out = mix(v.as.boolean, VALUE_INT);
        return true;
    case VALUE_INT:
        *out = mix((uint64_t)v.as.integer, VALUE_INT);
        return true;
    case VALUE_FLOAT:
        *out = hash_float(v.as.number);
        return true;
    case VALUE_STRING:
        *out = hash_bytes(v.as.string->data, v.as.string->n_bytes);
        return run_step(r, v.as.string->n_bytes / TEXT_BYTES_PER_STEP);
    case VALUE_TUPLE:
        return hash_tuple(r, v.as.list, out);
    case VALUE_OBJECT: /* by identity, as Python where a class does not say otherwise */
        if (group_as_tuple(v).kind == VALUE_TUPLE)
            return hash_tuple(r, group_as_tuple(v).as.list, out);
        *out = mix((uint64_t)(uintptr_t)v.as.object, VALUE_OBJECT);
        if (!v.as.object->type->is_unhashable)
            return true;
        break;
    case VALUE_LIST:
    case VALUE_DICT:
        break;
    }
    return run_raise(r, TYPE_ERROR, "unhashable type: '%s'", value_type_name(v));
}

/* ---- dicts ------------------------------------------------------------------------------------*/

struct dict *dict_make(struct run *r) { return run_alloc(r, 1, sizeof(struct dict)); }

/* Where a walk over the slots for this hash goes on. */
static uint32_t next_slot(const struct dict *dict, uint64_t hash, uint32_t probe)
{
    return (uint32_t)(hash + probe) & (dict->n_slots - 1);
}

static bool same_key(struct run *r, struct value a, struct value b, bool *out)
{
    if (a.kind == VALUE_STRING && b.kind == VALUE_STRING) {
        *out = string_equal(a.as.string, b.as.string);
        return true;
    }
    return value_same_or_equal(r, a, b, out);
}

/* *place: of the item with this key; dict->n: there is none. */
static bool find_place(struct run *r, const struct dict *dict, struct value key, uint64_t hash,
                       uint32_t *place)
{
    bool same = false;
    for (uint32_t probe = 0;; probe++) {
        uint32_t i = probe;
        if (dict->n_slots > 0)
            i = dict->slots[next_slot(dict, hash, probe)] - 1; /* UINT32_MAX when it is free */
        *place = dict->n;
        if (i >= dict->n)
            return true;
        if (probe >= SCANNED && !run_step(r, 1))
            return false;
        if (dict->items[i].hash != hash)
            continue;
        if (!same_key(r, dict->items[i].key, key, &same))
            return false;
        *place = i;
        if (same)
            return true;
    }
}

static void enter_slot(struct dict *dict, uint32_t place)
{
    uint32_t probe = 0, slot;
    do
        slot = next_slot(dict, dict->items[place].hash, probe++);
    while (dict->slots[slot] != 0);
    dict->slots[slot] = place + 1;
}

static bool dict_grow(struct run *r, struct dict *dict)
{
    struct dict_item *items = grow(r, dict->items, dict->n, &dict->capacity, sizeof *items);
    if (items == NULL)
        return false;
    dict->items = items;
    if (dict->capacity <= SCANNED)
        return true;
    uint32_t n_slots = 2 * SCANNED;
    while (n_slots < 2 * dict->capacity)
        n_slots *= 2;
    uint32_t *slots = run_alloc(r, n_slots, sizeof *slots);
    if (slots == NULL)
        return false;
    dict->slots = slots;
    dict->n_slots = n_slots;
    for (uint32_t i = 0; i < dict->n; i++)
        enter_slot(dict, i);
    return true;
}

bool dict_set(struct run *r, struct dict *dict, struct value key, struct value item)
{
    uint64_t hash;
    uint32_t place;
    if (!value_hash(r, key, &hash) || !find_place(r, dict, key, hash, &place))
        return false;
    if (place < dict->n) {
        dict->items[place].value = item; /* the key that came first stays */
        return true;
    }
    if (dict->n == dict->capacity && !dict_grow(r, dict))
        return false;
    dict->items[dict->n] = (struct dict_item){key, item, hash};
    dict->n++;
    if (dict->n_slots > 0)
        enter_slot(dict, dict->n - 1);
    return true;
}

bool dict_find(struct run *r, const struct dict *dict, struct value key, const struct value **found)
{
    uint64_t hash;
    uint32_t place;
    if (!value_hash(r, key, &hash) || !find_place(r, dict, key, hash, &place))
        return false;
    *found = place < dict->n ? &dict->items[place].value : NULL;
    return true;
}

/* ---- walks ------------------------------------------------------------------------------------*/

struct walk { /* over a value that is no object */
    struct iterator base;
    struct value over;
    size_t at; /* byte of a text, place of an item */
};

static bool next_char(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct walk *walk = (struct walk *)self;
    const struct string *s = walk->over.as.string;
    *done = walk->at >= s->n_bytes;
    if (*done)
        return true;
    size_t end = walk->at + 1;
    while (end < s->n_bytes && ((unsigned char)s->data[end] & 0xC0) == 0x80)
        end++;
    const size_t begin = walk->at;
    walk->at = end;
    return string_part(r, s, begin, end, out);
}

static bool next_item(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    (void)r;
    struct walk *walk = (struct walk *)self;
    *done = walk->at >= walk->over.as.list->n;
    if (!*done)
        *out = walk->over.as.list->items[walk->at++];
    return true;
}

static bool next_key(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    (void)r;
    struct walk *walk = (struct walk *)self;
    *done = walk->at >= walk->over.as.dict->n;
    if (!*done)
        *out = walk->over.as.dict->items[walk->at++].key;
    return true;
}

static bool next_nothing(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    (void)r, (void)self, (void)out;
    *done = true;
    return true;
}

bool value_iterate(struct run *r, struct value v, struct iterator **out)
{
    static bool (*const steps[])(struct run *, struct iterator *, struct value *, bool *) = {
        [VALUE_UNDEFINED] = next_nothing, [VALUE_STRING] = next_char, [VALUE_LIST] = next_item,
        [VALUE_TUPLE] = next_item,        [VALUE_DICT] = next_key,    [VALUE_OBJECT] = NULL,
    };
    if (v.kind == VALUE_OBJECT)
        return v.as.object->type->iterate(r, v.as.object, out);
    if (steps[v.kind] == NULL)
        return run_raise(r, TYPE_ERROR, "'%s' object is not iterable", value_type_name(v));
    struct walk *walk = run_alloc(r, 1, sizeof *walk);
    /* the characters of Markup are none */
    if (walk == NULL || (v.kind == VALUE_STRING && !value_plain_text(r, v, &v)))
        return false;
    *walk = (struct walk){.base.next = steps[v.kind], .over = v};
    *out = &walk->base;
    return true;
}

bool value_is_iterable(struct value v)
{
    switch (v.kind) {
    case VALUE_UNDEFINED:
    case VALUE_STRING:
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_DICT:
        return true;
    case VALUE_OBJECT:
        return v.as.object->type->is_iterable;
    default:
        return false;
    }
}

bool iterator_next(struct run *r, struct iterator *it, struct value *out, bool *done)
{
    if (!run_step(r, 1) || !run_enter(r)) /* iterators ask iterators */
        return false;
    const bool good = it->next(r, it, out, done);
    run_leave(r);
    return good;
}

bool value_items(struct run *r, struct value v, struct list **out)
{
    if (v.kind == VALUE_LIST || v.kind == VALUE_TUPLE) {
        const struct list *list = v.as.list;
        *out = run_step(r, list->n) ? list_make(r, list->n) : NULL;
        if (*out == NULL)
            return false;
        if (list->n > 0)
            memcpy((*out)->items, list->items, list->n * sizeof *list->items);
        (*out)->n = list->n;
        return true;
    }
    struct iterator *it;
    if (!value_iterate(r, v, &it))
        return false;
    struct list *list = list_make(r, v.kind == VALUE_DICT ? v.as.dict->n : 0);
    if (list == NULL)
        return false;
    *out = list;
    for (;;) {
        struct value item;
        bool done = false;
        if (!iterator_next(r, it, &item, &done))
            return false;
        if (done)
            return true;
        if (!list_add(r, list, item))
            return false;
    }
}

bool value_unpack(struct run *r, struct value v, uint32_t n, struct value *items)
{
    struct iterator *it;
    bool done = false;
    if (!value_is_iterable(v))
        return run_raise(r, TYPE_ERROR, "cannot unpack non-iterable %s object", value_type_name(v));
    if (!value_iterate(r, v, &it))
        return false;
    for (uint32_t i = 0; i <= n; i++) { /* one more than wanted is too many */
        struct value item;
        if (!iterator_next(r, it, &item, &done))
            return false;
        if (done && i < n)
            return run_raise(r, VALUE_ERROR, "not enough values to unpack (expected %u, got %u)", n,
                             i);
        if (i < n)
            items[i] = item;
    }
    return done || run_raise(r, VALUE_ERROR, "too many values to unpack (expected %u)", n);
}
