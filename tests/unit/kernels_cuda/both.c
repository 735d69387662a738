#include "tests/unit/kernels_cuda/both.h"

#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "tests/cuda_emulator/block.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static void must(bool good, const struct error *err)
{
    if (!good)
        test_fail(__FILE__, __LINE__, "%s", err->text);
}

void both_open(struct both *both)
{
    struct error err = {0};
    *both = (struct both){0};
    must(device_open_cuda(&both->device, &(struct cuda_settings){.exact = true}, &err), &err);
    must(device_open_cpu(&both->cpu, "scalar", 1, 0, &err), &err);
}

void both_close(struct both *both)
{
    struct error err = {0};
    must(device_sync(both->device, &err), &err);
    for (int i = 0; i < both->n_arrays; i++)
        device_free(both->device, both->array[i], both->n_bytes[i]);
    device_close(both->device);
    device_close(both->cpu);
}

void *gpu_array(struct both *both, const void *host, size_t n_bytes)
{
    struct error err = {0};
    CHECK(both->n_arrays < BOTH_ARRAYS && n_bytes > 0);
    void *array;
    must(device_alloc(both->device, &array, n_bytes, &err), &err);
    void *full = malloc(n_bytes);
    memset(full, 0xff, n_bytes);
    device_upload(both->device, array, host != NULL ? host : full, n_bytes);
    must(device_sync(both->device, &err), &err);
    free(full);
    both->n_bytes[both->n_arrays] = n_bytes;
    return both->array[both->n_arrays++] = array;
}

void gpu_read(struct both *both, void *host, const void *array, size_t n_bytes)
{
    struct error err = {0};
    device_download(both->device, host, array, n_bytes);
    must(device_sync(both->device, &err), &err);
}

struct weight gpu_weight(struct both *both, const struct weight *weight, int n_rows, int n_columns)
{
    const size_t size = dtype_bytes(weight->dtype), columns = (size_t)n_columns;
    const size_t row_bytes = (columns * size + 15) / 16 * 16;
    unsigned char *rows = malloc((size_t)n_rows * row_bytes);
    memset(rows, 0xff, (size_t)n_rows * row_bytes);
    for (size_t r = 0; r < (size_t)n_rows; r++)
        memcpy(rows + r * row_bytes,
               (const char *)weight->data + r * (size_t)weight->row_stride * size, columns * size);
    struct weight on_gpu = {.data = gpu_array(both, rows, (size_t)n_rows * row_bytes),
                            .dtype = weight->dtype,
                            .row_stride = (int64_t)(row_bytes / size)};
    free(rows);
    return on_gpu;
}

struct operand gpu_operand(struct both *both, enum dtype dtype, int n_tokens,
                           const struct leaves *leaves)
{
    const size_t n_bytes = operand_bytes(dtype, n_tokens, leaves);
    return operand_make(gpu_array(both, NULL, n_bytes), dtype, n_tokens, leaves);
}

float widened(const void *array, enum dtype dtype, size_t i)
{
    switch (dtype) {
    case DTYPE_BF16:
        return bf16_to_f32(((const bf16 *)array)[i]);
    case DTYPE_F16:
        return f16_to_f32(((const uint16_t *)array)[i]);
    default:
        return ((const float *)array)[i];
    }
}

float rounded(float x, enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_BF16:
        return bf16_to_f32(bf16_from_f32(x));
    case DTYPE_F16:
        return f16_to_f32(emulated_f32_f16(x));
    default:
        return x;
    }
}

bool same_number(float a, float b) { return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b); }
