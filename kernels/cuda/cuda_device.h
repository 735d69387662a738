/* kernels/cuda/cuda_device.h: one GPU with one stream: what the kernels and the communicator need
 * of it beyond kernels/device.h.
 *
 * Calls of the runtime can fail long after they were made, and operations cannot (kernels/ops.h):
 * the first failure is kept here, with the name of what was asked for, and device_wait() tells it.
 * After a failure nothing more is queued.
 */
#pragma once
#include "kernels/device.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct error;

/* How many GPUs this process can use. ERROR_UNSUPPORTED, in words for users: no driver, one that is
 * too old for this build (says both versions), no GPU. */
bool cuda_count_devices(int *n, struct error *err);

struct cuda_settings {
    int index;              /* of the GPU, from 0 */
    bool exact;             /* --numerics exact */
    bool graphs;            /* false: every kernel is started by itself (--enforce-eager) */
    const char *algorithms; /* file of chosen cuBLASLt algorithms; NULL: none is kept */
};
/* ERROR_UNSUPPORTED: as cuda_count_devices(), fewer GPUs than index says (both numbers), one older
 * than sm_80. ERROR_SYSTEM: the GPU cannot be used now (another process has it for itself). */
bool device_open_cuda(struct device **out, const struct cuda_settings *settings, struct error *err);

cudaStream_t cuda_stream(const struct device *device);
int cuda_multiprocessors(const struct device *device);
int cuda_architecture(const struct device *device); /* 90 is sm_90 */
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

#ifdef __cplusplus
}
#endif
