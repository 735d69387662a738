/* runtime/model/device_layout.h: where each weight of a rank lies in the memory of its GPU, by the
 * rules of device_weights.h. From headers alone.
 *
 * Only runtime/model includes this. */
#pragma once
#include "runtime/model/weights.h"

#include <stdbool.h>
#include <stddef.h>

struct piece {
    struct tensor_part part;
    struct weight *weight; /* of the model: what is filled in */
    struct leaves leaves;  /* of a row; each begins where kernels/tensor.h says */
    int64_t row_stride;    /* elements, in the block */
    size_t at, n_bytes;    /* in the block */
    bool is_placed;
};

struct device_layout {
    const struct model *model;
    struct piece *piece; /* [n] as the checkpoint is walked */
    int n, capacity;
    const struct piece **placed; /* [n_placed] as they lie in the block */
    int n_placed;
    size_t n_bytes;
};

/* Of a model on a GPU, opened or measured, which is borrowed. */
void device_layout_make(struct device_layout *out, const struct model *model);
void device_layout_release(struct device_layout *layout);
size_t piece_row_bytes(const struct piece *piece); /* in the block, with padding */
