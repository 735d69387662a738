/* tests/unit/runtime_jinja/values.h: values written as Python writes them, and read back.
 *
 *     check_outcome(&r, value_binary(&r, OP_ADD, V("1"), V("'a'"), &v), v, "TypeError: …");
 */
#pragma once
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"
#include "runtime/jinja/values/value.h"

struct run start_run(void); /* with budgets that a test does not meet by chance */

/* A literal: 1, 1.5, inf, nan, True, None, 'a\n', [1], (1,), {'a': 1}; u'a' is a text of a user,
 * m'a' is Markup, x is the undefined variable x. */
struct value value_of(struct run *r, const char *literal);
/* What came out: repr(v), or "TypeError: message" when ok is false. The exception is then cleared,
 * so that the run can be used again. Holds until the next call. */
const char *outcome(struct run *r, bool ok, struct value v);
/* A text with ‹ and › around every part of a user's. Holds until the next call. */
const char *marked(struct run *r, struct value v);
