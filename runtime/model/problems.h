/* runtime/model/problems.h: several problems in one message, so that the user mends them at once.
 *
 * As many as fit a struct error are named; the rest is counted. */
#pragma once
#include <stdbool.h>

struct error;

enum { PROBLEMS_TEXT = 320 }; /* leaves room in a struct error for the path before and the count */

struct problems { /* all zero is none */
    char text[PROBLEMS_TEXT];
    int n, n_named;
};

void problems_add(struct problems *problems, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* True without problems; otherwise ERROR_INPUT with all of them. */
bool problems_none(const struct problems *problems, struct error *err);
