#include "launcher/rank/loop.h"

#include "base/log.h"
#include "base/system.h"
#include "launcher/rank/models.h"
#include "parallel/ranks.h"
#include "runtime/engine.h"
#include "runtime/eos_ids.h"
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

static struct engine_settings settings_of(const struct options *options,
                                          const struct rank_models *models, struct device *device)
{
    return (struct engine_settings){
        .scheduler = {.limits = models->plan.limits[PLAN_TARGET],
                      .hidden_size = models->config[PLAN_TARGET].hidden,
                      .by_priority = strcmp(options->scheduling_policy, "priority") == 0,
                      .prefix_caching = options->enable_prefix_caching,
                      .whole_prompts = !options->enable_chunked_prefill,
                      .drafter = drafter_of(options),
                      .max_drafts = (int)options->num_speculative_tokens,
                      .ngram_min = (int)options->prompt_lookup_min,
                      .ngram_max = (int)options->prompt_lookup_max},
        .models = &models->plan,
        .model = models->model[PLAN_TARGET],
        .processed_logprobs = processes_logprobs(options),
        .n_flights = models->plan.ranks[PLAN_TARGET]->pp_stages,
        .runs_ahead = models->on_gpu,
        .device = device};
}

static bool make_engine(struct engine **out, struct engine_settings *settings,
                        const struct rank_loop_job *job, struct error *err)
{
    if (job != NULL) {
        settings->scheduler.eos_id = job->eos->id;
        settings->scheduler.n_eos_ids = job->eos->n;
        settings->recorder = job->recorder;
        settings->link = job->link;
        if (!system_random(settings->scheduler.secret, sizeof settings->scheduler.secret, err))
            return false;
    }
    engine_create(out, settings);
    return true;
}

bool rank_loop_make(struct rank_loop *out, const struct options *options,
                    const struct rank_models *models, struct device *device,
                    const struct rank_loop_job *job, struct error *err)
{
    *out = (struct rank_loop){.ranks = models->plan.ranks[PLAN_TARGET]};
    if (out->ranks->world_rank > 0) {
        worker_create(&out->worker,
                      &(struct worker_settings){.models = &models->plan,
                                                .device = device,
                                                .processed_logprobs = processes_logprobs(options)});
        return true;
    }
    struct engine_settings settings = settings_of(options, models, device);
    return options->replay != NULL || make_engine(&out->engine, &settings, job, err);
}

/* In a group of one there is nothing to wait for. */
static void tell_spent(const struct ranks *ranks, double n_plans)
{
    const struct comm_spent *stage = &ranks->tp->spent, *world = &ranks->world->spent;
    if (ranks->world_size > 1 && n_plans > 0)
        log_write(LOG_INFO, "rank",
                  "communication of rank 0 in each of %.0f plans: stage %.1f calls, %.0f bytes, "
                  "%.1f us; other stages %.1f calls, %.0f bytes, %.1f us",
                  n_plans, (double)stage->n_calls / n_plans, (double)stage->n_bytes / n_plans,
                  (double)stage->ns / 1e3 / n_plans, (double)world->n_calls / n_plans,
                  (double)world->n_bytes / n_plans, (double)world->ns / 1e3 / n_plans);
}

static bool run_engine(const struct rank_loop *loop, struct error *err)
{
    const struct ranks *ranks = loop->ranks;
    ranks->tp->spent = ranks->world->spent = (struct comm_spent){0}; /* the start is no plan */
    const bool good = engine_run(loop->engine, err);
    if (good)
        tell_spent(ranks, (double)engine_counts(loop->engine).n_plans);
    return good;
}

bool rank_loop_run(struct rank_loop *loop, struct error *err)
{
    return loop->engine != NULL ? run_engine(loop, err) : worker_run(loop->worker, err);
}

void rank_loop_release(struct rank_loop *loop)
{
    engine_destroy(loop->engine);
    worker_destroy(loop->worker);
    *loop = (struct rank_loop){0};
}
