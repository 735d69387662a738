/* tests/kernels/levels.h: the CPU levels that this machine runs, one after another. */
#pragma once
#include "kernels/device.h"

#include <stdbool.h>
#include <stdint.h>

/* cpu_levels, and then the AMX level over an emulator of the tiles (amx_emulated.h). */
int n_levels(void);

/* A device on level < n_levels(); NULL (and one printed line per level and program) when the
 * machine cannot run it. Failing to open it fails the test. */
struct device *level_open(int level, int n_threads);

/* Scalar and emulated code works on one number at a time, and with sanitizers for minutes: tests
 * give it fewer shapes there. */
bool level_is_slow(int level);

/* A number that depends on its arguments only: [-1, 1), or whole in [-8, 8]. */
float number_at(uint64_t seed, uint64_t a, uint64_t b);
float whole_at(uint64_t seed, uint64_t a, uint64_t b);
