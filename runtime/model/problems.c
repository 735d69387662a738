/* A problem is named whole or only counted. */
#include "runtime/model/problems.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void problems_add(struct problems *problems, const char *fmt, ...)
{
    problems->n++;
    if (problems->n_named < problems->n - 1)
        return; /* one did not fit: those named are the first ones */
    const size_t used = strlen(problems->text), room = sizeof problems->text - used;
    char line[PROBLEMS_TEXT];
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    const char *const between = problems->n > 1 ? "; " : "";
    if (length >= (int)sizeof line || (size_t)length + strlen(between) >= room)
        return;
    snprintf(problems->text + used, room, "%s%s", between, line);
    problems->n_named++;
}

bool problems_none(const struct problems *problems, struct error *err)
{
    if (problems->n == 0)
        return true;
    if (problems->n == problems->n_named)
        return error_set(err, ERROR_INPUT, "%s", problems->text);
    return error_set(err, ERROR_INPUT, "%d problems: %s; ... and %d more", problems->n,
                     problems->text, problems->n - problems->n_named);
}
