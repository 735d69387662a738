/* Three walks over the same slots: one that looks for problems, one that counts bytes, one that
 * sets pointers. Nothing is set before everything was checked, so a checkpoint is never half
 * loaded; the first two touch headers alone, and are all that measuring needs. */
#include "runtime/model/weights.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/dtype.h"
#include "runtime/model/device_weights.h"
#include "runtime/model/family.h"
#include "runtime/model/loading_watch.h"
#include "runtime/model/problems.h"
#include "runtime/model/tensor_part.h"

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

bool weights_visit_all(struct model *model, slot_visit_fn *visit, void *context)
{
    return walk_tensors(
        &(struct walk){.model = model, .all = true, .visit = visit, .context = context});
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
    if (!format_find(tensor->format, &dtype))
        problems_add(&load->problems, "%s is %s, want BF16, F16 or F32", name, tensor->format);
    const struct weight_shape shape = tensor_shape_wanted(&load->model->config, slot);
    const int64_t want[2] = {shape.n_rows, shape.n_columns};
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

struct tensor_part weight_part(const struct model *model, const struct slot *slot, const char *name)
{
    return tensor_part_of(model, slot, checkpoint_find(&model->files->checkpoint, name));
}

static size_t copy_bytes(const struct tensor_part *part)
{
    const size_t rounded = (part->n_bytes + COPY_ALIGN - 1) / COPY_ALIGN * COPY_ALIGN;
    return part->home == PART_COPIED ? rounded : 0;
}

static bool count_slot(void *context, const struct slot *slot, const char *name,
                       struct weight *weight)
{
    (void)weight;
    struct model *model = context;
    const struct tensor_part part = weight_part(model, slot, name);
    model->weight_bytes += part.n_bytes;
    model->kind_bytes[slot_kind(slot)] += part.n_bytes;
    model->mapped_bytes += part.home == PART_IN_PLACE ? part.n_bytes : 0;
    model->copied_bytes += copy_bytes(&part);
    return true;
}

void weights_count(struct model *model)
{
    model->weight_bytes = model->mapped_bytes = model->copied_bytes = 0;
    memset(model->kind_bytes, 0, sizeof model->kind_bytes);
    weights_visit(model, count_slot, model);
    model->device_bytes = device_weights_bytes(model);
}

struct placing {
    struct model *model;
    unsigned char *copy; /* where the next one goes */
};

static struct weight use_in_place(const struct tensor_part *part)
{
    tensor_part_prefetch(part, 0, part->shape.n_rows);
    return (struct weight){
        .data = tensor_part_at(part, 0, 0), .dtype = part->stored, .row_stride = part->stride};
}

static struct weight use_copy(const struct tensor_part *part, unsigned char *copy,
                              struct loading_watch *watch)
{
    const int64_t n_columns = part->shape.n_columns;
    const size_t row_bytes = (size_t)n_columns * dtype_bytes(part->wanted);
    for (int64_t r = 0; r < part->shape.n_rows; r++) {
        tensor_part_read(copy + (size_t)r * row_bytes, part, r, 0, n_columns);
        loading_did(watch, row_bytes);
    }
    loading_did(watch, copy_bytes(part) - part->n_bytes); /* so that the sum is copied_bytes */
    return (struct weight){.data = copy, .dtype = part->wanted, .row_stride = n_columns};
}

static bool place_slot(void *context, const struct slot *slot, const char *name,
                       struct weight *weight)
{
    struct placing *placing = context;
    const struct tensor_part part = weight_part(placing->model, slot, name);
    if (part.home == PART_IN_PLACE)
        *weight = use_in_place(&part);
    if (part.home == PART_COPIED)
        *weight = use_copy(&part, placing->copy, placing->model->files->watch);
    placing->copy += copy_bytes(&part);
    return true;
}

void weights_share_head(struct model *model)
{
    if (model->config.tied && model->config.generates)
        model->lm_head = model->embed_tokens;
}

static void fill_in(struct model *model)
{
    loading_expect(model->files->watch, model->copied_bytes);
    weights_visit(model, place_slot,
                  &(struct placing){.model = model, .copy = model->files->copies});
    weights_share_head(model);
}

static bool place(struct model *model, struct error *err)
{
    struct model_files *files = model->files;
    if (!memory_map(&files->copies, model->copied_bytes, err))
        return error_in(err, "copies of weights that cannot be used in place");
    files->copies_bytes = model->copied_bytes;
    fill_in(model);
    return true;
}

void weights_forget(struct model *model)
{
    const struct model_files *files = model->files;
    for (int i = 0; i < files->checkpoint.n_files; i++)
        file_map_forget(&files->checkpoint.file[i].map);
    memory_forget(files->copies, files->copies_bytes);
}

void weights_recall(struct model *model) { fill_in(model); }

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
    weights_visit_all(model, check_slot, &load);
    find_extra(&load);
    if (!problems_none(&load.problems, err))
        return error_in(err, "%s", model->files->checkpoint.path);
    const char *embedding = stored_name(model, model->config.family->model_slots[0].name);
    if (!compute_choose(model, checkpoint_find(&model->files->checkpoint, embedding), dtype, err))
        return false;
    weights_count(model);
    return true;
}

bool weights_load(struct model *model, const char *dtype, struct error *err)
{
    return weights_measure(model, dtype, err) && place(model, err);
}
