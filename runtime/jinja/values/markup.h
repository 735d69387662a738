/* runtime/jinja/values/markup.h: text that is marked as ready for HTML, and the same without the
 * mark. */
#pragma once
#include "runtime/jinja/values/value.h"

/* markupsafe.escape(): Markup, with & < > ' " replaced; Markup stays as it is. */
bool value_escape(struct run *r, struct value v, struct value *out);
/* Markup(v), or with false str(v), which is no Markup. */
bool value_mark_safe(struct run *r, struct value v, bool safe, struct value *out);
bool value_plain_text(struct run *r, struct value v, struct value *out); /* str(v): no Markup */
