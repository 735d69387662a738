#include "tests/kernels/levels.h"

#include "base/error.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/features.h"
#include "tests/kernels/amx_emulated.h"
#include "tests/test.h"

#include <stdio.h>

int n_levels(void) { return n_cpu_levels + 1; }

bool level_is_slow(int level) { return level == 0 || level >= n_cpu_levels; }

struct device *level_open(int level, int n_threads)
{
    static unsigned told;
    const struct ops *ops = level < n_cpu_levels ? &cpu_levels[level].ops : &amx_emulated_ops;
    if (level < n_cpu_levels && (cpu_levels[level].needs & ~cpu_features())) {
        if (!(told & 1u << level))
            printf("  not run here: %s\n", ops->name);
        told |= 1u << level;
        return NULL;
    }
    struct device *device = NULL;
    struct error err = {0};
    if (!device_open_cpu_ops(&device, ops, n_threads, 0, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return device;
}

static uint64_t mix(uint64_t seed, uint64_t a, uint64_t b) /* splitmix64, Steele et al. 2014 */
{
    uint64_t z = seed * 0x9e3779b97f4a7c15u + a * 0xd1342543de82ef95u + b * 0x2545f4914f6cdd1du;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

float number_at(uint64_t seed, uint64_t a, uint64_t b)
{
    return (float)(mix(seed, a, b) >> 40) * 0x1p-23f - 1;
}

float whole_at(uint64_t seed, uint64_t a, uint64_t b) { return (float)(mix(seed, a, b) % 17) - 8; }
