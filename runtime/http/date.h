/* runtime/http/date.h: moments as HTTP writes them (RFC 9110, section 5.6.7). */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { DATE_BYTES = 32 }; /* of "Sun, 06 Nov 1994 08:49:37 GMT", and a NUL */

/* `seconds` since 1970, of the years 1970 to 9999. */
void date_format(char *out, size_t n_out, int64_t seconds);
