/* launcher/bytes_text.h: sizes in words. */
#pragma once
#include <stdint.h>

enum { BYTES_TEXT = 16 };
/* "1.24 GB", "0": three digits and a unit of thousands, for people. Returns `text`. */
const char *bytes_text(char text[BYTES_TEXT], int64_t n_bytes);
