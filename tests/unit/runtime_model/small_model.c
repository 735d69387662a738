#include "tests/unit/runtime_model/small_model.h"

#include "base/bytes.h"
#include "base/json.h"
#include "base/system.h"
#include "kernels/dtype.h"
#include "runtime/model/model.h"
#include "tests/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char config_text[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 64, \"num_hidden_layers\": 1,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"intermediate_size\": 96,"
    " \"vocab_size\": 600, \"max_position_embeddings\": 256, \"rms_norm_eps\": 1e-5}";

void small_add(struct small_model *model, const char *name, const char *dtype, int64_t rows,
               int64_t columns)
{
    CHECK(model->n_tensors < SMALL_MAX_TENSORS);
    struct small_tensor *tensor = &model->tensor[model->n_tensors++];
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    snprintf(tensor->dtype, sizeof tensor->dtype, "%s", dtype);
    tensor->n_dims = columns ? 2 : 1;
    tensor->shape[0] = rows;
    tensor->shape[1] = columns;
}

struct small_model small_make(const char *dtype)
{
    struct small_model model = {.folder = folder_make()};
    const char *const layer = "model.layers.0.";
    static const struct {
        const char *name;
        int rows, columns;
    } tensors[] = {{"input_layernorm.weight", 64, 0},   {"self_attn.q_proj.weight", 64, 64},
                   {"self_attn.k_proj.weight", 32, 64}, {"self_attn.v_proj.weight", 32, 64},
                   {"self_attn.o_proj.weight", 64, 64}, {"post_attention_layernorm.weight", 64, 0},
                   {"mlp.gate_proj.weight", 96, 64},    {"mlp.up_proj.weight", 96, 64},
                   {"mlp.down_proj.weight", 64, 96}};
    small_add(&model, "model.embed_tokens.weight", dtype, 600, 64);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s", layer, tensors[i].name);
        small_add(&model, name, dtype, tensors[i].rows, tensors[i].columns);
    }
    small_add(&model, "model.norm.weight", dtype, 64, 0);
    small_add(&model, "lm_head.weight", dtype, 600, 64);
    return model;
}

void small_remove(const struct small_model *model) { folder_remove(&model->folder); }

struct small_tensor *small_find(struct small_model *model, const char *name)
{
    for (int i = 0; i < model->n_tensors; i++) {
        if (strcmp(model->tensor[i].name, name) == 0)
            return &model->tensor[i];
    }
    test_fail(__FILE__, __LINE__, "no tensor %s", name);
}

void small_drop(struct small_model *model, const char *name)
{
    struct small_tensor *tensor = small_find(model, name);
    const size_t after = (size_t)(&model->tensor[model->n_tensors] - tensor) - 1;
    memmove(tensor, tensor + 1, after * sizeof *tensor);
    model->n_tensors--;
}

void small_write_config(const struct small_model *model, const char *more)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 20, .max_depth = 32, .max_values = 10000};
    struct error err = {0};
    json_t *config, *changes;
    struct bytes text = {0};
    CHECK(json_parse(&config, config_text, sizeof config_text - 1, &limits, &err));
    CHECK(bytes_printf(&text, "{%s}", more ? more : ""));
    if (!json_parse(&changes, text.data, text.len, &limits, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    CHECK_EQ(json_object_update(config, changes), 0);
    char *const dump = json_dumps(config, JSON_INDENT(1));
    CHECK(dump != NULL);
    folder_write(&model->folder, "config.json", dump, strlen(dump));
    free(dump);
    bytes_release(&text);
    json_decref(changes);
    json_decref(config);
}

float small_value(int tensor, int64_t element)
{
    return (float)((tensor * 31 + element * 7) % 201 - 100) / 64;
}

static size_t item_bytes(const char *dtype)
{
    return strcmp(dtype, "F32") == 0 ? 4 : strstr(dtype, "F16") ? 2 : 1;
}

static int64_t items_of(const struct small_tensor *tensor)
{
    return tensor->n_dims == 1 ? tensor->shape[0] : tensor->shape[0] * tensor->shape[1];
}

/* Only numbers that binary16 has as normal numbers, exactly. */
static uint16_t f16_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
    return value == 0 ? 0
                      : (uint16_t)((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff));
}

static void add_data(struct bytes *file, const struct small_tensor *tensor, int number)
{
    for (int64_t i = 0; i < items_of(tensor); i++) {
        const float value = small_value(number, i);
        const bf16 rounded = bf16_from_f32(value);
        const uint16_t half = f16_bits(value);
        if (strcmp(tensor->dtype, "F32") == 0)
            bytes_add(file, &value, sizeof value);
        else if (strcmp(tensor->dtype, "BF16") == 0)
            bytes_add(file, &rounded, sizeof rounded);
        else if (strcmp(tensor->dtype, "F16") == 0)
            bytes_add(file, &half, sizeof half);
        else
            bytes_add_char(file, 1);
    }
}

void small_write_tensors(const struct small_model *model, const char *name, int first, int last)
{
    struct bytes header = {0}, file = {0};
    size_t at = 0;
    bytes_add_text(&header, "{\"__metadata__\": {\"format\": \"pt\"}");
    for (int i = first; i < last; i++) {
        const struct small_tensor *tensor = &model->tensor[i];
        const size_t n = (size_t)items_of(tensor) * item_bytes(tensor->dtype);
        bytes_printf(&header, ", \"%s\": {\"dtype\": \"%s\", \"shape\": [%lld", tensor->name,
                     tensor->dtype, (long long)tensor->shape[0]);
        if (tensor->n_dims == 2)
            bytes_printf(&header, ", %lld", (long long)tensor->shape[1]);
        bytes_printf(&header, "], \"data_offsets\": [%zu, %zu]}", at, at + n);
        at += n;
    }
    bytes_printf(&header, "}%*s", model->header_pad + (int)(-(header.len + 9) % 8 & 7), "");
    const uint64_t length = header.len;
    bytes_add(&file, &length, sizeof length);
    bytes_add(&file, header.data, header.len);
    for (int i = first; i < last; i++)
        add_data(&file, &model->tensor[i], i);
    folder_write(&model->folder, name, file.data, file.len);
    bytes_release(&header);
    bytes_release(&file);
}

void small_write(const struct small_model *model)
{
    small_write_config(model, NULL);
    small_write_tensors(model, "model.safetensors", 0, model->n_tensors);
}

void check_refused(const struct small_model *model, enum error_kind kind, ...)
{
    struct model *opened = NULL;
    struct error err = {0};
    const int64_t begin_ns = test_cpu_ns(), resident = system_resident_bytes();
    const bool ok = model_open(&opened, model->folder.path, "auto", &model_place_alone, &err);
    const int64_t took_ns = test_cpu_ns() - begin_ns;
    model_close(opened);
    if (ok)
        test_fail(__FILE__, __LINE__, "was not refused");
    CHECK(SANITIZED || took_ns < 1000 * 1000 * 1000);
    CHECK(SANITIZED || system_resident_bytes() - resident < 100 << 20);
    if (err.kind != kind)
        test_fail(__FILE__, __LINE__, "kind %d, want %d: %s", err.kind, kind, err.text);
    va_list texts;
    va_start(texts, kind);
    for (const char *text; (text = va_arg(texts, const char *)) != NULL;)
        if (strstr(err.text, text) == NULL)
            test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, text);
    va_end(texts);
}
