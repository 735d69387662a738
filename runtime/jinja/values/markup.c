#include "runtime/jinja/values/markup.h"

#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

bool value_escape(struct run *r, struct value v, struct value *out)
{
    if (!value_text(r, v, out) || out->as.string->safe)
        return r->exception == EXCEPTION_NONE;
    struct builder b;
    builder_init(&b, r);
    b.safe = true;
    return builder_add_escaped(&b, out->as.string) && builder_end(&b, out);
}

bool value_mark_safe(struct run *r, struct value v, bool safe, struct value *out)
{
    return value_text(r, v, out) && (safe ? text_safe : text_unsafe)(r, out);
}

bool value_plain_text(struct run *r, struct value v, struct value *out)
{
    return value_mark_safe(r, v, false, out);
}
