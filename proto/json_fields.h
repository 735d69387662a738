/* proto/json_fields.h: members of a request's JSON object, by their type.
 *
 * Absent and null are the same: *out keeps its value. What is of another type is ERROR_INPUT, with
 * the key as its parameter. Ranges are checked where the meaning of a field is known. Texts are
 * borrowed from the JSON, lists are in the arena. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct error;

/* NULL: absent or null. */
const json_t *field_find(const json_t *object, const char *key);
/* Always false: "key: a text where <wanted> should be". */
bool field_wrong(const char *key, const json_t *value, const char *wanted, struct error *err);

/* A whole number; 3.0 is one, as JavaScript may write it. */
bool field_int(const json_t *object, const char *key, int64_t *out, struct error *err);
bool field_number(const json_t *object, const char *key, double *out, struct error *err);
bool field_bool(const json_t *object, const char *key, bool *out, struct error *err);
bool field_text(const json_t *object, const char *key, const char **out, struct error *err);
bool field_object(const json_t *object, const char *key, const json_t **out, struct error *err);
bool field_array(const json_t *object, const char *key, const json_t **out, struct error *err);

/* A text, or a list of texts. */
bool field_texts(const json_t *object, const char *key, struct arena *arena,
                 const char *const **out, size_t *n, struct error *err);
/* A list of whole numbers. */
bool field_ids(const json_t *object, const char *key, struct arena *arena, const int64_t **out,
               size_t *n, struct error *err);
/* The same of a list that was found already; `key` names it in errors. */
bool field_ids_of(const json_t *list, const char *key, struct arena *arena, const int64_t **out,
                  size_t *n, struct error *err);
