#include "tests/unit/kernels_cuda/gpu_matmul.h"

#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BEHIND_WEIGHT = 8, /* numbers: rows begin at multiples of 16 bytes */
    BEHIND_OUT = 3,
    FRONT = 64, /* numbers of the output's memory before and behind it */
};

static void *upload(struct device *device, const void *data, size_t n_bytes)
{
    struct error err = {0};
    void *gpu;
    if (!device_alloc(device, &gpu, n_bytes, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    device_upload(device, gpu, data, n_bytes);
    if (!device_sync(device, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return gpu;
}

static struct device *open_as(const struct cuda_settings *settings)
{
    struct error err = {0};
    struct device *device;
    const struct step_needs needs = {.n_tokens = 512, .n_out = 1024, .n_leaves = MAX_LEAVES};
    if (!device_open_cuda(&device, settings, &err) || !device_reserve(device, &needs, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return device;
}

struct device *gpu_open(bool exact)
{
    return open_as(&(struct cuda_settings){.exact = exact, .graphs = true});
}

struct device *gpu_open_with_file(const char *algorithms)
{
    return open_as(&(struct cuda_settings){.graphs = true, .algorithms = algorithms});
}

/* Where element k of a row lies: leaves begin at multiples of 32 in the 16-bit formats. */
static int place_of(const struct gpu_matmul *m, int k)
{
    int place = 0, begin = 0;
    if (m->shape.dtype == DTYPE_F32)
        return k;
    for (int i = 0; k >= m->shape.leaves.leaf[i].k_end; i++) {
        place += (m->shape.leaves.leaf[i].k_end - begin + 31) / 32 * 32;
        begin = m->shape.leaves.leaf[i].k_end;
    }
    return place + k - begin;
}

/* rows of `stride` elements, zero in the padding and NaN behind it; `plain` gets the rounded. */
static void *make_rows(const struct gpu_matmul *m, enum dtype dtype, int n_rows, int64_t stride,
                       number_fn *number, uint64_t seed, float *plain)
{
    char *rows = calloc((size_t)n_rows * (size_t)stride, dtype_bytes(dtype));
    for (int r = 0; r < n_rows; r++) {
        const size_t row = (size_t)r * (size_t)stride;
        for (int64_t i = m->k_padded; i < stride; i++)
            number_put(rows, dtype, row + (size_t)i, NAN);
        for (int k = 0; k < m->k; k++)
            plain[(size_t)r * (size_t)m->k + (size_t)k] = number_put(
                rows, dtype, row + (size_t)place_of(m, k), number(seed, (uint64_t)r, (uint64_t)k));
    }
    return rows;
}

struct gpu_matmul gpu_matmul_make(struct device *device, const struct gpu_matmul_shape *shape)
{
    struct gpu_matmul m = {.shape = *shape, .device = device, .k = leaves_k(&shape->leaves)};
    const size_t n_tokens = (size_t)shape->n_tokens, n_out = (size_t)shape->n_out;
    m.k_padded = shape->dtype == DTYPE_F32 ? m.k : leaves_k_padded(&shape->leaves);
    m.weight_stride = m.k_padded + BEHIND_WEIGHT;
    m.x = malloc(n_tokens * (size_t)m.k * sizeof *m.x);
    m.w = malloc(n_out * (size_t)m.k * sizeof *m.w);
    void *x = make_rows(&m, shape->dtype, shape->n_tokens, m.k_padded, shape->x_number, 1, m.x);
    void *w =
        make_rows(&m, shape->weight_dtype, shape->n_out, m.weight_stride, shape->w_number, 2, m.w);
    m.row_bytes = (size_t)m.k_padded * dtype_bytes(shape->dtype);
    m.x_bytes = n_tokens * m.row_bytes;
    m.weight_bytes = n_out * (size_t)m.weight_stride * dtype_bytes(shape->weight_dtype);
    m.x_gpu = upload(device, x, m.x_bytes);
    m.weight_gpu = upload(device, w, m.weight_bytes);
    if (shape->bias) {
        m.bias = malloc(n_out * sizeof *m.bias);
        for (size_t o = 0; o < n_out; o++)
            m.bias[o] = shape->w_number(3, o, 0);
        m.bias_gpu = upload(device, m.bias, n_out * sizeof *m.bias);
    }
    free(x);
    free(w);
    return m;
}

void gpu_matmul_free(struct gpu_matmul *m)
{
    device_free(m->device, m->x_gpu, m->x_bytes);
    device_free(m->device, m->weight_gpu, m->weight_bytes);
    device_free(m->device, m->bias_gpu, (size_t)m->shape.n_out * sizeof *m->bias);
    free(m->x);
    free(m->w);
    free(m->bias);
}

static void fetch(const struct gpu_matmul *m, float *host, const float *gpu, size_t n)
{
    struct error err = {0};
    device_download(m->device, host, gpu, n * sizeof *host);
    if (!device_sync(m->device, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

static void multiply_recorded(struct device *device, const struct matmul_args *args)
{
    device_record_begin(device);
    op_matmul(device, args);
    struct device_record *record = device_record_end(device);
    CHECK(record != NULL);
    device_replay(device, record);
    device_replay(device, record);
    struct error err = {0};
    if (!device_sync(device, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    device_record_free(device, record);
}

/* args but for the output, which has n_rows rows in all its parts. */
static void run(const struct gpu_matmul *m, struct matmul_args args, bool recorded, float *out)
{
    const size_t n_out = (size_t)args.n_out, stride = n_out + BEHIND_OUT;
    const size_t n_rows = (size_t)args.leaves->n_parts * (size_t)args.n_tokens;
    const size_t n = n_rows * stride + 2 * FRONT;
    float *all = malloc(n * sizeof *all);
    for (size_t i = 0; i < n; i++)
        all[i] = NAN;
    float *gpu = upload(m->device, all, n * sizeof *all);
    args.out = gpu + FRONT;
    args.out_stride = (int64_t)stride;
    if (recorded)
        multiply_recorded(m->device, &args);
    else
        op_matmul(m->device, &args);
    fetch(m, all, gpu, n);
    for (size_t i = 0; i < n; i++) {
        const bool is_out = i >= FRONT && i < n - FRONT && (i - FRONT) % stride < n_out;
        if (is_out)
            out[(i - FRONT) / stride * n_out + (i - FRONT) % stride] = all[i];
        else if (!isnan(all[i]))
            test_fail(__FILE__, __LINE__, "number %zu, outside of the output, was written", i);
    }
    device_free(m->device, gpu, n * sizeof *all);
    free(all);
}

static struct matmul_args args_of(const struct gpu_matmul *m, void *x, int n_tokens)
{
    return (struct matmul_args){
        .x = operand_make(x, m->shape.dtype, n_tokens, &m->shape.leaves),
        .weight = {m->weight_gpu, m->shape.weight_dtype, m->weight_stride},
        .bias = {m->bias_gpu, DTYPE_F32, m->shape.n_out},
        .leaves = &m->shape.leaves,
        .n_tokens = n_tokens,
        .n_out = m->shape.n_out,
    };
}

void gpu_matmul_run(const struct gpu_matmul *m, float *out)
{
    run(m, args_of(m, m->x_gpu, m->shape.n_tokens), false, out);
}

void gpu_matmul_run_recorded(const struct gpu_matmul *m, float *out)
{
    run(m, args_of(m, m->x_gpu, m->shape.n_tokens), true, out);
}

/* Copies of columns of the operand, so that they are aligned as any operand is. */
static void *copy_columns(const struct gpu_matmul *m, int first, int n, size_t from, size_t n_bytes)
{
    struct error err = {0};
    void *copy;
    if (!device_alloc(m->device, &copy, (size_t)n * n_bytes, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    device_copy_rows(m->device, copy, n_bytes,
                     (char *)m->x_gpu + (size_t)first * m->row_bytes + from, m->row_bytes, n_bytes,
                     (size_t)n);
    return copy;
}

void gpu_matmul_run_rows(const struct gpu_matmul *m, int first, int n, float *out)
{
    void *x = copy_columns(m, first, n, 0, m->row_bytes);
    run(m, args_of(m, x, n), false, out);
    device_free(m->device, x, (size_t)n * m->row_bytes);
}

void gpu_matmul_run_leaves(const struct gpu_matmul *m, int leaf, const struct leaves *leaves,
                           float *out)
{
    const int n = m->shape.n_tokens, k = leaves_k(leaves);
    const int first = leaf > 0 ? place_of(m, m->shape.leaves.leaf[leaf - 1].k_end) : 0;
    const int k_padded = m->shape.dtype == DTYPE_F32 ? k : leaves_k_padded(leaves);
    const size_t element = dtype_bytes(m->shape.dtype), n_bytes = (size_t)k_padded * element;
    void *x = copy_columns(m, 0, n, (size_t)first * element, n_bytes);
    struct matmul_args args = args_of(m, x, n);
    args.x = operand_make(x, m->shape.dtype, n, leaves);
    args.weight.data = (char *)m->weight_gpu + (size_t)first * dtype_bytes(m->shape.weight_dtype);
    args.leaves = leaves;
    run(m, args, false, out);
    device_free(m->device, x, (size_t)n * n_bytes);
}
