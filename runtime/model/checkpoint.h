/* runtime/model/checkpoint.h: all tensors of a model folder, in however many files.
 *
 * model.safetensors, or model.safetensors.index.json, whose weight_map says which file beside it
 * has which tensor. A value_head.safetensors beside them, where the trainers of reward models put
 * the head, belongs to it. Nothing but safetensors is read: a pickle can run code when it is
 * opened.
 */
#pragma once
#include "runtime/model/safetensors.h"

#include <stdbool.h>

struct error;

enum { CHECKPOINT_MAX_FILES = 1024, CHECKPOINT_MAX_TENSORS = 200000 };

struct checkpoint {
    char *path;               /* of the one file, or of the index: what messages name */
    struct safetensors *file; /* [n_files] */
    int n_files, n_tensors;
};

/* Maps and checks the headers of all files. ERROR_INPUT names the file, the key or the tensor;
 * ERROR_UNSUPPORTED for pickles says how to convert. */
bool checkpoint_open(struct checkpoint *out, const char *folder, struct error *err);
void checkpoint_close(struct checkpoint *checkpoint); /* also after a failed open */
const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name);
