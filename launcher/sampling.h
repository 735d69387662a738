/* launcher/sampling.h: how the options want answers to be made. */
#pragma once
#include "runtime/gateway/sampling.h"

struct error;
struct options;
struct session;

/* A value is that of an option that was given, else what the makers of the model say, else the
 * default. ERROR_INPUT names the option. sampling_release() also after a failure. */
bool sampling_read(struct sampling *out, const struct options *options, struct session *session,
                   struct error *err);
