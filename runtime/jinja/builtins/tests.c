/* The tests: value is name(args). */
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <string.h>

/* A test that asks for nothing but the value. */
static bool no_arguments(struct run *r, const char *function, const struct arguments *args)
{
    return arguments_bind(r, function, "value |", args, NULL, 0);
}

/* ---- what a value is --------------------------------------------------------------------------*/

#define KIND_TEST(function, condition)                                                           \
    static bool function(struct run *r, struct value v, const struct arguments *args, bool *out) \
    {                                                                                            \
        *out = condition;                                                                        \
        return no_arguments(r, #function, args);                                                 \
    }
KIND_TEST(test_boolean, v.kind == VALUE_BOOL)
KIND_TEST(test_defined, v.kind != VALUE_UNDEFINED)
KIND_TEST(test_escaped, v.kind == VALUE_STRING && v.as.string->safe)
KIND_TEST(test_false, v.kind == VALUE_BOOL && !v.as.boolean)
KIND_TEST(test_float, v.kind == VALUE_FLOAT)
KIND_TEST(test_integer, v.kind == VALUE_INT)
KIND_TEST(test_iterable, value_is_iterable(v))
KIND_TEST(test_mapping,
          v.kind == VALUE_DICT || (v.kind == VALUE_OBJECT && v.as.object->type->is_mapping))
KIND_TEST(test_none, v.kind == VALUE_NONE)
KIND_TEST(test_number, value_is_number(v))
KIND_TEST(test_string, v.kind == VALUE_STRING)
KIND_TEST(test_true, v.kind == VALUE_BOOL && v.as.boolean)
KIND_TEST(test_undefined, v.kind == VALUE_UNDEFINED)
/* what has len() and items; an undefined value has both */
KIND_TEST(test_sequence,
          v.kind == VALUE_OBJECT ? v.as.object->type->is_sequence : value_is_iterable(v))

static bool test_callable(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    static const struct signature signature = {.name = "callable", .style = CALL_ONE};
    struct value slots[CALL_MAX_SLOTS];
    *out = v.kind == VALUE_UNDEFINED || (v.kind == VALUE_OBJECT && v.as.object->type->is_callable);
    return arguments_bind_builtin(r, &signature, NULL, args, 1, slots);
}

static bool test_lower(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    if (!no_arguments(r, "test_lower", args) || !value_text(r, v, &v))
        return false;
    *out = text_is_lower(v.as.string);
    return run_step(r, v.as.string->n_bytes / TEXT_ASKED_BYTES_PER_STEP);
}

static bool test_upper(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    if (!no_arguments(r, "test_upper", args) || !value_text(r, v, &v))
        return false;
    *out = text_is_upper(v.as.string);
    return run_step(r, v.as.string->n_bytes / TEXT_ASKED_BYTES_PER_STEP);
}

static bool test_filter(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    uint64_t hash;
    *out = v.kind == VALUE_STRING && filter_find(v.as.string->data, v.as.string->n_bytes) != NULL;
    return arguments_bind(r, "test_filter", "env, value |", args, NULL, 0) &&
           value_hash(r, v, &hash);
}

static bool test_test(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    uint64_t hash;
    *out = v.kind == VALUE_STRING && test_find(v.as.string->data, v.as.string->n_bytes) != NULL;
    return arguments_bind(r, "test_test", "env, value |", args, NULL, 0) && value_hash(r, v, &hash);
}

/* ---- arithmetic -------------------------------------------------------------------------------*/

static bool rest_is(struct run *r, struct value v, struct value by, int64_t wanted, bool *out)
{
    struct value rest;
    return value_binary(r, OP_MOD, v, by, &rest) && value_equal(r, rest, value_int(wanted), out);
}

static bool test_odd(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    return no_arguments(r, "test_odd", args) && rest_is(r, v, value_int(2), 1, out);
}

static bool test_even(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    return no_arguments(r, "test_even", args) && rest_is(r, v, value_int(2), 0, out);
}

static bool test_divisibleby(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value by = value_none();
    return arguments_bind(r, "test_divisibleby", "value | num", args, &by, 1) &&
           rest_is(r, v, by, 0, out);
}

/* ---- comparisons ------------------------------------------------------------------------------*/

/* The only argument of one of Python's operator functions. */
static bool operand(struct run *r, const char *name, const struct arguments *args,
                    struct value *out)
{
    if (args->n_keywords > 0)
        return run_raise(r, TYPE_ERROR, "_operator.%s() takes no keyword arguments", name);
    if (args->n_positional != 1)
        return run_raise(r, TYPE_ERROR, "%s expected 2 arguments, got %d", name,
                         args->n_positional + 1);
    *out = args->positional[0];
    return true;
}

static bool test_eq(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value other;
    return operand(r, "eq", args, &other) && value_equal(r, v, other, out);
}

static bool test_ne(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value other;
    if (!operand(r, "ne", args, &other) || !value_equal(r, v, other, out))
        return false;
    *out = !*out;
    return true;
}

static bool test_gt(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value other;
    return operand(r, "gt", args, &other) && value_less(r, v, other, ">", out);
}

static bool test_ge(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value other;
    return operand(r, "ge", args, &other) && value_less(r, v, other, ">=", out);
}

static bool test_lt(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value other;
    return operand(r, "lt", args, &other) && value_less(r, v, other, "<", out);
}

static bool test_le(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value other;
    return operand(r, "le", args, &other) && value_less(r, v, other, "<=", out);
}

static bool test_in(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value container = value_none();
    return arguments_bind(r, "test_in", "value | seq", args, &container, 1) &&
           value_contains(r, container, v, out);
}

/* The same thing: for texts and numbers an equal one, which Python mostly keeps once. */
static bool is_same(struct value a, struct value b)
{
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case VALUE_NONE:
        return true;
    case VALUE_BOOL:
        return a.as.boolean == b.as.boolean;
    case VALUE_INT:
        return a.as.integer == b.as.integer;
    case VALUE_FLOAT:
        return memcmp(&a.as.number, &b.as.number, sizeof a.as.number) == 0;
    case VALUE_STRING:
        return string_equal(a.as.string, b.as.string);
    case VALUE_UNDEFINED:
        return a.as.undefined == b.as.undefined;
    case VALUE_LIST:
        return a.as.list == b.as.list;
    case VALUE_TUPLE:
        return a.as.list == b.as.list || (a.as.list->n == 0 && b.as.list->n == 0);
    case VALUE_DICT:
        return a.as.dict == b.as.dict;
    case VALUE_OBJECT:
        return a.as.object == b.as.object;
    }
    return false;
}

static bool test_sameas(struct run *r, struct value v, const struct arguments *args, bool *out)
{
    struct value other = value_none();
    if (!arguments_bind(r, "test_sameas", "value | other", args, &other, 1))
        return false;
    *out = is_same(v, other);
    return v.kind != VALUE_STRING || run_step(r, v.as.string->n_bytes / TEXT_BYTES_PER_STEP);
}

const struct test *test_find(const char *name, size_t n_bytes)
{
    static const struct test tests[] = {
        {"!=", test_ne},
        {"<", test_lt},
        {"<=", test_le},
        {"==", test_eq},
        {">", test_gt},
        {">=", test_ge},
        {"boolean", test_boolean},
        {"callable", test_callable},
        {"defined", test_defined},
        {"divisibleby", test_divisibleby},
        {"eq", test_eq},
        {"equalto", test_eq},
        {"escaped", test_escaped},
        {"even", test_even},
        {"false", test_false},
        {"filter", test_filter},
        {"float", test_float},
        {"ge", test_ge},
        {"greaterthan", test_gt},
        {"gt", test_gt},
        {"in", test_in},
        {"integer", test_integer},
        {"iterable", test_iterable},
        {"le", test_le},
        {"lessthan", test_lt},
        {"lower", test_lower},
        {"lt", test_lt},
        {"mapping", test_mapping},
        {"ne", test_ne},
        {"none", test_none},
        {"number", test_number},
        {"odd", test_odd},
        {"sameas", test_sameas},
        {"sequence", test_sequence},
        {"string", test_string},
        {"test", test_test},
        {"true", test_true},
        {"undefined", test_undefined},
        {"upper", test_upper},
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (strlen(tests[i].name) == n_bytes && memcmp(tests[i].name, name, n_bytes) == 0)
            return &tests[i];
    return NULL;
}
