/* kernels/cuda/cuda_device.h: one GPU with one stream: what the kernels and the communicator need
 * of it beyond kernels/device.h.
 *
 * Calls of the runtime can fail long after they were made, and operations cannot (kernels/ops.h):
 * the first failure is kept here, with the name of what was asked for, and device_wait() tells it.
 * After a failure nothing more is queued.
 */
#pragma once
#include "kernels/cuda/cuda_settings.h"
#include "kernels/device.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct error;

cudaStream_t cuda_stream(const struct device *device);
int cuda_multiprocessors(const struct device *device);
const char *cuda_name(const struct device *device); /* "NVIDIA H100 80GB HBM3" */
bool cuda_is_exact(const struct device *device);
const char *cuda_algorithms(const struct device *device); /* of the settings */

/* What the matmul keeps as long as the device is open: handles, the algorithms that it chose. All
 * zero until it is first asked for; `close` is called with `data` before the device goes. */
struct cuda_state {
    void *data;
    void (*close)(void *data);
};
struct cuda_state *cuda_matmul_state(struct device *device);

/* Keeps the first failure of a device; `what` is a literal. True when status is none. */
bool cuda_keep(struct device *device, const char *what, cudaError_t status);
bool cuda_failed(const struct device *device);

/* Starts a kernel with its arguments by address; the name is a literal. For gpu_launch(). */
void cuda_launch(struct device *device, const char *name, const void *kernel, dim3 grid, dim3 block,
                 size_t shared_bytes, void **args);

/* Memory for whatever an operation needs between two of its kernels: the next operation may
 * overwrite it. device_reserve() made it, large enough for all needs it was given (those of a model
 * and of its draft), before the first operation; it is aligned to 256 bytes. */
void *cuda_workspace(struct device *device);
size_t cuda_workspace_bytes_reserved(const struct device *device);

/* Looks for a lost peer while somebody waits for the device: returns false with the error. NULL:
 * nobody to lose. Set by the communicator; called every few milliseconds from device_wait(). */
typedef bool cuda_watch_fn(void *context, struct error *err);
void cuda_set_watch(struct device *device, cuda_watch_fn *watch, void *context);
/* From any thread, before work that waits for a lost peer is made to end: what the device does from
 * now on is void, so whoever finds it done asks the watch, which must tell the error by then. */
void cuda_give_up(struct device *device);

#ifdef __cplusplus
}
#endif
