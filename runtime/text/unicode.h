/* runtime/text/unicode.h: one Unicode version on every machine.
 *
 * Ids must not depend on which PCRE2 or utf8proc a machine has. Here the categories are those of
 * Unicode 16.0, as in the reference library, over any library that knows 14.0 or more.
 *
 * Source: DerivedGeneralCategory.txt and PropList.txt of Unicode 14.0 and 16.0; UTS 18, annex C
 * (word characters).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;

struct unicode_run {
    uint32_t first, last;
};
/* Whether c is in one of the runs, which ascend. */
bool unicode_in(const struct unicode_run *runs, size_t n, uint32_t c);

/* For a character newer than Unicode 14.0, an older one with the same general category and the same
 * length in UTF-8; every other character stands for itself. */
uint32_t unicode_stand_in(uint32_t c);
/* The text with all characters replaced so, for patterns to look at: `text` itself when nothing is
 * to replace, else in `room`. Well-formed UTF-8. */
const char *unicode_settle(const char *text, size_t n_bytes, struct bytes *room);

bool unicode_is_space(uint32_t c);  /* White_Space */
bool unicode_is_number(uint32_t c); /* Nd, Nl, No of Unicode 17 */
bool unicode_is_word(uint32_t c);   /* \w: letters, marks, decimal digits, connectors, joiners */
/* The lower-case form (of Unicode 17) without regard to neighbours: 1 or 2 characters. */
int unicode_lower(uint32_t c, uint32_t out[2]);
