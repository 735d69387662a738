/* proto/request_id.h: the name of a request, over any protocol: its user's own, or one made for it.
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

/* For a request that nobody named: 32 random hex digits. Of a system that gives no random bytes it
 * is the time: still the name of one request, if one that can be guessed. */
void request_id_make(char out[REQUEST_ID_BYTES]);
