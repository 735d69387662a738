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

/* *reached = value, which the host sees when the device has done all that was queued before. */
struct progress {
    uint32_t *reached; /* of device_alloc_host(), to be read atomically; NULL: nothing to be told */
    uint32_t value;
};

/* Queued by itself: takes about as long as the shortest kernel. */
void cuda_progress(struct device *device, struct progress progress);
/* Told on its way by the next kernel that takes it, which costs nothing: those of rms_norm and
 * tree_sum do. */
void cuda_progress_next(struct device *device, struct progress progress);
/* What is still to be told, and no longer is. */
struct progress cuda_progress_take(struct device *device);

#ifdef __cplusplus
}
#endif
