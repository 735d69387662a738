/* runtime/model/weights.h: the tensors of a checkpoint, checked and put into struct model.
 *
 * Only runtime/model includes this. */
#pragma once
#include "runtime/model/checkpoint.h"
#include "runtime/model/model.h"
#include "runtime/model/tensor_part.h"

#include <stdbool.h>

struct device;
struct error;
struct loading_watch;
struct slot;

/* The memory behind the weights of a model. */
struct model_files {
    struct checkpoint checkpoint;
    void *copies; /* of memory_map() */
    size_t copies_bytes;
    bool is_asleep;
    struct device *device;       /* that has the weights; NULL: none, or not now */
    void *on_device;             /* [device_bytes] */
    struct loading_watch *watch; /* or NULL */
};

/* Every tensor that has a weight on this rank: name in the checkpoint, and where it goes. Stops
 * when `visit` returns false. */
typedef bool slot_visit_fn(void *context, const struct slot *slot, const char *name,
                           struct weight *weight);
bool weights_visit(struct model *model, slot_visit_fn *visit, void *context);
/* Those of other stages too. */
bool weights_visit_all(struct model *model, slot_visit_fn *visit, void *context);

/* What the weight of a slot is made of. The checkpoint has a tensor of this name. */
struct tensor_part weight_part(const struct model *model, const struct slot *slot,
                               const char *name);

/* Chooses model->compute by `dtype` (model.h), checks all tensors of model->files, those of other
 * stages too, then fills in the weights. Config, share and layers are there already. */
bool weights_load(struct model *model, const char *dtype, struct error *err);
/* The same without the last step: no weight is read, copied, or has data. */
bool weights_measure(struct model *model, const char *dtype, struct error *err);
/* Of a loaded model on a CPU: without pages, and with what they had. */
void weights_forget(struct model *model);
void weights_recall(struct model *model);
/* The bytes of a measured model whose share has changed. */
void weights_count(struct model *model);
/* Where the head is the embedding, both are the same weight. */
void weights_share_head(struct model *model);
