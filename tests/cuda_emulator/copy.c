/* Copies, memory set to a value, kernels: work for streams. */
#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/runtime.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct copy_2d {
    const char *name;
    void *to;
    const void *from; /* NULL: set to value */
    size_t to_pitch, from_pitch, width, n_rows;
    enum cudaMemcpyKind kind;
    int value;
};

static size_t span(size_t pitch, const struct copy_2d *copy)
{
    return copy->n_rows == 0 || copy->width == 0 ? 0 : pitch * (copy->n_rows - 1) + copy->width;
}

static void require_host(const char *name, const void *p, size_t n_bytes)
{
    struct allocation a;
    if (n_bytes > 0 && memory_find(p, &a) && a.kind == MEMORY_DEVICE)
        emulated_die("%s: %p is device memory, but was called host memory", name, p);
}

/* When a copy is asked for, and again when it is done: memory can be freed between. */
static void inspect(const struct copy_2d *copy)
{
    const size_t n_to = span(copy->to_pitch, copy), n_from = span(copy->from_pitch, copy);
    const bool from_device =
        copy->kind == cudaMemcpyDeviceToHost || copy->kind == cudaMemcpyDeviceToDevice;
    const bool to_device =
        copy->kind == cudaMemcpyHostToDevice || copy->kind == cudaMemcpyDeviceToDevice;
    if (copy->to_pitch < copy->width || (copy->from && copy->from_pitch < copy->width))
        emulated_die("%s: rows of %zu bytes do not fit into the pitch", copy->name, copy->width);
    if (to_device)
        emulated_check_device(copy->name, copy->to, n_to);
    else
        require_host(copy->name, copy->to, n_to);
    if (copy->from && from_device)
        emulated_check_device(copy->name, copy->from, n_from);
    else if (copy->from)
        require_host(copy->name, copy->from, n_from);
}

static enum emulated_progress run_copy(void *context)
{
    const struct copy_2d *copy = context;
    inspect(copy);
    for (size_t row = 0; row < copy->n_rows; row++) {
        unsigned char *to = (unsigned char *)copy->to + row * copy->to_pitch;
        if (copy->from)
            memmove(to, (const unsigned char *)copy->from + row * copy->from_pitch, copy->width);
        else
            memset(to, copy->value, copy->width);
    }
    return EMULATED_DONE;
}

static cudaError_t run_now(struct copy_2d *copy)
{
    const bool was_open = device_memory_open();
    run_copy(copy);
    device_memory_close(was_open);
    return cudaSuccess;
}

static bool is_pageable(const void *p)
{
    struct allocation a;
    return !memory_find(p, &a);
}

/* Memory that is not pinned is copied before the call returns, as CUDA does it. */
static cudaError_t submit(cudaStream_t stream, const struct copy_2d *copy)
{
    stream = stream_or_default(stream);
    inspect(copy);
    const bool pageable = copy->from && (is_pageable(copy->from) || is_pageable(copy->to));
    const cudaError_t status =
        emulated_stream_enqueue(stream, copy->name, run_copy, copy, sizeof *copy);
    if (status == cudaSuccess && pageable && !stream->capturing)
        return told(stream_finish(stream));
    return status;
}

static struct copy_2d one_row(const char *name, void *to, const void *from, size_t n_bytes,
                              enum cudaMemcpyKind kind)
{
    return (struct copy_2d){name, to, from, n_bytes, n_bytes, n_bytes, 1, kind, 0};
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    if (emulated_fails("cudaMemcpyAsync"))
        return told(cudaErrorUnknown);
    if (n_bytes == 0)
        return cudaSuccess;
    const struct copy_2d copy = one_row("cudaMemcpyAsync", to, from, n_bytes, kind);
    return submit(stream, &copy);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width_bytes, size_t n_rows, enum cudaMemcpyKind kind,
                              cudaStream_t stream)
{
    if (emulated_fails("cudaMemcpy2DAsync"))
        return told(cudaErrorUnknown);
    if (width_bytes == 0 || n_rows == 0)
        return cudaSuccess;
    const struct copy_2d copy = {"cudaMemcpy2DAsync", to,     from, to_pitch, from_pitch,
                                 width_bytes,         n_rows, kind, 0};
    return submit(stream, &copy);
}

cudaError_t cudaMemsetAsync(void *device, int value, size_t n_bytes, cudaStream_t stream)
{
    if (emulated_fails("cudaMemsetAsync"))
        return told(cudaErrorUnknown);
    if (n_bytes == 0)
        return cudaSuccess;
    struct copy_2d copy = one_row("cudaMemsetAsync", device, NULL, n_bytes, cudaMemcpyHostToDevice);
    copy.value = value;
    return submit(stream, &copy);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t n_bytes, enum cudaMemcpyKind kind)
{
    if (emulated_fails("cudaMemcpy"))
        return told(cudaErrorUnknown);
    if (capture_forbids())
        return told(cudaErrorStreamCaptureUnsupported);
    const cudaError_t status = streams_finish();
    if (status != cudaSuccess || n_bytes == 0)
        return told(status);
    struct copy_2d copy = one_row("cudaMemcpy", to, from, n_bytes, kind);
    return run_now(&copy);
}

cudaError_t cudaMemset(void *device, int value, size_t n_bytes)
{
    if (emulated_fails("cudaMemset"))
        return told(cudaErrorUnknown);
    if (capture_forbids())
        return told(cudaErrorStreamCaptureUnsupported);
    const cudaError_t status = streams_finish();
    if (status != cudaSuccess || n_bytes == 0)
        return told(status);
    struct copy_2d copy = one_row("cudaMemset", device, NULL, n_bytes, cudaMemcpyHostToDevice);
    copy.value = value;
    return run_now(&copy);
}

/* ---- kernels ---- */

/* A word that is an address of this process, of memory that is neither the device's nor pinned. */
static bool is_host_pointer(uintptr_t word)
{
    static const char data = 0;
    const char on_stack = 0;
    struct allocation a;
    unsigned char resident;
    const uintptr_t areas[] = {(uintptr_t)&data, (uintptr_t)&on_stack, (uintptr_t)runtime_here()};
    bool is_near = false;
    for (int i = 0; i < 3; i++)
        is_near = is_near || word >> 40 == areas[i] >> 40;
    return is_near && !memory_find((const void *)word, &a) &&
           mincore((void *)(word & ~(uintptr_t)4095), 1, &resident) == 0;
}

/* The first word of a closure is the kernel itself. */
static void require_device_pointers(const struct emulated_start *start, const void *closure,
                                    size_t n_bytes)
{
    for (size_t at = sizeof(void *); at + sizeof(void *) <= n_bytes; at += sizeof(void *)) {
        uintptr_t word;
        memcpy(&word, (const unsigned char *)closure + at, sizeof word);
        if (is_host_pointer(word))
            emulated_die("kernel %s: the arguments have a pointer to memory of the host, %p, at "
                         "byte %zu",
                         start->name, (void *)word, at - sizeof(void *));
    }
}

static enum emulated_progress run_kernel(void *context)
{
    const struct emulated_start *start = context;
    if (emulated_fails(start->name))
        return EMULATED_FAILED;
    emulated_run_kernel(start, start + 1);
    return EMULATED_DONE;
}

cudaError_t emulated_start_kernel(cudaStream_t stream, const struct emulated_start *start,
                                  const void *closure, size_t n_bytes)
{
    const dim3 grid = start->grid, block = start->block;
    const uint64_t n_threads = (uint64_t)block.x * block.y * block.z;
    if (emulated_fails("cudaLaunchKernel"))
        return told(cudaErrorUnknown);
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
        grid.z > 65535 || n_threads == 0 || n_threads > EMULATED_MAX_THREADS || block.z > 64)
        return told(cudaErrorInvalidConfiguration);
    if (start->shared_bytes > EMULATED_MAX_SHARED_BYTES)
        return told(cudaErrorInvalidValue);
    require_device_pointers(start, closure, n_bytes);
    struct work *work = work_new(start->name, run_kernel, NULL, 0);
    work = realloc(work, sizeof *work + sizeof *start + n_bytes);
    work->n_bytes = sizeof *start + n_bytes;
    memcpy(work->context, start, sizeof *start);
    memcpy(work->context + sizeof *start, closure, n_bytes);
    return stream_submit(stream, work);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    (void)kernel;
    if (emulated_fails("cudaFuncSetAttribute"))
        return told(cudaErrorUnknown);
    if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize &&
        value > EMULATED_MAX_SHARED_BYTES)
        return told(cudaErrorInvalidValue);
    return cudaSuccess;
}
