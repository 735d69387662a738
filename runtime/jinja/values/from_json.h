/* runtime/jinja/values/from_json.h: JSON of a checkpoint or a request as values of a template. */
#pragma once
#include "runtime/jinja/values/value.h"

#include <jansson.h>

/* Texts are not copied: `json` must outlive the rendering. `user`: all texts and keys are marked.
 * Takes as many steps as there are values and bytes of text. Raises RecursionError, and
 * LIMIT_EXCEEDED over the budgets. */
bool value_from_json(struct run *r, const json_t *json, bool user, struct value *out);
