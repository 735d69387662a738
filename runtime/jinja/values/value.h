/* runtime/jinja/values/value.h: what a template computes with: the values of Python, as far as it
 * can see them.
 *
 * Values are small and copied; what they point to lives in the arena of the rendering (run.h), or
 * in that of the template for constants, and does not change once a template can see it: the
 * sandbox of the reference lets nothing be changed but the attributes of a namespace. Lists, dicts
 * and strings are filled by who makes them, and then left alone.
 *
 * Texts are UTF-8, and everything a template can see (lengths, positions, slices) counts
 * characters. A text knows which of its bytes users wrote (`marks`), and whether it is Markup
 * (`safe`), which only the HTML filters make and ask for.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arguments;
struct run;

struct mark { /* bytes [begin, end) are the users' */
    uint32_t begin, end;
};

struct string {
    const char *data; /* not NUL-terminated */
    uint32_t n_bytes, n_chars;
    const struct mark *marks; /* [n_marks] ascending, apart, not empty */
    uint32_t n_marks;
    bool safe; /* Markup */
};

enum value_kind {
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_DICT,
    VALUE_OBJECT, /* everything else: a table of what it can do */
};

struct value {
    enum value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        const struct string *string;
        const struct list *list; /* VALUE_LIST and VALUE_TUPLE */
        const struct dict *dict;
        const struct undefined *undefined;
        struct object *object;
    } as;
};

struct list {
    struct value *items;
    uint32_t n, capacity;
};

/* Items in the order in which their keys came. 1, 1.0 and True are one key. */
struct dict {
    struct dict_item {
        struct value key, value;
        uint64_t hash;
    } * items;
    uint32_t n, capacity;
    uint32_t *slots; /* [n_slots], a power of two or 0: place of an item plus one, 0 is free */
    uint32_t n_slots;
};

/* Why there is no value. The text is made when somebody asks (access.h). */
struct undefined {
    const char *hint;   /* a whole message, or NULL */
    struct value owner; /* what lacks `name`; kind VALUE_UNDEFINED: a variable */
    struct value name;
    bool unsafe; /* the sandbox hides it: SecurityError instead of UndefinedError */
};

/* ---- objects ------------------------------------------------------------------------------------
 * Every entry is filled; object.h has what to name where an object cannot do a thing. */
struct iterator;
struct object_type {
    const char *name;   /* as in messages: "Namespace", "builtin_function_or_method" */
    const char *module; /* where the class is from: "jinja2.utils"; NULL: Python itself */
    /* *found false: no such attribute. */
    bool (*attribute)(struct run *r, struct object *self, const struct string *name,
                      struct value *out, bool *found);
    bool (*item)(struct run *r, struct object *self, struct value key, struct value *out,
                 bool *found);
    bool (*call)(struct run *r, struct object *self, const struct arguments *args,
                 struct value *out);
    bool (*iterate)(struct run *r, struct object *self, struct iterator **out);
    /* -1: has no length ("object of type 'x' has no len()") */
    bool (*length)(struct run *r, struct object *self, int64_t *out);
    bool (*repr)(struct run *r, struct object *self, struct value *out); /* str() too */
    bool (*equal)(struct run *r, struct object *self, struct object *other, bool *out);
    bool is_callable, is_iterable, is_sequence, is_mapping; /* for the tests of these names */
    bool has_length;    /* then it is false when its length is 0 */
    bool is_unhashable; /* no key of dicts */
};
struct object { /* the first member of every object */
    const struct object_type *type;
};

/* One walk over a value. After *done is set, or an error, it is not asked again. */
struct iterator {
    bool (*next)(struct run *r, struct iterator *self, struct value *out, bool *done);
};

struct keyword {
    const struct string *name;
    struct value value;
};
struct arguments {
    const struct value *positional; /* [n_positional] */
    int n_positional;
    const struct keyword *keywords; /* [n_keywords], names differ */
    int n_keywords;
};

/* ---- making values (value.c) --------------------------------------------------------------------
 * False: the memory budget is used up, and the exception is raised. */
static inline struct value value_none(void) { return (struct value){.kind = VALUE_NONE}; }
static inline struct value value_bool(bool b)
{
    return (struct value){.kind = VALUE_BOOL, .as.boolean = b};
}
static inline struct value value_int(int64_t i)
{
    return (struct value){.kind = VALUE_INT, .as.integer = i};
}
static inline struct value value_float(double d)
{
    return (struct value){.kind = VALUE_FLOAT, .as.number = d};
}
static inline struct value value_string(const struct string *s)
{
    return (struct value){.kind = VALUE_STRING, .as.string = s};
}
static inline struct value value_list(const struct list *l)
{
    return (struct value){.kind = VALUE_LIST, .as.list = l};
}
static inline struct value value_tuple(const struct list *l)
{
    return (struct value){.kind = VALUE_TUPLE, .as.list = l};
}
static inline struct value value_dict(const struct dict *d)
{
    return (struct value){.kind = VALUE_DICT, .as.dict = d};
}
static inline struct value value_object(struct object *o)
{
    return (struct value){.kind = VALUE_OBJECT, .as.object = o};
}

/* A text with a copy of these bytes (well-formed UTF-8). `user`: all of it is marked. */
bool value_make_text(struct run *r, const char *data, size_t n_bytes, bool user, struct value *out);
/* A NUL-terminated text of ours, not copied: it must outlive the rendering. */
bool value_make_static(struct run *r, const char *text, struct value *out);

struct list *list_make(struct run *r, size_t capacity); /* NULL: raised */
bool list_add(struct run *r, struct list *list, struct value item);
void list_turn(struct list *list); /* the last item first */

struct dict *dict_make(struct run *r); /* NULL: raised */
/* Raises TypeError for a key that cannot be hashed. A key that is there gets the new value. */
bool dict_set(struct run *r, struct dict *dict, struct value key, struct value item);
/* *found NULL: not there. Raises TypeError as above. */
bool dict_find(struct run *r, const struct dict *dict, struct value key,
               const struct value **found);

/* ---- asking values (value.c, compare.c) -------------------------------------------------------*/
/* An int or a bool, which counts as one; its number. */
static inline bool value_is_whole(struct value v)
{
    return v.kind == VALUE_INT || v.kind == VALUE_BOOL;
}
static inline int64_t value_whole(struct value v)
{
    return v.kind == VALUE_BOOL ? v.as.boolean : v.as.integer;
}
static inline bool value_is_number(struct value v)
{
    return value_is_whole(v) || v.kind == VALUE_FLOAT;
}
bool value_is_text(struct value v, const char *text); /* a string with just these bytes */
/* "str", "int", "NoneType", "dict": type(v).__name__ */
const char *value_type_name(struct value v);
/* bool(v): raises nothing but over an object whose length does */
bool value_truth(struct run *r, struct value v, bool *out);
bool value_equal(struct run *r, struct value a, struct value b, bool *out);
/* The same without exception for NaN, as containers look for their items. */
bool value_same_or_equal(struct run *r, struct value a, struct value b, bool *out);
/* a op b, for op "<", ">", "<=" or ">=", which the message of TypeError names too. */
bool value_less(struct run *r, struct value a, struct value b, const char *op, bool *out);
bool value_hash(struct run *r, struct value v, uint64_t *out); /* TypeError: unhashable type */
/* len(v): TypeError "object of type 'int' has no len()" */
bool value_length(struct run *r, struct value v, int64_t *out);
/* item in container, with Python's TypeErrors */
bool value_contains(struct run *r, struct value container, struct value item, bool *out);

/* iter(v): TypeError "'int' object is not iterable"; an undefined value is empty. Strings give
 * their characters, dicts their keys. */
bool value_iterate(struct run *r, struct value v, struct iterator **out);
bool value_is_iterable(struct value v); /* whether it would do it */
/* One step of an iterator that counts as a step of the budget. */
bool iterator_next(struct run *r, struct iterator *it, struct value *out, bool *done);
/* a, b, … = v: exactly n items, or Python's TypeError and ValueErrors. */
bool value_unpack(struct run *r, struct value v, uint32_t n, struct value *items);
/* list(v): a new list of all items. */
bool value_items(struct run *r, struct value v, struct list **out);
