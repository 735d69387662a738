/* launcher/text_lines.h: text tools answer a line with a line, each before the next is read. */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stdio.h>

struct error;

/* Writes the answer to one line, with its newline. */
typedef bool text_line_fn(void *context, const struct bytes *line, FILE *out, struct error *err);

/* All lines of `in`, each of at most `max_bytes`. Errors name the line; those before it have been
 * answered. */
bool text_lines_run(FILE *in, FILE *out, size_t max_bytes, text_line_fn *answer, void *context,
                    struct error *err);
/* A text as JSON, and a newline. UTF-8. */
void text_lines_write(FILE *out, const struct bytes *text);
