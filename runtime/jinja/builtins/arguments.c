#include "runtime/jinja/builtins/arguments.h"

#include "base/check.h"
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <stdio.h>
#include <string.h>

enum { MAX_PARAMETERS = 12, MAX_LISTED_BYTES = 200 };

struct parameter {
    const char *name; /* not NUL-terminated */
    int n_bytes;
    bool optional;
};

struct parameters {
    struct parameter items[MAX_PARAMETERS];
    int n, n_given, n_optional;
};

static struct parameters read_parameters(const char *names)
{
    struct parameters p = {0};
    while (*names != '\0') {
        const size_t n_bytes = strcspn(names, "=,| ");
        check(n_bytes > 0 && p.n < MAX_PARAMETERS);
        struct parameter *item = &p.items[p.n++];
        *item = (struct parameter){.name = names, .n_bytes = (int)n_bytes};
        names += n_bytes;
        for (; *names != '\0' && strchr("=,| ", *names) != NULL; names++) {
            if (*names == '=')
                item->optional = true;
            else if (*names == '|')
                p.n_given = p.n;
        }
        p.n_optional += item->optional;
    }
    return p;
}

static int find_parameter(const struct parameters *p, const struct string *name)
{
    for (int i = 0; i < p->n; i++)
        if (name->n_bytes == (size_t)p->items[i].n_bytes &&
            memcmp(name->data, p->items[i].name, name->n_bytes) == 0)
            return i;
    return -1;
}

static bool bind_keywords(struct run *r, const char *function, const struct parameters *p,
                          const struct arguments *args, struct value *slots, bool *filled)
{
    for (int k = 0; k < args->n_keywords; k++) {
        const struct string *name = args->keywords[k].name;
        const int i = find_parameter(p, name);
        if (i < 0)
            return run_raise(r, TYPE_ERROR, "%s() got an unexpected keyword argument '%.*s'",
                             function, (int)name->n_bytes, name->data);
        if (filled[i])
            return run_raise(r, TYPE_ERROR, "%s() got multiple values for argument '%.*s'",
                             function, (int)name->n_bytes, name->data);
        slots[i - p->n_given] = args->keywords[k].value;
        filled[i] = true;
    }
    return true;
}

static bool raise_too_many(struct run *r, const char *function, const struct parameters *p,
                           int n_given)
{
    char expected[40];
    if (p->n_optional > 0)
        snprintf(expected, sizeof expected, "from %d to %d", p->n - p->n_optional, p->n);
    else
        snprintf(expected, sizeof expected, "%d", p->n);
    return run_raise(r, TYPE_ERROR, "%s() takes %s positional argument%s but %d %s given", function,
                     expected, p->n_optional > 0 || p->n != 1 ? "s" : "", n_given,
                     n_given == 1 ? "was" : "were");
}

static bool raise_missing(struct run *r, const char *function, const struct parameters *p,
                          const bool *filled, int n_missing)
{
    char list[MAX_LISTED_BYTES] = "";
    int n_listed = 0;
    for (int i = 0; i < p->n; i++) {
        if (filled[i] || p->items[i].optional)
            continue;
        n_listed++;
        const char *between = n_listed == 1          ? ""
                              : n_listed < n_missing ? ", "
                              : n_missing == 2       ? " and "
                                                     : ", and ";
        const size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s'%.*s'", between, p->items[i].n_bytes,
                 p->items[i].name);
    }
    return run_raise(r, TYPE_ERROR, "%s() missing %d required positional argument%s: %s", function,
                     n_missing, n_missing == 1 ? "" : "s", list);
}

bool arguments_bind(struct run *r, const char *function, const char *names,
                    const struct arguments *args, struct value *slots, int n)
{
    const struct parameters p = read_parameters(names);
    bool filled[MAX_PARAMETERS] = {false};
    check(p.n - p.n_given == n);
    for (int i = 0; i < p.n_given; i++)
        filled[i] = true;
    for (int i = 0; i < n && i < args->n_positional; i++) {
        slots[i] = args->positional[i];
        filled[p.n_given + i] = true;
    }
    if (!bind_keywords(r, function, &p, args, slots, filled))
        return false;
    if (args->n_positional > n)
        return raise_too_many(r, function, &p, p.n_given + args->n_positional);
    int n_missing = 0;
    for (int i = 0; i < p.n; i++)
        n_missing += !filled[i] && !p.items[i].optional;
    return n_missing == 0 || raise_missing(r, function, &p, filled, n_missing);
}

/* By place or by name, with the messages of the C functions that take both. */
static bool bind_names(struct run *r, const struct signature *s, const struct arguments *args,
                       int n_before, struct value *slots)
{
    int max = 0;
    while (max < CALL_MAX_SLOTS && s->names[max] != NULL)
        max++;
    const int n = n_before + args->n_positional;
    if (n + args->n_keywords > n_before + max)
        return run_raise(r, TYPE_ERROR, "%s() takes at most %d %sargument%s (%d given)", s->name,
                         n_before + max, n == 0 ? "keyword " : "", n_before + max == 1 ? "" : "s",
                         n + args->n_keywords);
    for (int i = 0; i < args->n_positional; i++)
        slots[i] = args->positional[i];
    for (int k = 0; k < args->n_keywords; k++) {
        const struct string *name = args->keywords[k].name;
        int i = 0;
        while (i < max && !string_is(name, s->names[i]))
            i++;
        if (i < args->n_positional && i < max)
            return run_raise(r, TYPE_ERROR,
                             "argument for %s() given by name ('%s') and position (%d)", s->name,
                             s->names[i], n_before + i + 1);
        if (i == max)
            return run_raise(r, TYPE_ERROR, "'%.*s' is an invalid keyword argument for %s()",
                             (int)name->n_bytes, name->data, s->name);
        slots[i] = args->keywords[k].value;
    }
    return true;
}

static bool check_count(struct run *r, const struct signature *s, const char *full_name, int n)
{
    switch (s->style) {
    case CALL_NONE:
        return n == 0 ||
               run_raise(r, TYPE_ERROR, "%s() takes no arguments (%d given)", full_name, n);
    case CALL_ONE:
        return n == 1 ||
               run_raise(r, TYPE_ERROR, "%s() takes exactly one argument (%d given)", full_name, n);
    case CALL_PLACES:
        if (n >= s->min && n <= s->max)
            return true;
        const int limit = n < s->min ? s->min : s->max;
        return run_raise(r, TYPE_ERROR, "%s expected %s%d argument%s, got %d", s->name,
                         s->min == s->max ? ""
                         : n < s->min     ? "at least "
                                          : "at most ",
                         limit, limit == 1 ? "" : "s", n);
    case CALL_OLD:
        if (n >= s->min && n <= s->max)
            return true;
        return run_raise(r, TYPE_ERROR, "%s() takes at %s %d argument%s (%d given)", s->name,
                         n < s->min ? "least" : "most", n < s->min ? s->min : s->max,
                         (n < s->min ? s->min : s->max) == 1 ? "" : "s", n);
    case CALL_NAMES:
    case CALL_ANY:
        break;
    }
    return true;
}

bool arguments_bind_builtin(struct run *r, const struct signature *s, const char *owner,
                            const struct arguments *args, int n_before,
                            struct value slots[CALL_MAX_SLOTS])
{
    char full_name[64];
    snprintf(full_name, sizeof full_name, "%s%s%s", owner != NULL ? owner : "",
             owner != NULL ? "." : "", s->name);
    for (int i = 0; i < CALL_MAX_SLOTS; i++)
        slots[i] = value_absent();
    if (s->style == CALL_NAMES)
        return bind_names(r, s, args, n_before, slots);
    if (s->style == CALL_ANY)
        return true;
    if (args->n_keywords > 0)
        return run_raise(r, TYPE_ERROR, "%s() takes no keyword arguments",
                         s->style == CALL_OLD ? s->name : full_name);
    if (!check_count(r, s, full_name, n_before + args->n_positional))
        return false;
    for (int i = 0; i < args->n_positional; i++)
        slots[i] = args->positional[i];
    return true;
}

bool argument_integer(struct run *r, struct value v, int64_t *out)
{
    if (v.kind == VALUE_INT)
        *out = v.as.integer;
    else if (v.kind == VALUE_BOOL)
        *out = v.as.boolean;
    else
        return run_raise(r, TYPE_ERROR, "'%s' object cannot be interpreted as an integer",
                         value_type_name(v));
    return true;
}

bool argument_integer_or(struct run *r, struct value v, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    return value_is_absent(v) || argument_integer(r, v, out);
}

static bool slice_end(struct run *r, struct value v, int64_t n, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (v.kind == VALUE_NONE || value_is_absent(v))
        return true;
    if (!value_is_whole(v))
        return run_raise(r, TYPE_ERROR,
                         "slice indices must be integers or None or have an __index__ method");
    *out = value_whole(v);
    if (*out < 0)
        *out = *out < -n ? 0 : *out + n;
    return true;
}

bool argument_slice(struct run *r, struct value start, struct value stop, int64_t n, int64_t *begin,
                    int64_t *end)
{
    if (!slice_end(r, start, n, 0, begin) || !slice_end(r, stop, n, n, end))
        return false;
    if (*end > n)
        *end = n;
    return true;
}
