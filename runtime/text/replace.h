/* runtime/text/replace.h: one text for another, wherever it stands. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct bytes;
struct error;

/* Appends the text with each `from`, which is not empty, replaced by `to`. False: over the maximum
 * of `out`. */
bool replace_all(const char *text, size_t n_bytes, const char *from, const char *to,
                 struct bytes *out);

/* The settings of a Replace stage: {"pattern": {"String": from}, "content": to}, as copies to free
 * with memory_free(). ERROR_UNSUPPORTED for a regular expression. */
bool replace_parse(char **from, char **to, const json_t *stage, struct error *err);
