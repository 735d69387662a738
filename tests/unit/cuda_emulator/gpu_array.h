/* tests/unit/cuda_emulator/gpu_array.h: arrays in device memory, there and back.
 */
#pragma once
#include <stddef.h>

void *gpu_bytes(size_t n_bytes); /* NaN */
void *gpu_copy_of(const void *host, size_t n_bytes);
void gpu_read(void *host, const void *device, size_t n_bytes);
/* gpu_read() and the end of the device memory. */
void gpu_take_home(void *host, void *device, size_t n_bytes);
