/* runtime/model/weights.h: the tensors of a checkpoint, checked and put into struct model.
 *
 * Only runtime/model includes this. */
#pragma once
#include "runtime/model/checkpoint.h"
#include "runtime/model/model.h"

#include <stdbool.h>

struct error;
struct slot;

/* The memory behind the weights of a model. */
struct model_files {
    struct checkpoint checkpoint;
    void *copies; /* of memory_map() */
    size_t copies_bytes;
};

/* Every tensor that has a weight on this rank: name in the checkpoint, and where it goes. Stops
 * when `visit` returns false. */
typedef bool slot_visit_fn(void *context, const struct slot *slot, const char *name,
                           struct weight *weight);
bool weights_visit(struct model *model, slot_visit_fn *visit, void *context);

/* Sizes of a weight of this rank. */
struct weight_shape {
    int64_t n_rows, n_columns; /* a vector is one row */
};
struct weight_shape weight_shape_of(const struct model *model, const struct slot *slot);

/* Chooses model->compute by `dtype` (model.h), checks all tensors of model->files, those of other
 * stages too, then fills in the weights. Config, share and layers are there already. */
bool weights_load(struct model *model, const char *dtype, struct error *err);
/* The same without the last step: no weight is read, copied, or has data. */
bool weights_measure(struct model *model, const char *dtype, struct error *err);
/* The bytes of a measured model whose share has changed. */
void weights_count(struct model *model);
