/* runtime/jinja/values/object.h: entries for the tables of objects that cannot do a thing, and
 * iterators as values. */
#pragma once
#include "runtime/jinja/values/value.h"

bool object_no_attribute(struct run *r, struct object *self, const struct string *name,
                         struct value *out, bool *found);
bool object_no_item(struct run *r, struct object *self, struct value key, struct value *out,
                    bool *found);
bool object_not_callable(struct run *r, struct object *self, const struct arguments *args,
                         struct value *out); /* TypeError "'x' object is not callable" */
bool object_not_iterable(struct run *r, struct object *self, struct iterator **out);
bool object_no_length(struct run *r, struct object *self, int64_t *out);
bool object_plain_repr(struct run *r, struct object *self, struct value *out); /* "<x object>" */
bool object_is_same(struct run *r, struct object *self, struct object *other, bool *out);

/* A value over an iterator that can be walked once, as Python's generators are. `type_name` is
 * "generator", "list_reverseiterator", … */
bool generator_make(struct run *r, struct iterator *it, const char *type_name, struct value *out);
