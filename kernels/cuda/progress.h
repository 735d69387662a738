/* kernels/cuda/progress.h: how far a GPU is in what was queued, told to the host while it works.
 *
 * Events say it of work that is queued, and not of work within a record: this can be recorded.
 */
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct device;

/* Queues *reached = value, and the host sees it when the device has done all that was queued
 * before. `reached` is memory of device_alloc_host(), to be read atomically. Takes about as long as
 * the shortest kernel. */
void cuda_progress(struct device *device, uint32_t *reached, uint32_t value);

#ifdef __cplusplus
}
#endif
