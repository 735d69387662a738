/* launcher/bench/body_tail.h: what the bodies of all requests of a bench end with: that the answer
 * is a stream, how to sample it, and the members of --extra-body.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>

struct error;
struct options;

/* Adds members of an object, each behind a comma. A member of --extra-body wins over --ignore-eos
 * and the options of sampling. ERROR_INPUT: it is no JSON object, or has what the bench says
 * itself. */
bool body_tail_add(struct bytes *out, const struct options *options, struct error *err);
