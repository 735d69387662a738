#include "launcher/rank/models.h"

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "kernels/device.h"
#include "launcher/bytes_text.h"
#include "launcher/rank/compute.h"
#include "launcher/rank/gpu_memory.h"
#include "parallel/ranks.h"
#include "runtime/forward/forward.h"
#include "runtime/forward/kv_groups.h"
#include "runtime/model/device_weights.h"
#include "runtime/model/model.h"
#include "runtime/options/options.h"
#include "runtime/schedule/scheduler.h"

#include <stdio.h>
#include <string.h>

/* ---- small files ---- */

/* Speculation is exact whatever the draft model guesses, so another spelling of the same tokenizer
 * is no error; another tokenizer makes every guess wrong. */
static void compare_tokenizers(const struct rank_models *m)
{
    struct file_map map[PLAN_MODELS] = {{0}};
    struct error ignored = {0};
    char path[4096];
    bool there = true;
    for (int i = 0; there && i < PLAN_MODELS; i++) {
        snprintf(path, sizeof path, "%s/tokenizer.json", m->folder[i]);
        there = file_map_open(&map[i], path, &ignored);
    }
    const struct file_map *a = &map[PLAN_TARGET], *b = &map[PLAN_DRAFT];
    if (there && (a->n_bytes != b->n_bytes || memcmp(a->data, b->data, a->n_bytes) != 0))
        log_write(LOG_WARN, "rank",
                  "%s has another tokenizer.json than %s: its guesses may all be wrong, and cost "
                  "time",
                  m->folder[PLAN_DRAFT], m->folder[PLAN_TARGET]);
    for (int i = 0; i < PLAN_MODELS; i++)
        file_map_close(&map[i]);
}

/* By its config.json, and again by the names of its tensors (model.h, bare_names). */
static bool draft_generates(const struct model_config *draft, struct error *err)
{
    return draft->generates ||
           error_set(err, ERROR_INPUT, "it makes no tokens (%s): it cannot guess any",
                     draft->architecture);
}

static bool draft_check(const struct rank_models *m, const struct options *options,
                        struct error *err)
{
    const struct model_config *target = &m->config[PLAN_TARGET], *draft = &m->config[PLAN_DRAFT];
    const int max_model_len = m->plan.limits[PLAN_TARGET].max_model_len;
    if (!draft_generates(draft, err))
        return false;
    if (draft->vocab != target->vocab)
        return error_set(err, ERROR_INPUT,
                         "it has %d tokens and the model %d: a draft model must have the same",
                         draft->vocab, target->vocab);
    if (draft->max_positions < max_model_len)
        return error_set(err, ERROR_INPUT,
                         "it has %d positions, and sequences may have %d tokens: give "
                         "--max-model-len %d or less",
                         draft->max_positions, max_model_len, draft->max_positions);
    compare_tokenizers(m);
    return model_tp_check(draft, (int)options->tensor_parallel_size, err);
}

/* The draft model has the blocks of the target's group 0: they stay as long as either looks back.
 */
static void keep_blocks_for_draft(struct rank_models *m)
{
    struct kv_groups groups;
    kv_groups_make(&groups, &m->config[PLAN_DRAFT], true);
    int *window = &m->plan.limits[PLAN_TARGET].kv_window[0];
    if (*window > 0 && (groups.window[0] == 0 || groups.window[0] > *window))
        *window = groups.window[0];
}

static bool read_draft(struct rank_models *m, const struct options *options, struct error *err)
{
    if (strcmp(options->speculative_method, "draft_model") != 0)
        return true;
    m->folder[PLAN_DRAFT] = options->speculative_model;
    if (!model_config_read(&m->config[PLAN_DRAFT], m->folder[PLAN_DRAFT], err) ||
        !draft_check(m, options, err))
        return error_in(err, "--speculative-model %s", options->speculative_model);
    keep_blocks_for_draft(m);
    return true;
}

static bool kv_dtype_check(int kv_dtype, struct error *err)
{
    return kv_dtype == DTYPE_F32 || kv_dtype == DTYPE_BF16 || kv_dtype == DTYPE_I8 ||
           kv_dtype == DTYPE_F16 ||
           error_set(err, ERROR_INPUT, "a KV cache of dtype %d, which this program has not",
                     kv_dtype);
}

/* Then the record says how large steps and cache are, and the options do not count. */
static bool read_record(struct rank_models *m, const struct options *options, struct error *err)
{
    const char *path = options->replay;
    const struct plan_limits draft = scheduler_draft_limits(&m->plan.limits[PLAN_TARGET]);
    if (path == NULL)
        return true;
    if (options->record != NULL)
        return error_set(err, ERROR_INPUT,
                         "--record %s: steps that are replayed are recorded already",
                         options->record);
    if (!plan_record_open(&m->replayed, path, err))
        return false;
    return (kv_dtype_check(m->replayed.setup.kv_dtype, err) &&
            plan_record_fits(&m->replayed, PLAN_TARGET, &m->plan.limits[PLAN_TARGET], err) &&
            plan_record_fits(&m->replayed, PLAN_DRAFT, m->folder[PLAN_DRAFT] ? &draft : NULL,
                             err)) ||
           error_in(err, "%s", path);
}

static int n_drafts_of(const struct options *options)
{
    const bool guesses = strcmp(options->speculative_method, "none") != 0;
    return guesses ? (int)options->num_speculative_tokens : 0;
}

bool rank_models_read(struct rank_models *m, const struct options *options, struct error *err)
{
    m->folder[PLAN_TARGET] = options->model;
    return model_config_read(&m->config[PLAN_TARGET], options->model, err) &&
           model_tp_check(&m->config[PLAN_TARGET], (int)options->tensor_parallel_size, err) &&
           model_pp_check(&m->config[PLAN_TARGET], (int)options->pipeline_parallel_size, err) &&
           rank_limits_make(&m->plan.limits[PLAN_TARGET], options, &m->config[PLAN_TARGET],
                            n_drafts_of(options), err) &&
           read_draft(m, options, err) && read_record(m, options, err);
}

void rank_models_for_gpus(struct rank_models *m, const struct options *options, int64_t gpu_bytes)
{
    rank_limits_for_gpus(&m->plan.limits[PLAN_TARGET], options, n_drafts_of(options), gpu_bytes);
}

/* ---- weights ---- */

static const char *dtype_option(const char *name)
{
    if (strcmp(name, "half") == 0)
        return "float16";
    return strcmp(name, "float") == 0 ? "float32" : name;
}

static bool runs_here(const struct rank_models *m, int model, const struct ranks *ranks)
{
    return m->folder[model] != NULL && (model == PLAN_TARGET || ranks->pp_stage == 0);
}

static struct model_place place_of(const struct rank_models *m, const struct ranks *ranks)
{
    return (struct model_place){.tp_rank = ranks->tp_rank,
                                .tp_size = ranks->tp_size,
                                .pp_stage = ranks->pp_stage,
                                .pp_stages = ranks->pp_stages,
                                .on_gpu = m->on_gpu,
                                .one_leaf = m->one_leaf,
                                .dummy = m->dummy,
                                .watch = m->watch};
}

static void set_ranks(struct rank_models *m, const struct ranks *ranks)
{
    m->of_stage = ranks_of_stage(ranks);
    m->plan.ranks[PLAN_TARGET] = ranks;
    m->plan.ranks[PLAN_DRAFT] = &m->of_stage;
    for (int i = 0; i < PLAN_MODELS; i++)
        m->plan.hidden_size[i] = m->config[i].hidden;
}

typedef bool open_fn(struct model **, const char *folder, const char *dtype,
                     const struct model_place *, struct error *);

static bool open_models(struct rank_models *m, const struct options *options,
                        const struct ranks *ranks, open_fn *open, struct error *err)
{
    set_ranks(m, ranks);
    m->dummy = options_dummy_weights(options);
    for (int i = 0; i < PLAN_MODELS && runs_here(m, i, ranks); i++) {
        const struct model_place place = place_of(m, m->plan.ranks[i]);
        if (!open(&m->model[i], m->folder[i], dtype_option(options->dtype), &place, err))
            return false;
    }
    const struct model *draft = m->model[PLAN_DRAFT];
    return draft == NULL || draft_generates(&draft->config, err) ||
           error_in(err, "--speculative-model %s", m->folder[PLAN_DRAFT]);
}

/* Before it is asked for: what to do is known here. */
static bool weights_fit(const struct model *model, struct device *device, struct error *err)
{
    char wanted[BYTES_TEXT], there[BYTES_TEXT], all[BYTES_TEXT];
    size_t n_free, n_all;
    device_memory(device, &n_free, &n_all);
    if (model->device_bytes <= n_free)
        return true;
    return error_set(err, ERROR_INPUT,
                     "the weights of this rank take %s, and its GPU has %s free of %s: use more "
                     "ranks (-tp, -pp), or another GPU; phalanx plan --device cuda says what fits",
                     bytes_text(wanted, (int64_t)model->device_bytes),
                     bytes_text(there, (int64_t)n_free), bytes_text(all, (int64_t)n_all));
}

static bool load_model(struct model *model, const struct device_loading *loading, struct error *err)
{
    if (model->share.on_gpu)
        return weights_fit(model, loading->device, err) && model_to_device(model, loading, err);
    return !loading->check_weights || model_check_weights(model, err);
}

bool rank_models_load(struct rank_models *m, const struct options *options,
                      const struct ranks *ranks, const struct rank_compute *compute,
                      struct error *err)
{
    m->on_gpu = compute->gpu != NULL;
    m->one_leaf = m->on_gpu && !compute->exact;
    m->loading = (struct device_loading){.device = compute->device,
                                         .readers = compute->host->team,
                                         .check_weights = options->check_weights};
    m->plan.loading = &m->loading;
    bool good = open_models(m, options, ranks, model_open, err);
    for (int i = 0; good && i < PLAN_MODELS; i++)
        good = m->model[i] == NULL || load_model(m->model[i], &m->loading, err);
    return good;
}

bool rank_models_measure(struct rank_models *m, const struct options *options,
                         const struct ranks *ranks, struct error *err)
{
    return open_models(m, options, ranks, model_measure, err);
}

void rank_models_measure_as(struct rank_models *m, const struct ranks *ranks)
{
    set_ranks(m, ranks);
    for (int i = 0; i < PLAN_MODELS && runs_here(m, i, ranks); i++) {
        const struct model_place place = place_of(m, m->plan.ranks[i]);
        model_measure_as(m->model[i], &place);
    }
}

/* ---- memory ---- */

static bool limits_of_record(struct rank_models *m, struct error *err)
{
    const struct plan_record_setup *setup = &m->replayed.setup;
    if (setup->kv_dtype == DTYPE_F16 && !m->on_gpu)
        return error_set(err, ERROR_INPUT,
                         "the record is of a KV cache of float16, which only GPUs have: replay it "
                         "with --device cuda");
    for (int i = 0; i < PLAN_MODELS && m->model[i] != NULL; i++)
        m->plan.limits[i] = setup->limits[i];
    m->memory.kv_dtype = setup->kv_dtype;
    return true;
}

static bool make_limits(struct rank_models *m, const struct options *options,
                        const struct rank_compute *compute, const struct ranks *ranks,
                        struct error *err)
{
    const struct kv_room room = rank_kv_room(m, options, compute, ranks);
    struct plan_limits *limits = m->plan.limits;
    if (m->replayed.n_plans > 0)
        return limits_of_record(m, err);
    if (!rank_memory_plan(&m->memory, &limits[PLAN_TARGET], options, m->model[PLAN_TARGET],
                          m->model[PLAN_DRAFT], &room, ranks, err))
        return false;
    if (m->model[PLAN_DRAFT] != NULL)
        limits[PLAN_DRAFT] = scheduler_draft_limits(&limits[PLAN_TARGET]);
    return true;
}

bool rank_models_reserve(struct rank_models *m, const struct options *options,
                         const struct rank_compute *compute, const struct ranks *ranks,
                         struct error *err)
{
    if (!make_limits(m, options, compute, ranks, err))
        return false;
    for (int i = 0; i < PLAN_MODELS && m->model[i] != NULL; i++) {
        const struct forward_settings settings = {
            .model = m->model[i],
            .device = compute->device,
            .ranks = m->plan.ranks[i],
            .limits = &m->plan.limits[i],
            .kv_dtype = m->memory.kv_dtype,
            .processed_logprobs = strcmp(options->logprobs_mode, "processed_logprobs") == 0,
            .carries_tokens = i == PLAN_TARGET && m->on_gpu && ranks->pp_stages == 1};
        m->plan.model[i] = m->model[i];
        if (!forward_create(&m->plan.forward[i], &settings, err))
            return false;
    }
    return true;
}

void rank_models_close(struct rank_models *m)
{
    for (int i = 0; i < PLAN_MODELS; i++) {
        forward_destroy(m->plan.forward[i]);
        model_close(m->model[i]);
    }
    plan_record_close(&m->replayed);
    *m = (struct rank_models){0};
}
