/* runtime/jinja/values/letter_case.h: texts in upper, lower and title case, as Python's str has
 * them. */
#pragma once
#include "runtime/jinja/values/value.h"

enum letter_case {
    CASE_LOWER,
    CASE_UPPER,
    CASE_TITLE, /* of a single character */
    CASE_FOLD,
    CASE_WORDS,    /* str.title: the first letter of each word */
    CASE_SENTENCE, /* str.capitalize: the first letter of the text */
    CASE_SWAPPED,  /* str.swapcase */
    CASE_NONE,     /* as it is */
};

bool char_is_word(uint32_t c); /* \w of regular expressions: letters, numbers, underscores */

/* Markup stays Markup. */
bool text_to_case(struct run *r, const struct string *s, enum letter_case to, struct value *out);
