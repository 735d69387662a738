/* The weights of a pipeline stage: those of its layers, and of the ends of the model that it has.
 */
#include "base/error.h"
#include "base/system.h"
#include "kernels/dtype.h"
#include "runtime/model/model.h"
#include "runtime/model/weights.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/small_model.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static const char *const layer_tensors[] = {
    "input_layernorm.weight",  "self_attn.q_proj.weight", "self_attn.k_proj.weight",
    "self_attn.v_proj.weight", "self_attn.o_proj.weight", "post_attention_layernorm.weight",
    "mlp.gate_proj.weight",    "mlp.up_proj.weight",      "mlp.down_proj.weight"};
enum { N_LAYER_TENSORS = sizeof layer_tensors / sizeof *layer_tensors };

/* The small model with two layers; `more`: other keys of its config. */
static struct small_model make_two_layers(const char *more)
{
    struct small_model small = small_make("BF16");
    char keys[256];
    for (int i = 0; i < N_LAYER_TENSORS; i++) {
        char name[96];
        snprintf(name, sizeof name, "model.layers.0.%s", layer_tensors[i]);
        const struct small_tensor like = *small_find(&small, name);
        snprintf(name, sizeof name, "model.layers.1.%s", layer_tensors[i]);
        small_add(&small, name, "BF16", like.shape[0], like.n_dims == 2 ? like.shape[1] : 0);
    }
    snprintf(keys, sizeof keys, "\"num_hidden_layers\": 2%s%s", *more ? ", " : "", more);
    small_write_config(&small, keys);
    return small;
}

static void write_tensors(const struct small_model *small)
{
    small_write_tensors(small, "model.safetensors", 0, small->n_tensors);
}

static struct model *open_stage(const char *folder, int stage, int pp_stages)
{
    struct model *model = NULL;
    struct error err = {0};
    const struct model_place place = {.tp_size = 1, .pp_stage = stage, .pp_stages = pp_stages};
    if (!model_open(&model, folder, "auto", &place, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return model;
}

/* The weight has the numbers of the tensor of this name, from its begin. */
static void check_weight(struct small_model *small, const struct weight *weight, const char *name)
{
    const int number = (int)(small_find(small, name) - small->tensor);
    CHECK(weight->data != NULL && weight->dtype == DTYPE_BF16);
    for (int i = 0; i < 64; i++)
        CHECK(bf16_to_f32(((const bf16 *)weight->data)[i]) == small_value(number, i));
}

static void check_layer(struct small_model *small, const struct model *model, int layer, bool here)
{
    const struct layer_weights *weights = &model->layer[layer];
    if (!here) {
        CHECK(weights->input_norm.data == NULL && weights->q_proj.data == NULL);
        CHECK(weights->down_proj.data == NULL);
        return;
    }
    char name[96];
    snprintf(name, sizeof name, "model.layers.%d.input_layernorm.weight", layer);
    check_weight(small, &weights->input_norm, name);
    snprintf(name, sizeof name, "model.layers.%d.mlp.down_proj.weight", layer);
    check_weight(small, &weights->down_proj, name);
}

TEST(a_stage_has_its_layers_and_its_end_of_the_model)
{
    for (int pad = 0; pad < 2; pad++) { /* in place, and as copies */
        struct small_model small = make_two_layers("");
        small.header_pad = pad;
        write_tensors(&small);
        for (int stage = 0; stage < 2; stage++) {
            struct model *model = open_stage(small.folder.path, stage, 2);
            CHECK_EQ(model->embed_tokens.data != NULL, stage == 0);
            CHECK_EQ(model->norm.data != NULL, stage == 1);
            CHECK_EQ(model->lm_head.data != NULL, stage == 1);
            if (stage == 0)
                check_weight(&small, &model->embed_tokens, "model.embed_tokens.weight");
            else
                check_weight(&small, &model->lm_head, "lm_head.weight");
            for (int layer = 0; layer < 2; layer++)
                check_layer(&small, model, layer, layer == stage);
            CHECK(pad == 0 ? model->copied_bytes == 0 : model->copied_bytes >= model->weight_bytes);
            model_close(model);
        }
        small_remove(&small);
    }
}

TEST(an_embedding_that_is_the_head_too_is_on_both_ends)
{
    struct small_model small = make_two_layers("\"tie_word_embeddings\": true");
    small_drop(&small, "lm_head.weight");
    write_tensors(&small);
    for (int stage = 0; stage < 2; stage++) {
        struct model *model = open_stage(small.folder.path, stage, 2);
        check_weight(&small, &model->embed_tokens, "model.embed_tokens.weight");
        if (stage == 1)
            check_weight(&small, &model->lm_head, "model.embed_tokens.weight");
        model_close(model);
    }
    small_remove(&small);
}

TEST(every_stage_refuses_a_tensor_that_is_missing_in_another)
{
    static const char *const names[] = {"model.layers.0.mlp.up_proj.weight",
                                        "model.layers.1.self_attn.q_proj.weight",
                                        "model.norm.weight", "lm_head.weight"};
    for (int i = 0; i < 4; i++) {
        struct small_model small = make_two_layers("");
        small_drop(&small, names[i]);
        write_tensors(&small);
        for (int stage = 0; stage < 2; stage++) {
            struct model *model = NULL;
            struct error err = {0};
            const struct model_place place = {.tp_size = 1, .pp_stage = stage, .pp_stages = 2};
            CHECK(!model_open(&model, small.folder.path, "auto", &place, &err));
            CHECK_EQ(err.kind, ERROR_INPUT);
            CHECK(strstr(err.text, names[i]) && strstr(err.text, "is missing"));
        }
        small_remove(&small);
    }
}

TEST(too_many_stages_are_refused_before_the_weights_are_looked_for)
{
    struct small_model small = make_two_layers(""); /* and no weights */
    struct model *model = NULL;
    struct error err = {0};
    const struct model_place place = {.tp_size = 1, .pp_stages = 3};
    CHECK(!model_open(&model, small.folder.path, "auto", &place, &err));
    CHECK(strstr(err.text, "pipeline parallel size 3") && strstr(err.text, "nearest size is 2"));
    small_remove(&small);
}

/* The file with a NaN in a tensor of layer 1. */
static void spoil_second_layer(const struct small_model *small)
{
    struct model *model = open_stage(small->folder.path, 1, 2);
    const uint8_t *data = model->layer[1].up_proj.data;
    const long at = (long)(data - model->files->checkpoint.file[0].map.data);
    model_close(model);
    const struct file_path path = folder_path(&small->folder, "model.safetensors");
    const uint16_t nan = 0x7fc0;
    FILE *file = fopen(path.text, "r+b");
    CHECK(file != NULL && fseek(file, at, SEEK_SET) == 0);
    CHECK(fwrite(&nan, sizeof nan, 1, file) == 1 && fclose(file) == 0);
}

TEST(check_weights_reads_those_of_its_own_stage)
{
    struct small_model small = make_two_layers("");
    write_tensors(&small);
    spoil_second_layer(&small);
    for (int stage = 0; stage < 2; stage++) {
        struct model *model = open_stage(small.folder.path, stage, 2);
        struct error err = {0};
        CHECK_EQ(model_check_weights(model, &err), stage == 0);
        CHECK(stage == 0 || strstr(err.text, "tensor model.layers.1.mlp.up_proj.weight has a NaN"));
        model_close(model);
    }
    small_remove(&small);
}

static uint64_t bytes_of(const struct weight *weight, int64_t n_rows, int64_t n_columns)
{
    return (uint64_t)(n_rows * n_columns) * dtype_bytes(weight->dtype);
}

/* What more than one stage has: an embedding that is the head too, the head of scores. */
static uint64_t shared_bytes(const struct model *whole, int pp_stages)
{
    const struct model_config *config = &whole->config;
    uint64_t n_bytes = 0;
    if (pp_stages > 1 && config->tied && config->generates)
        n_bytes += bytes_of(&whole->embed_tokens, config->vocab, config->hidden);
    const uint64_t more = (uint64_t)pp_stages - 1;
    if (whole->score.data != NULL)
        n_bytes += more * bytes_of(&whole->score, config->n_labels, config->hidden);
    if (whole->score_bias.data != NULL)
        n_bytes += more * bytes_of(&whole->score_bias, config->n_labels, 1);
    return n_bytes;
}

TEST(the_weights_of_all_stages_are_those_of_the_model)
{
    DIR *goldens = opendir(SOURCE_DIR "/tests/golden");
    CHECK(goldens != NULL);
    int n_models = 0;
    for (const struct dirent *entry; (entry = readdir(goldens)) != NULL;) {
        char folder[512], config[600];
        snprintf(folder, sizeof folder, "%s/tests/golden/%.200s", SOURCE_DIR, entry->d_name);
        snprintf(config, sizeof config, "%s/config.json", folder);
        if (!file_exists(config))
            continue;
        n_models++;
        struct model *whole = open_stage(folder, 0, 1);
        for (int pp = 1; pp <= whole->config.n_layers; pp++) {
            uint64_t n_bytes = 0;
            for (int stage = 0; stage < pp; stage++) {
                struct model *model = open_stage(folder, stage, pp);
                n_bytes += model->weight_bytes;
                model_close(model);
            }
            CHECK_EQ(n_bytes, whole->weight_bytes + shared_bytes(whole, pp));
        }
        model_close(whole);
    }
    closedir(goldens);
    CHECK(n_models >= 25);
}
