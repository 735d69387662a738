/* Three walks over the same slots: one that looks for problems, one that counts bytes, one that
 * sets pointers. Nothing is set before everything was checked, so a checkpoint is never half
 * loaded; the first two touch headers alone, and are all that measuring needs. */
#include "runtime/model/weights.h"

#include "base/check.h"
#include "base/error.h"
#include "kernels/dtype.h"
#include "runtime/model/family.h"
#include "runtime/model/problems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPY_ALIGN = 64 };

static const char body[] = "model.";

/* Checkpoints of a model alone, without a head, leave out that it is "model." of something. */
static const char *stored_name(const struct model *model, const char *name)
{
    const size_t n = strlen(body);
    return model->bare_names && strncmp(name, body, n) == 0 ? name + n : name;
}

struct walk {
    struct model *model;
    bool all; /* also what other stages have */
    slot_visit_fn *visit;
    void *context;
};

static bool walk_slots(const struct walk *walk, const struct slot *slots, const char *prefix,
                       void *base)
{
    const struct model *model = walk->model;
    for (const struct slot *slot = slots; slot->name != NULL; slot++) {
        char name[SAFETENSORS_MAX_NAME + 1];
        if (!slot_present(slot, &model->config) ||
            (!walk->all && !slot_is_here(slot, &model->config, &model->share)))
            continue;
        snprintf(name, sizeof name, "%s%s", prefix, slot->name);
        if (!walk->visit(walk->context, slot, stored_name(model, name),
                         (struct weight *)((char *)base + slot->offset)))
            return false;
    }
    return true;
}

static bool walk_tensors(const struct walk *walk)
{
    struct model *model = walk->model;
    const struct family *family = model->config.family;
    const struct span all = {0, model->config.n_layers};
    const struct span layers = walk->all ? all : model->share.layers;
    if (!walk_slots(walk, family->model_slots, "", model))
        return false;
    for (int i = layers.lo; i < layers.hi; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%s%d.", family->layer_prefix, i);
        for (int t = 0; t < MAX_TABLES && family->layer_slots[t] != NULL; t++)
            if (!walk_slots(walk, family->layer_slots[t], prefix, &model->layer[i]))
                return false;
    }
    return true;
}

bool weights_visit(struct model *model, slot_visit_fn *visit, void *context)
{
    return walk_tensors(&(struct walk){.model = model, .visit = visit, .context = context});
}

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

static int64_t tensor_rows(const struct model_config *config, const struct slot *slot)
{
    const int64_t rows = stacked_rows(config, slot, MAX_STACKED);
    return rows > 0 ? rows : whole(config, slot->rows);
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

static bool find_dtype(const char *format, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (i != DTYPE_I8 && strcmp(dtype_name((enum dtype)i), format) == 0) {
            *out = (enum dtype)i;
            return true;
        }
    }
    return false;
}

struct load {
    struct model *model;
    struct problems problems;
};

static bool check_slot(void *context, const struct slot *slot, const char *name,
                       struct weight *weight)
{
    (void)weight;
    struct load *load = context;
    const struct tensor *tensor = checkpoint_find(&load->model->files->checkpoint, name);
    if (slot->stacked_at > 0)
        return true; /* was checked with the first one */
    if (tensor == NULL) {
        problems_add(&load->problems, "%s is missing", name);
        return true;
    }
    enum dtype dtype;
    if (!find_dtype(tensor->format, &dtype))
        problems_add(&load->problems, "%s is %s, want BF16, F16 or F32", name, tensor->format);
    const int64_t want[2] = {tensor_rows(&load->model->config, slot),
                             whole(&load->model->config, slot->columns)};
    const int n_dims = slot->columns == DIM_NONE ? 1 : 2;
    if (tensor->n_dims != n_dims ||
        memcmp(tensor->shape, want, (size_t)n_dims * sizeof *want) != 0) {
        char found_text[96], want_text[64];
        problems_add(
            &load->problems, "%s is %s, want %s", name,
            tensor_shape_text(found_text, sizeof found_text, tensor->n_dims, tensor->shape),
            tensor_shape_text(want_text, sizeof want_text, n_dims, want));
    }
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool in_slots(const struct slot *slots, const char *name, const struct model_config *config)
{
    for (const struct slot *slot = slots; slot->name != NULL; slot++) {
        /* a head beside tied embeddings is a copy that some tools save, and one beside scores is
         * left from before: passed over */
        if (strcmp(slot->name, name) == 0 &&
            (slot_present(slot, config) || slot->presence == IF_LM_HEAD))
            return true;
    }
    return false;
}

/* "12.mlp.up_proj.weight". Layer numbers in their plain spelling only: a "007" would be a second
 * name of a tensor. */
static bool in_layers(const char *name, const struct model_config *config)
{
    const struct slot *const *tables = config->family->layer_slots;
    char *rest;
    const long layer = strtol(name, &rest, 10);
    const bool plain = name[0] >= '0' && name[0] <= '9' && (name[0] != '0' || rest == name + 1);
    bool known = false;
    for (int t = 0; t < MAX_TABLES && tables[t] != NULL; t++)
        known |= *rest == '.' && in_slots(tables[t], rest + 1, config);
    return known && plain && layer < config->n_layers;
}

static bool is_expected(const char *stored, const struct model *model)
{
    const struct model_config *config = &model->config;
    const struct family *family = config->family;
    for (const char *const *end = family->ignored; *end != NULL; end++) {
        if (ends_with(stored, *end))
            return true;
    }
    const bool in_body = strncmp(stored, body, strlen(body)) == 0;
    if (!in_body && in_slots(family->model_slots, stored, config))
        return true; /* a head */
    if (model->bare_names == in_body)
        return false;
    char name[sizeof body + SAFETENSORS_MAX_NAME];
    snprintf(name, sizeof name, "%s%s", model->bare_names ? body : "", stored);
    const size_t n_prefix = strlen(family->layer_prefix);
    return strncmp(name, family->layer_prefix, n_prefix) == 0
               ? in_layers(name + n_prefix, config)
               : in_slots(family->model_slots, name, config);
}

static void find_extra(struct load *load)
{
    const struct checkpoint *checkpoint = &load->model->files->checkpoint;
    for (int f = 0; f < checkpoint->n_files; f++) {
        const struct safetensors *file = &checkpoint->file[f];
        for (int i = 0; i < file->n_tensors; i++) {
            if (!is_expected(file->tensor[i].name, load->model))
                problems_add(&load->problems, "%s is not part of this model", file->tensor[i].name);
        }
    }
}

static bool choose_compute(struct model *model, const char *dtype, struct error *err)
{
    const struct tensor *embedding = checkpoint_find(
        &model->files->checkpoint, stored_name(model, model->config.family->model_slots[0].name));
    check(embedding != NULL && find_dtype(embedding->format, &model->config.checkpoint_dtype));
    if (strcmp(dtype, "auto") == 0)
        model->compute = model->config.checkpoint_dtype == DTYPE_BF16 ? DTYPE_BF16 : DTYPE_F32;
    else if (strcmp(dtype, "bfloat16") == 0)
        model->compute = DTYPE_BF16;
    else if (strcmp(dtype, "float32") == 0 || strcmp(dtype, "float16") == 0)
        model->compute = DTYPE_F32;
    else
        return error_set(err, ERROR_INPUT,
                         "dtype \"%.40s\", want auto, bfloat16, float16 or float32", dtype);
    const float scale = (float)model->config.embedding_scale;
    model->embedding_scale =
        model->compute == DTYPE_BF16 ? bf16_to_f32(bf16_from_f32(scale)) : scale;
    return true;
}

/* Matrices meet operands, which have one format; vectors and sums take any, and scores are made of
 * hidden states in float32. */
static enum dtype wanted_dtype(const struct model *model, const struct slot *slot,
                               enum dtype stored)
{
    const bool is_matrix = slot->columns != DIM_NONE && slot->rows != DIM_LABELS;
    return is_matrix && model->compute == DTYPE_BF16 ? DTYPE_BF16 : stored;
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

static void copy_row(unsigned char *to, enum dtype to_dtype, const unsigned char *from,
                     enum dtype from_dtype, int64_t n)
{
    if (to_dtype == from_dtype) {
        memcpy(to, from, (size_t)n * dtype_bytes(to_dtype));
        return;
    }
    check(to_dtype == DTYPE_BF16);
    for (int64_t i = 0; i < n; i++) {
        const bf16 v =
            bf16_from_f32(read_number(from + (size_t)i * dtype_bytes(from_dtype), from_dtype));
        memcpy(to + (size_t)i * sizeof v, &v, sizeof v);
    }
}

/* The part of a tensor that becomes a weight of this rank. */
struct part_of_tensor {
    const struct tensor *tensor;
    enum dtype stored, wanted;
    struct weight_shape shape;
    int64_t first, stride; /* elements: to the first one, and from row to row */
    size_t n_bytes;        /* as wanted */
    bool in_place;
};

static struct part_of_tensor find_part(const struct model *model, const struct slot *slot,
                                       const char *name)
{
    const bool is_vector = slot->columns == DIM_NONE;
    const int64_t row =
        stacked_rows(&model->config, slot, slot->stacked_at) + part(model, slot->rows).lo;
    struct part_of_tensor out = {
        .tensor = checkpoint_find(&model->files->checkpoint, name),
        .shape = weight_shape_of(model, slot),
        .stride = whole(&model->config, is_vector ? slot->rows : slot->columns),
    };
    check(out.tensor != NULL && find_dtype(out.tensor->format, &out.stored));
    out.first = is_vector ? row : row * out.stride + part(model, slot->columns).lo;
    out.wanted = wanted_dtype(model, slot, out.stored);
    out.n_bytes = (size_t)(out.shape.n_rows * out.shape.n_columns) * dtype_bytes(out.wanted);
    out.in_place =
        out.wanted == out.stored && (uintptr_t)out.tensor->data % dtype_bytes(out.stored) == 0;
    return out;
}

static size_t copy_bytes(const struct part_of_tensor *from)
{
    return from->in_place ? 0 : (from->n_bytes + COPY_ALIGN - 1) / COPY_ALIGN * COPY_ALIGN;
}

static bool count_slot(void *context, const struct slot *slot, const char *name,
                       struct weight *weight)
{
    (void)weight;
    struct model *model = context;
    const struct part_of_tensor from = find_part(model, slot, name);
    model->weight_bytes += from.n_bytes;
    model->kind_bytes[slot_kind(slot)] += from.n_bytes;
    model->mapped_bytes += from.in_place ? from.n_bytes : 0;
    model->copied_bytes += copy_bytes(&from);
    return true;
}

void weights_count(struct model *model)
{
    model->weight_bytes = model->mapped_bytes = model->copied_bytes = 0;
    memset(model->kind_bytes, 0, sizeof model->kind_bytes);
    weights_visit(model, count_slot, model);
}

struct placing {
    struct model *model;
    unsigned char *copy; /* where the next one goes */
};

static bool place_slot(void *context, const struct slot *slot, const char *name,
                       struct weight *weight)
{
    struct placing *placing = context;
    const struct part_of_tensor from = find_part(placing->model, slot, name);
    const struct weight_shape shape = from.shape;
    const size_t stored_bytes = dtype_bytes(from.stored);
    const unsigned char *data = from.tensor->data + (size_t)from.first * stored_bytes;
    if (from.in_place) {
        *weight = (struct weight){.data = data, .dtype = from.stored, .row_stride = from.stride};
        if (shape.n_rows > 0) /* of the last row only our columns: the file may end there */
            file_map_prefetch(&from.tensor->file->map, data,
                              (size_t)((shape.n_rows - 1) * from.stride + shape.n_columns) *
                                  stored_bytes);
        return true;
    }
    unsigned char *const copy = placing->copy;
    for (int64_t r = 0; r < shape.n_rows; r++)
        copy_row(copy + (size_t)(r * shape.n_columns) * dtype_bytes(from.wanted), from.wanted,
                 data + (size_t)(r * from.stride) * stored_bytes, from.stored, shape.n_columns);
    *weight = (struct weight){.data = copy, .dtype = from.wanted, .row_stride = shape.n_columns};
    placing->copy += copy_bytes(&from);
    return true;
}

static bool place(struct model *model, struct error *err)
{
    struct model_files *files = model->files;
    if (!memory_map(&files->copies, model->copied_bytes, err))
        return error_in(err, "copies of weights that cannot be used in place");
    files->copies_bytes = model->copied_bytes;
    weights_visit(model, place_slot, &(struct placing){.model = model, .copy = files->copies});
    if (model->config.tied && model->config.generates)
        model->lm_head = model->embed_tokens;
    return true;
}

/* What the names of the tensors say and config.json does not. */
static void look_at_names(struct model *model)
{
    const struct checkpoint *checkpoint = &model->files->checkpoint;
    struct model_config *config = &model->config;
    model->bare_names = checkpoint_find(checkpoint, "embed_tokens.weight") != NULL;
    if (model->bare_names && !config->tied && checkpoint_find(checkpoint, "lm_head.weight") == NULL)
        config->generates = false;
    config->value_head =
        config->generates && checkpoint_find(checkpoint, "v_head.summary.weight") != NULL;
    if (config->value_head)
        config->n_labels = 1;
    config->score_bias = checkpoint_find(checkpoint, config->value_head ? "v_head.summary.bias"
                                                                        : "score.bias") != NULL &&
                         config->n_labels > 0;
}

bool weights_measure(struct model *model, const char *dtype, struct error *err)
{
    struct load load = {.model = model};
    look_at_names(model);
    walk_tensors(
        &(struct walk){.model = model, .all = true, .visit = check_slot, .context = &load});
    find_extra(&load);
    if (!problems_none(&load.problems, err))
        return error_in(err, "%s", model->files->checkpoint.path);
    if (!choose_compute(model, dtype, err))
        return false;
    weights_count(model);
    return true;
}

bool weights_load(struct model *model, const char *dtype, struct error *err)
{
    return weights_measure(model, dtype, err) && place(model, err);
}
