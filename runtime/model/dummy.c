#include "runtime/model/dummy.h"

#include "base/check.h"
#include "base/memory.h"
#include "runtime/model/family.h"
#include "runtime/model/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tensors ---- */

static bool count_tensor(void *context, const struct slot *slot, const char *name,
                         struct weight *weight)
{
    (void)name;
    (void)weight;
    *(int *)context += slot->stacked_at == 0;
    return true;
}

struct listing {
    const struct model_config *config;
    struct safetensors *file;
};

static bool list_tensor(void *context, const struct slot *slot, const char *name,
                        struct weight *weight)
{
    (void)weight;
    const struct listing *listing = context;
    struct safetensors *file = listing->file;
    if (slot->stacked_at > 0)
        return true; /* is in the tensor of the first one */
    const enum dtype dtype = listing->config->checkpoint_dtype;
    const struct weight_shape shape = tensor_shape_wanted(listing->config, slot);
    file->tensor[file->n_tensors++] = (struct tensor){
        .name = arena_copy_text(&file->arena, name, strlen(name)),
        .format = dtype_name(dtype),
        .n_dims = slot->columns == DIM_NONE ? 1 : 2,
        .shape = {shape.n_rows, shape.n_columns},
        .n_bytes = (size_t)(shape.n_rows * shape.n_columns) * dtype_bytes(dtype),
        .file = file,
    };
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void dummy_checkpoint(struct checkpoint *out, struct model *model, const char *folder)
{
    struct safetensors *file = memory_alloc(1, sizeof *file);
    char path[4200];
    int n = 0;
    snprintf(path, sizeof path, "%s (--load-format dummy)", folder);
    file->path = arena_copy_text(&file->arena, path, strlen(path));
    weights_visit_all(model, count_tensor, &n);
    file->tensor = arena_alloc(&file->arena, (size_t)n, sizeof *file->tensor);
    weights_visit_all(model, list_tensor,
                      &(struct listing){.config = &model->config, .file = file});
    qsort(file->tensor, (size_t)n, sizeof *file->tensor, by_name);
    *out = (struct checkpoint){
        .path = memory_copy_text(path), .file = file, .n_files = 1, .n_tensors = n};
}

bool tensor_is_dummy(const struct tensor *tensor) { return tensor->file->map.data == NULL; }

/* ---- their numbers ---- */

/* The output function of SplitMix64 (Steele, Lea and Flood 2014): a bijection that spreads. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t seed_of(const char *name)
{
    uint64_t seed = 0;
    for (; *name != '\0'; name++)
        seed = mix(seed ^ (unsigned char)*name);
    return seed;
}

/* The numbers are even over `center` +- `width`. */
struct range {
    float center, width;
};

static struct range range_of(const struct tensor *tensor)
{
    const char *end = strrchr(tensor->name, '.');
    if (tensor->n_dims == 2) /* a variance of 1 / n_columns */
        return (struct range){0, sqrtf(3.0f / (float)tensor->shape[1])};
    if (end != NULL && strcmp(end, ".bias") == 0)
        return (struct range){0, 0.0625f};
    return (struct range){1, 0.125f}; /* of a norm */
}

static void write_number(void *to, int64_t i, enum dtype dtype, float number)
{
    if (dtype == DTYPE_F32)
        ((float *)to)[i] = number;
    else
        ((uint16_t *)to)[i] =
            dtype == DTYPE_BF16 ? bf16_from_f32(number).bits : f16_from_f32(number);
}

void dummy_numbers(void *to, enum dtype wanted, const struct tensor *tensor, int64_t first,
                   int64_t n)
{
    const struct range range = range_of(tensor);
    const uint64_t seed = seed_of(tensor->name);
    enum dtype stored;
    check(format_find(tensor->format, &stored));
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = (uint64_t)(first + i), four = mix(seed ^ at / 4);
        const int16_t bits = (int16_t)(uint16_t)(four >> at % 4 * 16);
        const float number = range.center + range.width * (float)bits * 0x1p-15f;
        write_number(to, i, wanted, number_rounded(stored, number));
    }
}
