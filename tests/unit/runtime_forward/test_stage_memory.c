/* What a stage stores: the KV places of its own layers, rows of logits only where they come out. */
#include "base/error.h"
#include "base/memory.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "parallel/ranks.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

enum { N_BLOCKS = 7 };

struct stage {
    struct model *model;
    struct ranks ranks; /* without communicators: nothing runs */
    struct plan_limits limits;
    struct forward *forward;
};

static struct stage stage_open(struct device *device, const char *name,
                               const struct model_place *place)
{
    struct stage stage = {.ranks = {.tp_rank = place->tp_rank,
                                    .tp_size = place->tp_size,
                                    .pp_stage = place->pp_stage,
                                    .pp_stages = place->pp_stages}};
    struct error err = {0};
    struct kv_groups groups;
    char folder[512];
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", SOURCE_DIR, name);
    CHECK(model_open(&stage.model, folder, "bfloat16", place, &err));
    kv_groups_make(&groups, &stage.model->config, false);
    stage.limits = (struct plan_limits){.max_tokens = 8,
                                        .max_sequences = 2,
                                        .max_logits = 16,
                                        .block_tokens = 16,
                                        .n_kv_groups = groups.n,
                                        .n_kv_blocks = N_BLOCKS,
                                        .max_model_len = 32,
                                        .vocab = stage.model->config.vocab};
    memcpy(stage.limits.kv_window, groups.window, sizeof groups.window);
    const struct forward_settings settings = {.model = stage.model,
                                              .device = device,
                                              .ranks = &stage.ranks,
                                              .limits = &stage.limits,
                                              .kv_dtype = DTYPE_BF16};
    CHECK(forward_create(&stage.forward, &settings, &err));
    return stage;
}

static void stage_close(struct stage *stage)
{
    forward_destroy(stage->forward);
    model_close(stage->model);
}

static struct device *device_of_test(void)
{
    struct device *device;
    struct error err = {0};
    CHECK(device_open_cpu(&device, NULL, 1, 0, &err));
    return device;
}

/* The most layers of one group that are among those of the stage. */
static int most_of_a_group(const struct model_config *config, struct span layers)
{
    struct kv_groups groups;
    int n[KV_MAX_GROUPS] = {0}, most = 0;
    kv_groups_make(&groups, config, false);
    for (int i = layers.lo; i < layers.hi; i++)
        if (++n[groups.of_layer[i]] > most)
            most = n[groups.of_layer[i]];
    return most;
}

static void check_stage(struct device *device, const char *name, const struct model_place *place)
{
    struct stage stage = stage_open(device, name, place);
    const struct forward *f = stage.forward;
    const struct model_share *share = &stage.model->share;
    const size_t block = forward_kv_block_bytes(stage.model, &stage.limits, DTYPE_BF16);
    CHECK_EQ(f->kv.n_places, most_of_a_group(&stage.model->config, share->layers));
    CHECK_EQ(f->kv.n_bytes, N_BLOCKS * block);
    CHECK_EQ(block, (size_t)f->kv.n_places * 2 * 16 * (size_t)span_length(share->kv_heads) *
                        (size_t)stage.model->config.head_dim * sizeof(bf16));
    CHECK_EQ(f->memory_bytes, forward_activation_bytes(stage.model, &stage.ranks, &stage.limits));
    CHECK_EQ(f->act.logits != NULL, share->is_last && place->tp_rank == 0);
    CHECK_EQ(f->act.logits_parts != NULL, share->is_last && place->tp_size > 1);
    stage_close(&stage);
}

TEST(a_stage_has_places_for_its_layers_and_logits_where_they_come_out)
{
    static const char *const names[] = {"llama-16", "mistral-window", "qwen2-window",
                                        "gemma2-capped", "gemma3-pattern"};
    struct device *device = device_of_test();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stage whole = stage_open(device, names[i], &model_place_alone);
        const int n_layers = whole.model->config.n_layers;
        stage_close(&whole);
        for (int tp = 1; tp <= 2; tp++)
            for (int pp = 1; pp <= n_layers; pp++)
                for (int rank = 0; rank < tp * pp; rank++)
                    check_stage(device, names[i],
                                &(struct model_place){.tp_rank = rank % tp,
                                                      .tp_size = tp,
                                                      .pp_stage = rank / tp,
                                                      .pp_stages = pp});
    }
    device_close(device);
}

TEST(the_blocks_of_all_stages_of_one_group_take_what_those_of_one_rank_take)
{
    struct device *device = device_of_test();
    struct stage whole = stage_open(device, "llama-16", &model_place_alone);
    size_t n_bytes = 0;
    for (int s = 0; s < 2; s++) {
        struct stage stage = stage_open(
            device, "llama-16", &(struct model_place){.tp_size = 1, .pp_stage = s, .pp_stages = 2});
        n_bytes += stage.forward->kv.n_bytes;
        stage_close(&stage);
    }
    CHECK_EQ(n_bytes, whole.forward->kv.n_bytes);
    stage_close(&whole);
    device_close(device);
}

/* 16 rows of logits of a vocabulary that is much larger than the hidden size. */
TEST(a_stage_before_the_last_has_no_memory_for_logits)
{
    struct device *device = device_of_test();
    struct stage stage[2];
    for (int s = 0; s < 2; s++)
        stage[s] = stage_open(device, "llama-16",
                              &(struct model_place){.tp_size = 1, .pp_stage = s, .pp_stages = 2});
    const size_t logits = 16 * (size_t)stage[0].limits.vocab * sizeof(float);
    CHECK(stage[0].forward->memory_bytes + logits <= stage[1].forward->memory_bytes);
    for (int s = 0; s < 2; s++)
        stage_close(&stage[s]);
    device_close(device);
}
