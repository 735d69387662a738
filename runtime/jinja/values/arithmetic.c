/* Python's arithmetic. Whole numbers have 64 bits here: what needs more is refused, never rounded.
 */
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <errno.h>
#include <math.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

static double real(struct value v)
{
    return v.kind == VALUE_FLOAT ? v.as.number : (double)value_whole(v);
}

static bool divided_by_zero(struct run *r, const char *message)
{
    return run_raise(r, ZERO_DIVISION_ERROR, "%s", message);
}

static bool wrong_operands(struct run *r, enum arithmetic op, struct value a, struct value b)
{
    static const char *const signs[] = {
        [OP_ADD] = "+",       [OP_SUB] = "-", [OP_MUL] = "*",           [OP_DIV] = "/",
        [OP_FLOORDIV] = "//", [OP_MOD] = "%", [OP_POW] = "** or pow()",
    };
    return run_raise(r, TYPE_ERROR, "unsupported operand type(s) for %s: '%s' and '%s'", signs[op],
                     value_type_name(a), value_type_name(b));
}

/* ---- floats -----------------------------------------------------------------------------------*/

/* a - b * floor(a / b), which has the sign of b. */
static double float_mod(double a, double b)
{
    const double rest = fmod(a, b);
    if (rest == 0)
        return copysign(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

static double float_floordiv(double a, double b)
{
    const double rest = fmod(a, b);
    double quotient = (a - rest) / b; /* whole, but for the rounding of the division */
    if (rest != 0 && (rest < 0) != (b < 0))
        quotient -= 1;
    if (quotient == 0)
        return copysign(0, a / b);
    const double below = floor(quotient);
    return quotient - below > 0.5 ? below + 1 : below;
}

static bool float_pow(struct run *r, double a, double b, struct value *out)
{
    if (a == 0 && b < 0)
        return divided_by_zero(r, "0.0 cannot be raised to a negative power");
    if (a < 0 && isfinite(a) && isfinite(b) && b != floor(b))
        return run_raise(r, NOT_SUPPORTED, "complex numbers are not supported");
    const double power = pow(a, b);
    if (isinf(power) && isfinite(a) && isfinite(b))
        return run_raise(r, OVERFLOW_ERROR, "(%d, 'Numerical result out of range')", ERANGE);
    *out = value_float(power);
    return true;
}

static bool float_binary(struct run *r, enum arithmetic op, double a, double b, struct value *out)
{
    switch (op) {
    case OP_ADD:
        *out = value_float(a + b);
        return true;
    case OP_SUB:
        *out = value_float(a - b);
        return true;
    case OP_MUL:
        *out = value_float(a * b);
        return true;
    case OP_DIV:
        *out = value_float(b != 0 ? a / b : 0);
        return b != 0 || divided_by_zero(r, "float division by zero");
    case OP_FLOORDIV:
        *out = value_float(b != 0 ? float_floordiv(a, b) : 0);
        return b != 0 || divided_by_zero(r, "float floor division by zero");
    case OP_MOD:
        *out = value_float(b != 0 ? float_mod(a, b) : 0);
        return b != 0 || divided_by_zero(r, "float modulo");
    case OP_POW:
        return float_pow(r, a, b, out);
    }
    return false;
}

/* ---- whole numbers ----------------------------------------------------------------------------*/

/* a / b, rounded once: both may be beyond 2^53, so that neither is a double. The quotient is
 * computed with at least 64 bits, and its last bit says whether there was a rest. */
static double exact_quotient(int64_t a, int64_t b)
{
    const int64_t limit = INT64_C(1) << 53;
    if (a <= limit && a >= -limit && b <= limit && b >= -limit)
        return (double)a / (double)b;
    const uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a;
    const uint64_t y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
    const int shift = x == 0 ? 0 : 64 + __builtin_clzll(x) - 1; /* x << shift has 127 bits */
    const wide scaled = (wide)x << shift;
    wide quotient = scaled / y;
    if (scaled % y != 0)
        quotient |= 1;
    const double magnitude = ldexp((double)quotient, -shift);
    return (a < 0) != (b < 0) ? -magnitude : magnitude;
}

static bool int_pow(struct run *r, int64_t base, int64_t exponent, struct value *out)
{
    if (exponent < 0)
        return float_pow(r, (double)base, (double)exponent, out);
    int64_t power = 1;
    for (;; exponent /= 2) {
        if (exponent % 2 == 1 && __builtin_mul_overflow(power, base, &power))
            return run_raise_too_large(r);
        if (exponent <= 1)
            break;
        if (__builtin_mul_overflow(base, base, &base))
            return run_raise_too_large(r);
    }
    *out = value_int(power);
    return true;
}

static bool int_divide(struct run *r, enum arithmetic op, int64_t a, int64_t b, struct value *out)
{
    if (b == 0)
        return divided_by_zero(r, op == OP_DIV   ? "division by zero"
                                  : op == OP_MOD ? "integer modulo by zero"
                                                 : "integer division or modulo by zero");
    if (op == OP_DIV) {
        *out = value_float(exact_quotient(a, b));
        return true;
    }
    if (b == -1) { /* the processor traps on INT64_MIN / -1 */
        if (op == OP_FLOORDIV && a == INT64_MIN)
            return run_raise_too_large(r);
        *out = value_int(op == OP_MOD ? 0 : -a);
        return true;
    }
    const bool below = a % b != 0 && (a < 0) != (b < 0); /* C rounds towards zero */
    *out = value_int(op == OP_MOD ? a % b + (below ? b : 0) : a / b - below);
    return true;
}

static bool int_binary(struct run *r, enum arithmetic op, int64_t a, int64_t b, struct value *out)
{
    int64_t result = 0;
    bool overflow = false;
    switch (op) {
    case OP_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case OP_SUB:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case OP_MUL:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    case OP_DIV:
    case OP_FLOORDIV:
    case OP_MOD:
        return int_divide(r, op, a, b, out);
    case OP_POW:
        return int_pow(r, a, b, out);
    }
    *out = value_int(result);
    return !overflow || run_raise_too_large(r);
}

/* ---- texts and lists --------------------------------------------------------------------------*/

static bool is_sequence(struct value v)
{
    return v.kind == VALUE_STRING || v.kind == VALUE_LIST || v.kind == VALUE_TUPLE;
}

static bool is_markup(struct value v) { return v.kind == VALUE_STRING && v.as.string->safe; }

/* Markup escapes what is added to it. */
static bool add_texts(struct run *r, const struct string *a, const struct string *b,
                      struct value *out)
{
    if (a->safe == b->safe && (a->n_bytes == 0 || b->n_bytes == 0)) {
        *out = value_string(a->n_bytes == 0 ? b : a);
        return true;
    }
    struct builder builder;
    builder_init(&builder, r);
    builder.safe = a->safe || b->safe;
    return builder_reserve(&builder, (size_t)a->n_bytes + b->n_bytes) &&
           (b->safe && !a->safe ? builder_add_escaped(&builder, a)
                                : builder_add_string(&builder, a)) &&
           (a->safe && !b->safe ? builder_add_escaped(&builder, b)
                                : builder_add_string(&builder, b)) &&
           builder_end(&builder, out);
}

static bool add_lists(struct run *r, struct value a, struct value b, struct value *out)
{
    const size_t n_a = a.as.list->n, n_b = b.as.list->n;
    struct list *list = run_step(r, n_a + n_b) ? list_make(r, n_a + n_b) : NULL;
    if (list == NULL)
        return false;
    if (n_a > 0)
        memcpy(list->items, a.as.list->items, n_a * sizeof *list->items);
    if (n_b > 0)
        memcpy(list->items + n_a, b.as.list->items, n_b * sizeof *list->items);
    list->n = (uint32_t)(n_a + n_b);
    *out = a.kind == VALUE_LIST ? value_list(list) : value_tuple(list);
    return true;
}

static bool add(struct run *r, struct value a, struct value b, struct value *out)
{
    if (a.kind == VALUE_STRING && b.kind == VALUE_STRING)
        return add_texts(r, a.as.string, b.as.string, out);
    if (a.kind == b.kind && is_sequence(a))
        return add_lists(r, a, b, out);
    if (!is_sequence(a) || is_markup(a))
        return wrong_operands(r, OP_ADD, a, b);
    const char *name = value_type_name(a);
    return run_raise(r, TYPE_ERROR, "can only concatenate %s (not \"%s\") to %s", name,
                     value_type_name(b), name);
}

static bool repeat_text(struct run *r, const struct string *s, size_t times, struct value *out)
{
    size_t n_bytes;
    if (s->n_bytes == 0)
        times = 0;
    if (times == 1) {
        *out = value_string(s);
        return true;
    }
    if (__builtin_mul_overflow(times, (size_t)s->n_bytes, &n_bytes))
        n_bytes = SIZE_MAX; /* over every budget */
    struct builder b;
    builder_init(&b, r);
    b.safe = s->safe;
    bool ok = builder_reserve(&b, n_bytes);
    if (s->n_marks > 0) { /* copy by copy, since every one has its marks */
        ok = ok && run_step(r, times);
        for (size_t i = 0; ok && i < times; i++)
            ok = builder_add_string(&b, s);
        return ok && builder_end(&b, out);
    }
    ok = ok && (n_bytes == 0 || builder_add_string(&b, s));
    while (ok && b.n < n_bytes) /* twice as much each time; the room is there, nothing moves */
        ok = builder_add(&b, b.data, b.n < n_bytes - b.n ? b.n : n_bytes - b.n, false);
    return ok && builder_end(&b, out);
}

static bool repeat_list(struct run *r, struct value v, size_t times, struct value *out)
{
    const struct list *from = v.as.list;
    size_t n;
    if (from->n == 0)
        times = 0;
    if (__builtin_mul_overflow(times, (size_t)from->n, &n))
        n = SIZE_MAX;
    struct list *list = run_step(r, n) ? list_make(r, n) : NULL;
    if (list == NULL)
        return false;
    for (size_t i = 0; i < times; i++)
        memcpy(list->items + i * from->n, from->items, from->n * sizeof *list->items);
    list->n = (uint32_t)n;
    *out = v.kind == VALUE_LIST ? value_list(list) : value_tuple(list);
    return true;
}

static bool repeat(struct run *r, struct value a, struct value b, struct value *out)
{
    if (!is_sequence(a) && !is_sequence(b))
        return wrong_operands(r, OP_MUL, a, b);
    /* of two sequences the first is to be repeated, and the second is the wrong count; but Markup
     * takes part wherever it stands, with a message of its own */
    const bool second = !is_sequence(a) || (is_markup(b) && !is_markup(a) && !value_is_whole(b));
    const struct value v = second ? b : a, count = second ? a : b;
    if (!value_is_whole(count) && is_markup(v))
        return run_raise(r, TYPE_ERROR, "'%s' object cannot be interpreted as an integer",
                         value_type_name(count));
    if (!value_is_whole(count))
        return run_raise(r, TYPE_ERROR, "can't multiply sequence by non-int of type '%s'",
                         value_type_name(count));
    const size_t times = value_whole(count) > 0 ? (size_t)value_whole(count) : 0;
    return v.kind == VALUE_STRING ? repeat_text(r, v.as.string, times, out)
                                  : repeat_list(r, v, times, out);
}

/* ---- operators --------------------------------------------------------------------------------*/

bool value_binary(struct run *r, enum arithmetic op, struct value a, struct value b,
                  struct value *out)
{
    if (value_is_whole(a) && value_is_whole(b))
        return int_binary(r, op, value_whole(a), value_whole(b), out);
    if (value_is_number(a) && value_is_number(b))
        return float_binary(r, op, real(a), real(b), out);
    if (op == OP_MOD && a.kind == VALUE_STRING)
        return string_percent(r, a.as.string, b, out);
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, a.kind == VALUE_UNDEFINED ? a : b);
    if (op == OP_ADD)
        return add(r, a, b, out);
    if (op == OP_MUL)
        return repeat(r, a, b, out);
    return wrong_operands(r, op, a, b);
}

static bool unary(struct run *r, char sign, struct value v, struct value *out)
{
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (!value_is_number(v))
        return run_raise(r, TYPE_ERROR, "bad operand type for unary %c: '%s'", sign,
                         value_type_name(v));
    if (v.kind == VALUE_FLOAT) {
        *out = value_float(sign == '-' ? -v.as.number : v.as.number);
        return true;
    }
    if (sign == '-' && value_whole(v) == INT64_MIN)
        return run_raise_too_large(r);
    *out = value_int(sign == '-' ? -value_whole(v) : value_whole(v));
    return true;
}

bool value_negative(struct run *r, struct value v, struct value *out)
{
    return unary(r, '-', v, out);
}

bool value_positive(struct run *r, struct value v, struct value *out)
{
    return unary(r, '+', v, out);
}
