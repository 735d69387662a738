/* Opening in the order of what costs least: config, share, headers, and only then pointers into
 * the weights. Nothing here reads a weight, unless it must be copied. */
#include "runtime/model/model.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/model/device_weights.h"
#include "runtime/model/dummy.h"
#include "runtime/model/family.h"
#include "runtime/model/loading_watch.h"
#include "runtime/model/weights.h"

#include <math.h>
#include <string.h>

typedef bool weights_fn(struct model *, const char *dtype, struct error *);

static bool load(struct model *model, const char *folder, const char *dtype, weights_fn *weights,
                 const struct model_place *place, struct error *err)
{
    struct model_config *config = &model->config;
    if (!model_config_read(config, folder, err) || !model_tp_check(config, place->tp_size, err) ||
        !model_pp_check(config, place->pp_stages, err))
        return false;
    model_share_init(&model->share, config, place);
    model->rope_inv_freq = memory_alloc((size_t)config->n_ropes * (size_t)config->rope_half,
                                        sizeof *model->rope_inv_freq);
    for (int i = 0; i < config->n_ropes; i++)
        rope_inv_freq(&config->rope[i], model->rope_inv_freq + i * config->rope_half);
    model->layer = memory_alloc((size_t)config->n_layers, sizeof *model->layer);
    model->files = memory_alloc(1, sizeof *model->files);
    model->files->watch = place->watch;
    if (place->dummy)
        dummy_checkpoint(&model->files->checkpoint, model, folder);
    else if (!checkpoint_open(&model->files->checkpoint, folder, err))
        return false;
    return weights(model, dtype, err);
}

static bool open_with(struct model **out, const char *folder, const char *dtype,
                      weights_fn *weights, const struct model_place *place, struct error *err)
{
    struct model *model = memory_alloc(1, sizeof *model);
    if (!load(model, folder, dtype, weights, place, err)) {
        model_close(model);
        return false;
    }
    *out = model;
    return true;
}

bool model_open(struct model **out, const char *folder, const char *dtype,
                const struct model_place *place, struct error *err)
{
    return open_with(out, folder, dtype, weights_load, place, err);
}

bool model_measure(struct model **out, const char *folder, const char *dtype,
                   const struct model_place *place, struct error *err)
{
    return open_with(out, folder, dtype, weights_measure, place, err);
}

void model_measure_as(struct model *model, const struct model_place *place)
{
    model_share_release(&model->share);
    model_share_init(&model->share, &model->config, place);
    weights_count(model);
}

void model_close(struct model *model)
{
    if (model == NULL)
        return;
    if (model->files != NULL) {
        model_device_release(model);
        checkpoint_close(&model->files->checkpoint);
        memory_unmap(model->files->copies, model->files->copies_bytes);
    }
    memory_free(model->files);
    memory_free(model->layer);
    memory_free(model->rope_inv_freq);
    model_share_release(&model->share);
    memory_free(model);
}

void model_sleep(struct model *model)
{
    if (model->files->is_asleep)
        return;
    model->files->is_asleep = true;
    if (model->share.on_gpu)
        model_device_release(model);
    else
        weights_forget(model);
}

bool model_wake(struct model *model, const struct device_loading *loading, struct error *err)
{
    if (!model->files->is_asleep)
        return true;
    if (model->share.on_gpu && !model_to_device(model, loading, err))
        return false;
    if (!model->share.on_gpu)
        weights_recall(model);
    model->files->is_asleep = false;
    return true;
}

const char *model_file_at(const struct model *model, const void *address)
{
    if (model == NULL || model->files == NULL)
        return NULL;
    const uintptr_t at = (uintptr_t)address;
    for (int i = 0; i < model->files->checkpoint.n_files; i++) {
        const struct safetensors *file = &model->files->checkpoint.file[i];
        const uintptr_t begin = (uintptr_t)file->map.data;
        if (at >= begin && at < begin + file->map.n_bytes)
            return file->path;
    }
    return NULL;
}

struct scan {
    const struct model *model;
    struct error *err;
};

static bool scan_slot(void *context, const struct slot *slot, const char *name,
                      struct weight *weight)
{
    const struct scan *scan = context;
    const struct weight_shape shape = weight_shape_of(scan->model, slot);
    const struct tensor *tensor = checkpoint_find(&scan->model->files->checkpoint, name);
    for (int64_t row = 0; row < shape.n_rows; row++) {
        const unsigned char *numbers =
            (const unsigned char *)weight->data +
            (size_t)(row * weight->row_stride) * dtype_bytes(weight->dtype);
        if (!numbers_are_finite(numbers, weight->dtype, shape.n_columns))
            return error_set(scan->err, ERROR_INPUT,
                             "%s: tensor %s has a NaN or an infinity (row %lld of this rank)",
                             tensor->file->path, name, (long long)row);
        loading_did(scan->model->files->watch,
                    (size_t)shape.n_columns * dtype_bytes(weight->dtype));
    }
    return true;
}

bool model_check_weights(const struct model *model, struct error *err)
{
    struct scan scan = {.model = model, .err = err};
    loading_expect(model->files->watch, model->weight_bytes);
    return weights_visit((struct model *)(uintptr_t)model, scan_slot, &scan);
}
