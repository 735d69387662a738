/* tests/unit/runtime_model/small_model.h: checkpoints of a few KB, written by a test and then
 * broken in one place. */
#pragma once
#include "base/error.h"
#include "tests/files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SMALL_MAX_TENSORS = 32 };

struct small_tensor {
    char name[96];
    char dtype[8]; /* "BF16", "F16", "F32": the bytes of a number follow from it; others: 1 byte */
    int n_dims;
    int64_t shape[2];
};

/* One layer: hidden 64, 4 heads over 2 of 16, ffn 96, vocabulary 600, untied. */
struct small_model {
    struct folder folder;
    struct small_tensor tensor[SMALL_MAX_TENSORS];
    int n_tensors;
    int header_pad; /* spaces after the header: the data begins anywhere */
};

struct small_model small_make(const char *dtype);
void small_remove(const struct small_model *model);
struct small_tensor *small_find(struct small_model *model, const char *name);
void small_drop(struct small_model *model, const char *name);
void small_add(struct small_model *model, const char *name, const char *dtype, int64_t rows,
               int64_t columns); /* columns 0: a vector */

/* config.json; `more` replaces or adds keys, as `"a": 1, "b": [2]`, or is NULL. */
void small_write_config(const struct small_model *model, const char *more);
/* Tensors [first, last) as file `name`. Element i of tensor t is small_value(t, i). */
void small_write_tensors(const struct small_model *model, const char *name, int first, int last);
/* Both, as one file. */
void small_write(const struct small_model *model);
float small_value(int tensor, int64_t element); /* exact in every format */

/* model_open() of the folder must fail: the kind, and every text (up to NULL) in the message. It
 * must take less than a second and less than 100 MB. */
void check_refused(const struct small_model *model, enum error_kind kind, ...);
