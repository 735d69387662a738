/* runtime/jinja/builtins/methods.h: methods of values as tables, by the type that has them; and
 * what filters use of them.
 *
 * A method gets its arguments bound to slots, as its signature says; those that were not given are
 * absent (arguments.h).
 */
#pragma once
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/builtins.h"

typedef bool method_fn(struct run *r, struct value self, const struct value *slots,
                       struct value *out);
struct method {
    struct signature signature;
    method_fn *call;
    native_fn *call_any; /* instead, when the style is CALL_ANY */
    const char *markup;  /* parameters where Markup has a function of its own; NULL: it has not */
};
struct method_table {
    const struct method *methods;
    int n;
};

extern const struct method_table text_search_methods, text_case_methods, text_cut_methods,
    text_pad_methods;                                         /* of str */
extern const struct method_table list_methods, tuple_methods; /* methods_list.c */
extern const struct method_table dict_methods;                /* methods_dict.c */
extern const struct method_table int_methods, float_methods;  /* methods_number.c */

/* A method as a value to call; `owner` is the type in messages: "str". *found false: none. */
bool method_table_find(struct run *r, const struct method_table *table, const char *owner,
                       struct value self, const struct string *name, struct value *out,
                       bool *found);

/* What a number has besides methods: (5).real. False: nothing of this name. */
bool number_part(struct value self, const struct string *name, struct value *out);

/* ---- methods that filters use -----------------------------------------------------------------*/
bool text_center(struct run *r, struct value self, const struct value *slots, struct value *out);
bool text_strip(struct run *r, struct value self, const struct value *slots, struct value *out);
bool text_replace(struct run *r, struct value self, const struct value *slots, struct value *out);
bool text_splitlines(struct run *r, struct value self, const struct value *slots,
                     struct value *out);
/* Whether users wrote what ends a line of such a list, which was cut from `s`. */
bool line_end_is_users(const struct string *s, const struct string *line);
bool text_split(struct run *r, struct value self, const struct value *slots, struct value *out);
bool text_join(struct run *r, struct value self, const struct value *slots, struct value *out);
/* str.islower(), str.isupper() */
bool text_is_lower(const struct string *s);
bool text_is_upper(const struct string *s);
/* items(), keys() and values() of a dict, as Python's views. */
enum dict_part { DICT_KEYS, DICT_VALUES, DICT_ITEMS };
bool dict_view_make(struct run *r, const struct dict *dict, enum dict_part part, struct value *out);
/* iter() or, backwards, reversed() of such a view, or of a dict (its keys). */
bool dict_walk(struct run *r, const struct dict *dict, enum dict_part part, bool backwards,
               struct iterator **out);
/* Its dict when this is such a view; NULL: another object. */
const struct dict *dict_view_of(struct value v, enum dict_part *part);
/* item in v; *known false: v is no view that can look it up. */
bool dict_view_contains(struct run *r, struct value v, struct value item, bool *out, bool *known);
