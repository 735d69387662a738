/* What lies on the stack of layers: a vocabulary, scores, a value, or nothing; and tensors that
 * hold several weights. */
#include "base/error.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/small_model.h"

#include <stdio.h>
#include <string.h>

static void write_as(const struct small_model *small, const char *architecture, const char *keys)
{
    char text[256];
    snprintf(text, sizeof text, "\"architectures\": [\"%s\"]%s%s", architecture,
             keys[0] ? ", " : "", keys);
    small_write_config(small, text);
    small_write_tensors(small, "model.safetensors", 0, small->n_tensors);
}

static struct model *open_rank(const struct small_model *small, int rank, int size)
{
    struct model *model = NULL;
    struct error err = {0};
    if (!model_open(&model, small->folder.path, "auto",
                    &(struct model_place){.tp_rank = rank, .tp_size = size, .pp_stages = 1}, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return model;
}

/* Rows [lo, hi) of the tensor of this name, all columns. */
static void check_rows(struct small_model *small, const struct weight *weight, const char *name,
                       int lo, int hi)
{
    const struct small_tensor *tensor = small_find(small, name);
    const int64_t width = tensor->n_dims == 1 ? 1 : tensor->shape[1];
    CHECK(weight->data != NULL);
    CHECK_EQ(weight->dtype, DTYPE_BF16);
    for (int64_t row = lo; row < hi; row++)
        for (int64_t column = 0; column < width; column++) {
            const int64_t at = (row - lo) * (tensor->n_dims == 1 ? 1 : weight->row_stride) + column;
            const float got = bf16_to_f32(((const bf16 *)weight->data)[at]);
            CHECK(got == small_value((int)(tensor - small->tensor), row * width + column));
        }
}

#define LAYER   "model.layers.0."
#define QKV     LAYER "self_attn.qkv_proj.weight"
#define GATE_UP LAYER "mlp.gate_up_proj.weight"

static struct small_model make_stacked(void)
{
    static const char *const apart[] = {
        LAYER "self_attn.q_proj.weight", LAYER "self_attn.k_proj.weight",
        LAYER "self_attn.v_proj.weight", LAYER "mlp.gate_proj.weight", LAYER "mlp.up_proj.weight"};
    struct small_model small = small_make("BF16");
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        small_drop(&small, apart[i]);
    small_add(&small, QKV, "BF16", 64 + 32 + 32, 64);
    small_add(&small, GATE_UP, "BF16", 96 + 96, 64);
    return small;
}

TEST(weights_stacked_in_one_tensor_are_cut_each_for_itself)
{
    struct small_model small = make_stacked();
    for (int pad = 0; pad < 2; pad++) { /* in place, and copied */
        small.header_pad = pad;
        write_as(&small, "Phi3ForCausalLM", "");
        for (int size = 1; size <= 3; size++)
            for (int rank = 0; rank < size; rank++) {
                struct model *model = open_rank(&small, rank, size);
                const struct layer_weights *layer = &model->layer[0];
                const struct span q = model->share.heads, kv = model->share.kv_heads;
                const struct span ffn = model->share.ffn;
                check_rows(&small, &layer->q_proj, QKV, q.lo * 16, q.hi * 16);
                check_rows(&small, &layer->k_proj, QKV, 64 + kv.lo * 16, 64 + kv.hi * 16);
                check_rows(&small, &layer->v_proj, QKV, 96 + kv.lo * 16, 96 + kv.hi * 16);
                check_rows(&small, &layer->gate_proj, GATE_UP, ffn.lo, ffn.hi);
                check_rows(&small, &layer->up_proj, GATE_UP, 96 + ffn.lo, 96 + ffn.hi);
                CHECK_EQ(model->copied_bytes > 0, pad > 0);
                model_close(model);
            }
    }
    small_remove(&small);
}

TEST(a_stacked_tensor_of_another_shape_is_told_once)
{
    struct small_model small = make_stacked();
    small_find(&small, QKV)->shape[0] = 96;
    write_as(&small, "Phi3ForCausalLM", "");
    check_refused(&small, ERROR_INPUT, QKV " is [96, 64], want [128, 64]", NULL);
    small_drop(&small, QKV);
    write_as(&small, "Phi3ForCausalLM", "");
    struct model *model = NULL;
    struct error err = {0};
    CHECK(!model_open(&model, small.folder.path, "auto", &model_place_alone, &err));
    const char *first = strstr(err.text, "qkv_proj.weight is missing");
    CHECK(first != NULL && strstr(first + 1, "qkv_proj") == NULL);
    small_remove(&small);
}

TEST(a_model_without_a_head_loads_and_does_not_generate)
{
    struct small_model small = small_make("BF16");
    small_drop(&small, "lm_head.weight");
    write_as(&small, "LlamaModel", "");
    struct model *model = open_rank(&small, 1, 2);
    CHECK(!model->config.generates);
    CHECK(model->lm_head.data == NULL && model->score.data == NULL);
    CHECK(model->embed_tokens.data != NULL && !model->bare_names);
    model_close(model);
    write_as(&small, "LlamaModel", "\"tie_word_embeddings\": true");
    model = open_rank(&small, 0, 1);
    CHECK(!model->config.generates && model->lm_head.data == NULL);
    model_close(model);
    write_as(&small, "LlamaForCausalLM", "");
    check_refused(&small, ERROR_INPUT, "lm_head.weight is missing", NULL);
    small_remove(&small);
}

/* As a model alone is saved: without "model." before its names. */
static void make_bare(struct small_model *small)
{
    for (int i = 0; i < small->n_tensors; i++) {
        char *const name = small->tensor[i].name;
        if (strncmp(name, "model.", 6) == 0)
            memmove(name, name + 6, strlen(name + 6) + 1);
    }
}

TEST(names_may_leave_out_that_they_are_of_a_model)
{
    static const char *const architectures[] = {"LlamaModel", "LlamaForCausalLM"};
    for (int i = 0; i < 2; i++)
        for (int with_head = 0; with_head < 2; with_head++) {
            struct small_model small = small_make("BF16");
            if (!with_head)
                small_drop(&small, "lm_head.weight");
            make_bare(&small);
            write_as(&small, architectures[i], "");
            struct model *model = open_rank(&small, 0, 1);
            check_rows(&small, &model->embed_tokens, "embed_tokens.weight", 0, 512);
            check_rows(&small, &model->norm, "norm.weight", 0, 64);
            check_rows(&small, &model->layer[0].up_proj, "layers.0.mlp.up_proj.weight", 0, 96);
            CHECK_EQ(model->config.generates, i == 1 && with_head);
            CHECK_EQ(model->lm_head.data != NULL, i == 1 && with_head);
            model_close(model);
            small_remove(&small);
        }
}

TEST(what_is_no_part_of_a_bare_model_is_refused)
{
    struct small_model small = small_make("BF16");
    make_bare(&small);
    small_add(&small, "layers.1.mlp.up_proj.weight", "BF16", 96, 64);
    small_add(&small, "model.norm.weight", "BF16", 64, 0);
    write_as(&small, "LlamaModel", "");
    check_refused(&small, ERROR_INPUT, "layers.1.mlp.up_proj.weight is not part",
                  "model.norm.weight is not part", NULL);
    small_remove(&small);
}

TEST(a_head_of_scores_is_whole_on_every_rank)
{
    static const char name[] = "LlamaForSequenceClassification";
    for (int with_bias = 0; with_bias < 2; with_bias++) {
        struct small_model small = small_make("BF16");
        small_add(&small, "score.weight", "BF16", 3, 64);
        if (with_bias)
            small_add(&small, "score.bias", "BF16", 3, 0);
        write_as(&small, name, "\"num_labels\": 3"); /* a lm_head from before is passed over */
        for (int rank = 0; rank < 2; rank++) {
            struct model *model = open_rank(&small, rank, 2);
            CHECK_EQ(model->config.n_labels, 3);
            CHECK(!model->config.generates && model->lm_head.data == NULL);
            check_rows(&small, &model->score, "score.weight", 0, 3);
            CHECK_EQ(model->score_bias.data != NULL, with_bias);
            if (with_bias)
                check_rows(&small, &model->score_bias, "score.bias", 0, 3);
            model_close(model);
        }
        small_remove(&small);
    }
}

TEST(a_head_of_scores_keeps_its_numbers_beside_operands_in_bf16)
{
    struct small_model small = small_make("F32");
    struct model *model = NULL;
    struct error err = {0};
    small_add(&small, "score.weight", "F32", 2, 64);
    write_as(&small, "LlamaForSequenceClassification", "");
    CHECK(model_open(&model, small.folder.path, "bfloat16", &model_place_alone, &err));
    CHECK_EQ(model->score.dtype, DTYPE_F32);
    CHECK_EQ(model->layer[0].up_proj.dtype, DTYPE_BF16);
    model_close(model);
    small_remove(&small);
}

TEST(a_head_of_scores_that_does_not_fit_the_config_is_refused)
{
    static const char name[] = "LlamaForSequenceClassification";
    struct small_model small = small_make("BF16");
    write_as(&small, name, "");
    check_refused(&small, ERROR_INPUT, "score.weight is missing", NULL);
    small_add(&small, "score.weight", "BF16", 3, 64);
    write_as(&small, name, "");
    check_refused(&small, ERROR_INPUT, "score.weight is [3, 64], want [2, 64]", NULL);
    write_as(&small, "LlamaForCausalLM", "");
    check_refused(&small, ERROR_INPUT, "score.weight is not part of this model", NULL);
    small_remove(&small);
}

TEST(a_value_head_may_lie_in_a_file_of_its_own)
{
    for (int apart = 0; apart < 2; apart++)
        for (int with_bias = 0; with_bias < 2; with_bias++) {
            struct small_model small = small_make("BF16");
            const int n = small.n_tensors;
            small_add(&small, "v_head.summary.weight", "BF16", 1, 64);
            if (with_bias)
                small_add(&small, "v_head.summary.bias", "BF16", 1, 0);
            write_as(&small, "LlamaForCausalLM", "");
            if (apart) {
                small_write_tensors(&small, "model.safetensors", 0, n);
                small_write_tensors(&small, "value_head.safetensors", n, small.n_tensors);
            }
            struct model *model = open_rank(&small, 1, 2);
            CHECK_EQ(model->config.n_labels, 1);
            CHECK(model->config.generates && model->lm_head.data != NULL);
            check_rows(&small, &model->score, "v_head.summary.weight", 0, 1);
            CHECK_EQ(model->score_bias.data != NULL, with_bias);
            model_close(model);
            small_remove(&small);
        }
}

TEST(a_value_head_of_another_shape_is_refused)
{
    struct small_model small = small_make("BF16");
    small_add(&small, "v_head.summary.weight", "BF16", 2, 64);
    write_as(&small, "LlamaForCausalLM", "");
    check_refused(&small, ERROR_INPUT, "v_head.summary.weight is [2, 64], want [1, 64]", NULL);
    small_remove(&small);
}

/* sqrt(48) is 6.928, and 6.9375 in bf16: the reference rounds it to the format of the model. */
TEST(the_scale_of_the_embedding_has_the_precision_of_the_operands)
{
    static const struct {
        const char *dtype;
        float scale;
    } cases[] = {{"bfloat16", 6.9375f}, {"float32", 6.92820323f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model *model = NULL;
        struct error err = {0};
        CHECK(model_open(&model, SOURCE_DIR "/tests/golden/gemma2-bf16", cases[i].dtype,
                         &model_place_alone, &err));
        CHECK(model->embedding_scale == cases[i].scale);
        model_close(model);
    }
}

TEST(a_family_without_a_scale_of_the_embedding_has_one)
{
    struct small_model small = small_make("BF16");
    write_as(&small, "LlamaForCausalLM", "");
    struct model *model = open_rank(&small, 0, 1);
    CHECK(model->embedding_scale == 1.0f);
    model_close(model);
    small_remove(&small);
}
