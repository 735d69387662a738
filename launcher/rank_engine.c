#include "launcher/rank_engine.h"

#include "launcher/rank_models.h"
#include "parallel/ranks.h"
#include "runtime/engine.h"
#include "runtime/options/options.h"
#include "runtime/worker.h"

#include <string.h>

static enum drafter drafter_of(const struct options *options)
{
    if (strcmp(options->speculative_method, "draft_model") == 0)
        return DRAFTER_MODEL;
    return strcmp(options->speculative_method, "ngram") == 0 ? DRAFTER_NGRAM : DRAFTER_NONE;
}

static bool processes_logprobs(const struct options *options)
{
    return strcmp(options->logprobs_mode, "processed_logprobs") == 0;
}

void rank_engine_settings(struct engine_settings *out, const struct options *options,
                          const struct rank_models *models, struct device *device)
{
    *out = (struct engine_settings){
        .scheduler = {.limits = models->plan.limits[PLAN_TARGET],
                      .hidden_size = models->config[PLAN_TARGET].hidden,
                      .by_priority = strcmp(options->scheduling_policy, "priority") == 0,
                      .prefix_caching = options->enable_prefix_caching,
                      .drafter = drafter_of(options),
                      .max_drafts = (int)options->num_speculative_tokens,
                      .ngram_min = (int)options->prompt_lookup_min,
                      .ngram_max = (int)options->prompt_lookup_max},
        .models = &models->plan,
        .model = models->model[PLAN_TARGET],
        .processed_logprobs = processes_logprobs(options),
        .n_flights = models->plan.ranks[PLAN_TARGET]->pp_stages,
        .device = device};
}

void rank_worker_settings(struct worker_settings *out, const struct options *options,
                          const struct rank_models *models, struct device *device)
{
    *out = (struct worker_settings){.models = &models->plan,
                                    .device = device,
                                    .processed_logprobs = processes_logprobs(options)};
}
