#include "tests/cuda_emulator/runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_emulator/block.h"

/* ---- the runtime of a host thread ---- */

static __thread struct runtime *runtime_made;
static pthread_key_t runtime_key;
static pthread_once_t runtime_once = PTHREAD_ONCE_INIT;

static void free_runtime(void *p)
{
    struct runtime *runtime = p;
    atomic_store(&runtime->leaving, true);
    if (runtime->has_behind)
        pthread_join(runtime->behind, NULL);
    while (runtime->streams) { /* those that nobody destroyed, and the default one */
        struct CUstream_st *next = runtime->streams->next;
        while (runtime->streams->first) {
            struct work *work = runtime->streams->first;
            runtime->streams->first = work->next;
            free(work);
        }
        free(runtime->streams);
        runtime->streams = next;
    }
    pthread_mutex_destroy(&runtime->lock);
    free(runtime);
    runtime_made = NULL;
}

void runtime_adopt(struct runtime *runtime) { runtime_made = runtime; }

static void make_key(void)
{
    if (pthread_key_create(&runtime_key, free_runtime) != 0)
        abort();
}

struct runtime *runtime_here(void)
{
    if (runtime_made == NULL) {
        pthread_once(&runtime_once, make_key);
        runtime_made = calloc(1, sizeof *runtime_made);
        pthread_setspecific(runtime_key, runtime_made);
        pthread_mutexattr_t recursive;
        pthread_mutexattr_init(&recursive);
        pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
        pthread_mutex_init(&runtime_made->lock, &recursive);
        pthread_mutexattr_destroy(&recursive);
        runtime_made->lazy = setting("EMULATOR_LAZY", 0) != 0;
        const char *fail = getenv("EMULATOR_FAIL");
        const char *colon = fail ? strchr(fail, ':') : NULL;
        if (colon) {
            snprintf(runtime_made->fail_name, sizeof runtime_made->fail_name, "%.*s",
                     (int)(colon - fail), fail);
            runtime_made->fail_in = strtol(colon + 1, NULL, 10);
        }
    }
    return runtime_made;
}

int64_t setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoll(text, NULL, 10) : otherwise;
}

/* ---- errors ---- */

void emulated_fail(const char *name, int nth)
{
    struct runtime *runtime = runtime_here();
    snprintf(runtime->fail_name, sizeof runtime->fail_name, "%s", name);
    runtime->fail_in = nth;
}

bool emulated_fails(const char *name)
{
    struct runtime *runtime = runtime_here();
    if (runtime->fail_in == 0 || strcmp(runtime->fail_name, name) != 0)
        return false;
    return --runtime->fail_in == 0;
}

cudaError_t told(cudaError_t status)
{
    if (status != cudaSuccess)
        runtime_here()->last = status;
    return status;
}

cudaError_t cudaPeekAtLastError(void) { return runtime_here()->last; }

cudaError_t cudaGetLastError(void)
{
    const cudaError_t last = runtime_here()->last;
    runtime_here()->last = cudaSuccess;
    return last;
}

#define ERRORS(X)                                                                                  \
    X(cudaSuccess, "no error")                                                                     \
    X(cudaErrorInvalidValue, "invalid argument")                                                   \
    X(cudaErrorMemoryAllocation, "out of memory")                                                  \
    X(cudaErrorInitializationError, "initialization error")                                        \
    X(cudaErrorInvalidConfiguration, "invalid configuration argument")                             \
    X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version") \
    X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                     \
    X(cudaErrorInvalidDevice, "invalid device ordinal")                                            \
    X(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device") \
    X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                   \
    X(cudaErrorNotReady, "device not ready")                                                       \
    X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                         \
    X(cudaErrorHostMemoryAlreadyRegistered,                                                        \
      "part or all of the requested memory range is already "                                      \
      "mapped")                                                                                    \
    X(cudaErrorHostMemoryNotRegistered,                                                            \
      "pointer does not correspond to a registered memory region")                                 \
    X(cudaErrorLaunchFailure, "unspecified launch failure")                                        \
    X(cudaErrorNotSupported, "operation not supported")                                            \
    X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")       \
    X(cudaErrorStreamCaptureInvalidated,                                                           \
      "operation failed due to a previous error during capture")                                   \
    X(cudaErrorStreamCaptureUnmatched, "the capture was not initiated in this stream")             \
    X(cudaErrorUnknown, "unknown error")

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
#define X(id, text) \
    case id:        \
        return text;
        ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
#define X(id, text) \
    case id:        \
        return #id;
        ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

/* ---- versions and devices ---- */

static int driver_version(void) { return (int)setting("EMULATOR_DRIVER", CUDART_VERSION); }

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = driver_version();
    return emulated_fails("cudaDriverGetVersion") ? told(cudaErrorUnknown) : cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return emulated_fails("cudaRuntimeGetVersion") ? told(cudaErrorUnknown) : cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 0;
    if (emulated_fails("cudaGetDeviceCount"))
        return told(cudaErrorUnknown);
    if (driver_version() / 1000 < CUDART_VERSION / 1000)
        return told(cudaErrorInsufficientDriver);
    *n = (int)setting("EMULATOR_DEVICES", 1);
    return *n > 0 ? cudaSuccess : told(cudaErrorNoDevice);
}

static cudaError_t require_device(int index)
{
    int n;
    const cudaError_t status = cudaGetDeviceCount(&n);
    if (status != cudaSuccess)
        return status;
    return index >= 0 && index < n ? cudaSuccess : told(cudaErrorInvalidDevice);
}

cudaError_t cudaSetDevice(int index)
{
    if (emulated_fails("cudaSetDevice"))
        return told(cudaErrorUnknown);
    const cudaError_t status = require_device(index);
    if (status == cudaSuccess)
        runtime_here()->device = index;
    return status;
}

cudaError_t cudaGetDevice(int *index)
{
    *index = runtime_here()->device;
    return emulated_fails("cudaGetDevice") ? told(cudaErrorUnknown) : cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int index)
{
    if (emulated_fails("cudaGetDeviceProperties"))
        return told(cudaErrorUnknown);
    const cudaError_t status = require_device(index);
    if (status != cudaSuccess)
        return status;
    const int capability = (int)setting("EMULATOR_CAPABILITY", 90);
    *properties = (struct cudaDeviceProp){
        .name = "Emulated GPU",
        .totalGlobalMem = (size_t)setting("EMULATOR_MEMORY", 256 << 20),
        .sharedMemPerBlock = 48 * 1024,
        .sharedMemPerBlockOptin = (size_t)setting("EMULATOR_SHARED", EMULATED_MAX_SHARED_BYTES),
        .sharedMemPerMultiprocessor = EMULATED_MAX_SHARED_BYTES + 1024,
        .maxThreadsPerBlock = EMULATED_MAX_THREADS,
        .major = capability / 10,
        .minor = capability % 10,
        .multiProcessorCount = 4, /* kernels that fill a GPU start few blocks */
        .l2CacheSize = 1 << 20,
        .memoryBusWidth = 512,
        .pciBusID = index + 1,
    };
    properties->uuid.bytes[0] = (char)(index + 1);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int index)
{
    struct cudaDeviceProp of;
    if (emulated_fails("cudaDeviceGetAttribute"))
        return told(cudaErrorUnknown);
    const cudaError_t status = cudaGetDeviceProperties(&of, index);
    if (status != cudaSuccess)
        return status;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = of.maxThreadsPerBlock;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)of.sharedMemPerBlock;
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *value = of.multiProcessorCount;
        return cudaSuccess;
    case cudaDevAttrL2CacheSize:
        *value = of.l2CacheSize;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = of.major;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = of.minor;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = (int)of.sharedMemPerMultiprocessor;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)of.sharedMemPerBlockOptin;
        return cudaSuccess;
    }
    return told(cudaErrorInvalidValue);
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int n_bytes, int index)
{
    if (emulated_fails("cudaDeviceGetPCIBusId"))
        return told(cudaErrorUnknown);
    const cudaError_t status = require_device(index);
    if (status == cudaSuccess)
        snprintf(id, (size_t)n_bytes, "0000:%02x:00.0", (unsigned)index + 1);
    return status;
}
