/* The CPU tables. A level names a kernel from a lower level where it has none of its own, in the
 * open, so that one look shows what is still to be written. */
#include "kernels/cpu/cpu_ops.h"

#include "kernels/cpu/features.h"

const struct cpu_level cpu_levels[] = {
    {.needs = 0, .ops = {.name = "scalar", .matmul = scalar_matmul}},
};
const int n_cpu_levels = sizeof cpu_levels / sizeof *cpu_levels;
