/* runtime/text/nfc.h: canonical composition (NFC) in linear time.
 *
 * As the reference library does it, which knows the marks of Unicode 9.0: for all characters of
 * that version this is what every later one says too.
 *
 * Source: Unicode Standard Annex 15. The tables are utf8proc's; the ordering of marks is ours,
 * because a text of a million marks must not take a million million steps.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;

struct nfc_work { /* scratch memory, all zero is empty */
    int32_t *chars, *sorted;
    unsigned char *classes;
    size_t n_chars, capacity;
};
void nfc_work_release(struct nfc_work *work);

/* Appends the normalized text to `out`. False, and nothing is appended: the text is normalized
 * already. Well-formed UTF-8. */
bool nfc_run(struct nfc_work *work, const char *text, size_t n_bytes, struct bytes *out);
