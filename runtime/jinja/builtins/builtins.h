/* runtime/jinja/builtins/builtins.h: the filters, tests, methods and global functions, by name. */
#pragma once
#include "runtime/jinja/values/value.h"

/* value|name(args). `v` is what the filter is applied to. */
typedef bool filter_fn(struct run *r, struct value v, const struct arguments *args,
                       struct value *out);
struct filter {
    const char *name; /* "dictsort" */
    filter_fn *apply;
};
const struct filter *filter_find(const char *name, size_t n_bytes); /* NULL: none */

typedef bool test_apply_fn(struct run *r, struct value v, const struct arguments *args, bool *out);
struct test {
    const char *name; /* "defined", "==" */
    test_apply_fn *apply;
};
const struct test *test_find(const char *name, size_t n_bytes); /* NULL: none */

/* A method of a text, number, list, tuple or dict as a value to call, or a part of a number, as
 * (5).real; *found false: there is none, or it would change its value, which access.c refuses. */
bool method_find(struct run *r, struct value self, const struct string *name, struct value *out,
                 bool *found);

/* range, dict, namespace, cycler, joiner, raise_exception, strftime_now; `self` and lipsum, which
 * refuse to be used; *found false: none. */
bool global_find(struct run *r, const char *name, size_t n_bytes, struct value *out, bool *found);

/* For {% set ns.name = v %}: TemplateRuntimeError "cannot assign attribute on non-namespace
 * object" for other values. */
bool namespace_check(struct run *r, struct value ns);
bool namespace_set(struct run *r, struct value ns, const struct string *name, struct value v);

/* A value that calls a C function: what methods and global functions are. */
typedef bool native_fn(struct run *r, struct value self, const struct arguments *args,
                       struct value *out);
bool native_make(struct run *r, const char *name, native_fn *call, struct value self,
                 struct value *out);

/* Takes arguments by place or by name into slots[n], as a Python function of these parameters
 * does. `names`: "value, attribute=, case_sensitive=" lists all; a name with "=" may be absent and
 * then leaves its slot alone (put the default there first). Names before a bar, as in "env, value |
 * attribute=", are arguments that the caller has already: they have no slots, and only count in
 * messages. Raises Python's TypeErrors, calling the function `function` ("do_sort() got an
 * unexpected keyword argument 'x'"). */
bool arguments_bind(struct run *r, const char *function, const char *names,
                    const struct arguments *args, struct value *slots, int n);
