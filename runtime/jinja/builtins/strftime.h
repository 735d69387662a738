/* runtime/jinja/builtins/strftime.h: a moment as text. */
#pragma once
#include "runtime/jinja/values/value.h"

struct calendar_time;

/* datetime.strftime(format) of a moment without a time zone, in the C locale: the directives of C
 * and POSIX with the flags and widths of glibc; %f is 000000, %z and %Z are nothing. */
bool strftime_text(struct run *r, const struct calendar_time *moment, const struct string *format,
                   struct value *out);
