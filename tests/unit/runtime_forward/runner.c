#include "tests/unit/runtime_forward/runner.h"

#include "base/error.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "runtime/forward/kv_groups.h"
#include "runtime/model/model.h"

#include <string.h>

int setup_stages(const struct setup *setup) { return setup->pp_stages ? setup->pp_stages : 1; }

static bool open_ranks(struct runner *out, const struct setup *setup, void *memory, int rank,
                       struct error *err)
{
    char unused; /* one rank has no memory to share */
    const int64_t minute_ns = 60LL * 1000 * 1000 * 1000;
    const struct ranks_settings settings = {
        .tp_size = setup->tp_size,
        .pp_stages = setup_stages(setup),
        .settings = {.deadline_ns = setup->deadline_ns ? setup->deadline_ns : minute_ns}};
    return ranks_open_threads(&out->ranks, memory ? memory : &unused, rank, &settings, err);
}

static bool open_model(struct runner *out, const struct setup *setup, struct error *err)
{
    const struct model_place place = {.tp_rank = out->ranks.tp_rank,
                                      .tp_size = out->ranks.tp_size,
                                      .pp_stage = out->ranks.pp_stage,
                                      .pp_stages = out->ranks.pp_stages,
                                      .on_gpu = setup->gpu != NULL,
                                      .one_leaf = setup->gpu != NULL && setup->gpu->fast};
    return model_open(&out->model, setup->folder, setup->dtype, &place, err);
}

static bool open_cpu(struct runner *out, const struct setup *setup, struct error *err)
{
    return setup->ops ? device_open_cpu_ops(&out->device, setup->ops, setup->n_threads, 0, err)
                      : device_open_cpu(&out->device, NULL, setup->n_threads, 0, err);
}

static bool open_gpu(struct runner *out, const struct gpu_setup *gpu, int max_tokens,
                     struct error *err)
{
    const size_t most_floats = (size_t)max_tokens * (size_t)out->model->config.hidden;
    return gpu_setup_open(&out->device, gpu, &out->ranks, most_floats, err) &&
           gpu_setup_load(out->model, out->device, err);
}

static bool open_parts(struct runner *out, const struct setup *setup, void *memory, int rank,
                       int max_tokens, struct error *err)
{
    return open_ranks(out, setup, memory, rank, err) && open_model(out, setup, err) &&
           (setup->gpu != NULL ? open_gpu(out, setup->gpu, max_tokens, err)
                               : open_cpu(out, setup, err));
}

bool runner_open(struct runner *out, const struct setup *setup, void *memory, int rank,
                 int max_tokens, int max_sequences, int max_model_len, struct error *err)
{
    *out = (struct runner){0};
    if (!open_parts(out, setup, memory, rank, max_tokens, err)) {
        runner_close(out);
        return false;
    }
    struct kv_groups groups;
    kv_groups_make(&groups, &out->model->config, setup->single_group);
    const int of_group = max_sequences * (int)kv_blocks_of(max_model_len, setup->block_tokens);
    out->limits = (struct plan_limits){.max_tokens = max_tokens,
                                       .max_sequences = max_sequences,
                                       .max_logits = max_tokens,
                                       .block_tokens = setup->block_tokens,
                                       .n_kv_groups = groups.n,
                                       .n_kv_blocks = 1 + groups.n * of_group,
                                       .max_model_len = max_model_len,
                                       .vocab = out->model->config.vocab,
                                       .max_copies = MAX_COPIES};
    memcpy(out->limits.kv_window, groups.window, sizeof out->limits.kv_window);
    out->plan = memory_alloc(plan_max_bytes(&out->limits), 1);
    const struct forward_settings settings = {.model = out->model,
                                              .device = out->device,
                                              .ranks = &out->ranks,
                                              .limits = &out->limits,
                                              .kv_dtype = setup->kv_dtype,
                                              .carries_tokens = setup->carries_tokens};
    if (forward_create(&out->forward, &settings, err))
        return true;
    runner_close(out);
    return false;
}

void runner_close(struct runner *runner)
{
    forward_destroy(runner->forward);
    model_close(runner->model);
    ranks_leave_gpu(&runner->ranks);
    device_close(runner->device);
    ranks_close(&runner->ranks, false);
    memory_free(runner->plan);
    *runner = (struct runner){0};
}

/* Blocks from the end, groups and sequences in turn: neighbours in a sequence are no neighbours in
 * memory. */
int32_t runner_block(const struct runner *runner, int group, int sequence, int i)
{
    const struct plan_limits *limits = &runner->limits;
    const int column = i * limits->max_sequences + sequence;
    return limits->n_kv_blocks - 1 - (column * limits->n_kv_groups + group);
}

/* The blocks of a sequence in one group. */
static int32_t *put_blocks(const struct runner *runner, const struct feed *feed, int group, int n,
                           int32_t *block)
{
    const int window = runner->limits.kv_window[group];
    const int first_seen = window > 0 ? feed->n_computed - window + 1 : 0;
    for (int b = 0; b < n; b++) {
        const bool seen = (b + 1) * runner->limits.block_tokens > first_seen;
        *block++ = seen ? runner_block(runner, group, feed->sequence, b) : 0;
    }
    return block;
}

static int32_t *put_rows(int32_t *row, int end, int n)
{
    for (int r = end - n; r < end; r++)
        *row++ = r;
    return row;
}

static void count(struct runner *runner, const struct feed *feeds, int n_feeds)
{
    struct step_plan *plan = runner->plan;
    plan_begin(plan, ++runner->step);
    plan->n_sequences = n_feeds;
    for (int i = 0; i < n_feeds; i++) {
        plan->n_tokens += feeds[i].n_new;
        plan->n_logits += feeds[i].n_logits;
        plan->n_hidden += feeds[i].n_hidden;
        plan->n_blocks +=
            (int)kv_blocks_of(feeds[i].n_computed + feeds[i].n_new, runner->limits.block_tokens);
    }
    plan->n_copies = runner->n_copies;
}

static int32_t *add(struct step_plan *plan, enum plan_tag tag, int n)
{
    return plan_add(plan, tag, (size_t)n * sizeof(int32_t));
}

static void make_plan(struct runner *runner, const struct feed *feeds, int n_feeds)
{
    const struct plan_limits *limits = &runner->limits;
    struct step_plan *plan = runner->plan;
    count(runner, feeds, n_feeds);
    int32_t *token = add(plan, PLAN_TOKEN, plan->n_tokens);
    int32_t *first_row = add(plan, PLAN_FIRST_ROW, n_feeds + 1);
    int32_t *n_computed = add(plan, PLAN_N_COMPUTED, n_feeds);
    int32_t *first_block = add(plan, PLAN_FIRST_BLOCK, n_feeds + 1);
    int32_t *block = add(plan, PLAN_BLOCK, plan->n_blocks * limits->n_kv_groups);
    int32_t *row = add(plan, PLAN_LOGITS_ROW, plan->n_logits);
    int32_t *hidden_row = add(plan, PLAN_HIDDEN_ROW, plan->n_hidden);
    memcpy(add(plan, PLAN_COPY, 2 * runner->n_copies), runner->copy,
           (size_t)runner->n_copies * sizeof runner->copy[0]);
    runner->n_copies = 0;
    for (int i = 0; i < n_feeds; i++) {
        const struct feed *feed = &feeds[i];
        n_computed[i] = feed->n_computed;
        memcpy(token + first_row[i], feed->ids + feed->n_computed,
               (size_t)feed->n_new * sizeof *token);
        first_row[i + 1] = first_row[i] + feed->n_new;
        first_block[i + 1] = first_block[i] + (int)kv_blocks_of(feed->n_computed + feed->n_new,
                                                                limits->block_tokens);
        row = put_rows(row, first_row[i + 1], feed->n_logits);
        hidden_row = put_rows(hidden_row, first_row[i + 1], feed->n_hidden);
    }
    for (int g = 0; g < limits->n_kv_groups; g++)
        for (int i = 0; i < n_feeds; i++)
            block = put_blocks(runner, &feeds[i], g, first_block[i + 1] - first_block[i], block);
}

bool runner_step(struct runner *runner, const struct feed *feeds, int n_feeds,
                 struct step_result *result, struct error *err)
{
    make_plan(runner, feeds, n_feeds);
    struct step_view view;
    return plan_check(runner->plan, runner->plan->n_bytes, &runner->limits, 0, &view, err) &&
           forward_run(runner->forward, runner->plan, &view, err) &&
           forward_pass_on(runner->forward, runner->plan, err) &&
           forward_collect(runner->forward, result, err);
}
