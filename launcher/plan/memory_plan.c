/* In the order of what depends on what: bytes of a KV block and all that no block changes, rank by
 * rank; then how many blocks; then the tables, which grow with the blocks. */
#include "launcher/plan/memory_plan.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/device.h"
#include "launcher/bytes_text.h"
#include "launcher/rank/loop.h"
#include "runtime/forward/forward.h"
#include "runtime/options/options.h"
#include "runtime/schedule/scheduler.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

static struct ranks place_of(int rank, int tp_size, int pp_stages)
{
    return (struct ranks){.world_rank = rank,
                          .world_size = tp_size * pp_stages,
                          .local_rank = rank,
                          .local_size = tp_size * pp_stages,
                          .tp_rank = rank % tp_size,
                          .tp_size = tp_size,
                          .pp_stage = rank / tp_size,
                          .pp_stages = pp_stages};
}

static int threads_of(const struct options *options, int n_ranks)
{
    const int share = system_cpus() / (int)options->data_parallel_size / n_ranks;
    return options->threads > 0 ? (int)options->threads : share > 0 ? share : 1;
}

/* ---- a rank ---- */

static int leaves_of(int n_leaves, const struct ranks *ranks)
{
    return span_length(tree_run(n_leaves, ranks->tp_size, ranks->tp_rank));
}

/* The draft model is on the first stage. */
static bool has_draft(const struct rank_models *models, const struct ranks *place)
{
    return models->model[PLAN_DRAFT] != NULL && place->pp_stage == 0;
}

/* The models are measured as this rank. */
static void count_models(struct planned_rank *out, const struct rank_models *models)
{
    struct plan_limits limits[PLAN_MODELS] = {models->plan.limits[PLAN_TARGET]};
    limits[PLAN_DRAFT] = scheduler_draft_limits(&limits[PLAN_TARGET]);
    const bool drafts = has_draft(models, &out->place);
    for (int m = 0; m < (drafts ? PLAN_MODELS : PLAN_DRAFT); m++) {
        const struct model *model = models->model[m];
        for (int kind = 0; kind < WEIGHT_KINDS; kind++)
            out->kind_bytes[kind] += (int64_t)model->kind_bytes[kind];
        out->bytes.mapped += (int64_t)model->mapped_bytes;
        out->bytes.copied += (int64_t)model->copied_bytes;
        if (!models->on_gpu)
            out->bytes.activations +=
                (int64_t)forward_activation_bytes(model, models->plan.ranks[m], &limits[m]);
    }
    out->bytes.gpu = gpu_bytes_of(models, &out->place);
    out->bytes.pinned = gpu_pinned_bytes(models);
    out->block_bytes =
        rank_kv_block_bytes(&limits[PLAN_TARGET], models->memory.kv_dtype,
                            models->model[PLAN_TARGET], drafts ? models->model[PLAN_DRAFT] : NULL);
}

/* Everything but the KV cache and the tables. */
static void count_rank(struct planned_rank *out, struct rank_models *models,
                       const struct options *options)
{
    const struct ranks *place = &out->place;
    const int n_threads = threads_of(options, place->world_size);
    rank_models_measure_as(models, place);
    const struct model *model = models->model[PLAN_TARGET];
    const struct model_share *share = &model->share;
    out->layers = share->layers;
    out->head_leaves = leaves_of(share->head_leaves, place);
    out->ffn_leaves = leaves_of(share->ffn_leaves, place);
    out->wire = wire_bytes_of(model, place);
    out->bytes.threads = (int64_t)n_threads * CPU_SCRATCH_BYTES;
    out->bytes.communication =
        (int64_t)ranks_bytes_each(&(struct ranks_settings){.tp_size = place->tp_size,
                                                           .pp_stages = place->pp_stages,
                                                           .comm = options->comm,
                                                           .gpus = models->on_gpu});
    count_models(out, models);
}

/* ---- tables ---- */

/* By making what a rank makes: this process has read the same options and headers, and starts the
 * same threads. */
static bool count_tables(struct memory_plan *plan, const struct options *options, struct error *err)
{
    struct rank_models *models = &plan->models;
    struct plan_limits *limits = models->plan.limits;
    struct device *device;
    bool good = true;
    if (!device_open_cpu(&device, NULL, plan->n_threads, 0, err))
        return false;
    for (int i = plan->n_ranks - 1; good && i >= 0; i--) { /* it ends as rank 0 */
        struct rank_loop loop;
        struct planned_rank *rank = &plan->rank[i];
        rank_models_measure_as(models, &rank->place);
        limits[PLAN_DRAFT] = has_draft(models, &rank->place)
                                 ? scheduler_draft_limits(&limits[PLAN_TARGET])
                                 : (struct plan_limits){0};
        good = rank_loop_make(&loop, options, models, device, NULL, err);
        rank->bytes.tables = memory_account().allocated -
                             plan->n_ranks * (int64_t)sizeof *plan->rank; /* no rank has those */
        rank_loop_release(&loop);
    }
    device_close(device);
    return good;
}

/* ---- what --memory is about ---- */

/* All that is in it: the memory of the host, or that of the GPU. */
static int64_t held_bytes(const struct memory_plan *plan, const struct options *options,
                          const struct rank_bytes *bytes)
{
    if (!plan->models.on_gpu)
        return rank_bytes_total(bytes);
    return gpu_bytes_total(&bytes->gpu) + GPU_CONTEXT_BYTES + gpu_reserve_bytes(options->memory);
}

static int64_t held_without_cache(const struct memory_plan *plan, const struct options *options,
                                  const struct rank_bytes *bytes)
{
    return held_bytes(plan, options, bytes) - bytes->kv - bytes->gpu.kv;
}

static int64_t allowed_bytes(const struct memory_plan *plan, const struct options *options)
{
    const double share = plan->models.on_gpu ? options->gpu_memory_utilization : 1;
    return (int64_t)((double)options->memory * share);
}

/* ---- layouts that fit ---- */

/* One block of KV cache on every rank. The tables are those of rank 0 of the layout that was asked
 * for, which differ little. */
static bool layout_fits(struct memory_plan *plan, const struct options *options, int tp_size,
                        int pp_stages)
{
    const int n_ranks = tp_size * pp_stages;
    for (int i = 0; i < n_ranks; i++) {
        struct planned_rank rank = {.place = place_of(i, tp_size, pp_stages),
                                    .bytes = {.tables = plan->rank[0].bytes.tables}};
        count_rank(&rank, &plan->models, options);
        if (held_bytes(plan, options, &rank.bytes) + rank.block_bytes >
            allowed_bytes(plan, options))
            return false;
    }
    return true;
}

/* The weights of one rank alone: ranks hold together at least as many. */
static int64_t all_weights(struct memory_plan *plan, const struct options *options)
{
    struct planned_rank alone = {.place = place_of(0, 1, 1)};
    count_rank(&alone, &plan->models, options);
    return rank_bytes_weights(&alone.bytes) + alone.bytes.gpu.weights;
}

/* The most ranks that a stage can have. */
static int largest_tp(const struct rank_models *models)
{
    const int64_t target = model_max_tp(&models->config[PLAN_TARGET]);
    const bool drafts = models->model[PLAN_DRAFT] != NULL;
    return (int)(drafts ? min_of(target, model_max_tp(&models->config[PLAN_DRAFT])) : target);
}

/* The fewest ranks a stage that fit, fewer than `below`; 0: none. */
static int smallest_tp(struct memory_plan *plan, const struct options *options, int64_t weights,
                       int pp_stages, int below)
{
    const int most = largest_tp(&plan->models);
    for (int tp = 1; tp <= most && tp < below; tp++)
        if (weights / (tp * pp_stages) <= options->memory && /* quick, and mostly no */
            layout_fits(plan, options, tp, pp_stages))
            return tp;
    return 0;
}

/* With the stages that were asked for if that can be, else the fewest ranks with more stages.
 * *tp_size 0: none. */
static void smallest_layout(struct memory_plan *plan, const struct options *options, int *tp_size,
                            int *pp_stages)
{
    const int64_t weights = all_weights(plan, options);
    int fewest = INT_MAX;
    *pp_stages = plan->pp_stages;
    *tp_size = smallest_tp(plan, options, weights, *pp_stages, fewest);
    if (*tp_size > 0)
        return;
    for (int pp = plan->pp_stages + 1; pp <= plan->models.config[PLAN_TARGET].n_layers; pp++) {
        const int tp = smallest_tp(plan, options, weights, pp, (fewest - 1) / pp + 1);
        if (tp == 0)
            continue;
        *tp_size = tp;
        *pp_stages = pp;
        fewest = tp * pp;
    }
}

static bool refuse_memory(struct memory_plan *plan, const struct options *options,
                          struct error *err)
{
    int64_t most = 0;
    for (int i = 0; i < plan->n_ranks; i++) {
        const struct planned_rank *rank = &plan->rank[i];
        const int64_t held = held_without_cache(plan, options, &rank->bytes) + rank->block_bytes;
        most = max_of(most, held);
    }
    char given[BYTES_TEXT], held[BYTES_TEXT], fits[80] = "no layout of it is small enough";
    int tp_size, pp_stages;
    smallest_layout(plan, options, &tp_size, &pp_stages);
    if (tp_size > 0)
        snprintf(fits, sizeof fits, "the smallest layout that fits is -tp %d -pp %d", tp_size,
                 pp_stages);
    return error_set(err, ERROR_INPUT,
                     "--memory %s: with -tp %d -pp %d a rank of this model takes %s at least; %s",
                     bytes_text(given, options->memory), plan->tp_size, plan->pp_stages,
                     bytes_text(held, most), fits);
}

/* ---- the KV cache ---- */

static int64_t *kv_bytes_of(const struct memory_plan *plan, int rank)
{
    struct rank_bytes *bytes = &plan->rank[rank].bytes;
    return plan->models.on_gpu ? &bytes->gpu.kv : &bytes->kv;
}

static void set_blocks(struct memory_plan *plan, int64_t n_blocks)
{
    plan->models.plan.limits[PLAN_TARGET].n_kv_blocks = (int)n_blocks;
    for (int i = 0; i < plan->n_ranks; i++)
        *kv_bytes_of(plan, i) = n_blocks * plan->rank[i].block_bytes;
}

/* As rank_memory_plan(), for all ranks at once. */
static bool choose_blocks(struct memory_plan *plan, const struct options *options,
                          struct error *err)
{
    /* of a GPU that nobody has named any number fits: as many as a CPU would take at most */
    const struct kv_room room = plan->models.on_gpu ? (struct kv_room){.n_bytes = INT64_MAX}
                                                    : rank_kv_room_cpu(options, plan->n_ranks);
    int64_t n_blocks = INT64_MAX;
    for (int i = 0; i < plan->n_ranks; i++) {
        int64_t own;
        if (!rank_kv_blocks(&own, &plan->models.plan.limits[PLAN_TARGET], options,
                            plan->rank[i].block_bytes, &room, err))
            return false;
        n_blocks = min_of(n_blocks, own);
    }
    set_blocks(plan, n_blocks);
    return true;
}

/* Blocks that leave no rank with more than it may hold; below 1: not even one does. */
static int64_t blocks_within(const struct memory_plan *plan, const struct options *options)
{
    const int64_t memory = allowed_bytes(plan, options);
    int64_t n_blocks = rank_kv_blocks_most(&plan->models.plan.limits[PLAN_TARGET]);
    for (int i = 0; i < plan->n_ranks; i++) {
        const struct planned_rank *rank = &plan->rank[i];
        const int64_t left = memory - held_without_cache(plan, options, &rank->bytes);
        n_blocks = min_of(n_blocks, left / rank->block_bytes);
    }
    return n_blocks;
}

/* The tables grow with the blocks: first as many as fit with the smallest tables, then those that
 * fit with the tables of so many. */
static bool fit_blocks(struct memory_plan *plan, const struct options *options, struct error *err)
{
    set_blocks(plan, 1);
    for (int pass = 0; pass < 2; pass++) {
        if (!count_tables(plan, options, err))
            return false;
        const int64_t n_blocks = blocks_within(plan, options);
        if (n_blocks < 1)
            return refuse_memory(plan, options, err);
        set_blocks(plan, n_blocks);
    }
    return true;
}

/* By bisection: a longer sequence never holds fewer blocks. */
static int64_t longest_sequence(const struct plan_limits *limits)
{
    int64_t fits = 0, too_long = limits->max_model_len + 1;
    while (too_long - fits > 1) {
        const int64_t middle = fits + (too_long - fits) / 2;
        if (rank_kv_blocks_of(limits, middle) <= limits->n_kv_blocks)
            fits = middle;
        else
            too_long = middle;
    }
    return fits;
}

static void count_sequences(struct memory_plan *plan)
{
    const struct plan_limits *limits = &plan->models.plan.limits[PLAN_TARGET];
    plan->kv_tokens = rank_kv_tokens(limits);
    plan->n_sequences =
        min_of(limits->n_kv_blocks / rank_kv_blocks_of(limits, limits->max_model_len),
               limits->max_sequences);
    plan->longest = longest_sequence(limits);
}

/* ---- all ---- */

static void count_ranks(struct memory_plan *plan, const struct options *options)
{
    plan->rank = memory_alloc((size_t)plan->n_ranks, sizeof *plan->rank);
    for (int i = 0; i < plan->n_ranks; i++) {
        plan->rank[i].place = place_of(i, plan->tp_size, plan->pp_stages);
        count_rank(&plan->rank[i], &plan->models, options);
    }
}

bool memory_plan_make(struct memory_plan *out, const struct options *options, struct error *err)
{
    *out = (struct memory_plan){.tp_size = (int)options->tensor_parallel_size,
                                .pp_stages = (int)options->pipeline_parallel_size};
    out->n_ranks = out->tp_size * out->pp_stages;
    out->n_threads = threads_of(options, out->n_ranks);
    struct rank_models *models = &out->models;
    models->on_gpu = strcmp(options->device, "cuda") == 0;
    models->one_leaf = models->on_gpu && strcmp(options->numerics, "exact") != 0;
    const struct ranks first = place_of(0, out->tp_size, out->pp_stages);
    if (!rank_models_read(models, options, err) ||
        !rank_models_measure(models, options, &first, err))
        return false;
    if (models->on_gpu) /* of a GPU that nobody has named the memory is 0: a small one */
        rank_models_for_gpus(models, options, options->memory);
    models->memory.kv_dtype = rank_kv_dtype(options, models->model[PLAN_TARGET]);
    count_ranks(out, options);
    const bool chosen =
        options->memory > 0 ? fit_blocks(out, options, err) : choose_blocks(out, options, err);
    if (!chosen || !count_tables(out, options, err))
        return false;
    count_sequences(out);
    return true;
}

int64_t memory_plan_kv_bytes(const struct memory_plan *plan)
{
    int64_t most = 0;
    for (int i = 0; i < plan->n_ranks; i++)
        most = max_of(most, *kv_bytes_of(plan, i));
    return most;
}

void memory_plan_release(struct memory_plan *plan)
{
    rank_models_close(&plan->models);
    memory_free(plan->rank);
    *plan = (struct memory_plan){0};
}
