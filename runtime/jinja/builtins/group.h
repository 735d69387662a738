/* runtime/jinja/builtins/group.h: what groupby gives: a tuple (grouper, list) whose items have
 * names too. */
#pragma once
#include "runtime/jinja/values/value.h"

bool group_make(struct run *r, struct value grouper, const struct list *items, struct value *out);
/* A group is hashed, compared and written as the tuple that it is; anything else stays itself. */
struct value group_as_tuple(struct value v);
