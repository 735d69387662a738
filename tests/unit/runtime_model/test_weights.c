/* Every weight of every rank holds the numbers of the file, in place or copied. */
#include "base/error.h"
#include "base/memory.h"
#include "runtime/model/model.h"
#include "runtime/model/weights.h"
#include "tests/test.h"
#include "tests/unit/runtime_model/small_model.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static float number_of(const struct weight *weight, int64_t at)
{
    switch (weight->dtype) {
    case DTYPE_F32:
        return ((const float *)weight->data)[at];
    case DTYPE_BF16:
        return bf16_to_f32(((const bf16 *)weight->data)[at]);
    default:
        return f16_to_f32(((const uint16_t *)weight->data)[at]);
    }
}

static struct model *open_rank(const struct small_model *small, const char *dtype, int rank,
                               int size)
{
    struct model *model = NULL;
    struct error err = {0};
    if (!model_open(&model, small->folder.path, dtype,
                    &(struct model_place){.tp_rank = rank, .tp_size = size, .pp_stages = 1}, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return model;
}

/* Rows and columns [lo, hi) of the tensor of this name; a vector is one row. */
static void check_part(struct small_model *small, const struct weight *weight, const char *name,
                       struct span rows, struct span columns)
{
    const struct small_tensor *tensor = small_find(small, name);
    const int number = (int)(tensor - small->tensor);
    const int64_t width = tensor->n_dims == 1 ? tensor->shape[0] : tensor->shape[1];
    CHECK(weight->data != NULL);
    for (int row = rows.lo; row < rows.hi; row++)
        for (int column = columns.lo; column < columns.hi; column++) {
            const float got =
                number_of(weight, (row - rows.lo) * weight->row_stride + column - columns.lo);
            const float want = small_value(number, row * width + column);
            if (!(got == want))
                test_fail(__FILE__, __LINE__, "%s[%d, %d] is %g, want %g", name, row, column,
                          (double)got, (double)want);
        }
}

static struct span scaled(struct span span, int by)
{
    return (struct span){span.lo * by, span.hi * by};
}

static void check_rank(struct small_model *small, const struct model *model)
{
    const struct span hidden = {0, 64}, one = {0, 1};
    const struct span q = scaled(model->share.heads, 16), kv = scaled(model->share.kv_heads, 16);
    const struct span ffn = model->share.ffn, vocab = model->share.vocab;
    const struct layer_weights *layer = &model->layer[0];
#define LAYER "model.layers.0."
    check_part(small, &model->embed_tokens, "model.embed_tokens.weight", vocab, hidden);
    check_part(small, &model->lm_head, "lm_head.weight", vocab, hidden);
    check_part(small, &model->norm, "model.norm.weight", one, hidden);
    check_part(small, &layer->input_norm, LAYER "input_layernorm.weight", one, hidden);
    check_part(small, &layer->q_proj, LAYER "self_attn.q_proj.weight", q, hidden);
    check_part(small, &layer->k_proj, LAYER "self_attn.k_proj.weight", kv, hidden);
    check_part(small, &layer->v_proj, LAYER "self_attn.v_proj.weight", kv, hidden);
    check_part(small, &layer->o_proj, LAYER "self_attn.o_proj.weight", hidden, q);
    check_part(small, &layer->gate_proj, LAYER "mlp.gate_proj.weight", ffn, hidden);
    check_part(small, &layer->up_proj, LAYER "mlp.up_proj.weight", ffn, hidden);
    check_part(small, &layer->down_proj, LAYER "mlp.down_proj.weight", hidden, ffn);
    CHECK(layer->q_bias.data == NULL && layer->o_bias.data == NULL);
}

static void check_all_ranks(struct small_model *small, const char *dtype, bool copied)
{
    for (int size = 1; size <= 3; size++)
        for (int rank = 0; rank < size; rank++) {
            struct model *model = open_rank(small, dtype, rank, size);
            check_rank(small, model);
            CHECK_EQ(model->copied_bytes > 0, copied);
            model_close(model);
        }
}

TEST(weights_are_used_in_place)
{
    static const char *const dtypes[] = {"BF16", "F16", "F32"};
    for (int i = 0; i < 3; i++) {
        struct small_model small = small_make(dtypes[i]);
        small_write(&small);
        check_all_ranks(&small, "auto", false);
        check_all_ranks(&small, "float32", false);
        small_remove(&small);
    }
}

TEST(a_file_may_end_with_a_matrix_whose_columns_are_shared)
{
    struct small_model small = small_make("BF16");
    struct small_tensor *o_proj = small_find(&small, "model.layers.0.self_attn.o_proj.weight");
    struct small_tensor *last = &small.tensor[small.n_tensors - 1], other = *last;
    *last = *o_proj;
    *o_proj = other;
    small_write(&small);
    check_all_ranks(&small, "auto", false);
    small_remove(&small);
}

TEST(tensors_that_are_not_aligned_are_copied)
{
    static const char *const dtypes[] = {"BF16", "F16", "F32"};
    for (int i = 0; i < 3; i++) {
        struct small_model small = small_make(dtypes[i]);
        small.header_pad = 1;
        small_write(&small);
        check_all_ranks(&small, "auto", true);
        small_remove(&small);
    }
}

TEST(matrices_are_converted_for_bfloat16_and_vectors_stay)
{
    static const char *const dtypes[] = {"F16", "F32"};
    for (int i = 0; i < 2; i++) {
        struct small_model small = small_make(dtypes[i]); /* its numbers are exact in bf16 */
        small_write(&small);
        check_all_ranks(&small, "bfloat16", true);
        struct model *model = open_rank(&small, "bfloat16", 0, 1);
        CHECK_EQ(model->compute, DTYPE_BF16);
        CHECK_EQ(model->layer[0].down_proj.dtype, DTYPE_BF16);
        CHECK_EQ(model->norm.dtype, i == 0 ? DTYPE_F16 : DTYPE_F32);
        model_close(model);
        small_remove(&small);
    }
}

TEST(one_matrix_in_another_format_is_converted_alone)
{
    struct small_model small = small_make("BF16");
    snprintf(small_find(&small, "model.layers.0.mlp.up_proj.weight")->dtype, 8, "F32");
    small_write(&small);
    struct model *model = open_rank(&small, "auto", 0, 1);
    check_rank(&small, model);
    CHECK_EQ(model->layer[0].up_proj.dtype, DTYPE_BF16);
    CHECK_EQ(model->copied_bytes, 96 * 64 * 2);
    model_close(model);
    small_remove(&small);
}

TEST(the_operands_follow_the_checkpoint_or_the_flag)
{
    static const struct {
        const char *stored, *dtype;
        enum dtype compute;
    } cases[] = {{"BF16", "auto", DTYPE_BF16},   {"F16", "auto", DTYPE_F32},
                 {"F32", "auto", DTYPE_F32},     {"BF16", "float32", DTYPE_F32},
                 {"BF16", "float16", DTYPE_F32}, {"F32", "bfloat16", DTYPE_BF16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct small_model small = small_make(cases[i].stored);
        small_write(&small);
        struct model *model = open_rank(&small, cases[i].dtype, 0, 1);
        CHECK_EQ(model->compute, cases[i].compute);
        model_close(model);
        small_remove(&small);
    }
}

TEST(an_unknown_dtype_is_refused)
{
    struct small_model small = small_make("BF16");
    struct model *model = NULL;
    struct error err = {0};
    small_write(&small);
    CHECK(!model_open(&model, small.folder.path, "int3", &model_place_alone, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, "\"int3\", want auto"));
    small_remove(&small);
}

TEST(a_tp_size_is_refused_before_the_weights_are_looked_for)
{
    struct small_model small = small_make("BF16");
    struct model *model = NULL;
    struct error err = {0};
    small_write_config(&small, NULL); /* and no weights */
    CHECK(!model_open(&model, small.folder.path, "auto",
                      &(struct model_place){.tp_rank = 0, .tp_size = 9, .pp_stages = 1}, &err));
    CHECK(strstr(err.text, "nearest size is 3"));
    small_remove(&small);
}

TEST(check_weights_names_the_tensor_with_a_nan_or_an_infinity)
{
    static const uint16_t bad[] = {0x7fc0, 0xffff, 0x7f80, 0xff80};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct small_model small = small_make("BF16");
        struct error err = {0};
        small_write(&small);
        struct model *model = open_rank(&small, "auto", 0, 1);
        CHECK(model_check_weights(model, &err));
        const uint8_t *data = model->layer[0].down_proj.data;
        const long at = (long)(data - model->files->checkpoint.file[0].map.data) + 96 * 2 * 5 + 8;
        model_close(model);

        const struct file_path path = folder_path(&small.folder, "model.safetensors");
        FILE *file = fopen(path.text, "r+b");
        CHECK(file != NULL && fseek(file, at, SEEK_SET) == 0);
        CHECK(fwrite(&bad[i], sizeof *bad, 1, file) == 1 && fclose(file) == 0);
        model = open_rank(&small, "auto", 0, 1);
        CHECK(!model_check_weights(model, &err));
        CHECK_EQ(err.kind, ERROR_INPUT);
        CHECK(strstr(err.text, "tensor model.layers.0.mlp.down_proj.weight has a NaN"));
        CHECK(strstr(err.text, "row 5"));
        model_close(model);
        small_remove(&small);
    }
}

static const struct model *mapped;

static void on_bus(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    const char *file = model_file_at(mapped, info->si_addr);
    _exit(file != NULL && strstr(file, "/model.safetensors") ? 74 : 1);
}

static void read_after_the_file_shrank(void *context)
{
    const struct small_model *small = context;
    struct model *model = open_rank(small, "auto", 0, 1);
    mapped = model;
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    const struct file_path path = folder_path(&small->folder, "model.safetensors");
    struct error err = {0};
    if (truncate(path.text, 100) == 0)
        model_check_weights(model, &err);
}

TEST(a_weight_file_that_shrinks_is_known_by_its_address)
{
    struct small_model small = small_make("BF16");
    small_write(&small);
    CHECK_EQ(outcome_of(read_after_the_file_shrank, &small), 74);
    small_remove(&small);
}

TEST(an_address_outside_of_the_weights_belongs_to_no_file)
{
    struct small_model small = small_make("BF16");
    small_write(&small);
    struct model *model = open_rank(&small, "auto", 0, 1);
    CHECK(model_file_at(model, &small) == NULL);
    CHECK(model_file_at(NULL, &small) == NULL);
    CHECK(model_file_at(model, model->lm_head.data) != NULL);
    model_close(model);
    small_remove(&small);
}
