/* CPU devices: a team of threads, the memory each of them works in, and a table of kernels.
 * CUDA devices are made in kernels/cuda/, or refused in cuda_absent.c. */
#include "kernels/device.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/features.h"

#include <string.h>
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

void device_close(struct device *device)
{
    if (device == NULL)
        return;
    for (int i = 0; i < team_size(device->team); i++)
        memory_unmap(device->scratch[i], device->scratch_bytes);
    team_destroy(device->team);
    memory_free(device->scratch);
    memory_free(device);
}

bool device_alloc(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    (void)device;
    return memory_map(out, n_bytes, err);
}

void device_free(struct device *device, void *p, size_t n_bytes)
{
    (void)device;
    memory_unmap(p, n_bytes);
}
