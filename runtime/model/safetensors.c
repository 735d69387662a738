/* Everything in the header is hostile until the last check: numbers are taken as 64 bit, products
 * and sums are checked for overflow, and nothing is read at an offset before all is known. */
#include "runtime/model/safetensors.h"

#include "base/error.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8 };

/* Formats of the safetensors specification; also those that no weight of ours may have, because
 * a file may hold tensors that we do not use. */
static const struct {
    const char *name;
    unsigned bits;
} formats[] = {{"BF16", 16},   {"F16", 16},    {"F32", 32},    {"F64", 64},    {"I64", 64},
               {"I32", 32},    {"I16", 16},    {"I8", 8},      {"U64", 64},    {"U32", 32},
               {"U16", 16},    {"U8", 8},      {"BOOL", 8},    {"C64", 64},    {"F8_E4M3", 8},
               {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4}};
enum { N_FORMATS = sizeof formats / sizeof *formats };

const char *tensor_shape_text(char *text, size_t n_bytes, int n_dims, const int64_t *shape)
{
    size_t used = 0;
    for (int i = 0; i < n_dims && used < n_bytes; i++)
        used += (size_t)snprintf(text + used, n_bytes - used, "%s%lld", i ? ", " : "[",
                                 (long long)shape[i]);
    if (used < n_bytes)
        snprintf(text + used, n_bytes - used, n_dims ? "]" : "[]");
    return text;
}

static bool read_shape(struct tensor *tensor, const json_t *json, uint64_t *n_items,
                       struct error *err)
{
    const json_t *shape = json_object_get(json, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_MAX_DIMS)
        return error_set(err, ERROR_INPUT, "\"shape\" is no list of at most %d sizes",
                         SAFETENSORS_MAX_DIMS);
    tensor->n_dims = (int)json_array_size(shape);
    *n_items = 1;
    for (int i = 0; i < tensor->n_dims; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        const int64_t value = json_integer_value(size);
        if (!json_is_integer(size) || value < 0)
            return error_set(err, ERROR_INPUT, "\"shape\" holds something that is no size");
        tensor->shape[i] = value;
        if (__builtin_mul_overflow(*n_items, (uint64_t)value, n_items))
            return error_set(err, ERROR_INPUT, "\"shape\" has more than 2^64 items");
    }
    return true;
}

static bool read_format(struct tensor *tensor, const json_t *json, unsigned *bits,
                        struct error *err)
{
    const char *name;
    if (!json_get_text(json, "dtype", true, &name, err))
        return false;
    for (int i = 0; i < N_FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            tensor->format = formats[i].name;
            *bits = formats[i].bits;
            return true;
        }
    }
    return error_set(err, ERROR_INPUT, "\"dtype\" is \"%.20s\", no format of safetensors", name);
}

/* begin and end count from the first byte of data. */
static bool read_offsets(const json_t *json, uint64_t n_data, uint64_t *begin, uint64_t *end,
                         struct error *err)
{
    const json_t *offsets = json_object_get(json, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return error_set(err, ERROR_INPUT, "\"data_offsets\" are not two whole numbers");
    const int64_t a = json_integer_value(first), b = json_integer_value(last);
    if (a < 0 || b < a || (uint64_t)b > n_data)
        return error_set(err, ERROR_INPUT,
                         "\"data_offsets\" [%lld, %lld] are outside of the %llu bytes of data; is "
                         "the file complete?",
                         (long long)a, (long long)b, (unsigned long long)n_data);
    *begin = (uint64_t)a;
    *end = (uint64_t)b;
    return true;
}

static bool read_tensor(struct tensor *tensor, const json_t *json, const unsigned char *data,
                        uint64_t n_data, struct error *err)
{
    uint64_t n_items, begin, end, n_bits;
    unsigned bits;
    if (!json_is_object(json))
        return error_set(err, ERROR_INPUT, "no JSON object");
    if (!read_format(tensor, json, &bits, err) || !read_shape(tensor, json, &n_items, err) ||
        !read_offsets(json, n_data, &begin, &end, err))
        return false;
    if (__builtin_mul_overflow(n_items, bits, &n_bits) || n_bits % 8 != 0 ||
        n_bits / 8 != end - begin) {
        char shape[128];
        return error_set(
            err, ERROR_INPUT,
            "\"data_offsets\" [%llu, %llu] hold %llu bytes, but \"shape\" %s in %s "
            "needs another number",
            (unsigned long long)begin, (unsigned long long)end, (unsigned long long)(end - begin),
            tensor_shape_text(shape, sizeof shape, tensor->n_dims, tensor->shape), tensor->format);
    }
    tensor->data = data + begin;
    tensor->n_bytes = end - begin;
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Empty tensors come before the one that begins at the same byte. */
static int by_place(const void *a, const void *b)
{
    const struct tensor *x = *(const struct tensor *const *)a;
    const struct tensor *y = *(const struct tensor *const *)b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

/* The format wants every byte of data to belong to exactly one tensor. */
static bool check_coverage(const struct safetensors *file, const unsigned char *data,
                           uint64_t n_data, struct error *err)
{
    const size_t n = (size_t)file->n_tensors;
    const struct tensor **order = memory_alloc(n, sizeof *order);
    for (size_t i = 0; i < n; i++)
        order[i] = &file->tensor[i];
    qsort(order, n, sizeof *order, by_place);

    const unsigned char *next = data;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        const char *const name = order[i]->name;
        if (order[i]->data < next)
            ok = error_set(err, ERROR_INPUT, "tensor %s overlaps %s", name, order[i - 1]->name);
        else if (order[i]->data > next)
            ok = error_set(err, ERROR_INPUT, "%lld bytes before tensor %s belong to no tensor",
                           (long long)(order[i]->data - next), name);
        next = order[i]->data + order[i]->n_bytes;
    }
    if (ok && next != data + n_data)
        ok = error_set(err, ERROR_INPUT, "the last %lld bytes of the file belong to no tensor",
                       (long long)(data + n_data - next));
    memory_free(order);
    return ok;
}

static bool read_header(struct safetensors *file, const json_t *header, uint64_t n_header,
                        struct error *err)
{
    if (!json_is_object(header))
        return error_set(err, ERROR_INPUT, "the header is no JSON object");
    const unsigned char *data = file->map.data + LENGTH_BYTES + n_header;
    const uint64_t n_data = file->map.n_bytes - LENGTH_BYTES - n_header;
    file->tensor = arena_alloc(&file->arena, json_object_size(header), sizeof *file->tensor);

    const char *name;
    json_t *json;
    json_object_foreach((json_t *)(uintptr_t)header, name, json)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        const size_t length = strlen(name);
        if (length == 0 || length > SAFETENSORS_MAX_NAME)
            return error_set(err, ERROR_INPUT, "tensor %.40s...: a name of %zu bytes, want 1 to %d",
                             name, length, SAFETENSORS_MAX_NAME);
        struct tensor *tensor = &file->tensor[file->n_tensors++];
        tensor->name = arena_copy_text(&file->arena, name, length);
        tensor->file = file;
        if (!read_tensor(tensor, json, data, n_data, err))
            return error_in(err, "tensor %s", name);
    }
    qsort(file->tensor, (size_t)file->n_tensors, sizeof *file->tensor, by_name);
    return check_coverage(file, data, n_data, err);
}

static uint64_t read_length(const unsigned char *bytes)
{
    uint64_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | bytes[i];
    return length;
}

static bool read_file(struct safetensors *file, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = SAFETENSORS_MAX_HEADER, .max_depth = 4, .max_values = SAFETENSORS_MAX_VALUES};
    const size_t n_bytes = file->map.n_bytes;
    if (n_bytes < LENGTH_BYTES)
        return error_set(err, ERROR_INPUT, "%zu bytes are no safetensors file", n_bytes);
    const uint64_t n_header = read_length(file->map.data);
    if (n_header < 2 || n_header > SAFETENSORS_MAX_HEADER)
        return error_set(err, ERROR_INPUT,
                         "a header of %llu bytes, want 2 to %d; is this a safetensors file?",
                         (unsigned long long)n_header, SAFETENSORS_MAX_HEADER);
    if (n_header > n_bytes - LENGTH_BYTES)
        return error_set(err, ERROR_INPUT,
                         "a header of %llu bytes in a file of %zu; is the file complete?",
                         (unsigned long long)n_header, n_bytes);
    json_t *header;
    if (!json_parse(&header, (const char *)file->map.data + LENGTH_BYTES, n_header, &limits, err))
        return error_in(err, "header");
    const bool ok = read_header(file, header, n_header, err);
    json_decref(header);
    return ok;
}

bool safetensors_open(struct safetensors *out, const char *path, struct error *err)
{
    *out = (struct safetensors){0};
    if (!file_map_open(&out->map, path, err))
        return false;
    out->path = arena_copy_text(&out->arena, path, strlen(path));
    return read_file(out, err) || error_in(err, "%s", path);
}

void safetensors_close(struct safetensors *file)
{
    file_map_close(&file->map);
    arena_release(&file->arena);
    *file = (struct safetensors){0};
}

const struct tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    const struct tensor key = {.name = name};
    return file->n_tensors
               ? bsearch(&key, file->tensor, (size_t)file->n_tensors, sizeof *file->tensor, by_name)
               : NULL;
}
