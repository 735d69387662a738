/* runtime/model/safetensors.h: the tensors of one file, where they lie.
 *
 * The file is mapped, its header is read and checked, its data is not touched. What is checked is
 * what the format promises: the header is inside the file, is a JSON object of tensors, each
 * tensor has a known format, its bytes are its shape's, and the tensors cover the data without gap
 * or overlap. After that every pointer is good for its n_bytes.
 *
 * Format: u64 length of the header (little endian), the header, the data.
 * https://huggingface.co/docs/safetensors
 */
#pragma once
#include "base/memory.h"
#include "base/system.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum {
    SAFETENSORS_MAX_HEADER = 16 << 20, /* bytes: hundreds of times the largest that we know of */
    SAFETENSORS_MAX_VALUES = 600000,   /* JSON values: some 50,000 tensors in one file */
    SAFETENSORS_MAX_NAME = 255,        /* bytes of a tensor's name */
    SAFETENSORS_MAX_DIMS = 8
};

struct tensor {
    const char *name;   /* NUL-terminated */
    const char *format; /* "BF16": as in the file */
    int n_dims;
    int64_t shape[SAFETENSORS_MAX_DIMS];
    const unsigned char *data; /* in the mapping; of any alignment */
    size_t n_bytes;
    const struct safetensors *file;
};

struct safetensors {
    char *path;
    struct file_map map;
    struct tensor *tensor; /* [n_tensors] by name */
    int n_tensors;
    struct arena arena; /* names and the table */
};

/* ERROR_INPUT names the file, and the tensor where it is one. */
bool safetensors_open(struct safetensors *out, const char *path, struct error *err);
void safetensors_close(struct safetensors *file); /* also after a failed open */
const struct tensor *safetensors_find(const struct safetensors *file, const char *name);
/* "[4096, 1024]" */
const char *tensor_shape_text(char *text, size_t n_bytes, int n_dims, const int64_t *shape);
