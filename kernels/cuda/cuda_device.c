/* One GPU: found, opened, and its memory.
 *
 * After a failure nothing is given back to the runtime: a kernel that hangs would let each of its
 * calls wait for ever, and the process is about to end. */
#include "kernels/cuda/cuda_device.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/cuda_state.h"
#include "kernels/cuda_bytes.h"

#include <string.h>

enum {
    OLDEST_ARCHITECTURE = 80,
    SHARED_BYTES = 160 << 10, /* of a block: the most that a kernel asks for is a little less */
};

static const struct device_calls calls_with_records, calls_without_records;

/* ---- which GPUs there are ---- */

static bool fails(const char *what, cudaError_t status, struct error *err)
{
    if (status == cudaSuccess)
        return false;
    (void)cudaGetLastError(); /* it is told here, and nowhere else */
    error_set(err, ERROR_SYSTEM, "%s: %s", what, cudaGetErrorString(status));
    return true;
}

/* A runtime needs a driver of its own major version, or a later one. */
static bool check_driver(struct error *err)
{
    int driver = 0, runtime = 0;
    if (fails("version of the CUDA runtime", cudaRuntimeGetVersion(&runtime), err))
        return false;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "no GPU can be used: this machine has no NVIDIA driver");
    if (driver / 1000 >= runtime / 1000)
        return true;
    return error_set(err, ERROR_UNSUPPORTED,
                     "no GPU can be used: the NVIDIA driver is for CUDA %d.%d, and this build "
                     "needs one for CUDA %d.0 or later",
                     driver / 1000, driver % 1000 / 10, runtime / 1000);
}

bool cuda_count_devices(int *n, struct error *err)
{
    if (!check_driver(err))
        return false;
    *n = 0;
    const cudaError_t status = cudaGetDeviceCount(n);
    if (status == cudaSuccess && *n > 0)
        return true;
    (void)cudaGetLastError();
    if (status == cudaSuccess || status == cudaErrorNoDevice)
        return error_set(err, ERROR_UNSUPPORTED, "no GPU can be used: the driver sees none");
    return error_set(err, ERROR_UNSUPPORTED, "no GPU can be used: %s", cudaGetErrorString(status));
}

static bool check_index(int index, struct error *err)
{
    int n;
    check(index >= 0);
    if (!cuda_count_devices(&n, err))
        return false;
    if (index < n)
        return true;
    return error_set(err, ERROR_UNSUPPORTED, "GPU %d is asked for, and there %s %d (from 0 on)",
                     index, n == 1 ? "is" : "are", n);
}

/* ---- open and close ---- */

static bool read_properties(struct cuda_device *cuda, struct error *err)
{
    struct cudaDeviceProp properties = {0};
    if (fails("properties", cudaGetDeviceProperties(&properties, cuda->is.index), err))
        return false;
    memcpy(cuda->name, properties.name, sizeof cuda->name);
    cuda->name[sizeof cuda->name - 1] = '\0';
    cuda->n_multiprocessors = properties.multiProcessorCount;
    cuda->architecture = 10 * properties.major + properties.minor;
    if (cuda->architecture < OLDEST_ARCHITECTURE)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s is of compute capability %d.%d, and 8.0 is the least", cuda->name,
                         properties.major, properties.minor);
    if (properties.sharedMemPerBlockOptin < SHARED_BYTES)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s has %zu KB of shared memory for a block, and the kernels need %d: "
                         "GPUs of data centres have it (A100, H100, H200, B200)",
                         cuda->name, properties.sharedMemPerBlockOptin >> 10, SHARED_BYTES >> 10);
    return true;
}

static bool make_queue(struct cuda_device *cuda, struct error *err)
{
    if (fails("opening", cudaSetDevice(cuda->is.index), err) ||
        fails("stream", cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking), err))
        return false;
    for (int i = 0; i < DEVICE_MARKS; i++)
        if (fails("event", cudaEventCreateWithFlags(&cuda->mark[i], cudaEventDisableTiming), err))
            return false;
    return true;
}

bool device_open_cuda(struct device **out, const struct cuda_settings *settings, struct error *err)
{
    if (!check_index(settings->index, err))
        return false;
    struct cuda_device *cuda = memory_alloc(1, sizeof *cuda);
    cuda->is = *settings;
    if (settings->algorithms != NULL)
        cuda->is.algorithms = cuda->algorithms = memory_copy_text(settings->algorithms);
    cuda->device = (struct device){
        .ops = &cuda_ops, .calls = settings->graphs ? &calls_with_records : &calls_without_records};
    if (!read_properties(cuda, err) || !make_queue(cuda, err)) {
        device_close(&cuda->device);
        return error_in(err, "GPU %d", settings->index);
    }
    *out = &cuda->device;
    return true;
}

static void cuda_close(struct device *device)
{
    struct cuda_device *cuda = cuda_of(device);
    if (cuda->matmul.close != NULL)
        cuda->matmul.close(cuda->matmul.data);
    if (!cuda_failed(device)) {
        if (cuda->stream != NULL)
            cudaStreamSynchronize(cuda->stream);
        cudaFree(cuda->workspace);
        for (int i = 0; i < DEVICE_MARKS; i++)
            if (cuda->mark[i] != NULL)
                cudaEventDestroy(cuda->mark[i]);
        if (cuda->stream != NULL)
            cudaStreamDestroy(cuda->stream);
    }
    memory_free(cuda->algorithms);
    memory_free(cuda);
}

int cuda_multiprocessors(const struct device *device)
{
    return cuda_of_const(device)->n_multiprocessors;
}

const char *cuda_name(const struct device *device) { return cuda_of_const(device)->name; }

bool cuda_is_exact(const struct device *device) { return cuda_of_const(device)->is.exact; }

const char *cuda_algorithms(const struct device *device)
{
    return cuda_of_const(device)->is.algorithms;
}

struct cuda_state *cuda_matmul_state(struct device *device) { return &cuda_of(device)->matmul; }

/* ---- memory ---- */

static void cuda_memory(struct device *device, size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = *total_bytes = 0;
    cuda_keep(device, "amount of memory", cudaMemGetInfo(free_bytes, total_bytes));
}

/* To be asked before memory is taken, which may wait for all that the device has to do. */
static bool is_good(const struct device *device, struct error *err)
{
    if (cuda_failed(device))
        *err = cuda_of_const(device)->failure;
    return !cuda_failed(device);
}

static bool cuda_alloc(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    struct cuda_device *cuda = cuda_of(device);
    *out = NULL;
    if (n_bytes == 0)
        return true;
    if (!is_good(device, err))
        return false;
    const cudaError_t status = cudaMalloc(out, n_bytes);
    if (status == cudaErrorMemoryAllocation) {
        size_t free_bytes, total_bytes;
        (void)cudaGetLastError();
        cuda_memory(device, &free_bytes, &total_bytes);
        return error_set(err, ERROR_SYSTEM,
                         "GPU %d has %zu MiB of memory free, of %zu MiB, and %zu MiB are needed",
                         cuda->is.index, free_bytes >> 20, total_bytes >> 20,
                         (n_bytes + (1 << 20) - 1) >> 20);
    }
    if (fails("memory of the GPU", status, err))
        return error_in(err, "GPU %d", cuda->is.index);
    if (!fails("clearing memory of the GPU", cudaMemsetAsync(*out, 0, n_bytes, cuda->stream), err))
        return true;
    cudaFree(*out);
    *out = NULL;
    return error_in(err, "GPU %d", cuda->is.index);
}

static void cuda_free(struct device *device, void *p, size_t n_bytes)
{
    (void)n_bytes;
    if (p != NULL && !cuda_failed(device))
        cuda_keep(device, "freeing memory", cudaFree(p));
}

static bool cuda_alloc_host(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    *out = NULL;
    if (n_bytes == 0)
        return true;
    if (!is_good(device, err))
        return false;
    if (fails("memory of the host for copies", cudaMallocHost(out, n_bytes), err))
        return error_in(err, "GPU %d: %zu MiB", cuda_of(device)->is.index, n_bytes >> 20);
    memset(*out, 0, n_bytes);
    return true;
}

static void cuda_free_host(struct device *device, void *p, size_t n_bytes)
{
    (void)n_bytes;
    if (p != NULL && !cuda_failed(device))
        cuda_keep(device, "freeing memory of the host", cudaFreeHost(p));
}

/* ---- the workspace ---- */

static size_t cuda_workspace_of(const struct device *device, const struct step_needs *needs)
{
    (void)device;
    return cuda_workspace_bytes(needs);
}

static bool cuda_reserve(struct device *device, const struct step_needs *needs, struct error *err)
{
    struct cuda_device *cuda = cuda_of(device);
    const size_t n_bytes = cuda_workspace_bytes(needs);
    if (n_bytes <= cuda->workspace_bytes)
        return true;
    cuda_free(device, cuda->workspace, cuda->workspace_bytes);
    cuda->workspace_bytes = 0;
    if (!cuda_alloc(device, &cuda->workspace, n_bytes, err))
        return error_in(err, "memory of operations");
    cuda->workspace_bytes = n_bytes;
    return true;
}

void *cuda_workspace(struct device *device) { return cuda_of(device)->workspace; }

size_t cuda_workspace_bytes_reserved(const struct device *device)
{
    return cuda_of_const(device)->workspace_bytes;
}

/* ---- the tables ---- */

static const struct device_calls calls_without_records = {.alloc = cuda_alloc,
                                                          .free = cuda_free,
                                                          .alloc_host = cuda_alloc_host,
                                                          .free_host = cuda_free_host,
                                                          .memory = cuda_memory,
                                                          .reserve = cuda_reserve,
                                                          .workspace_bytes = cuda_workspace_of,
                                                          .upload = cuda_upload,
                                                          .download = cuda_download,
                                                          .copy_rows = cuda_copy_rows,
                                                          .mark = cuda_mark,
                                                          .wait = cuda_wait,
                                                          .close = cuda_close};

static const struct device_calls calls_with_records = {.has_records = true,
                                                       .alloc = cuda_alloc,
                                                       .free = cuda_free,
                                                       .alloc_host = cuda_alloc_host,
                                                       .free_host = cuda_free_host,
                                                       .memory = cuda_memory,
                                                       .reserve = cuda_reserve,
                                                       .workspace_bytes = cuda_workspace_of,
                                                       .upload = cuda_upload,
                                                       .download = cuda_download,
                                                       .copy_rows = cuda_copy_rows,
                                                       .mark = cuda_mark,
                                                       .wait = cuda_wait,
                                                       .record_begin = cuda_record_begin,
                                                       .record_end = cuda_record_end,
                                                       .replay = cuda_replay,
                                                       .record_free = cuda_record_free,
                                                       .close = cuda_close};
