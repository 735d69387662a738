/* Device memory and pinned memory: contract in cuda_emulator.h. All host threads share it. */
#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/poison.h"
#include "tests/cuda_emulator/runtime.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Around each allocation is a zone that nobody may write. CUDA aligns to 256 bytes. */
enum { ALIGNMENT = 256, ZONE_BYTES = 256, PAGE_BYTES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct allocation *allocations; /* ascending */
static int n_allocations, max_allocations;
static uint64_t n_serials;

/* The first that starts behind p. */
static int find_behind(uintptr_t p)
{
    int low = 0, high = n_allocations;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (allocations[middle].at > p)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int find_index(const void *p)
{
    const int i = find_behind((uintptr_t)p) - 1;
    if (i < 0 || (uintptr_t)p - allocations[i].at >= allocations[i].n_bytes)
        return -1;
    return i;
}

bool memory_find(const void *p, struct allocation *out)
{
    pthread_mutex_lock(&lock);
    const int i = find_index(p);
    if (i >= 0)
        *out = allocations[i];
    pthread_mutex_unlock(&lock);
    return i >= 0;
}

bool memory_is_alive(const struct allocation *allocation)
{
    struct allocation now;
    return memory_find((const void *)allocation->at, &now) && now.serial == allocation->serial;
}

static void add(void *p, size_t n_bytes, enum memory_kind kind, int device)
{
    if (n_allocations == max_allocations) {
        max_allocations = max_allocations ? 2 * max_allocations : 64;
        allocations = realloc(allocations, sizeof *allocations * (size_t)max_allocations);
    }
    const int i = find_behind((uintptr_t)p);
    memmove(&allocations[i + 1], &allocations[i],
            sizeof *allocations * (size_t)(n_allocations - i));
    allocations[i] = (struct allocation){(uintptr_t)p, n_bytes, kind, device, ++n_serials};
    n_allocations++;
}

static struct allocation take(const char *call, const void *p, enum memory_kind kind)
{
    pthread_mutex_lock(&lock);
    const int i = find_index(p);
    if (i < 0 || allocations[i].at != (uintptr_t)p || allocations[i].kind != kind)
        emulated_die("%s(%p): no such memory is allocated", call, p);
    const struct allocation taken = allocations[i];
    n_allocations--;
    memmove(&allocations[i], &allocations[i + 1],
            sizeof *allocations * (size_t)(n_allocations - i));
    pthread_mutex_unlock(&lock);
    return taken;
}

static size_t device_bytes_used(int device)
{
    size_t n = 0;
    for (int i = 0; i < n_allocations; i++) {
        if (allocations[i].kind == MEMORY_DEVICE && allocations[i].device == device)
            n += (allocations[i].n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return n;
}

static size_t device_bytes(void) { return (size_t)setting("EMULATOR_MEMORY", 256 << 20); }

/* Bytes around p, which is ZONE_BYTES behind their start. */
static size_t outer_bytes(size_t n_bytes)
{
    const size_t padded = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return (padded + 2 * ZONE_BYTES + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static void *allocate(size_t n_bytes, enum memory_kind kind)
{
    const size_t n_outer = outer_bytes(n_bytes);
    unsigned char *base =
        kind == MEMORY_DEVICE ? device_pages_new(n_outer) : aligned_alloc(PAGE_BYTES, n_outer);
    if (base == NULL)
        return NULL;
    unsigned char *p = base + ZONE_BYTES, *behind = p + n_bytes;
    const bool was_open = device_memory_open();
    memset(base, ZONE, ZONE_BYTES);
    memset(p, POISON, n_bytes);
    memset(behind, ZONE, n_outer - ZONE_BYTES - n_bytes);
    device_memory_close(was_open);
    ASAN_POISON_MEMORY_REGION(base, ZONE_BYTES);
    ASAN_POISON_MEMORY_REGION(behind, n_outer - ZONE_BYTES - n_bytes);
    add(p, n_bytes, kind, runtime_here()->device);
    return p;
}

static void inspect(const char *call, const unsigned char *p, size_t n_bytes)
{
    for (int i = 1; i <= ZONE_BYTES; i++) {
        if (p[-i] != ZONE)
            emulated_die("%s(%p): somebody wrote %d bytes before this memory", call,
                         (const void *)p, i);
        if (p[n_bytes + (size_t)i - 1] != ZONE)
            emulated_die("%s(%p): somebody wrote %d bytes behind the end of this memory", call,
                         (const void *)p, i - 1);
    }
}

static void release(const char *call, void *p, enum memory_kind kind)
{
    const struct allocation taken = take(call, p, kind);
    const size_t n_outer = outer_bytes(taken.n_bytes);
    unsigned char *base = (unsigned char *)p - ZONE_BYTES;
    const bool was_open = device_memory_open();
    ASAN_UNPOISON_MEMORY_REGION(base, n_outer);
    inspect(call, p, taken.n_bytes);
    device_memory_close(was_open);
    if (kind == MEMORY_DEVICE) {
        munmap(base, n_outer);
        return;
    }
    memset(p, POISON, taken.n_bytes); /* who reads it later reads NaN */
    free(base);
}

cudaError_t cudaMalloc(void **out, size_t n_bytes)
{
    if (emulated_fails("cudaMalloc"))
        return told(cudaErrorMemoryAllocation);
    if (capture_forbids())
        return told(cudaErrorStreamCaptureUnsupported);
    *out = NULL;
    if (n_bytes == 0)
        return cudaSuccess;
    pthread_mutex_lock(&lock);
    if (device_bytes_used(runtime_here()->device) + n_bytes <= device_bytes())
        *out = allocate(n_bytes, MEMORY_DEVICE);
    pthread_mutex_unlock(&lock);
    return *out ? cudaSuccess : told(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *device)
{
    if (emulated_fails("cudaFree"))
        return told(cudaErrorUnknown);
    if (capture_forbids())
        return told(cudaErrorStreamCaptureUnsupported);
    if (device == NULL)
        return cudaSuccess;
    const cudaError_t status = streams_finish();
    release("cudaFree", device, MEMORY_DEVICE);
    return told(status);
}

cudaError_t cudaHostAlloc(void **out, size_t n_bytes, unsigned flags)
{
    (void)flags;
    if (emulated_fails("cudaHostAlloc"))
        return told(cudaErrorMemoryAllocation);
    if (capture_forbids())
        return told(cudaErrorStreamCaptureUnsupported);
    pthread_mutex_lock(&lock);
    *out = n_bytes > 0 ? allocate(n_bytes, MEMORY_PINNED) : NULL;
    pthread_mutex_unlock(&lock);
    return *out || n_bytes == 0 ? cudaSuccess : told(cudaErrorMemoryAllocation);
}

cudaError_t cudaMallocHost(void **out, size_t n_bytes)
{
    if (emulated_fails("cudaMallocHost"))
        return told(cudaErrorMemoryAllocation);
    return cudaHostAlloc(out, n_bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *host)
{
    if (emulated_fails("cudaFreeHost"))
        return told(cudaErrorUnknown);
    if (host == NULL)
        return cudaSuccess;
    const cudaError_t status = streams_finish();
    release("cudaFreeHost", host, MEMORY_PINNED);
    return told(status);
}

cudaError_t cudaHostRegister(void *host, size_t n_bytes, unsigned flags)
{
    (void)flags;
    if (emulated_fails("cudaHostRegister"))
        return told(cudaErrorUnknown);
    if (host == NULL || n_bytes == 0)
        return told(cudaErrorInvalidValue);
    pthread_mutex_lock(&lock);
    const int i = find_behind((uintptr_t)host + n_bytes - 1) - 1; /* the last before the end */
    const bool overlaps = i >= 0 && allocations[i].at + allocations[i].n_bytes > (uintptr_t)host;
    if (!overlaps)
        add(host, n_bytes, MEMORY_REGISTERED, runtime_here()->device);
    pthread_mutex_unlock(&lock);
    return overlaps ? told(cudaErrorHostMemoryAlreadyRegistered) : cudaSuccess;
}

cudaError_t cudaHostUnregister(void *host)
{
    if (emulated_fails("cudaHostUnregister"))
        return told(cudaErrorUnknown);
    const cudaError_t status = streams_finish();
    take("cudaHostUnregister", host, MEMORY_REGISTERED);
    return told(status);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    if (emulated_fails("cudaMemGetInfo"))
        return told(cudaErrorUnknown);
    pthread_mutex_lock(&lock);
    *total_bytes = device_bytes();
    *free_bytes = *total_bytes - device_bytes_used(runtime_here()->device);
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

void emulated_check_device(const char *name, const void *p, size_t n_bytes)
{
    struct allocation a;
    if (n_bytes == 0)
        return;
    if (!memory_find(p, &a) || a.kind != MEMORY_DEVICE)
        emulated_die("%s: %p is not in device memory", name, p);
    const size_t from = (uintptr_t)p - a.at;
    if (n_bytes > a.n_bytes - from)
        emulated_die("%s: %zu bytes at %p, but its memory ends %zu bytes behind it", name, n_bytes,
                     p, a.n_bytes - from);
}
