/* The program of a step.
 *
 * Memory is taken once, for the largest plan of the job, and cut by activations_cut(): called with
 * no memory it only counts. */
#include "runtime/forward/forward.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/device.h"
#include "parallel/comm.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

enum { ALIGN = 64 };

struct cut {
    char *base; /* NULL: only count */
    size_t used;
};

static void *take(struct cut *cut, size_t n_items, size_t item_bytes)
{
    char *const p = cut->base ? cut->base + cut->used : NULL;
    cut->used += (n_items * item_bytes + ALIGN - 1) / ALIGN * ALIGN;
    return p;
}

static void *take_operand(struct cut *cut, enum dtype dtype, int n_tokens,
                          const struct leaves *leaves)
{
    return take(cut, operand_bytes(dtype, n_tokens, leaves), 1);
}

static void take_attention(struct activations *act, struct cut *cut, const struct model *model,
                           int n_tokens)
{
    const size_t n = (size_t)n_tokens, head_dim = (size_t)model->config.head_dim;
    const size_t q = n * (size_t)span_length(model->share.heads) * head_dim;
    const size_t kv = n * (size_t)span_length(model->share.kv_heads) * head_dim;
    act->qkv = take(cut, q + 2 * kv, sizeof *act->qkv);
    act->q_rotated = take(cut, q, sizeof(float)); /* of either dtype */
    act->attended = take_operand(cut, model->compute, n_tokens, &model->share.attention_leaves);
}

static void take_mlp(struct activations *act, struct cut *cut, const struct model *model,
                     int n_tokens)
{
    const size_t n = (size_t)n_tokens * (size_t)span_length(model->share.ffn);
    act->gate_up = take(cut, 2 * n, sizeof *act->gate_up);
    act->gated = take_operand(cut, model->compute, n_tokens, &model->share.mlp_leaves);
}

static void take_logits(struct activations *act, struct cut *cut, const struct model *model,
                        const struct ranks *ranks, int max_logits)
{
    if (!model->share.is_last)
        return;
    const size_t n = (size_t)max_logits * (size_t)model->config.vocab;
    act->logits_parts = ranks->tp_size > 1 ? take(cut, n, sizeof *act->logits_parts) : NULL;
    act->logits = ranks->tp_rank == 0 ? take(cut, n, sizeof *act->logits) : NULL;
}

/* Returns the bytes of all. */
static size_t activations_cut(struct activations *act, void *memory, const struct model *model,
                              const struct ranks *ranks, const struct plan_limits *limits)
{
    struct cut cut = {.base = memory};
    *act = (struct activations){0};
    const struct model_config *config = &model->config;
    const struct leaves all = leaves_one(config->hidden);
    const size_t n = (size_t)limits->max_tokens, hidden = (size_t)config->hidden;
    const int attention_parts = model->share.attention_leaves.n_parts;
    const int mlp_parts = model->share.mlp_leaves.n_parts;
    const size_t n_parts = (size_t)(attention_parts > mlp_parts ? attention_parts : mlp_parts);
    const int max_rows = model->share.is_last && limits->max_logits > limits->max_tokens
                             ? limits->max_logits
                             : limits->max_tokens;

    act->position = take(&cut, n, sizeof *act->position);
    act->slot = take(&cut, n * (size_t)limits->n_kv_groups, sizeof *act->slot);
    act->cos_sin = take(&cut, (size_t)config->n_ropes * n * 2 * (size_t)config->rope_half,
                        sizeof *act->cos_sin);
    act->residual = take(&cut, n * hidden, sizeof *act->residual);
    act->normed = take_operand(&cut, model->compute, max_rows, &all);
    act->parts = take(&cut, n_parts * n * hidden, sizeof *act->parts);
    take_logits(act, &cut, model, ranks, limits->max_logits);

    struct cut attention = cut, mlp = cut; /* one place, used in turn */
    take_attention(act, &attention, model, limits->max_tokens);
    take_mlp(act, &mlp, model, limits->max_tokens);
    return attention.used > mlp.used ? attention.used : mlp.used;
}

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

size_t forward_activation_bytes(const struct model *model, const struct ranks *ranks,
                                const struct plan_limits *limits)
{
    struct activations act;
    return activations_cut(&act, NULL, model, ranks, limits);
}

struct forward_bytes forward_bytes(const struct forward *f)
{
    return (struct forward_bytes){.activations = f->memory_bytes, .kv = f->kv.n_bytes};
}

static bool create(struct forward *f, int kv_dtype, struct error *err)
{
    const struct plan_limits *limits = &f->limits;
    f->gather_bytes = memory_alloc((size_t)f->ranks->tp_size, sizeof *f->gather_bytes);
    f->memory_bytes = forward_activation_bytes(f->model, f->ranks, limits);
    if (!device_alloc(f->device, &f->memory, f->memory_bytes, err))
        return error_in(err, "activations of %zu MB (%d tokens a step, %d rows of logits)",
                        f->memory_bytes >> 20, limits->max_tokens, limits->max_logits);
    activations_cut(&f->act, f->memory, f->model, f->ranks, limits);
    return kv_store_init(&f->kv, f->model, f->device, f->groups.layers_per_block,
                         limits->n_kv_blocks, limits->block_tokens, (enum dtype)kv_dtype, err);
}

bool forward_create(struct forward **out, const struct model *model, struct device *device,
                    const struct ranks *ranks, const struct plan_limits *limits, int kv_dtype,
                    struct error *err)
{
    check(kv_dtype == DTYPE_BF16 || kv_dtype == DTYPE_F32 || kv_dtype == DTYPE_I8);
    check(limits->max_tokens > 0 && limits->vocab == model->config.vocab);
    check(limits->max_model_len <= model->config.max_positions);
    check(model->share.is_first == (ranks->pp_stage == 0));
    check(model->share.is_last == (ranks->pp_stage == ranks->pp_stages - 1));
    struct forward *f = memory_alloc(1, sizeof *f);
    f->model = model;
    f->device = device;
    f->ranks = ranks;
    f->limits = *limits;
    groups_of_stage(&f->groups, model, limits);
    if (!create(f, kv_dtype, err)) {
        forward_destroy(f);
        return false;
    }
    *out = f;
    return true;
}

void forward_destroy(struct forward *f)
{
    if (f == NULL)
        return;
    kv_store_release(&f->kv);
    if (f->memory != NULL)
        device_free(f->device, f->memory, f->memory_bytes);
    memory_free(f->gather_bytes);
    memory_free(f);
}

static void place_rows(struct forward *f, const struct step_plan *plan,
                       const struct step_view *view)
{
    const struct model_config *config = &f->model->config;
    step_view_rows(plan, view, &f->limits, f->act.position, f->act.slot);
    for (int i = 0; i < config->n_ropes; i++)
        op_rope_angles(f->device, &(struct rope_angles_args){
                                      .cos_sin = cos_sin_of(f, plan->n_tokens, i),
                                      .position = f->act.position,
                                      .inv_freq = f->model->rope_inv_freq + i * config->rope_half,
                                      .n_tokens = plan->n_tokens,
                                      .half = config->rope_half,
                                      .scale = config->rope[i].scale});
}

/* A block belongs to one group, and all its places are copied: those that a smaller group does not
 * use are of nobody. */
static void copy_blocks(struct forward *f, const struct step_plan *plan,
                        const struct step_view *view)
{
    for (int i = 0; plan->n_copies > 0 && i < f->kv.n_places; i++)
        op_copy_blocks(f->device, &(struct copy_blocks_args){.cache = &f->kv.place[i],
                                                             .pair = view->copy,
                                                             .n_pairs = plan->n_copies});
}

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

static bool run_layers(struct forward *f, const struct step_plan *plan,
                       const struct step_view *view, struct delta *delta, struct error *err)
{
    const struct span layers = f->model->share.layers;
    for (int layer = layers.lo; layer < layers.hi; layer++) {
        const struct layer_weights *weights = &f->model->layer[layer];
        watchdog_tick(f->ranks->watchdog);
        normalise(f, plan->n_tokens, delta, &weights->input_norm);
        if (!attention_run(f, plan, view, layer, err))
            return error_in(err, "layer %d, attention", layer);
        *delta = (struct delta){
            .rows = f->act.parts, .bias = weights->o_bias, .norm = weights->attention_out_norm};

        normalise(f, plan->n_tokens, delta, &weights->mlp_norm);
        if (!mlp_run(f, plan, layer, err))
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

/* act->residual -> the same after the layers, or the result. */
static bool run_stage(struct forward *f, const struct step_plan *plan, const struct step_view *view,
                      struct step_result *result, struct error *err)
{
    struct delta delta = {0};
    if (!run_layers(f, plan, view, &delta, err))
        return false;
    if (f->model->share.is_last)
        return vocabulary_project(f, plan, view, &delta, result, err) || error_in(err, "logits");
    add_last_delta(f, plan->n_tokens, &delta);
    return true;
}

bool forward_run(struct forward *f, const struct step_plan *plan, const struct step_view *view,
                 struct step_result *result, struct error *err)
{
    const struct model *model = f->model;
    const int n_tokens = plan->n_tokens;
    check(n_tokens <= f->limits.max_tokens && plan->n_logits <= f->limits.max_logits);
    if (plan->n_logits > 0 && !model->config.generates)
        return error_set(err, ERROR_INPUT, "logits are asked for, and this model (%s) has none",
                         model->config.architecture);
    *result =
        (struct step_result){.vocab = model->config.vocab, .hidden_size = model->config.hidden};
    if (n_tokens == 0)
        return true;

    copy_blocks(f, plan, view);
    place_rows(f, plan, view);
    if (model->share.is_first) {
        if (!vocabulary_embed(f, plan, view, err))
            return error_in(err, "embedding");
    } else if (!receive_residual(f, n_tokens, err))
        return false;
    const int64_t begin = clock_now_ns();
    if (!run_stage(f, plan, view, result, err))
        return false;
    patience_learn(&f->patience, f->ranks, n_tokens, f->limits.max_tokens, clock_now_ns() - begin);
    return true;
}
