/* The program of a step, and what it needs for life. */
#include "runtime/forward/forward.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/device.h"
#include "parallel/comm.h"
#include "parallel/heart.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

/* ---- life ---- */

/* The KV groups of a plan, with the places of this stage. */
static void groups_of_stage(struct kv_groups *out, const struct model *model,
                            const struct plan_limits *limits)
{
    kv_groups_make(out, &model->config, limits->n_kv_groups == 1);
    check(out->n == limits->n_kv_groups);
    kv_groups_keep(out, model->config.n_layers, model->share.layers);
}

size_t forward_kv_block_bytes(const struct model *model, const struct plan_limits *limits,
                              int kv_dtype)
{
    struct kv_groups groups;
    groups_of_stage(&groups, model, limits);
    return kv_store_block_bytes(model, groups.layers_per_block, limits->block_tokens,
                                (enum dtype)kv_dtype);
}

struct forward_bytes forward_bytes(const struct forward *f)
{
    return (struct forward_bytes){
        .activations = f->memory_bytes,
        .kv = f->kv.n_bytes,
        .pinned = f->on_gpu ? forward_pinned_bytes(f->model, f->ranks, &f->limits) : 0};
}

/* Of the model, where the device can read it. */
static void take_constants(struct forward *f)
{
    const struct model *model = f->model;
    const struct activations *act = &f->act;
    const size_t n_freq = (size_t)model->config.n_ropes * (size_t)model->config.rope_half;
    const size_t n_heads = (size_t)span_length(model->share.heads);
    f->inv_freq = model->rope_inv_freq;
    f->kv_of_head = model->share.kv_of_head;
    if (!f->on_gpu)
        return;
    device_upload(f->device, act->inv_freq, f->inv_freq, n_freq * sizeof *act->inv_freq);
    device_upload(f->device, act->kv_of_head, f->kv_of_head, n_heads * sizeof *act->kv_of_head);
    f->inv_freq = act->inv_freq;
    f->kv_of_head = act->kv_of_head;
}

static bool create(struct forward *f, int kv_dtype, struct error *err)
{
    const struct plan_limits *limits = &f->limits;
    const struct step_needs needs = forward_needs(f->model, limits);
    f->gather_bytes = memory_alloc((size_t)f->ranks->tp_size, sizeof *f->gather_bytes);
    f->memory_bytes = forward_activation_bytes(f->model, f->ranks, limits);
    if (!device_alloc(f->device, &f->memory, f->memory_bytes, err))
        return error_in(err, "activations of %zu MB (%d tokens a step, %d rows of logits)",
                        f->memory_bytes >> 20, limits->max_tokens, limits->max_logits);
    activations_cut(&f->act, f->memory, f->model, f->ranks, limits);
    take_constants(f);
    buckets_init(&f->buckets, f->device, limits);
    return device_reserve(f->device, &needs, err) && turns_init(f, err) &&
           kv_store_init(&f->kv, f->model, f->device, f->groups.layers_per_block,
                         limits->n_kv_blocks, limits->block_tokens, (enum dtype)kv_dtype, err) &&
           device_sync(f->device, err);
}

bool forward_create(struct forward **out, const struct forward_settings *settings,
                    struct error *err)
{
    const struct model *model = settings->model;
    const struct plan_limits *limits = settings->limits;
    const int kv_dtype = settings->kv_dtype;
    check(kv_dtype == DTYPE_BF16 || kv_dtype == DTYPE_F32 || kv_dtype == DTYPE_I8 ||
          (kv_dtype == DTYPE_F16 && !device_is_host(settings->device)));
    check(limits->max_tokens > 0 && limits->vocab == model->config.vocab);
    check(limits->max_model_len <= model->config.max_positions);
    check(model->share.is_first == (settings->ranks->pp_stage == 0));
    check(model->share.is_last == (settings->ranks->pp_stage == settings->ranks->pp_stages - 1));
    struct forward *f = memory_alloc(1, sizeof *f);
    f->model = model;
    f->device = settings->device;
    f->on_gpu = model->share.on_gpu;
    check(f->on_gpu == !device_is_host(f->device));
    f->ranks = settings->ranks;
    f->limits = *limits;
    f->processed_logprobs = settings->processed_logprobs;
    f->carries_tokens = settings->carries_tokens;
    check(!f->carries_tokens || (f->on_gpu && f->ranks->pp_stages == 1));
    groups_of_stage(&f->groups, model, limits);
    f->n_windows = forward_windows(model, f->window);
    if (!create(f, kv_dtype, err)) {
        forward_destroy(f);
        return false;
    }
    *out = f;
    return true;
}

void forward_sleep(struct forward *f)
{
    struct error ended = {0};
    if (f->kv.memory == NULL)
        return;
    device_sync(f->device, &ended); /* a failure stays, and waking tells it */
    buckets_release(&f->buckets);
    kv_store_sleep(&f->kv);
}

bool forward_wake(struct forward *f, struct error *err)
{
    if (f->kv.memory != NULL)
        return true;
    buckets_init(&f->buckets, f->device, &f->limits);
    return kv_store_wake(&f->kv, f->model, f->limits.n_kv_blocks, err) &&
           device_sync(f->device, err);
}

void forward_destroy(struct forward *f)
{
    struct error ended = {0};
    if (f == NULL)
        return;
    device_sync(f->device, &ended); /* whoever wanted to know has been told */
    buckets_release(&f->buckets);
    turns_release(f);
    kv_store_release(&f->kv);
    if (f->memory != NULL)
        device_free(f->device, f->memory, f->memory_bytes);
    memory_free(f->gather_bytes);
    memory_free(f);
}

bool forward_is_queued(const struct forward *f) { return f->on_gpu; }

bool has_results(const struct forward *f)
{
    return f->model->share.is_last && f->ranks->tp_rank == 0;
}

/* ---- rows ---- */

/* Numbers of the plan, padded where the step is one of a bucket. */
static void place_rows(struct forward *f, const struct step_plan *plan,
                       const struct step_view *view, const struct bucket *bucket,
                       const struct turn *turn, struct step_rows *rows)
{
    if (!f->on_gpu) {
        step_rows_in_place(rows, plan, view, &f->limits, f->act.rows);
        return;
    }
    struct row_counts counts = {plan->n_tokens, plan->n_sequences, plan->n_logits};
    if (bucket != NULL)
        counts = (struct row_counts){bucket->n_rows, bucket->n_rows, bucket->n_rows};
    const size_t n_bytes =
        step_rows_stage(rows, plan, view, &f->limits, &counts, turn->staged, f->act.rows);
    device_upload(f->device, f->act.rows, turn->staged, n_bytes);
}

static void place_angles(struct forward *f, const struct step_rows *rows)
{
    const struct model_config *config = &f->model->config;
    for (int i = 0; i < config->n_ropes; i++)
        op_rope_angles(f->device,
                       &(struct rope_angles_args){.cos_sin = cos_sin_of(f, rows->n.n_tokens, i),
                                                  .position = rows->position,
                                                  .inv_freq = f->inv_freq + i * config->rope_half,
                                                  .n_tokens = rows->n.n_tokens,
                                                  .half = config->rope_half,
                                                  .scale = config->rope[i].scale});
}

/* A block belongs to one group, and all its places are copied: those that a smaller group does not
 * use are of nobody. */
static void copy_blocks(struct forward *f, const struct step_rows *rows)
{
    for (int i = 0; rows->n_copies > 0 && i < f->kv.n_places; i++)
        op_copy_blocks(f->device, &(struct copy_blocks_args){.cache = &f->kv.place[i],
                                                             .pair = rows->copy,
                                                             .n_pairs = rows->n_copies});
}

/* ---- between stages ---- */

static size_t residual_bytes(const struct forward *f, int n_tokens)
{
    return (size_t)n_tokens * (size_t)f->model->config.hidden * sizeof *f->act.residual;
}

/* act->residual as the stage before left it. */
static bool receive_residual(struct forward *f, int n_tokens, struct error *err)
{
    struct comm *world = f->ranks->world;
    const int from = ranks_in_previous_stage(f->ranks);
    return comm_receive(world, f->device, f->act.residual, residual_bytes(f, n_tokens), from, false,
                        err) ||
           error_in(err, "residual from rank %d", from);
}

bool forward_pass_on(struct forward *f, const struct step_plan *plan, struct error *err)
{
    if (f->model->share.is_last || plan->n_tokens == 0)
        return true;
    struct comm *world = f->ranks->world;
    const int to = ranks_in_next_stage(f->ranks);
    return comm_send(world, f->device, f->act.residual, residual_bytes(f, plan->n_tokens), to,
                     err) ||
           error_in(err, "residual to rank %d", to);
}

/* ---- layers ---- */

/* Each half of a layer: long enough, and no call of a communicator is so often. */
static void tick(const struct forward *f)
{
    watchdog_tick(f->ranks->watchdog);
    heart_look(f->ranks->settings.heart, false);
}

static bool run_layers(struct forward *f, const struct step_rows *rows, struct delta *delta,
                       struct error *err)
{
    const int n_tokens = rows->n.n_tokens;
    const struct span layers = f->model->share.layers;
    for (int layer = layers.lo; layer < layers.hi; layer++) {
        const struct layer_weights *weights = &f->model->layer[layer];
        tick(f);
        normalise(f, n_tokens, delta, &weights->input_norm);
        if (!attention_run(f, rows, layer, err))
            return error_in(err, "layer %d, attention", layer);
        *delta = (struct delta){
            .rows = f->act.parts, .bias = weights->o_bias, .norm = weights->attention_out_norm};

        tick(f);
        normalise(f, n_tokens, delta, &weights->mlp_norm);
        if (!mlp_run(f, n_tokens, layer, err))
            return error_in(err, "layer %d, mlp", layer);
        *delta = (struct delta){
            .rows = f->act.parts, .bias = weights->down_bias, .norm = weights->mlp_out_norm};
    }
    return true;
}

/* What the first norm of the next stage would do before it normalises, by a norm whose result
 * nobody reads: so the residual has the bits that it has where one stage runs all layers. */
static void add_last_delta(struct forward *f, int n_tokens, const struct delta *delta)
{
    normalise(f, n_tokens, delta, &f->model->layer[f->model->share.layers.lo].input_norm);
}

/* Tokens, or act->residual of the stage before -> act->residual after the layers, or logits. */
static bool run_stage(struct forward *f, const struct step_rows *rows, struct error *err)
{
    struct delta delta = {0};
    place_angles(f, rows);
    attention_prepare(f, rows);
    if (f->model->share.is_first && !vocabulary_embed(f, rows, err))
        return error_in(err, "embedding");
    if (!run_layers(f, rows, &delta, err))
        return false;
    if (f->model->share.is_last)
        return vocabulary_project(f, rows, &delta, err) || error_in(err, "logits");
    add_last_delta(f, rows->n.n_tokens, &delta);
    return true;
}

/* The first time as it is, then by the record. */
static bool run_bucket(struct forward *f, const struct step_rows *rows, struct bucket *bucket,
                       struct error *err)
{
    if (!bucket->is_warm) {
        bucket->is_warm = true;
        return run_stage(f, rows, err);
    }
    if (bucket->record == NULL) {
        comm_record_begin(f->ranks->tp, &bucket->calls);
        device_record_begin(f->device);
        const bool good = run_stage(f, rows, err);
        bucket->record = device_record_end(f->device);
        comm_record_end(f->ranks->tp);
        if (!good)
            return false;
        if (bucket->record == NULL)
            return device_sync(f->device, err); /* says why */
    }
    device_replay(f->device, bucket->record);
    comm_replayed(f->ranks->tp, &bucket->calls);
    return true;
}

bool forward_run(struct forward *f, const struct step_plan *plan, const struct step_view *view,
                 struct error *err)
{
    const struct model *model = f->model;
    struct step_rows rows;
    struct turn *turn;
    check(plan->n_tokens > 0 && plan->n_tokens <= f->limits.max_tokens);
    check(plan->n_logits <= f->limits.max_logits);
    if (plan->n_logits > 0 && !model->config.generates)
        return error_set(err, ERROR_INPUT, "logits are asked for, and this model (%s) has none",
                         model->config.architecture);
    if (!turns_begin(f, plan->n_tokens, &turn, err))
        return false;

    struct bucket *bucket = buckets_find(&f->buckets, plan);
    place_rows(f, plan, view, bucket, turn, &rows);
    copy_blocks(f, &rows);
    if (!model->share.is_first && !receive_residual(f, plan->n_tokens, err))
        return false;
    const int64_t begin = clock_now_ns();
    if (!(bucket != NULL ? run_bucket(f, &rows, bucket, err) : run_stage(f, &rows, err)))
        return false;
    if (!f->on_gpu)
        patience_learn(&f->patience, f->ranks, plan->n_tokens, f->limits.max_tokens,
                       clock_now_ns() - begin);
    turns_end(f, turn, plan, view, &rows);
    return true;
}
