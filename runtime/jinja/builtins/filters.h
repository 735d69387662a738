/* runtime/jinja/builtins/filters.h: the filters by file, and what they share. */
#pragma once
#include "runtime/jinja/builtins/builtins.h"

struct filter_table {
    const struct filter *filters;
    int n;
};
extern const struct filter_table text_filters;   /* filters_text.c */
extern const struct filter_table wrap_filters;   /* filters_wrap.c */
extern const struct filter_table number_filters; /* filters_number.c */
extern const struct filter_table list_filters;   /* filters_list.c */
extern const struct filter_table select_filters; /* filters_select.c */
extern const struct filter_table sort_filters;   /* filters_sort.c */
extern const struct filter_table html_filters;   /* filters_html.c */
extern const struct filter_table url_filters;    /* filters_url.c */
extern const struct filter_table show_filters;   /* filters_show.c */

/* reversed(v); *found false: Python says it is not reversible. */
bool value_reversed(struct run *r, struct value v, struct iterator **out, const char **type_name,
                    bool *found);

/* The attribute of an item, as filters name it: "user.name.0", a whole number, or None for the item
 * itself. */
struct attribute_path {
    const struct value *parts; /* texts and whole numbers */
    int n;
    struct value otherwise; /* in place of an undefined part; VALUE_NONE: none */
    bool ignore_case;       /* texts in lower case */
};
bool attribute_path_init(struct run *r, struct attribute_path *path, struct value attribute);
bool attribute_path_get(struct run *r, const struct attribute_path *path, struct value item,
                        struct value *out);
