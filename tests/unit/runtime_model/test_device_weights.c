/* The weights of a rank on a GPU: every number where kernels/tensor.h says, and zeros between. */
#include "runtime/model/device_weights.h"

#include "base/error.h"
#include "base/team.h"
#include "kernels/dtype.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/late_device.h"
#include "tests/unit/runtime_model/small_model.h"

#include <string.h>

enum { SMALL_BUFFER = 20000 }; /* many windows */

static struct model *open_place(const struct small_model *small, const char *dtype,
                                struct model_place place)
{
    struct model *model = NULL;
    struct error err = {0};
    place.on_gpu = true;
    place.pp_stages = 1;
    if (!model_open(&model, small->folder.path, dtype, &place, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return model;
}

static bool load(struct model *model, struct late_device *device, bool check_weights,
                 struct error *err)
{
    struct team *team;
    CHECK(team_create(&team, 3, 0, NULL, err));
    const struct device_loading loading = {.device = &device->device,
                                           .readers = team,
                                           .check_weights = check_weights,
                                           .buffer_bytes = SMALL_BUFFER};
    const bool good = model_to_device(model, &loading, err);
    team_destroy(team);
    return good;
}

static void load_well(struct model *model, struct late_device *device)
{
    struct error err = {0};
    if (!load(model, device, false, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

static float number_at(const struct weight *weight, int64_t i)
{
    switch (weight->dtype) {
    case DTYPE_F32:
        return ((const float *)weight->data)[i];
    case DTYPE_BF16:
        return bf16_to_f32(((const bf16 *)weight->data)[i]);
    default:
        return f16_to_f32(((const uint16_t *)weight->data)[i]);
    }
}

/* Row by row: each leaf of the columns from `first_column` on, then zeros. */
static void check_matrix(struct small_model *small, const struct weight *weight, const char *name,
                         struct span rows, int first_column, const struct leaves *leaves,
                         bool is_padded)
{
    const struct small_tensor *tensor = small_find(small, name);
    const int number = (int)(tensor - small->tensor);
    CHECK_EQ((uintptr_t)weight->data % 16, 0);
    CHECK_EQ((size_t)weight->row_stride * dtype_bytes(weight->dtype) % 16, 0);
    for (int row = rows.lo; row < rows.hi; row++) {
        int64_t at = (row - rows.lo) * weight->row_stride;
        const int64_t end = at + weight->row_stride;
        int column = 0;
        for (int leaf = 0; leaf < leaves->n_leaves; leaf++) {
            for (; column < leaves->leaf[leaf].k_end; column++, at++) {
                const int64_t i = row * tensor->shape[1] + first_column + column;
                if (number_at(weight, at) != small_value(number, i))
                    test_fail(__FILE__, __LINE__, "%s[%d, %d] is %g, want %g", name, row, column,
                              (double)number_at(weight, at), (double)small_value(number, i));
            }
            for (; is_padded && (at - (end - weight->row_stride)) % K_BLOCK != 0; at++)
                CHECK(number_at(weight, at) == 0);
        }
        for (; at < end; at++)
            CHECK(number_at(weight, at) == 0);
    }
}

#define LAYER "model.layers.0."

static void check_rank(struct small_model *small, const struct model *model)
{
    const struct model_share *share = &model->share;
    const struct layer_weights *layer = &model->layer[0];
    const struct leaves hidden = leaves_one(64);
    const struct span all = {0, 64};
    const struct span q = {share->heads.lo * 16, share->heads.hi * 16};
    const struct span kv = {share->kv_heads.lo * 16, share->kv_heads.hi * 16};
    const bool padded = model->compute != DTYPE_F32;
    check_matrix(small, &model->embed_tokens, "model.embed_tokens.weight", share->vocab, 0, &hidden,
                 padded);
    check_matrix(small, &model->lm_head, "lm_head.weight", share->vocab, 0, &hidden, padded);
    check_matrix(small, &layer->q_proj, LAYER "self_attn.q_proj.weight", q, 0, &hidden, padded);
    check_matrix(small, &layer->k_proj, LAYER "self_attn.k_proj.weight", kv, 0, &hidden, padded);
    check_matrix(small, &layer->v_proj, LAYER "self_attn.v_proj.weight", kv, 0, &hidden, padded);
    check_matrix(small, &layer->o_proj, LAYER "self_attn.o_proj.weight", all, q.lo,
                 &share->attention_leaves, padded);
    check_matrix(small, &layer->gate_proj, LAYER "mlp.gate_proj.weight", share->ffn, 0, &hidden,
                 padded);
    check_matrix(small, &layer->up_proj, LAYER "mlp.up_proj.weight", share->ffn, 0, &hidden,
                 padded);
    check_matrix(small, &layer->down_proj, LAYER "mlp.down_proj.weight", all, share->ffn.lo,
                 &share->mlp_leaves, padded);
    for (int i = 0; i < 64; i++)
        CHECK(number_at(&model->norm, i) ==
              small_value((int)(small_find(small, "model.norm.weight") - small->tensor), i));
}

static const void *end_of(const struct weight *weight, int n_rows)
{
    return (const char *)weight->data +
           (size_t)(n_rows * weight->row_stride) * dtype_bytes(weight->dtype);
}

static void check_neighbours(const struct model *model)
{
    const struct layer_weights *layer = &model->layer[0];
    CHECK(layer->k_proj.data == end_of(&layer->q_proj, span_length(model->share.heads) * 16));
    CHECK(layer->v_proj.data == end_of(&layer->k_proj, span_length(model->share.kv_heads) * 16));
    CHECK(layer->up_proj.data == end_of(&layer->gate_proj, span_length(model->share.ffn)));
}

static void check_layout(const char *stored, const char *dtype, enum dtype compute,
                         struct model_place place)
{
    struct small_model small = small_make(stored);
    struct late_device device;
    late_device_init(&device);
    small_write(&small);
    struct model *model = open_place(&small, dtype, place);
    CHECK_EQ(model->compute, compute);
    CHECK_EQ(model->mapped_bytes + model->copied_bytes, 0);
    CHECK(model->layer[0].q_proj.data == NULL);
    load_well(model, &device);
    CHECK_EQ(device.held_bytes, model->device_bytes);
    check_rank(&small, model);
    check_neighbours(model);
    model_close(model);
    CHECK_EQ(device.held_bytes, 0);
    small_remove(&small);
}

TEST(each_rank_has_its_numbers_in_rows_with_padded_leaves)
{
    for (int size = 1; size <= 3; size++)
        for (int rank = 0; rank < size; rank++)
            check_layout("BF16", "auto", DTYPE_BF16,
                         (struct model_place){.tp_rank = rank, .tp_size = size});
}

TEST(fast_numerics_leave_one_leaf_of_the_same_columns)
{
    for (int rank = 0; rank < 3; rank++)
        check_layout("BF16", "auto", DTYPE_BF16,
                     (struct model_place){.tp_rank = rank, .tp_size = 3, .one_leaf = true});
}

TEST(operands_on_a_gpu_may_be_f16)
{
    const struct model_place place = {.tp_size = 1};
    check_layout("F16", "auto", DTYPE_F16, place);
    check_layout("F32", "float16", DTYPE_F16, place);
    check_layout("BF16", "float16", DTYPE_F16, place);
    check_layout("F16", "bfloat16", DTYPE_BF16, place);
}

TEST(rows_that_meet_float32_have_no_padded_leaves)
{
    static const char *const stored[] = {"BF16", "F16", "F32"};
    for (int i = 0; i < 3; i++)
        check_layout(stored[i], "float32", DTYPE_F32, (struct model_place){.tp_size = 1});
}

TEST(tensors_at_odd_addresses_of_the_file_are_loaded)
{
    struct small_model small = small_make("BF16");
    struct late_device device;
    late_device_init(&device);
    small.header_pad = 1;
    small_write(&small);
    struct model *model = open_place(&small, "auto", (struct model_place){.tp_size = 1});
    load_well(model, &device);
    check_rank(&small, model);
    model_close(model);
    small_remove(&small);
}

TEST(tied_weights_are_on_the_device_once)
{
    struct small_model small = small_make("BF16");
    struct late_device device;
    late_device_init(&device);
    small_drop(&small, "lm_head.weight");
    small_write_config(&small, "\"tie_word_embeddings\": true");
    small_write_tensors(&small, "model.safetensors", 0, small.n_tensors);
    struct model *model = open_place(&small, "auto", (struct model_place){.tp_size = 1});
    load_well(model, &device);
    CHECK(model->lm_head.data != NULL && model->lm_head.data == model->embed_tokens.data);
    model_device_release(model);
    CHECK(model->lm_head.data == NULL);
    model_close(model);
    small_remove(&small);
}

TEST(a_model_that_slept_has_the_same_numbers_again)
{
    struct small_model small = small_make("BF16");
    struct late_device device;
    late_device_init(&device);
    small_write(&small);
    struct model *model = open_place(&small, "auto", (struct model_place){.tp_size = 1});
    for (int i = 0; i < 3; i++) {
        load_well(model, &device);
        check_rank(&small, model);
        model_device_release(model);
        CHECK_EQ(device.held_bytes, 0);
        CHECK(model->layer[0].down_proj.data == NULL);
    }
    model_close(model);
    small_remove(&small);
}

TEST(a_measured_model_says_how_much_its_gpu_would_hold)
{
    struct small_model small = small_make("F16");
    struct model *opened, *measured;
    struct error err = {0};
    small_write(&small);
    for (int rank = 0; rank < 3; rank++) {
        const struct model_place place = {
            .tp_rank = rank, .tp_size = 3, .pp_stages = 1, .on_gpu = true};
        CHECK(model_open(&opened, small.folder.path, "auto", &place, &err));
        CHECK(model_measure(&measured, small.folder.path, "auto",
                            &(struct model_place){.tp_size = 1, .pp_stages = 1, .on_gpu = true},
                            &err));
        model_measure_as(measured, &place);
        CHECK_EQ(measured->device_bytes, opened->device_bytes);
        CHECK(measured->device_bytes >= measured->weight_bytes);
        model_close(opened);
        model_close(measured);
    }
    small_remove(&small);
}

TEST(too_little_memory_is_told_and_leaves_no_weights)
{
    struct small_model small = small_make("BF16");
    struct late_device device;
    struct error err = {0};
    late_device_init(&device);
    device.most_bytes = 1000;
    small_write(&small);
    struct model *model = open_place(&small, "auto", (struct model_place){.tp_size = 1});
    CHECK(!load(model, &device, false, &err));
    CHECK_EQ(err.kind, ERROR_SYSTEM);
    CHECK(strstr(err.text, "the weights of this rank: "));
    CHECK(model->layer[0].q_proj.data == NULL);
    model_close(model);
    small_remove(&small);
}

TEST(a_device_that_fails_while_it_loads_is_told_and_holds_nothing)
{
    struct small_model small = small_make("BF16");
    struct late_device device;
    struct error err = {0};
    late_device_init(&device);
    device.failure = "copy to the GPU: it fell off the bus";
    small_write(&small);
    struct model *model = open_place(&small, "auto", (struct model_place){.tp_size = 1});
    CHECK(!load(model, &device, false, &err));
    CHECK(strstr(err.text, "fell off the bus"));
    CHECK_EQ(device.held_bytes, 0);
    model_close(model);
    small_remove(&small);
}

TEST(check_weights_names_the_tensor_that_overflows_its_new_format)
{
    struct small_model small = small_make("F32");
    struct late_device device;
    struct error err = {0};
    late_device_init(&device);
    small_write(&small);
    struct model *model = open_place(&small, "float16", (struct model_place){.tp_size = 1});
    CHECK(load(model, &device, true, &err));
    model_close(model);

    const struct file_path path = folder_path(&small.folder, "model.safetensors");
    const float large = 1e6f; /* the file ends with the head */
    FILE *file = fopen(path.text, "r+b");
    CHECK(file != NULL && fseek(file, -(long)sizeof large, SEEK_END) == 0);
    CHECK(fwrite(&large, sizeof large, 1, file) == 1 && fclose(file) == 0);
    late_device_init(&device);
    model = open_place(&small, "float16", (struct model_place){.tp_size = 1});
    CHECK(!load(model, &device, true, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "tensor lm_head.weight has a NaN or an infinity"));
    model_close(model);
    small_remove(&small);
}
