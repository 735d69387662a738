/* launcher/bench/result_file.h: where --save-result writes, as vLLM's bench serve does.
 *
 *   --result-dir / --result-filename, or in its place
 *                  BACKEND-RATEqps[-concurrencyN]-MODEL-DATE.json
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>

struct error;
struct options;

enum { RESULT_DATE_BYTES = 80 };
void result_file_date(char out[RESULT_DATE_BYTES]); /* "20260131-235959", local time: now */

/* Makes the folder, with those above it. ERROR_INPUT: it cannot be made, or an option says where
 * to save what nobody asked to save. */
bool result_file_prepare(const struct options *options, struct error *err);
/* Replaces *out. `model`: as the server calls it; what stands behind its last '/' is taken. */
void result_file_path(struct bytes *out, const struct options *options, const char *model);
