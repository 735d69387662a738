/* tests/kernels/amx_emulated.h: the AMX level over an emulator of the tiles.
 *
 * What kernels/cpu/amx_matmul.c does, on any machine, slowly and strictly: an instruction that
 * does not fit the configuration ends the program. The other operations are the scalar ones. For
 * device_open_cpu_ops(). */
#pragma once
#include "kernels/ops.h"

extern const struct ops amx_emulated_ops; /* "amx-emulated" */
