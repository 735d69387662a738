/* Without --kv-cache-memory-bytes the cache holds DEFAULT_SEQUENCES of the greatest length, but no
 * more than a quarter of the memory that is free now, shared by the ranks of this host, those of
 * other replicas too. On a GPU, whose memory nobody else wants, it takes what is left of
 * --gpu-memory-utilization. */
#include "launcher/rank/memory.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/dtype.h"
#include "launcher/bytes_text.h"
#include "launcher/rank/bytes.h"
#include "parallel/ranks.h"
#include "runtime/forward/forward.h"
#include "runtime/forward/kv_groups.h"
#include "runtime/model/model.h"
#include "runtime/options/options.h"
#include "runtime/schedule/scheduler.h"

#include <string.h>

enum {
    DEFAULT_SEQUENCES = 16,
    MEMORY_SHARE = 4,
    MIN_LOGITS = 64, /* rows of a step: prompts whose log-probabilities are wanted have many */
    DRAFTED_SEQUENCES = 32, /* beyond so many, guesses take more time than they save */
};

/* Of a step, where the options do not say. A GPU is only busy with many rows; prompts of a large
 * one should not come in many pieces. */
struct step_size {
    int64_t n_sequences, n_tokens;
};
static const struct step_size of_cpus = {64, 1024}, of_gpus = {256, 2048},
                              of_large_gpus = {256, 8192};
static const int64_t large_gpu_bytes = 70LL * 1000 * 1000 * 1000;

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

static void set_step_size(struct plan_limits *out, const struct options *options, int n_drafts,
                          struct step_size chosen)
{
    if (options->max_num_seqs > 0)
        chosen.n_sequences = options->max_num_seqs;
    if (options->max_num_batched_tokens > 0)
        chosen.n_tokens = options->max_num_batched_tokens;
    else if (!options->enable_chunked_prefill)
        chosen.n_tokens = max_of(chosen.n_tokens, out->max_model_len);
    const int64_t n = chosen.n_sequences, n_drafted = n_drafts * min_of(n, DRAFTED_SEQUENCES);
    out->max_tokens = (int)chosen.n_tokens;
    out->max_sequences = (int)n;
    out->max_logits = (int)max_of(n + n_drafted, MIN_LOGITS);
    out->max_copies =
        (int)max_of(min_of(n, PLAN_MAX_COPIES), out->n_kv_groups); /* a sequence: one in each */
}

void rank_limits_for_gpus(struct plan_limits *limits, const struct options *options, int n_drafts,
                          int64_t gpu_bytes)
{
    set_step_size(limits, options, n_drafts,
                  gpu_bytes >= large_gpu_bytes ? of_large_gpus : of_gpus);
}

static bool refuse_step(const struct plan_limits *limits, struct error *err)
{
    return error_set(err, ERROR_INPUT,
                     "--max-num-batched-tokens %d is less than --max-model-len %d, and with "
                     "--no-enable-chunked-prefill a step has to take the longest prompt whole: "
                     "give more of the one or less of the other",
                     limits->max_tokens, limits->max_model_len);
}

bool rank_limits_make(struct plan_limits *out, const struct options *options,
                      const struct model_config *config, int n_drafts, struct error *err)
{
    const int64_t block = options->block_size;
    if (block < 16 || block > 256 || (block & (block - 1)) != 0)
        return error_set(err, ERROR_INPUT, "--block-size %lld: want 16, 32, 64, 128 or 256",
                         (long long)block);
    if (options->max_model_len > config->max_positions)
        return error_set(err, ERROR_INPUT, "--max-model-len %lld: this model has %d positions",
                         (long long)options->max_model_len, config->max_positions);
    struct kv_groups groups;
    kv_groups_make(&groups, config, false);
    *out = (struct plan_limits){
        .block_tokens = (int)block,
        .max_model_len =
            (int)(options->max_model_len ? options->max_model_len : config->max_positions),
        .vocab = config->vocab,
        .n_kv_groups = groups.n,
    };
    memcpy(out->kv_window, groups.window, sizeof out->kv_window);
    set_step_size(out, options, n_drafts, of_cpus);
    return options->enable_chunked_prefill || out->max_tokens >= out->max_model_len ||
           refuse_step(out, err);
}

int rank_kv_dtype(const struct options *options, const struct model *model)
{
    if (strcmp(options->kv_cache_dtype, "float32") == 0)
        return DTYPE_F32;
    if (strcmp(options->kv_cache_dtype, "bfloat16") == 0)
        return DTYPE_BF16;
    if (strcmp(options->kv_cache_dtype, "int8") == 0)
        return DTYPE_I8;
    return (int)model->compute;
}

int64_t rank_kv_blocks_of(const struct plan_limits *limits, int64_t n_positions)
{
    const int64_t all = kv_blocks_of(n_positions, limits->block_tokens);
    int64_t blocks = 0;
    for (int g = 0; g < limits->n_kv_groups; g++) {
        const int64_t seen = (int64_t)limits->kv_window[g] + limits->max_tokens;
        blocks += limits->kv_window[g] > 0
                      ? min_of(all, kv_blocks_of(seen, limits->block_tokens) + 1)
                      : all;
    }
    return blocks;
}

static int64_t blocks_of_sequence(const struct plan_limits *limits)
{
    return rank_kv_blocks_of(limits, limits->max_model_len);
}

int64_t rank_kv_block_bytes(const struct plan_limits *limits, int kv_dtype,
                            const struct model *model, const struct model *draft)
{
    const struct plan_limits draft_limits = scheduler_draft_limits(limits);
    return (int64_t)forward_kv_block_bytes(model, limits, kv_dtype) +
           (draft ? (int64_t)forward_kv_block_bytes(draft, &draft_limits, kv_dtype) : 0);
}

int64_t rank_kv_blocks_most(const struct plan_limits *limits)
{
    return min_of(blocks_of_sequence(limits) * limits->max_sequences,
                  INT32_MAX / limits->block_tokens);
}

struct kv_room rank_kv_room_cpu(const struct options *options, int ranks_of_host)
{
    const int64_t available = system_available_bytes();
    const int64_t ranks = ranks_of_host * options->data_parallel_size;
    return (struct kv_room){.n_bytes =
                                available > 0 ? available / MEMORY_SHARE / ranks : INT64_MAX};
}

struct kv_room rank_kv_room_gpu(const struct options *options, int64_t gpu_bytes,
                                int64_t taken_bytes)
{
    const int64_t may = (int64_t)((double)gpu_bytes * options->gpu_memory_utilization);
    return (struct kv_room){.n_bytes = may - taken_bytes,
                            .on_gpu = true,
                            .gpu_bytes = gpu_bytes,
                            .taken_bytes = taken_bytes};
}

static bool refuse_gpu(const struct options *options, const struct kv_room *room,
                       int64_t block_bytes, struct error *err)
{
    char all[BYTES_TEXT], taken[BYTES_TEXT], block[BYTES_TEXT];
    return error_set(
        err, ERROR_INPUT,
        "no KV block fits on the GPU: of its %s, --gpu-memory-utilization %.2f allows "
        "%.0f %%, all but the cache takes %s, and a block %s; try more ranks (-tp, -pp), "
        "a smaller --max-num-batched-tokens, or a larger share",
        bytes_text(all, room->gpu_bytes), options->gpu_memory_utilization,
        100 * options->gpu_memory_utilization, bytes_text(taken, room->taken_bytes),
        bytes_text(block, block_bytes));
}

static bool refuse_given(const struct options *options, const struct plan_limits *limits,
                         int64_t block_bytes, struct error *err)
{
    return error_set(
        err, ERROR_INPUT, "--kv-cache-memory-bytes %lld: one block of %d positions takes %lld",
        (long long)options->kv_cache_memory_bytes, limits->block_tokens, (long long)block_bytes);
}

/* Before it is asked for: the message of a GPU that has no more names no option. */
static bool given_fits(const struct kv_room *room, int64_t n_bytes, struct error *err)
{
    char cache[BYTES_TEXT], all[BYTES_TEXT], taken[BYTES_TEXT];
    if (!room->on_gpu || n_bytes <= room->gpu_bytes - room->taken_bytes)
        return true;
    return error_set(err, ERROR_INPUT,
                     "--kv-cache-memory-bytes: %s do not fit on the GPU, of whose %s all but the "
                     "cache takes %s",
                     bytes_text(cache, n_bytes), bytes_text(all, room->gpu_bytes),
                     bytes_text(taken, room->taken_bytes));
}

bool rank_kv_blocks(int64_t *out, const struct plan_limits *limits, const struct options *options,
                    int64_t block_bytes, const struct kv_room *room, struct error *err)
{
    const int64_t most = rank_kv_blocks_most(limits);
    const int64_t given = options->kv_cache_memory_bytes;
    if (given > 0) {
        *out = min_of(given / block_bytes, most);
        return (*out > 0 || refuse_given(options, limits, block_bytes, err)) &&
               given_fits(room, *out * block_bytes, err);
    }
    *out = max_of(min_of(room->n_bytes / block_bytes, most), 0);
    if (room->on_gpu)
        return *out > 0 || refuse_gpu(options, room, block_bytes, err);
    *out = max_of(min_of(*out, blocks_of_sequence(limits) * DEFAULT_SEQUENCES), 1);
    return true;
}

/* What a rank tells the others. */
struct share {
    int64_t n_blocks, weight_bytes;
};

static bool gather_shares(struct share *all, const struct share *mine, const struct ranks *ranks,
                          struct error *err)
{
    size_t *n_bytes = memory_alloc((size_t)ranks->world_size, sizeof *n_bytes);
    for (int i = 0; i < ranks->world_size; i++)
        n_bytes[i] = sizeof *mine;
    const bool good = comm_all_gather(ranks->world, NULL, all, mine, n_bytes, err);
    memory_free(n_bytes);
    return good;
}

int64_t rank_kv_tokens(const struct plan_limits *limits)
{
    const int64_t all = kv_blocks_of(limits->max_model_len, limits->block_tokens);
    return limits->n_kv_blocks * all * limits->block_tokens / blocks_of_sequence(limits);
}

static void tell(const struct rank_memory *memory, const struct plan_limits *limits)
{
    log_write(LOG_INFO, "rank", "kv cache: %d blocks of %d positions, %lld tokens, %.1f MiB a rank",
              limits->n_kv_blocks, limits->block_tokens, (long long)memory->kv_tokens,
              (double)memory->kv_bytes / (1 << 20));
    if (limits->n_kv_blocks < blocks_of_sequence(limits))
        log_write(LOG_INFO, "rank",
                  "kv cache: a sequence of the greatest length, %d, does not fit: give "
                  "--kv-cache-memory-bytes or a smaller --max-model-len",
                  limits->max_model_len);
}

bool rank_memory_plan(struct rank_memory *out, struct plan_limits *limits,
                      const struct options *options, const struct model *model,
                      const struct model *draft, const struct kv_room *room,
                      const struct ranks *ranks, struct error *err)
{
    const int kv_dtype = rank_kv_dtype(options, model);
    const int64_t block_bytes = rank_kv_block_bytes(limits, kv_dtype, model, draft);
    struct share mine = {.weight_bytes =
                             (int64_t)(model->weight_bytes + (draft ? draft->weight_bytes : 0))};
    struct error local = {0}; /* told to the others first: they wait for this rank's share */
    const bool fits = rank_kv_blocks(&mine.n_blocks, limits, options, block_bytes, room, &local);
    if (!fits)
        mine.n_blocks = 0;

    struct share *all = memory_alloc((size_t)ranks->world_size, sizeof *all);
    const bool good = gather_shares(all, &mine, ranks, err);
    int64_t n_blocks = mine.n_blocks, weight_bytes = 0;
    for (int i = 0; good && i < ranks->world_size; i++) {
        n_blocks = min_of(n_blocks, all[i].n_blocks);
        weight_bytes += all[i].weight_bytes;
    }
    memory_free(all);
    if (!good)
        return false;
    if (!fits)
        *err = local;
    else if (n_blocks == 0)
        error_set(err, ERROR_INPUT, "not even one KV block fits on another rank");
    if (n_blocks == 0)
        return false;
    limits->n_kv_blocks = (int)n_blocks;
    *out = (struct rank_memory){.kv_dtype = kv_dtype,
                                .kv_bytes = n_blocks * block_bytes,
                                .kv_tokens = rank_kv_tokens(limits),
                                .weight_bytes = weight_bytes};
    tell(out, limits);
    return true;
}
