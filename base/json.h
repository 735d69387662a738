/* base/json.h: JSON from outside, bounded before the library sees it.
 *
 * jansson parses; its own depth limit is compiled in and numbers beyond the range of a double
 * or of 64 bits only fail deep inside. So the text is scanned first, without allocating:
 * size, nesting, number of keys and values, number range, control characters, UTF-8.
 * Duplicate keys are refused. Errors are ERROR_INPUT with line and column; their parameter is the
 * member of the outermost object that they are in.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct json_limits {
    size_t max_bytes;
    int max_depth;
    size_t max_values; /* scalars, arrays and objects together, keys too */
};

/* *out is a new reference: json_decref() it. `text` needs no NUL. Any top-level value is taken. */
bool json_parse(json_t **out, const char *text, size_t n_bytes, const struct json_limits *limits,
                struct error *err);
/* One line of a file of JSON: the caller knows its number, and errors say the column alone. */
bool json_parse_line(json_t **out, const char *line, size_t n_bytes,
                     const struct json_limits *limits, struct error *err);
/* Reads and parses a file; errors name it. */
bool json_read_file(json_t **out, const char *path, const struct json_limits *limits,
                    struct error *err);

/* Members of an object, checked. `required` false: *out keeps its value when the key is absent
 * or null. Errors are ERROR_INPUT and name the key, what was found and what was wanted. */
bool json_get_int(const json_t *object, const char *key, bool required, int64_t min, int64_t max,
                  int64_t *out, struct error *err);
bool json_get_number(const json_t *object, const char *key, bool required, double min, double max,
                     double *out, struct error *err);
bool json_get_bool(const json_t *object, const char *key, bool required, bool *out,
                   struct error *err);
/* Borrowed text; lives as long as the object. */
bool json_get_text(const json_t *object, const char *key, bool required, const char **out,
                   struct error *err);
