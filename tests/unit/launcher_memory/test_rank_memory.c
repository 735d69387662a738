/* What is counted before a job begins is what it takes, and what its steps may ask for. */
#include "base/error.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "launcher/rank/memory.h"
#include "parallel/ranks.h"
#include "runtime/forward/forward.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"
#include "runtime/options/options.h"
#include "runtime/schedule/scheduler.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static struct options options_of(int64_t kv_bytes)
{
    return (struct options){.data_parallel_size = 1,
                            .max_num_seqs = 4,
                            .max_num_batched_tokens = 32,
                            .block_size = 16,
                            .enable_chunked_prefill = true,
                            .kv_cache_memory_bytes = kv_bytes,
                            .kv_cache_dtype = "auto"};
}

struct parts {
    struct model *model, *draft; /* draft NULL: none */
    struct device *device;
    struct ranks ranks;
    struct plan_limits limits;
    struct rank_memory memory;
};

static void open_golden_at(struct model **out, const char *name, const struct model_place *place)
{
    struct error err = {0};
    char folder[512];
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", SOURCE_DIR, name);
    CHECK(model_open(out, folder, "auto", place, &err));
}

static void open_golden(struct model **out, const char *name)
{
    open_golden_at(out, name, &model_place_alone);
}

static void open_parts(struct parts *out, const char *name)
{
    struct error err = {0};
    *out =
        (struct parts){.ranks = {.world_size = 1, .tp_size = 1, .pp_stages = 1, .local_size = 1}};
    CHECK(comm_open_self(&out->ranks.tp, &err));
    out->ranks.world = out->ranks.tp;
    CHECK(device_open_cpu(&out->device, NULL, 1, 0, &err));
    open_golden(&out->model, name);
}

static bool plan(struct parts *parts, const struct options *options, struct error *err)
{
    const struct kv_room room = rank_kv_room_cpu(options, parts->ranks.local_size);
    *err = (struct error){0};
    return rank_limits_make(&parts->limits, options, &parts->model->config, 0, err) &&
           rank_memory_plan(&parts->memory, &parts->limits, options, parts->model, parts->draft,
                            &room, &parts->ranks, err);
}

static void close_parts(struct parts *parts)
{
    model_close(parts->model);
    model_close(parts->draft);
    device_close(parts->device);
    comm_close(parts->ranks.tp);
}

static void plan_good(struct parts *parts, const struct options *options)
{
    struct error err;
    if (!plan(parts, options, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

static void create_forward(struct forward **out, const struct parts *parts,
                           const struct model *model, const struct plan_limits *limits)
{
    struct error err = {0};
    CHECK(forward_create(out,
                         &(struct forward_settings){.model = model,
                                                    .device = parts->device,
                                                    .ranks = &parts->ranks,
                                                    .limits = limits,
                                                    .kv_dtype = parts->memory.kv_dtype},
                         &err));
}

TEST(the_cache_takes_the_bytes_that_were_counted)
{
    static const char *const names[] = {"llama-16", "mistral-window", "qwen2-window",
                                        "gemma3-pattern"};
    static const char *const dtypes[] = {"auto", "bfloat16", "float32", "int8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
            struct parts parts;
            struct forward *forward;
            struct options options = options_of(100000);
            options.kv_cache_dtype = dtypes[d];
            options.max_num_seqs = 64;
            open_parts(&parts, names[i]);
            plan_good(&parts, &options);
            create_forward(&forward, &parts, parts.model, &parts.limits);
            CHECK_EQ((int64_t)forward->kv.n_bytes, parts.memory.kv_bytes);
            CHECK(parts.memory.kv_bytes <= 100000);
            const int64_t block = parts.memory.kv_bytes / parts.limits.n_kv_blocks;
            CHECK(parts.memory.kv_bytes + block > 100000); /* one more would not fit */
            forward_destroy(forward);
            close_parts(&parts);
        }
}

TEST(the_caches_of_a_model_and_its_draft_take_the_bytes_that_were_counted)
{
    static const char *const names[][2] = {{"llama-bf16", "llama-tiny"},
                                           {"gemma3-pattern", "qwen2-window"},
                                           {"mistral-window", "gemma3-pattern"}};
    static const char *const dtypes[] = {"auto", "int8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
            struct parts parts;
            struct forward *target, *draft;
            struct options options = options_of(100000);
            options.kv_cache_dtype = dtypes[d];
            open_parts(&parts, names[i][0]);
            open_golden(&parts.draft, names[i][1]);
            plan_good(&parts, &options);
            const struct plan_limits limits = scheduler_draft_limits(&parts.limits);
            create_forward(&target, &parts, parts.model, &parts.limits);
            create_forward(&draft, &parts, parts.draft, &limits);
            CHECK(draft->kv.n_bytes > 0);
            CHECK_EQ((int64_t)(target->kv.n_bytes + draft->kv.n_bytes), parts.memory.kv_bytes);
            CHECK_EQ((uint64_t)parts.memory.weight_bytes,
                     parts.model->weight_bytes + parts.draft->weight_bytes);
            forward_destroy(draft);
            forward_destroy(target);
            close_parts(&parts);
        }
}

/* Four sequences of 512 positions: all of them, and of a window of 20 what a step of 32 tokens can
 * see or write. */
TEST(no_more_blocks_are_taken_than_sequences_can_hold)
{
    struct parts parts;
    const struct options options = options_of(1 << 30);
    open_parts(&parts, "llama-16");
    plan_good(&parts, &options);
    CHECK_EQ(parts.limits.n_kv_blocks, 4 * 512 / 16);
    CHECK_EQ(parts.memory.kv_tokens, 4 * 512);
    close_parts(&parts);
    open_parts(&parts, "qwen2-window"); /* two windowed layers, one that sees all */
    plan_good(&parts, &options);
    CHECK_EQ(parts.limits.n_kv_groups, 3);
    CHECK_EQ(parts.limits.n_kv_blocks, 4 * (512 / 16 + 2 * (4 + 1)));
    CHECK_EQ(parts.memory.kv_tokens, 4 * 512);
    close_parts(&parts);
}

TEST(a_cache_that_holds_no_block_is_refused)
{
    struct parts parts;
    struct error err;
    const struct options options = options_of(100);
    open_parts(&parts, "llama-16");
    CHECK(!plan(&parts, &options, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "--kv-cache-memory-bytes 100"));
    close_parts(&parts);
}

TEST(plans_have_room_for_drafts_and_for_prompts)
{
    struct parts parts;
    struct error err = {0};
    struct options options = options_of(0);
    open_parts(&parts, "gemma3-pattern");
    const struct model_config *config = &parts.model->config;
    CHECK(rank_limits_make(&parts.limits, &options, config, 0, &err));
    CHECK_EQ(parts.limits.max_logits, 64);
    CHECK_EQ(parts.limits.max_copies, 4);
    CHECK_EQ(parts.limits.n_kv_groups, 4);
    CHECK_EQ(parts.limits.kv_window[0], 0);
    CHECK_EQ(parts.limits.kv_window[1], 20);
    options.max_num_seqs = 100;
    CHECK(rank_limits_make(&parts.limits, &options, config, 0, &err));
    CHECK_EQ(parts.limits.max_logits, 100);
    CHECK_EQ(parts.limits.max_copies, 100);
    options.max_num_seqs = 65536;
    CHECK(rank_limits_make(&parts.limits, &options, config, 0, &err));
    CHECK_EQ(parts.limits.max_copies, PLAN_MAX_COPIES);
    options.max_num_seqs = 1; /* which may share a block in each group */
    CHECK(rank_limits_make(&parts.limits, &options, config, 0, &err));
    CHECK_EQ(parts.limits.max_copies, 4);
    options.max_num_seqs = 100;
    CHECK(rank_limits_make(&parts.limits, &options, config, 5, &err));
    CHECK_EQ(parts.limits.max_logits, 100 + 5 * 32);
    options.max_num_seqs = 20;
    CHECK(rank_limits_make(&parts.limits, &options, config, 5, &err));
    CHECK_EQ(parts.limits.max_logits, 20 + 5 * 20);
    close_parts(&parts);
}

static void check_step(const struct plan_limits *limits, int n_sequences, int n_tokens)
{
    CHECK_EQ(limits->max_sequences, n_sequences);
    CHECK_EQ(limits->max_tokens, n_tokens);
}

TEST(steps_are_as_large_as_it_suits_what_computes_unless_their_size_is_given)
{
    enum { DRAFTS = 4 };
    static const int64_t small = 24000000000, large = 80000000000;
    struct parts parts;
    struct error err = {0};
    struct options options = options_of(0);
    struct plan_limits *limits = &parts.limits;
    options.max_num_seqs = options.max_num_batched_tokens = 0;
    open_parts(&parts, "llama-16");
    CHECK(rank_limits_make(limits, &options, &parts.model->config, DRAFTS, &err));
    check_step(limits, 64, 1024);
    rank_limits_for_gpus(limits, &options, DRAFTS, small);
    check_step(limits, 256, 2048);
    CHECK_EQ(limits->max_logits, 256 + DRAFTS * 32);
    CHECK_EQ(limits->max_copies, 256);
    rank_limits_for_gpus(limits, &options, DRAFTS, large);
    check_step(limits, 256, 8192);
    options.max_num_seqs = 3;
    rank_limits_for_gpus(limits, &options, DRAFTS, large);
    check_step(limits, 3, 8192);
    options.max_num_batched_tokens = 100;
    rank_limits_for_gpus(limits, &options, DRAFTS, large);
    check_step(limits, 3, 100);
    close_parts(&parts);
}

TEST(without_chunks_a_step_takes_the_longest_prompt)
{
    struct parts parts;
    struct error err = {0};
    struct options options = options_of(0);
    struct plan_limits *limits = &parts.limits;
    open_parts(&parts, "llama-16");
    const struct model_config *config = &parts.model->config;
    options.enable_chunked_prefill = false;
    options.max_model_len = 100;
    CHECK(!rank_limits_make(limits, &options, config, 0, &err)); /* steps of 32 are given */
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "--max-num-batched-tokens 32") != NULL);
    CHECK(strstr(err.text, "--max-model-len 100") != NULL);
    options.max_num_batched_tokens = 100;
    CHECK(rank_limits_make(limits, &options, config, 0, &err));
    check_step(limits, 4, 100);
    options.max_num_batched_tokens = 0;
    CHECK(rank_limits_make(limits, &options, config, 0, &err));
    check_step(limits, 4, 1024);
    limits->max_model_len = 5000;
    rank_limits_for_gpus(limits, &options, 0, 24000000000);
    check_step(limits, 4, 5000);
    close_parts(&parts);
}

/* ---- GPUs ---- */

static int64_t blocks_on_gpu(struct parts *parts, const struct options *options, int64_t gpu_bytes,
                             int64_t taken_bytes, struct error *err)
{
    const struct kv_room room = rank_kv_room_gpu(options, gpu_bytes, taken_bytes);
    int64_t n_blocks = 0;
    *err = (struct error){0};
    CHECK(rank_limits_make(&parts->limits, options, &parts->model->config, 0, err));
    return rank_kv_blocks(&n_blocks, &parts->limits, options, 1000, &room, err) ? n_blocks : 0;
}

TEST(the_cache_of_a_gpu_is_what_is_left_of_its_share)
{
    struct parts parts;
    struct error err;
    struct options options = options_of(0);
    open_parts(&parts, "llama-16");
    options.gpu_memory_utilization = 0.5;
    CHECK_EQ(blocks_on_gpu(&parts, &options, 100000, 20000, &err), 30);
    options.gpu_memory_utilization = 0.25;
    CHECK_EQ(blocks_on_gpu(&parts, &options, 100000, 20000, &err), 5);
    CHECK_EQ(blocks_on_gpu(&parts, &options, 100000, 24001, &err), 0);
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "of its 100 KB, --gpu-memory-utilization 0.25 allows 25 %, all but the "
                           "cache takes 24.0 KB, and a block 1.00 KB"));
    CHECK_EQ(blocks_on_gpu(&parts, &options, 100000, 99999, &err), 0); /* more than its share */
    close_parts(&parts);
}

TEST(the_cache_of_a_gpu_is_no_larger_than_sequences_can_hold)
{
    struct parts parts;
    struct error err;
    struct options options = options_of(0);
    open_parts(&parts, "llama-16");
    options.gpu_memory_utilization = 0.9;
    CHECK_EQ(blocks_on_gpu(&parts, &options, 1000000000, 0, &err), 4 * 512 / 16);
    options.kv_cache_memory_bytes = 7500; /* given: the share does not count */
    CHECK_EQ(blocks_on_gpu(&parts, &options, 1000000000, 0, &err), 7);
    CHECK_EQ(blocks_on_gpu(&parts, &options, 10000, 3000, &err), 7);
    CHECK_EQ(blocks_on_gpu(&parts, &options, 10000, 3001, &err), 0);
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "--kv-cache-memory-bytes: 7.00 KB do not fit on the GPU, of whose 10.0 "
                           "KB all but the cache takes 3.00 KB"));
    close_parts(&parts);
}

/* ---- pipeline stages ---- */

enum { N_STAGES = 2, STAGES_BYTES = 100000 };

struct stages {
    void *memory;
    bool with_draft;
    /* Of each stage. */
    int64_t block_bytes[N_STAGES], weight_bytes[N_STAGES];
    struct rank_memory planned[N_STAGES];
    int n_blocks[N_STAGES];
};

static bool plan_stage(void *context, int rank, struct error *err)
{
    struct stages *stages = context;
    const struct ranks_settings settings = {
        .tp_size = 1, .pp_stages = N_STAGES, .settings = {.deadline_ns = 10000000000}};
    const struct options options = options_of(STAGES_BYTES);
    struct parts parts = {0};
    if (!ranks_open_threads(&parts.ranks, stages->memory, rank, &settings, err))
        return false;
    CHECK(device_open_cpu(&parts.device, NULL, 1, 0, err));
    open_golden_at(&parts.model, "qwen2-window",
                   &(struct model_place){.tp_size = 1, .pp_stage = rank, .pp_stages = N_STAGES});
    if (stages->with_draft && rank == 0)
        open_golden(&parts.draft, "llama-tiny");
    const bool good = plan(&parts, &options, err);
    stages->planned[rank] = parts.memory;
    stages->n_blocks[rank] = parts.limits.n_kv_blocks;
    stages->block_bytes[rank] = parts.memory.kv_bytes / parts.limits.n_kv_blocks;
    stages->weight_bytes[rank] =
        (int64_t)(parts.model->weight_bytes + (parts.draft ? parts.draft->weight_bytes : 0));
    model_close(parts.model);
    model_close(parts.draft);
    device_close(parts.device);
    ranks_close(&parts.ranks, false);
    return good;
}

static struct stages plan_stages(bool with_draft)
{
    const size_t n_bytes = ranks_threads_bytes(1, N_STAGES);
    struct stages stages = {.memory = shared_memory_map(n_bytes), .with_draft = with_draft};
    check_ranks(N_STAGES, plan_stage, &stages);
    munmap(stages.memory, n_bytes);
    return stages;
}

TEST(stages_agree_on_the_blocks_of_the_one_that_holds_fewest)
{
    for (int with_draft = 0; with_draft < 2; with_draft++) {
        const struct stages stages = plan_stages(with_draft);
        const int64_t *block = stages.block_bytes;
        const int64_t largest = block[0] > block[1] ? block[0] : block[1];
        CHECK_EQ(stages.n_blocks[0], stages.n_blocks[1]);
        CHECK_EQ(stages.n_blocks[0], STAGES_BYTES / largest);
        CHECK_EQ(stages.planned[0].kv_tokens, stages.planned[1].kv_tokens);
        for (int s = 0; s < N_STAGES; s++)
            CHECK_EQ(stages.planned[s].weight_bytes,
                     stages.weight_bytes[0] + stages.weight_bytes[1]);
    }
}

TEST(a_draft_model_takes_memory_of_the_first_stage_alone)
{
    const struct stages without = plan_stages(false), with = plan_stages(true);
    CHECK(with.block_bytes[0] > without.block_bytes[0]);
    CHECK_EQ(with.block_bytes[1], without.block_bytes[1]);
    CHECK(with.n_blocks[0] < without.n_blocks[0]);
}
