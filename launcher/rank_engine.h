/* launcher/rank_engine.h: what the engine of a job is made of, by its options and models. For rank
 * 0, and for `phalanx plan`, which counts what such an engine allocates. */
#pragma once

struct device;
struct engine_settings;
struct options;
struct rank_models;
struct ranks;

/* All but what only a running job has: the ids that end, the secret, recorder and link. Everything
 * is borrowed. */
void rank_engine_settings(struct engine_settings *out, const struct options *options,
                          const struct rank_models *models, const struct ranks *ranks,
                          struct device *device);
