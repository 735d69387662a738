#include "tests/unit/kernels_cuda/gpu.h"

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

void gpu_open(struct gpu *gpu)
{
    struct error err = {0};
    *gpu = (struct gpu){0};
    must(device_open_cuda(&gpu->device, &(struct cuda_settings){.exact = true}, &err), &err);
    must(device_open_cpu(&gpu->cpu, "scalar", 1, 0, &err), &err);
}

void gpu_close(struct gpu *gpu)
{
    struct error err = {0};
    must(device_sync(gpu->device, &err), &err);
    for (int i = 0; i < gpu->n_arrays; i++)
        device_free(gpu->device, gpu->array[i], gpu->n_bytes[i]);
    device_close(gpu->device);
    device_close(gpu->cpu);
}

void *gpu_array(struct gpu *gpu, const void *host, size_t n_bytes)
{
    struct error err = {0};
    CHECK(gpu->n_arrays < GPU_ARRAYS && n_bytes > 0);
    void *array;
    must(device_alloc(gpu->device, &array, n_bytes, &err), &err);
    void *full = malloc(n_bytes);
    memset(full, 0xff, n_bytes);
    device_upload(gpu->device, array, host != NULL ? host : full, n_bytes);
    must(device_sync(gpu->device, &err), &err);
    free(full);
    gpu->n_bytes[gpu->n_arrays] = n_bytes;
    return gpu->array[gpu->n_arrays++] = array;
}

void gpu_read(struct gpu *gpu, void *host, const void *array, size_t n_bytes)
{
    struct error err = {0};
    device_download(gpu->device, host, array, n_bytes);
    must(device_sync(gpu->device, &err), &err);
}

struct weight gpu_weight(struct gpu *gpu, const struct weight *weight, int n_rows, int n_columns)
{
    const size_t size = dtype_bytes(weight->dtype), columns = (size_t)n_columns;
    const size_t row_bytes = (columns * size + 15) / 16 * 16;
    unsigned char *rows = malloc((size_t)n_rows * row_bytes);
    memset(rows, 0xff, (size_t)n_rows * row_bytes);
    for (size_t r = 0; r < (size_t)n_rows; r++)
        memcpy(rows + r * row_bytes,
               (const char *)weight->data + r * (size_t)weight->row_stride * size, columns * size);
    struct weight on_gpu = {.data = gpu_array(gpu, rows, (size_t)n_rows * row_bytes),
                            .dtype = weight->dtype,
                            .row_stride = (int64_t)(row_bytes / size)};
    free(rows);
    return on_gpu;
}

struct operand gpu_operand(struct gpu *gpu, enum dtype dtype, int n_tokens,
                           const struct leaves *leaves)
{
    const size_t n_bytes = operand_bytes(dtype, n_tokens, leaves);
    return operand_make(gpu_array(gpu, NULL, n_bytes), dtype, n_tokens, leaves);
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
