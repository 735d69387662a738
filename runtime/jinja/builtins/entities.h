/* runtime/jinja/builtins/entities.h: the names that HTML has for characters. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* One or two characters (the second may be 0) for "amp;", or "amp" where the standard has it
 * without a semicolon; NULL: there is no such name. No byte of the name is NUL. */
const uint32_t *entity_find(const char *name, size_t n_bytes);
