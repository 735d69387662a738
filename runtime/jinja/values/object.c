#include "runtime/jinja/values/object.h"

#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

bool object_no_attribute(struct run *r, struct object *self, const struct string *name,
                         struct value *out, bool *found)
{
    (void)r, (void)self, (void)name, (void)out;
    *found = false;
    return true;
}

bool object_no_item(struct run *r, struct object *self, struct value key, struct value *out,
                    bool *found)
{
    (void)r, (void)self, (void)key, (void)out;
    *found = false;
    return true;
}

bool object_not_callable(struct run *r, struct object *self, const struct arguments *args,
                         struct value *out)
{
    (void)args, (void)out;
    return run_raise(r, TYPE_ERROR, "'%s' object is not callable", self->type->name);
}

bool object_not_iterable(struct run *r, struct object *self, struct iterator **out)
{
    (void)out;
    return run_raise(r, TYPE_ERROR, "'%s' object is not iterable", self->type->name);
}

bool object_no_length(struct run *r, struct object *self, int64_t *out)
{
    (void)r, (void)self;
    *out = -1;
    return true;
}

bool object_plain_repr(struct run *r, struct object *self, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    return builder_printf(&b, "<%s object>", self->type->name) && builder_end(&b, out);
}

bool object_is_same(struct run *r, struct object *self, struct object *other, bool *out)
{
    (void)r;
    *out = self == other;
    return true;
}

/* ---- generators: all who walk over one share its place ----------------------------------------*/
struct generator {
    struct object object;
    struct object_type type; /* its own: the name differs */
    struct iterator walk;
    struct iterator *source;
    bool done;
};

static bool generator_next(struct run *r, struct iterator *self, struct value *out, bool *done)
{
    struct generator *g =
        (struct generator *)(void *)((char *)self - offsetof(struct generator, walk));
    if (!g->done && !g->source->next(r, g->source, out, &g->done))
        return false;
    *done = g->done;
    return true;
}

static bool generator_iterate(struct run *r, struct object *self, struct iterator **out)
{
    (void)r;
    *out = &((struct generator *)self)->walk;
    return true;
}

bool generator_make(struct run *r, struct iterator *it, const char *type_name, struct value *out)
{
    struct generator *g = run_alloc(r, 1, sizeof *g);
    if (g == NULL)
        return false;
    *g = (struct generator){
        .type = {.name = type_name,
                 .attribute = object_no_attribute,
                 .item = object_no_item,
                 .call = object_not_callable,
                 .iterate = generator_iterate,
                 .length = object_no_length,
                 .repr = object_plain_repr,
                 .equal = object_is_same,
                 .is_iterable = true},
        .walk.next = generator_next,
        .source = it,
    };
    g->object.type = &g->type;
    *out = value_object(&g->object);
    return true;
}

/* ---- functions in C ---------------------------------------------------------------------------*/
struct native {
    struct object object;
    const char *name;
    native_fn *call;
    struct value self;
};

static bool native_call(struct run *r, struct object *self, const struct arguments *args,
                        struct value *out)
{
    const struct native *native = (const struct native *)self;
    return native->call(r, native->self, args, out);
}

static bool native_repr(struct run *r, struct object *self, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    return builder_printf(&b, "<built-in function %s>", ((struct native *)self)->name) &&
           builder_end(&b, out);
}

static const struct object_type native_type = {
    .name = "builtin_function_or_method",
    .attribute = object_no_attribute,
    .item = object_no_item,
    .call = native_call,
    .iterate = object_not_iterable,
    .length = object_no_length,
    .repr = native_repr,
    .equal = object_is_same,
    .is_callable = true,
};

bool native_make(struct run *r, const char *name, native_fn *call, struct value self,
                 struct value *out)
{
    struct native *native = run_alloc(r, 1, sizeof *native);
    if (native == NULL)
        return false;
    *native = (struct native){{&native_type}, name, call, self};
    *out = value_object(&native->object);
    return true;
}
