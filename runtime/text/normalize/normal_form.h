/* runtime/text/normalize/normal_form.h: the four normal forms of Unicode in linear time.
 *
 * As the reference library does it, which knows the marks and compositions of Unicode 9.0 and the
 * compatibility characters of 12.0: for all characters of that version this is what every later one
 * says too.
 *
 * Source: Unicode Standard Annex 15. The tables are utf8proc's; the ordering of marks is ours,
 * because a text of a million marks must not take a million million steps.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;

enum normal_form { NORMAL_FORM_C, NORMAL_FORM_D, NORMAL_FORM_KC, NORMAL_FORM_KD };

struct normal_form_work { /* scratch memory, all zero is empty */
    int32_t *chars, *sorted;
    unsigned char *classes;
    size_t n_chars, capacity;
};
void normal_form_work_release(struct normal_form_work *work);

/* Appends the normalized text to `out`. False, and nothing is appended: the text is normalized
 * already. Well-formed UTF-8. */
bool normal_form_run(enum normal_form form, struct normal_form_work *work, const char *text,
                     size_t n_bytes, struct bytes *out);
