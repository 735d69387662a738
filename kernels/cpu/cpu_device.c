/* CPU devices: a team of threads, the memory each of them works in, and a table of kernels. Work is
 * done when a call returns, so the queue is always empty. */
#include "kernels/device.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/features.h"

#include <string.h>
#include <unistd.h>
#include <xmmintrin.h>

void cpu_float_mode_set(void)
{
    enum { FLUSH_RESULTS = 0x8000, DENORMALS_ARE_ZERO = 0x0040, ROUNDING = 0x6000 };
    _mm_setcsr((_mm_getcsr() & ~(unsigned)ROUNDING) | FLUSH_RESULTS | DENORMALS_ARE_ZERO);
}

static const struct cpu_level *level_find(const char *name)
{
    for (int i = 0; i < n_cpu_levels; i++)
        if (strcmp(cpu_levels[i].ops.name, name) == 0)
            return &cpu_levels[i];
    return NULL;
}

static bool runs_here(const struct cpu_level *level)
{
    return (level->needs & ~cpu_features()) == 0;
}

static const struct cpu_level *level_best(void)
{
    int best = 0; /* needs nothing */
    for (int i = 1; i < n_cpu_levels; i++)
        if (runs_here(&cpu_levels[i]))
            best = i;
    return &cpu_levels[best];
}

static void cpu_close(struct device *device)
{
    for (int i = 0; i < team_size(device->team); i++)
        memory_unmap(device->scratch[i], device->scratch_bytes);
    team_destroy(device->team);
    memory_free(device->scratch);
    memory_free(device);
}

static bool cpu_alloc(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    (void)device;
    return memory_map(out, n_bytes, err);
}

static void cpu_free(struct device *device, void *p, size_t n_bytes)
{
    (void)device;
    memory_unmap(p, n_bytes);
}

static void cpu_memory(struct device *device, size_t *free_bytes, size_t *total_bytes)
{
    (void)device;
    *free_bytes = (size_t)system_available_bytes();
    *total_bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

static bool cpu_reserve(struct device *device, const struct step_needs *needs, struct error *err)
{
    (void)device;
    (void)needs;
    (void)err;
    return true;
}

static size_t cpu_workspace_bytes(const struct device *device, const struct step_needs *needs)
{
    (void)device;
    (void)needs;
    return 0;
}

static void cpu_copy(struct device *device, void *to, const void *from, size_t n_bytes)
{
    (void)device;
    memcpy(to, from, n_bytes);
}

static void cpu_copy_rows(struct device *device, void *to, size_t to_stride, const void *from,
                          size_t from_stride, size_t row_bytes, size_t n_rows)
{
    (void)device;
    for (size_t i = 0; i < n_rows; i++)
        memcpy((char *)to + i * to_stride, (const char *)from + i * from_stride, row_bytes);
}

static uint64_t cpu_mark(struct device *device)
{
    (void)device;
    return 0;
}

static bool cpu_wait(struct device *device, uint64_t mark, struct error *err)
{
    (void)device;
    (void)mark;
    (void)err;
    return true;
}

/* has_records is false: the others are never called. */
static const struct device_calls cpu_calls = {.is_host = true,
                                              .alloc = cpu_alloc,
                                              .free = cpu_free,
                                              .alloc_host = cpu_alloc,
                                              .free_host = cpu_free,
                                              .memory = cpu_memory,
                                              .reserve = cpu_reserve,
                                              .workspace_bytes = cpu_workspace_bytes,
                                              .upload = cpu_copy,
                                              .download = cpu_copy,
                                              .copy_rows = cpu_copy_rows,
                                              .mark = cpu_mark,
                                              .wait = cpu_wait,
                                              .close = cpu_close};

bool device_open_cpu(struct device **out, const char *kernels, int n_threads, int64_t spin_ns,
                     struct error *err)
{
    const struct cpu_level *level = level_best();
    if (kernels != NULL && strcmp(kernels, "auto") != 0) {
        const char *best = level->ops.name;
        level = level_find(kernels);
        if (level == NULL)
            return error_set(err, ERROR_INPUT,
                             "unknown kernels '%.64s': auto, scalar, avx2, avx512 or amx", kernels);
        if (!runs_here(level))
            return error_set(err, ERROR_UNSUPPORTED,
                             "this machine cannot run %s kernels: the best it runs are %s",
                             level->ops.name, best);
    }
    return device_open_cpu_ops(out, &level->ops, n_threads, spin_ns, err);
}

bool device_open_cpu_ops(struct device **out, const struct ops *ops, int n_threads, int64_t spin_ns,
                         struct error *err)
{
    check(n_threads >= 1);
    struct device *device = memory_alloc(1, sizeof *device);
    device->ops = ops;
    device->calls = &cpu_calls;
    device->scratch = memory_alloc((size_t)n_threads, sizeof *device->scratch);
    device->scratch_bytes = CPU_SCRATCH_BYTES;

    /* Before the threads start: on AMX this asks the system for the tile state, which only
     * threads made afterwards are sure to have. */
    (void)cpu_features();
    if (!team_create(&device->team, n_threads, spin_ns, cpu_float_mode_set, err)) {
        memory_free(device->scratch);
        memory_free(device);
        return error_in(err, "opening a CPU device of %d threads", n_threads);
    }
    for (int i = 0; i < n_threads; i++)
        if (!memory_map(&device->scratch[i], device->scratch_bytes, err)) {
            device_close(device);
            return error_in(err, "scratch memory of thread %d", i);
        }
    *out = device;
    return true;
}
