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
    if (!value_text(r, v, out))
        return false;
    if (out->as.string->safe == safe)
        return true;
    struct string *copy = run_alloc(r, 1, sizeof *copy);
    if (copy == NULL)
        return false;
    *copy = *out->as.string;
    copy->safe = safe;
    *out = value_string(copy);
    return true;
}

bool value_plain_text(struct run *r, struct value v, struct value *out)
{
    return value_mark_safe(r, v, false, out);
}
