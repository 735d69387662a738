/* runtime/jinja/values/numerals.h: numbers from text, as Python's int() and float() read them:
 * decimal digits of every script, white space around, single underscores between digits. */
#pragma once
#include "runtime/jinja/values/value.h"

enum numeral {
    NUMERAL_GOOD,
    NUMERAL_BAD,      /* ValueError in Python */
    NUMERAL_BAD_BASE, /* so too, with a text of its own */
};

/* int(s, base). False: over the budget, or more than 64 bits (NOT_SUPPORTED). */
bool numeral_to_int(struct run *r, const struct string *s, int64_t base, int64_t *out,
                    enum numeral *kind);
bool numeral_to_float(struct run *r, const struct string *s, double *out, enum numeral *kind);
/* ValueError "invalid literal for int() with base 10: '²'". Always false. */
bool numeral_raise(struct run *r, const struct string *s);

/* float(v): TypeError and ValueError as in Python. */
bool value_to_float(struct run *r, struct value v, double *out);
