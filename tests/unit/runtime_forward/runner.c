#include "tests/unit/runtime_forward/runner.h"

#include "base/error.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "runtime/model/model.h"

#include <string.h>

static int blocks_of(int n_tokens, int block_tokens)
{
    return (n_tokens + block_tokens - 1) / block_tokens;
}

static bool open_parts(struct runner *out, const struct setup *setup, void *memory, int rank,
                       struct error *err)
{
    const struct comm_settings settings = {.deadline_ns = 60LL * 1000 * 1000 * 1000};
    out->ranks = (struct ranks){.world_rank = rank,
                                .world_size = setup->tp_size,
                                .tp_rank = rank,
                                .tp_size = setup->tp_size,
                                .pp_stages = 1};
    const bool ok = setup->tp_size == 1 ? comm_open_self(&out->ranks.tp, err)
                                        : comm_open_shm(&out->ranks.tp, memory, rank,
                                                        setup->tp_size, &settings, err);
    if (!ok)
        return false;
    return (setup->ops ? device_open_cpu_ops(&out->device, setup->ops, setup->n_threads, 0, err)
                       : device_open_cpu(&out->device, NULL, setup->n_threads, 0, err)) &&
           model_open(&out->model, setup->folder, setup->dtype, rank, setup->tp_size, err);
}

bool runner_open(struct runner *out, const struct setup *setup, void *memory, int rank,
                 int max_tokens, int max_sequences, int max_model_len, struct error *err)
{
    *out = (struct runner){0};
    if (!open_parts(out, setup, memory, rank, err)) {
        runner_close(out);
        return false;
    }
    out->limits = (struct plan_limits){.max_tokens = max_tokens,
                                       .max_sequences = max_sequences,
                                       .max_logits = max_tokens,
                                       .block_tokens = setup->block_tokens,
                                       .n_kv_groups = 1,
                                       .n_kv_blocks = max_sequences *
                                                      blocks_of(max_model_len, setup->block_tokens),
                                       .max_model_len = max_model_len,
                                       .vocab = out->model->config.vocab};
    out->plan = memory_alloc(plan_max_bytes(&out->limits), 1);
    if (forward_create(&out->forward, out->model, out->device, &out->ranks, &out->limits,
                       setup->kv_dtype, err))
        return true;
    runner_close(out);
    return false;
}

void runner_close(struct runner *runner)
{
    forward_destroy(runner->forward);
    model_close(runner->model);
    device_close(runner->device);
    comm_close(runner->ranks.tp);
    memory_free(runner->plan);
    *runner = (struct runner){0};
}

/* Blocks from the end, the sequences in turn: neighbours in a sequence are no neighbours in memory.
 */
static int32_t block_at(const struct plan_limits *limits, int sequence, int i)
{
    return limits->n_kv_blocks - 1 - (i * limits->max_sequences + sequence);
}

static void make_plan(struct runner *runner, const struct feed *feeds, int n_feeds)
{
    const struct plan_limits *limits = &runner->limits;
    struct step_plan *plan = runner->plan;
    int n_tokens = 0, n_blocks = 0, n_logits = 0;
    for (int i = 0; i < n_feeds; i++) {
        n_tokens += feeds[i].n_new;
        n_logits += feeds[i].n_logits;
        n_blocks += blocks_of(feeds[i].n_computed + feeds[i].n_new, limits->block_tokens);
    }
    plan_begin(plan, ++runner->step);
    plan->n_tokens = n_tokens;
    plan->n_sequences = n_feeds;
    plan->n_blocks = n_blocks;
    plan->n_logits = n_logits;
    int32_t *token = plan_add(plan, PLAN_TOKEN, (size_t)n_tokens * sizeof *token);
    int32_t *first_row = plan_add(plan, PLAN_FIRST_ROW, ((size_t)n_feeds + 1) * sizeof *first_row);
    int32_t *n_computed = plan_add(plan, PLAN_N_COMPUTED, (size_t)n_feeds * sizeof *n_computed);
    int32_t *first_block =
        plan_add(plan, PLAN_FIRST_BLOCK, ((size_t)n_feeds + 1) * sizeof *first_block);
    int32_t *block = plan_add(plan, PLAN_BLOCK, (size_t)n_blocks * sizeof *block);
    int32_t *row = plan_add(plan, PLAN_LOGITS_ROW, (size_t)n_logits * sizeof *row);
    for (int i = 0; i < n_feeds; i++) {
        const struct feed *feed = &feeds[i];
        n_computed[i] = feed->n_computed;
        memcpy(token + first_row[i], feed->ids + feed->n_computed,
               (size_t)feed->n_new * sizeof *token);
        first_row[i + 1] = first_row[i] + feed->n_new;
        for (int r = feed->n_new - feed->n_logits; r < feed->n_new; r++)
            *row++ = first_row[i] + r;
        const int n = blocks_of(feed->n_computed + feed->n_new, limits->block_tokens);
        for (int b = 0; b < n; b++)
            *block++ = block_at(limits, feed->sequence, b);
        first_block[i + 1] = first_block[i] + n;
    }
}

bool runner_step(struct runner *runner, const struct feed *feeds, int n_feeds,
                 struct step_result *result, struct error *err)
{
    make_plan(runner, feeds, n_feeds);
    struct step_view view;
    return plan_check(runner->plan, runner->plan->n_bytes, &runner->limits, &view, err) &&
           forward_run(runner->forward, runner->plan, &view, result, err);
}
