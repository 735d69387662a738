/* runtime/model/tensor_part.h: the part of a tensor that is a weight of this rank: where it lies,
 * and its numbers in the format that is wanted.
 *
 * Only runtime/model includes this. */
#pragma once
#include "runtime/model/checkpoint.h"
#include "runtime/model/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct slot;

struct weight_shape {
    int64_t n_rows, n_columns;
};

/* The format of a weight in a file, by its name there; false: none of ours. */
bool format_find(const char *name, enum dtype *out);

/* The shape that config.json promises for the tensor of a slot; columns 1 for a vector. */
struct weight_shape tensor_shape_wanted(const struct model_config *config, const struct slot *slot);
/* Of the part of this rank; a vector is one row. */
struct weight_shape weight_shape_of(const struct model *model, const struct slot *slot);

/* Chooses model->compute by `dtype` (model.h) and the format of the embedding. */
bool compute_choose(struct model *model, const struct tensor *embedding, const char *dtype,
                    struct error *err);

enum part_home {
    PART_IN_PLACE,  /* used where the file is mapped */
    PART_COPIED,    /* in memory of this rank's own */
    PART_ON_DEVICE, /* on its GPU */
};

struct tensor_part {
    const struct tensor *tensor;
    enum dtype stored, wanted;
    enum part_home home;
    struct weight_shape shape;
    int64_t first, stride; /* elements of the tensor: to the first one, and from row to row */
    size_t n_bytes;        /* as wanted, without padding */
};
/* Of a tensor that was checked. */
struct tensor_part tensor_part_of(const struct model *model, const struct slot *slot,
                                  const struct tensor *tensor);
/* Element `column` of its row `row`, as stored. Of a tensor that has data: not of a dummy one. */
const unsigned char *tensor_part_at(const struct tensor_part *part, int64_t row, int64_t column);
/* The disk may fetch so many of its rows, which will be read soon. */
void tensor_part_prefetch(const struct tensor_part *part, int64_t row, int64_t n_rows);
/* n elements of that row from `column` on, as wanted: rounded to nearest, ties to even. */
void tensor_part_read(void *to, const struct tensor_part *part, int64_t row, int64_t column,
                      int64_t n);
float number_rounded(enum dtype dtype, float number);
/* Whether none of them is a NaN or an infinity. Aligned to their elements. */
bool numbers_are_finite(const void *numbers, enum dtype dtype, int64_t n);
