/* runtime/text/file/stage.h: what the readers of a stage of tokenizer.json have in common.
 *
 * A stage is an object with a "type" and the settings of that type, or a "Sequence" of stages.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum { STAGE_MAX_DEPTH = 4 }; /* sequences in sequences; real files have one */

/* Reads one stage that is no sequence into `context`. */
typedef bool stage_parse_fn(void *context, const json_t *stage, struct error *err);

struct stage_type {
    const char *name;
    stage_parse_fn *parse;
};

/* Reads `value` (NULL and null are no stage) with the parser of its type; a "Sequence" has its
 * stages in the array `list_key` and each is read in turn. `types` ends with a NULL name.
 * ERROR_UNSUPPORTED names a type that is not in the list, and those that are. */
bool stage_parse(void *context, const json_t *value, const struct stage_type *types,
                 const char *list_key, struct error *err);

/* A setting that is one character, whatever its length. ERROR_INPUT for anything else. */
bool stage_get_character(uint32_t *out, const json_t *stage, const char *key, struct error *err);
