/* Macros, and the bodies of call blocks, which are macros called `caller`.
 *
 * How arguments find their places is that of the reference, which differs from Python's functions:
 * an argument that is missing is undefined, and one too many is an error unless the body looks at
 * `varargs` or `kwargs`. Source: jinja2.runtime.Macro.__call__. */
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/eval.h"
#include "runtime/jinja/values/markup.h"
#include "runtime/jinja/values/object.h"

#include <stdio.h>

struct macro_object {
    struct object object;
    struct render *render;
    const struct macro *macro;
    struct scope *around;
    bool autoescape; /* where it was written */
};

static bool shown_name(struct builder *b, const struct macro *macro)
{
    if (macro->shown_name == NULL)
        return builder_add_text(b, "None");
    return builder_add_text(b, "'") && builder_add_string(b, macro->shown_name) &&
           builder_add_text(b, "'");
}

/* Raises TypeError "macro 'name' <what>[ 'word']". */
static bool refuse(struct render *r, const struct macro *macro, const char *what,
                   const struct string *word)
{
    struct builder b;
    struct value text;
    builder_init(&b, &r->run);
    if (!builder_add_text(&b, "macro ") || !shown_name(&b, macro) || !builder_add_text(&b, what) ||
        (word != NULL && (!builder_add_text(&b, " '") || !builder_add_string(&b, word) ||
                          !builder_add_text(&b, "'"))) ||
        !builder_end(&b, &text))
        return false;
    return run_raise_text(&r->run, TYPE_ERROR, text.as.string->data, text.as.string->n_bytes);
}

static const struct string caller_name = {.data = "caller", .n_bytes = 6, .n_chars = 6};

static int find_keyword(const struct arguments *args, const struct string *name)
{
    for (int i = 0; i < args->n_keywords; i++)
        if (string_equal(args->keywords[i].name, name))
            return i;
    return -1;
}

struct binding { /* of one call */
    struct render *r;
    const struct macro *macro;
    const struct arguments *args;
    struct scope *scope;
    bool *used;      /* [n_keywords] */
    bool *missing;   /* [n_parameters] nothing was given for it */
    bool has_caller; /* a parameter of this name was filled by keyword */
};

static bool set_parameter(struct binding *b, uint32_t i, struct value v)
{
    return scope_set(&b->r->run, b->scope, b->macro->parameters[i], v);
}

/* What was given. A parameter without a value hides what its name means around the macro. */
static bool bind_parameters(struct binding *b)
{
    for (uint32_t i = 0; i < b->macro->n_parameters; i++) {
        const struct string *name = b->macro->parameter_names[i];
        struct value v;
        if (!run_step(&b->r->run, 1 + (size_t)b->args->n_keywords))
            return false;
        b->has_caller = b->has_caller || string_is(name, "caller");
        if ((int)i < b->args->n_positional)
            v = b->args->positional[i];
        else {
            const int keyword = find_keyword(b->args, name);
            b->missing[i] = keyword < 0;
            if (keyword >= 0) {
                b->used[keyword] = true;
                v = b->args->keywords[keyword].value;
            } else if (!value_make_undefined(&b->r->run, (struct value){.kind = VALUE_UNDEFINED},
                                             value_string(name), &v))
                return false;
        }
        if (!set_parameter(b, i, v))
            return false;
    }
    return true;
}

/* After all arguments found their places. Defaults see the parameters before them. */
static bool set_defaults(struct binding *b)
{
    for (uint32_t i = 0; i < b->macro->n_parameters; i++) {
        const struct string *name = b->macro->parameter_names[i];
        const struct node *value = b->macro->defaults[i];
        struct value v;
        if (!b->missing[i])
            continue;
        if (value != NULL ? !eval(b->r, value, &v)
                          : !eval_undefined(b->r, &v, "parameter '%.*s' was not provided",
                                            (int)name->n_bytes, name->data))
            return false;
        if (!set_parameter(b, i, v))
            return false;
    }
    return true;
}

static bool bind_caller(struct binding *b)
{
    struct value caller;
    if (!b->macro->uses_caller || b->has_caller)
        return true;
    const int keyword = find_keyword(b->args, &caller_name);
    if (keyword >= 0) {
        b->used[keyword] = true;
        caller = b->args->keywords[keyword].value;
    }
    if ((keyword < 0 || caller.kind == VALUE_NONE) &&
        !eval_undefined(b->r, &caller, "No caller defined"))
        return false;
    return scope_set(&b->r->run, b->scope, AST_NAME_CALLER, caller);
}

static bool bind_keywords(struct binding *b)
{
    struct dict *rest = dict_make(&b->r->run);
    if (rest == NULL)
        return false;
    for (int i = 0; i < b->args->n_keywords; i++) {
        const struct keyword *keyword = &b->args->keywords[i];
        if (b->used[i])
            continue;
        if (!b->macro->uses_kwargs) {
            const int caller = find_keyword(b->args, &caller_name);
            if (caller >= 0 && !b->used[caller])
                return refuse(b->r, b->macro,
                              " was invoked with two values for the special caller argument. This "
                              "is most likely a bug.",
                              NULL);
            return refuse(b->r, b->macro, " takes no keyword argument", keyword->name);
        }
        if (!dict_set(&b->r->run, rest, value_string(keyword->name), keyword->value))
            return false;
    }
    return !b->macro->uses_kwargs ||
           scope_set(&b->r->run, b->scope, AST_NAME_KWARGS, value_dict(rest));
}

static bool bind_rest(struct binding *b)
{
    const int n_parameters = (int)b->macro->n_parameters;
    if (!b->macro->uses_varargs) {
        char what[64];
        if (b->args->n_positional <= n_parameters)
            return true;
        snprintf(what, sizeof what, " takes not more than %d argument(s)", n_parameters);
        return refuse(b->r, b->macro, what, NULL);
    }
    struct list *rest = list_make(&b->r->run, 0);
    for (int i = n_parameters; rest != NULL && i < b->args->n_positional; i++)
        if (!list_add(&b->r->run, rest, b->args->positional[i]))
            return false;
    return rest != NULL && scope_set(&b->r->run, b->scope, AST_NAME_VARARGS, value_tuple(rest));
}

static bool macro_call(struct run *run, struct object *self, const struct arguments *args,
                       struct value *out)
{
    const struct macro_object *m = (const struct macro_object *)self;
    struct render *r = m->render;
    struct scope *const before = r->scope;
    const bool autoescape = r->run.autoescape;
    struct binding b = {.r = r,
                        .macro = m->macro,
                        .args = args,
                        .scope = scope_make(run, m->around),
                        .used = run_alloc(run, (size_t)args->n_keywords + 1, sizeof(bool)),
                        .missing = run_alloc(run, m->macro->n_parameters + 1, sizeof(bool))};
    if (b.scope == NULL || b.used == NULL || b.missing == NULL)
        return false;
    r->scope = b.scope;
    r->run.autoescape = m->autoescape;
    const bool good = scope_hide(run, b.scope, m->macro->hides) && bind_parameters(&b) &&
                      bind_caller(&b) && bind_keywords(&b) && bind_rest(&b) && set_defaults(&b) &&
                      render_to_text(r, &m->macro->body, b.scope, out) == FLOW_NEXT;
    r->scope = before;
    r->run.autoescape = autoescape;
    return good && value_mark_safe(run, *out, autoescape, out); /* as where it is called */
}

static bool macro_attribute(struct run *run, struct object *self, const struct string *name,
                            struct value *out, bool *found)
{
    const struct macro *macro = ((const struct macro_object *)self)->macro;
    *found = true;
    if (string_is(name, "name"))
        *out = macro->shown_name != NULL ? value_string(macro->shown_name) : value_none();
    else if (string_is(name, "catch_kwargs"))
        *out = value_bool(macro->uses_kwargs);
    else if (string_is(name, "catch_varargs"))
        *out = value_bool(macro->uses_varargs);
    else if (string_is(name, "caller"))
        *out = value_bool(macro->uses_caller);
    else if (string_is(name, "arguments")) {
        struct list *names = list_make(run, macro->n_parameters);
        for (uint32_t i = 0; names != NULL && i < macro->n_parameters; i++)
            if (!list_add(run, names, value_string(macro->parameter_names[i])))
                return false;
        if (names == NULL)
            return false;
        *out = value_tuple(names);
    } else
        *found = false;
    return true;
}

static bool macro_repr(struct run *run, struct object *self, struct value *out)
{
    const struct macro *macro = ((const struct macro_object *)self)->macro;
    struct builder b;
    builder_init(&b, run);
    const bool anonymous = macro->shown_name == NULL;
    return builder_add_text(&b, "<Macro ") &&
           (anonymous ? builder_add_text(&b, "anonymous") : shown_name(&b, macro)) &&
           builder_add_text(&b, ">") && builder_end(&b, out);
}

static const struct object_type macro_type = {
    .name = "Macro",
    .module = "jinja2.runtime",
    .attribute = macro_attribute,
    .item = object_no_item,
    .call = macro_call,
    .iterate = object_not_iterable,
    .length = object_no_length,
    .repr = macro_repr,
    .equal = object_is_same,
    .is_callable = true,
};

bool macro_make(struct render *r, const struct macro *macro, struct value *out)
{
    struct macro_object *m = run_alloc(&r->run, 1, sizeof *m);
    if (m == NULL)
        return false;
    scope_keep(r->scope);
    *m = (struct macro_object){{&macro_type}, r, macro, r->scope, r->run.autoescape};
    *out = value_object(&m->object);
    return true;
}
