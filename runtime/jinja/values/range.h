/* runtime/jinja/values/range.h: the value of range(). */
#pragma once
#include "runtime/jinja/values/value.h"

/* range(start, stop, step), with the limit of the sandbox. */
bool range_call(struct run *r, struct value self, const struct arguments *args, struct value *out);
bool range_is(const struct object *o);
/* range[start:stop:step], with places that are within the range already. */
bool range_part(struct run *r, const struct object *self, int64_t start, int64_t stop, int64_t step,
                struct value *out);
/* reversed(); *found false: the object is no range. */
bool range_walk_back(struct run *r, struct object *self, struct iterator **out, bool *found);
