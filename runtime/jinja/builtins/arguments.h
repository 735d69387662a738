/* runtime/jinja/builtins/arguments.h: arguments of Python's built-in functions, which are bound and
 * refused in ways of their own; and what Python makes of arguments that should be whole numbers.
 *
 * Source: the messages of CPython 3.11.
 */
#pragma once
#include "runtime/jinja/values/value.h"

enum call_style {
    CALL_NONE,   /* "str.upper() takes no arguments (1 given)" */
    CALL_ONE,    /* "str.join() takes exactly one argument (0 given)" */
    CALL_PLACES, /* "replace expected at least 2 arguments, got 1" */
    CALL_OLD,    /* "find() takes at least 1 argument (0 given)" */
    CALL_NAMES,  /* by place or by name: "split() takes at most 2 arguments (3 given)" */
    CALL_ANY,    /* takes what comes and looks itself: it gets no slots */
};
enum { CALL_MAX_SLOTS = 3 };

struct signature {
    const char *name; /* "split" */
    enum call_style style;
    int min, max;                      /* arguments; of CALL_PLACES and CALL_OLD */
    const char *names[CALL_MAX_SLOTS]; /* of CALL_NAMES, up to NULL */
};

/* What an argument that was not given looks like in its slot. */
static inline struct value value_absent(void)
{
    return (struct value){.kind = VALUE_UNDEFINED, .as.undefined = NULL};
}
static inline bool value_is_absent(struct value v)
{
    return v.kind == VALUE_UNDEFINED && v.as.undefined == NULL;
}

/* Fills slots; `owner` is the type that has the method ("str"), or NULL for a function. `n_before`
 * arguments were given already, and only count in messages. */
bool arguments_bind_builtin(struct run *r, const struct signature *s, const char *owner,
                            const struct arguments *args, int n_before,
                            struct value slots[CALL_MAX_SLOTS]);

/* "'str' object cannot be interpreted as an integer" */
bool argument_integer(struct run *r, struct value v, int64_t *out);
/* The same, but an absent value is `otherwise`. */
bool argument_integer_or(struct run *r, struct value v, int64_t otherwise, int64_t *out);
/* [*begin, *end) of start and stop arguments over `n` items, as slices have them: absent or None is
 * everything, negative counts from the end. *begin may be behind *end, and behind n. */
bool argument_slice(struct run *r, struct value start, struct value stop, int64_t n, int64_t *begin,
                    int64_t *end);
