/* proto/request_id.h: the name of a request that its user gave it, over any protocol.
 *
 * It can stand in a log, a header, and an answer behind a prefix: 1 to 48 ASCII letters, digits,
 * '_', '-' and '.'.
 */
#pragma once
#include <stdbool.h>

struct error;

enum { REQUEST_ID_BYTES = 49 };

bool request_id_is_good(const char *id);
/* ERROR_INPUT with the param "request_id". */
bool request_id_check(const char *id, struct error *err);
