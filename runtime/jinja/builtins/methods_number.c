/* Attributes of numbers: their parts, and the methods that need no larger numbers. */
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <math.h>

static uint64_t magnitude(struct value v)
{
    return value_whole(v) < 0 ? 0 - (uint64_t)value_whole(v) : (uint64_t)value_whole(v);
}

bool number_part(struct value self, const struct string *name, struct value *out)
{
    const bool is_float = self.kind == VALUE_FLOAT;
    if (string_is(name, "real") || (!is_float && string_is(name, "numerator")))
        *out = is_float ? self : value_int(value_whole(self));
    else if (string_is(name, "imag"))
        *out = is_float ? value_float(0) : value_int(0);
    else if (!is_float && string_is(name, "denominator"))
        *out = value_int(1);
    else
        return false;
    return true;
}

static bool int_bit_length(struct run *r, struct value self, const struct value *slots,
                           struct value *out)
{
    (void)r, (void)slots;
    const uint64_t m = magnitude(self);
    *out = value_int(m == 0 ? 0 : 64 - __builtin_clzll(m));
    return true;
}

static bool int_bit_count(struct run *r, struct value self, const struct value *slots,
                          struct value *out)
{
    (void)r, (void)slots;
    *out = value_int(__builtin_popcountll(magnitude(self)));
    return true;
}

static bool conjugate(struct run *r, struct value self, const struct value *slots,
                      struct value *out)
{
    (void)r, (void)slots;
    *out = self.kind == VALUE_FLOAT ? self : value_int(value_whole(self));
    return true;
}

static bool int_ratio(struct run *r, struct value self, const struct value *slots,
                      struct value *out)
{
    (void)slots;
    struct list *pair = list_make(r, 2);
    if (pair == NULL)
        return false;
    *out = value_tuple(pair);
    return list_add(r, pair, value_int(value_whole(self))) && list_add(r, pair, value_int(1));
}

static bool float_is_integer(struct run *r, struct value self, const struct value *slots,
                             struct value *out)
{
    (void)r, (void)slots;
    *out = value_bool(isfinite(self.as.number) && self.as.number == floor(self.as.number));
    return true;
}

static const struct method of_int[] = {
    {.signature = {.name = "as_integer_ratio", .style = CALL_NONE}, .call = int_ratio},
    {.signature = {.name = "bit_count", .style = CALL_NONE}, .call = int_bit_count},
    {.signature = {.name = "bit_length", .style = CALL_NONE}, .call = int_bit_length},
    {.signature = {.name = "conjugate", .style = CALL_NONE}, .call = conjugate},
};
const struct method_table int_methods = {of_int, sizeof of_int / sizeof *of_int};

static const struct method of_float[] = {
    {.signature = {.name = "conjugate", .style = CALL_NONE}, .call = conjugate},
    {.signature = {.name = "is_integer", .style = CALL_NONE}, .call = float_is_integer},
};
const struct method_table float_methods = {of_float, sizeof of_float / sizeof *of_float};
