/* Finds methods by the type of their value. Those that would change a list or a dict are not here:
 * access.c refuses them by name. */
#include "runtime/jinja/builtins/methods.h"

#include "runtime/jinja/values/object.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <stdio.h>

struct bound_method {
    struct object object;
    const struct method *method;
    const char *owner;
    struct value self;
};

/* Methods of Markup are functions of Python around those of str. */
static bool bind_markup(struct run *r, const struct method *method, const struct arguments *args,
                        struct value slots[CALL_MAX_SLOTS])
{
    char name[40], parameters[80];
    int n = *method->markup != '\0';
    for (const char *c = method->markup; *c != '\0'; c++)
        n += *c == ',';
    for (int i = 0; i < CALL_MAX_SLOTS; i++)
        slots[i] = value_absent();
    snprintf(name, sizeof name, "Markup.%s", method->signature.name);
    snprintf(parameters, sizeof parameters, "self | %s", method->markup);
    return arguments_bind(r, name, parameters, args, slots, n);
}

static bool bound_call(struct run *r, struct object *self, const struct arguments *args,
                       struct value *out)
{
    const struct bound_method *bound = (const struct bound_method *)self;
    const struct method *method = bound->method;
    if (method->signature.style == CALL_ANY)
        return method->call_any(r, bound->self, args, out);
    struct value slots[CALL_MAX_SLOTS];
    const bool good =
        method->markup != NULL && bound->self.as.string->safe
            ? bind_markup(r, method, args, slots)
            : arguments_bind_builtin(r, &method->signature, bound->owner, args, 0, slots);
    return good && method->call(r, bound->self, slots, out);
}

static bool bound_repr(struct run *r, struct object *self, struct value *out)
{
    const struct bound_method *bound = (const struct bound_method *)self;
    struct builder b;
    builder_init(&b, r);
    return builder_printf(&b, "<built-in method %s of %s object>", bound->method->signature.name,
                          bound->owner) &&
           builder_end(&b, out);
}

static const struct object_type bound_type = {
    .name = "builtin_function_or_method",
    .attribute = object_no_attribute,
    .item = object_no_item,
    .call = bound_call,
    .iterate = object_not_iterable,
    .length = object_no_length,
    .repr = bound_repr,
    .equal = object_is_same,
    .is_callable = true,
};

bool method_table_find(struct run *r, const struct method_table *table, const char *owner,
                       struct value self, const struct string *name, struct value *out, bool *found)
{
    for (int i = 0; i < table->n; i++) {
        if (!string_is(name, table->methods[i].signature.name))
            continue;
        struct bound_method *bound = run_alloc(r, 1, sizeof *bound);
        if (bound == NULL)
            return false;
        *bound = (struct bound_method){{&bound_type}, &table->methods[i], owner, self};
        *out = value_object(&bound->object);
        *found = true;
        return true;
    }
    *found = false;
    return true;
}

static bool find_in(struct run *r, const struct method_table *const *tables, const char *owner,
                    struct value self, const struct string *name, struct value *out, bool *found)
{
    *found = false;
    for (int i = 0; tables[i] != NULL && !*found; i++)
        if (!method_table_find(r, tables[i], owner, self, name, out, found))
            return false;
    return true;
}

bool method_find(struct run *r, struct value self, const struct string *name, struct value *out,
                 bool *found)
{
    static const struct method_table *const of_text[] = {
        &text_search_methods, &text_case_methods, &text_cut_methods, &text_pad_methods, NULL};
    switch (self.kind) {
    case VALUE_STRING:
        return find_in(r, of_text, value_type_name(self), self, name, out, found);
    case VALUE_LIST:
        return method_table_find(r, &list_methods, "list", self, name, out, found);
    case VALUE_TUPLE:
        return method_table_find(r, &tuple_methods, "tuple", self, name, out, found);
    case VALUE_DICT:
        return method_table_find(r, &dict_methods, "dict", self, name, out, found);
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_FLOAT:
        *found = number_part(self, name, out);
        return *found ||
               method_table_find(r, self.kind == VALUE_FLOAT ? &float_methods : &int_methods,
                                 value_type_name(self), self, name, out, found);
    default:
        *found = false;
        return true;
    }
}
