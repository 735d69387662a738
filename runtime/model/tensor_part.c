/* Sizes of tensors by the dimensions of their slots, and numbers from one format to another. */
#include "runtime/model/tensor_part.h"

#include "base/check.h"
#include "base/error.h"
#include "kernels/dtype.h"
#include "runtime/model/dummy.h"
#include "runtime/model/family.h"

#include <string.h>

/* ---- shapes ---- */

static int64_t whole(const struct model_config *config, enum dimension dimension)
{
    switch (dimension) {
    case DIM_NONE:
        return 1;
    case DIM_HIDDEN:
        return config->hidden;
    case DIM_HEADS:
        return (int64_t)config->n_heads * config->head_dim;
    case DIM_KV_HEADS:
        return (int64_t)config->n_kv_heads * config->head_dim;
    case DIM_FFN:
        return config->ffn;
    case DIM_VOCAB:
        return config->vocab;
    case DIM_HEAD:
        return config->head_dim;
    case DIM_LABELS:
        return config->n_labels;
    }
    check(false); /* a dimension without a case */
    return 0;
}

/* Rows of the tensor above those of this slot; with `count` MAX_STACKED, of all of it. */
static int64_t stacked_rows(const struct model_config *config, const struct slot *slot, int count)
{
    int64_t rows = 0;
    for (int i = 0; i < count && slot->stacked[i] != DIM_NONE; i++)
        rows += whole(config, slot->stacked[i]);
    return rows;
}

struct weight_shape tensor_shape_wanted(const struct model_config *config, const struct slot *slot)
{
    const int64_t stacked = stacked_rows(config, slot, MAX_STACKED);
    return (struct weight_shape){.n_rows = stacked > 0 ? stacked : whole(config, slot->rows),
                                 .n_columns = whole(config, slot->columns)};
}

/* The part of this rank. */
static struct span part(const struct model *model, enum dimension dimension)
{
    const struct model_share *share = &model->share;
    const int head_dim = model->config.head_dim;
    switch (dimension) {
    case DIM_HEADS:
        return (struct span){share->heads.lo * head_dim, share->heads.hi * head_dim};
    case DIM_KV_HEADS:
        return (struct span){share->kv_heads.lo * head_dim, share->kv_heads.hi * head_dim};
    case DIM_FFN:
        return share->ffn;
    case DIM_VOCAB:
        return share->vocab;
    default:
        return (struct span){0, (int)whole(&model->config, dimension)};
    }
}

struct weight_shape weight_shape_of(const struct model *model, const struct slot *slot)
{
    const struct span rows = part(model, slot->rows), columns = part(model, slot->columns);
    if (slot->columns == DIM_NONE)
        return (struct weight_shape){1, span_length(rows)};
    return (struct weight_shape){span_length(rows), span_length(columns)};
}

/* ---- formats ---- */

bool format_find(const char *name, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (i != DTYPE_I8 && strcmp(dtype_name((enum dtype)i), name) == 0) {
            *out = (enum dtype)i;
            return true;
        }
    }
    return false;
}

/* Operands of F16 are a GPU's. A CPU widens such weights as it reads them. */
static enum dtype half_or_wider(const struct model *model)
{
    return model->share.on_gpu ? DTYPE_F16 : DTYPE_F32;
}

float number_rounded(enum dtype dtype, float number)
{
    if (dtype == DTYPE_BF16)
        return bf16_to_f32(bf16_from_f32(number));
    return dtype == DTYPE_F16 ? f16_to_f32(f16_from_f32(number)) : number;
}

bool compute_choose(struct model *model, const struct tensor *embedding, const char *dtype,
                    struct error *err)
{
    enum dtype stored;
    check(format_find(embedding->format, &stored));
    model->config.checkpoint_dtype = stored;
    if (strcmp(dtype, "auto") == 0)
        model->compute = stored == DTYPE_F16 ? half_or_wider(model) : stored;
    else if (strcmp(dtype, "bfloat16") == 0)
        model->compute = DTYPE_BF16;
    else if (strcmp(dtype, "float32") == 0)
        model->compute = DTYPE_F32;
    else if (strcmp(dtype, "float16") == 0)
        model->compute = half_or_wider(model);
    else
        return error_set(err, ERROR_INPUT,
                         "dtype \"%.40s\", want auto, bfloat16, float16 or float32", dtype);
    model->embedding_scale = number_rounded(model->compute, (float)model->config.embedding_scale);
    return true;
}

static float read_number(const unsigned char *at, enum dtype dtype)
{
    uint16_t half;
    float single;
    memcpy(&half, at, sizeof half);
    switch (dtype) {
    case DTYPE_F32:
        memcpy(&single, at, sizeof single);
        return single;
    case DTYPE_BF16:
        return bf16_to_f32((bf16){half});
    default:
        return f16_to_f32(half);
    }
}

/* They may lie at any address. */
static void copy_numbers(void *to, enum dtype to_dtype, const unsigned char *from,
                         enum dtype from_dtype, int64_t n)
{
    if (to_dtype == from_dtype) {
        memcpy(to, from, (size_t)n * dtype_bytes(to_dtype));
        return;
    }
    check(to_dtype != DTYPE_F32); /* nothing is stored wider than it was */
    uint16_t *const out = to;
    for (int64_t i = 0; i < n; i++) {
        const float number = read_number(from + (size_t)i * dtype_bytes(from_dtype), from_dtype);
        out[i] = to_dtype == DTYPE_BF16 ? bf16_from_f32(number).bits : f16_from_f32(number);
    }
}

/* An exponent of ones is a NaN or an infinity. */
bool numbers_are_finite(const void *numbers, enum dtype dtype, int64_t n)
{
    uint32_t bad = 0;
    if (dtype == DTYPE_F32) {
        const uint32_t *bits = numbers;
        for (int64_t i = 0; i < n; i++)
            bad |= (bits[i] & 0x7f800000u) == 0x7f800000u;
    } else {
        const uint16_t exponent = dtype == DTYPE_BF16 ? 0x7f80u : 0x7c00u;
        const uint16_t *bits = numbers;
        for (int64_t i = 0; i < n; i++)
            bad |= (bits[i] & exponent) == exponent;
    }
    return bad == 0;
}

/* ---- the part ---- */

/* Scores are made of hidden states in float32, on the host. */
static bool is_of_scores(const struct slot *slot) { return slot->rows == DIM_LABELS; }

/* Matrices meet operands, which have one format; vectors and sums take any. */
static enum dtype wanted_dtype(const struct model *model, const struct slot *slot,
                               enum dtype stored)
{
    const bool is_matrix = slot->columns != DIM_NONE && !is_of_scores(slot);
    return is_matrix && model->compute != DTYPE_F32 ? model->compute : stored;
}

struct tensor_part tensor_part_of(const struct model *model, const struct slot *slot,
                                  const struct tensor *tensor)
{
    const bool is_vector = slot->columns == DIM_NONE;
    const int64_t row =
        stacked_rows(&model->config, slot, slot->stacked_at) + part(model, slot->rows).lo;
    struct tensor_part out = {
        .tensor = tensor,
        .shape = weight_shape_of(model, slot),
        .stride = whole(&model->config, is_vector ? slot->rows : slot->columns),
    };
    check(tensor != NULL && format_find(tensor->format, &out.stored));
    out.first = is_vector ? row : row * out.stride + part(model, slot->columns).lo;
    out.wanted = wanted_dtype(model, slot, out.stored);
    out.n_bytes = (size_t)(out.shape.n_rows * out.shape.n_columns) * dtype_bytes(out.wanted);
    const bool as_it_is = !tensor_is_dummy(tensor) && out.wanted == out.stored &&
                          (uintptr_t)tensor->data % dtype_bytes(out.stored) == 0;
    if (model->share.on_gpu)
        out.home = is_of_scores(slot) ? PART_COPIED : PART_ON_DEVICE;
    else
        out.home = as_it_is ? PART_IN_PLACE : PART_COPIED;
    return out;
}

const unsigned char *tensor_part_at(const struct tensor_part *part, int64_t row, int64_t column)
{
    return part->tensor->data +
           (size_t)(part->first + row * part->stride + column) * dtype_bytes(part->stored);
}

void tensor_part_prefetch(const struct tensor_part *part, int64_t row, int64_t n_rows)
{
    if (n_rows == 0 || tensor_is_dummy(part->tensor))
        return;
    /* of the last row only our columns: the file may end there */
    const int64_t n = (n_rows - 1) * part->stride + part->shape.n_columns;
    file_map_prefetch(&part->tensor->file->map, tensor_part_at(part, row, 0),
                      (size_t)n * dtype_bytes(part->stored));
}

void tensor_part_read(void *to, const struct tensor_part *part, int64_t row, int64_t column,
                      int64_t n)
{
    if (tensor_is_dummy(part->tensor))
        dummy_numbers(to, part->wanted, part->tensor, part->first + row * part->stride + column, n);
    else
        copy_numbers(to, part->wanted, tensor_part_at(part, row, column), part->stored, n);
}
