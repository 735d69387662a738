/* launcher/rank_engine.h: what the engine and the workers of a job are made of, by its options and
 * models. For the ranks, and for `phalanx plan`, which counts what they allocate. */
#pragma once

struct device;
struct engine_settings;
struct options;
struct rank_models;
struct worker_settings;

/* All but what only a running job has: the ids that end, the secret, recorder and link. Everything
 * is borrowed. */
void rank_engine_settings(struct engine_settings *out, const struct options *options,
                          const struct rank_models *models, struct device *device);
void rank_worker_settings(struct worker_settings *out, const struct options *options,
                          const struct rank_models *models, struct device *device);
