/* Filters of numbers. */
#include "runtime/jinja/builtins/arguments.h"
#include "runtime/jinja/builtins/filters.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/numerals.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Python's round() looks no further: beyond, nothing is left to round, or nothing is left. */
enum { MOST_DIGITS = 323, LEAST_DIGITS = -308, DOUBLE_TEXT_BYTES = 700 };

__extension__ typedef __int128 wide;

static bool do_abs(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    static const struct signature signature = {.name = "abs", .style = CALL_ONE};
    struct value slots[CALL_MAX_SLOTS];
    if (!arguments_bind_builtin(r, &signature, NULL, args, 1, slots))
        return false;
    if (v.kind == VALUE_FLOAT)
        *out = value_float(fabs(v.as.number));
    else if (!value_is_whole(v))
        return run_raise(r, TYPE_ERROR, "bad operand type for abs(): '%s'", value_type_name(v));
    else if (value_whole(v) == INT64_MIN)
        return run_raise_too_large(r);
    else
        *out = value_int(value_whole(v) < 0 ? -value_whole(v) : value_whole(v));
    return true;
}

/* ---- int and float ----------------------------------------------------------------------------*/

/* int(float(v)), or `otherwise` where Python raises TypeError or ValueError. */
static bool int_by_float(struct run *r, struct value v, struct value otherwise, struct value *out)
{
    double d = NAN;
    enum numeral kind = NUMERAL_GOOD;
    int64_t i = 0;
    if (v.kind == VALUE_STRING && !numeral_to_float(r, v.as.string, &d, &kind))
        return false;
    if (v.kind == VALUE_FLOAT)
        d = v.as.number;
    *out = otherwise;
    if (kind != NUMERAL_GOOD || isnan(d))
        return true;
    if (!float_truncate(r, d, &i))
        return false;
    *out = value_int(i);
    return true;
}

static bool do_int(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct value slots[] = {value_int(0), value_int(10)};
    if (!arguments_bind(r, "do_int", "value | default=, base=", args, slots, 2))
        return false;
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (value_is_whole(v)) {
        *out = value_int(value_whole(v));
        return true;
    }
    if (v.kind == VALUE_STRING && value_is_whole(slots[1])) {
        enum numeral kind;
        int64_t i;
        if (!numeral_to_int(r, v.as.string, value_whole(slots[1]), &i, &kind))
            return false;
        *out = value_int(i);
        if (kind == NUMERAL_GOOD)
            return true;
    }
    return int_by_float(r, v, slots[0], out);
}

static bool do_float(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct value otherwise = value_float(0);
    double d = 0;
    enum numeral kind = NUMERAL_GOOD;
    if (!arguments_bind(r, "do_float", "value | default=", args, &otherwise, 1))
        return false;
    if (v.kind == VALUE_UNDEFINED)
        return run_raise_undefined(r, v);
    if (v.kind == VALUE_FLOAT)
        d = v.as.number;
    else if (value_is_whole(v))
        d = (double)value_whole(v);
    else if (v.kind != VALUE_STRING)
        kind = NUMERAL_BAD;
    else if (!numeral_to_float(r, v.as.string, &d, &kind))
        return false;
    *out = kind == NUMERAL_GOOD ? value_float(d) : otherwise;
    return true;
}

/* ---- round ------------------------------------------------------------------------------------*/

/* x > 0 to a multiple of 10^n, n > 0: to even where it is in the middle, looking at all digits. */
static double round_tens(double x, int n)
{
    char digits[DOUBLE_TEXT_BYTES];
    const double whole_part = trunc(x);
    snprintf(digits, sizeof digits, "%.0f", whole_part);
    const int kept = (int)strlen(digits) - n;
    if (kept < 0)
        return 0;
    bool above = x != whole_part; /* whether there is more than the first digit that goes */
    for (const char *rest = digits + kept + 1; *rest != '\0'; rest++)
        above |= *rest != '0';
    const bool odd = kept > 0 && (digits[kept - 1] - '0') % 2 == 1;
    const bool up = digits[kept] > '5' || (digits[kept] == '5' && (above || odd));
    char text[DOUBLE_TEXT_BYTES];
    snprintf(text, sizeof text, "%.*se%d", kept > 0 ? kept : 1, kept > 0 ? digits : "0", n);
    if (!up)
        return strtod(text, NULL);
    for (int i = kept - 1; i >= 0; i--) { /* one more in the last digit that stays */
        digits[i] = digits[i] == '9' ? '0' : (char)(digits[i] + 1);
        if (digits[i] != '0')
            break;
        if (i == 0) {
            snprintf(text, sizeof text, "1%.*se%d", kept, digits, n);
            return strtod(text, NULL);
        }
    }
    snprintf(text, sizeof text, "%.*se%d", kept > 0 ? kept : 1, kept > 0 ? digits : "1", n);
    return strtod(text, NULL);
}

static bool round_float(struct run *r, double x, int64_t n, struct value *out)
{
    double rounded = x;
    if (isfinite(x) && n < LEAST_DIGITS)
        rounded = 0.0 * x;
    else if (isfinite(x) && n < 0)
        rounded = copysign(round_tens(fabs(x), (int)-n), x);
    else if (isfinite(x) && n <= MOST_DIGITS) {
        char text[DOUBLE_TEXT_BYTES];
        snprintf(text, sizeof text, "%.*f", (int)n, x);
        rounded = strtod(text, NULL);
    }
    if (isfinite(x) && !isfinite(rounded))
        return run_raise(r, OVERFLOW_ERROR, "rounded value too large to represent");
    *out = value_float(rounded);
    return true;
}

static bool round_whole(struct run *r, int64_t i, int64_t n, struct value *out)
{
    *out = value_int(i);
    if (n >= 0)
        return true;
    wide unit = 1;
    for (int64_t k = n; k < 0 && unit < ((wide)1 << 100); k++)
        unit *= 10;
    wide times = (wide)i / unit;
    wide rest = (wide)i % unit;
    if (rest < 0) {
        rest += unit;
        times--;
    }
    if (2 * rest > unit || (2 * rest == unit && times % 2 != 0))
        times++;
    const wide rounded = times * unit;
    *out = value_int((int64_t)rounded);
    return (rounded >= INT64_MIN && rounded <= INT64_MAX) || run_raise_too_large(r);
}

/* round(v, precision) */
static bool round_common(struct run *r, struct value v, struct value precision, struct value *out)
{
    int64_t n = 0;
    if (!value_is_whole(v) && v.kind != VALUE_FLOAT)
        return run_raise(r, TYPE_ERROR, "type %s doesn't define __round__ method",
                         value_type_name(v));
    if (precision.kind != VALUE_NONE && !argument_integer(r, precision, &n))
        return false;
    if (value_is_whole(v))
        return round_whole(r, value_whole(v), n, out);
    if (precision.kind != VALUE_NONE)
        return round_float(r, v.as.number, n, out);
    *out = value_int(0);
    return float_truncate(r, rint(v.as.number), &out->as.integer);
}

/* math.ceil or math.floor of v * 10**precision, over 10**precision */
static bool round_to_side(struct run *r, struct value v, struct value precision, bool up,
                          struct value *out)
{
    struct value scale, scaled;
    int64_t i;
    if (!value_binary(r, OP_POW, value_int(10), precision, &scale) ||
        !value_binary(r, OP_MUL, v, scale, &scaled))
        return false;
    if (value_is_whole(scaled))
        return value_binary(r, OP_DIV, scaled, scale, out);
    if (scaled.kind != VALUE_FLOAT)
        return run_raise(r, TYPE_ERROR, "must be real number, not %s", value_type_name(scaled));
    const double side = up ? ceil(scaled.as.number) : floor(scaled.as.number);
    if (isfinite(side) && fabs(side) >= 0x1p63) /* a whole number of Python, and a double */
        return value_binary(r, OP_DIV, value_float(side), scale, out);
    return float_truncate(r, side, &i) && value_binary(r, OP_DIV, value_int(i), scale, out);
}

static bool do_round(struct run *r, struct value v, const struct arguments *args, struct value *out)
{
    struct value slots[] = {value_int(0), value_none()};
    uint64_t hash;
    if (!value_make_static(r, "common", &slots[1]) ||
        !arguments_bind(r, "do_round", "value | precision=, method=", args, slots, 2) ||
        !value_hash(r, slots[1], &hash))
        return false;
    if (value_is_text(slots[1], "common"))
        return round_common(r, v, slots[0], out);
    if (value_is_text(slots[1], "ceil") || value_is_text(slots[1], "floor"))
        return round_to_side(r, v, slots[0], value_is_text(slots[1], "ceil"), out);
    return run_raise(r, FILTER_ARGUMENT_ERROR, "method must be common, ceil or floor");
}

/* ---- file sizes -------------------------------------------------------------------------------*/

static bool size_text(struct builder *b, double n_bytes, bool binary)
{
    static const char *const prefixes[] = {"kB",  "MB",  "GB",  "TB",  "PB",  "EB",  "ZB",  "YB",
                                           "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
    enum { N_PREFIXES = 8 };
    const int base = binary ? 1024 : 1000;
    if (n_bytes == 1)
        return builder_add_text(b, "1 Byte");
    if (n_bytes < base) {
        int64_t i;
        if (fabs(n_bytes) >= 0x1p63) /* exact, whatever its size */
            return builder_printf(b, "%.0f Bytes", n_bytes);
        return float_truncate(b->run, n_bytes, &i) && builder_printf(b, "%lld Bytes", (long long)i);
    }
    wide unit = base;
    for (int i = 0; i < N_PREFIXES; i++) {
        unit *= base;
        /* the comparison is one of whole numbers; only below 2^127 can it be true */
        const bool fits = n_bytes < 0x1p126 && (wide)n_bytes < unit;
        if (fits || i == N_PREFIXES - 1)
            return builder_printf(b, "%.1f %s",
                                  isnan(n_bytes) ? fabs(n_bytes) : base * n_bytes / (double)unit,
                                  prefixes[binary ? i + N_PREFIXES : i]);
    }
    return true;
}

static bool do_filesizeformat(struct run *r, struct value v, const struct arguments *args,
                              struct value *out)
{
    struct value binary = value_bool(false);
    double n_bytes;
    bool is_binary;
    struct builder b;
    builder_init(&b, r);
    return arguments_bind(r, "do_filesizeformat", "value | binary=", args, &binary, 1) &&
           value_to_float(r, v, &n_bytes) && value_truth(r, binary, &is_binary) &&
           size_text(&b, n_bytes, is_binary) && builder_end(&b, out);
}

static const struct filter filters[] = {
    {"abs", do_abs},     {"filesizeformat", do_filesizeformat},
    {"float", do_float}, {"int", do_int},
    {"round", do_round},
};
const struct filter_table number_filters = {filters, sizeof filters / sizeof *filters};
