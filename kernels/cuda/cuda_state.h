/* kernels/cuda/cuda_state.h: what the files of the device share; nobody else needs it.
 *
 *   cuda_device.c   open, close, memory
 *   cuda_queue.c    copies, marks, waiting, the first failure
 *   cuda_record.c   graphs
 *   cuda_launch.c   kernels; the real runtime only (tests/cuda_emulator/ starts them itself)
 */
#pragma once
#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/progress.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CUDA_MAX_KERNELS = 128 }; /* that ask for more shared memory than is theirs by default */

/* A kernel that may use so much shared memory. */
struct cuda_kernel {
    const void *kernel;
    size_t shared_bytes;
};

struct cuda_device {
    struct device device; /* first: a device of this kind is one of these */
    struct cuda_settings is;
    char *algorithms;                    /* own copy of the path */
    char name[256];                      /* of the GPU */
    int n_multiprocessors, architecture; /* 90 is sm_90 */
    cudaStream_t stream;
    cudaEvent_t mark[DEVICE_MARKS]; /* mark n is in place n % DEVICE_MARKS */
    uint64_t n_marks;
    struct error failure; /* the first */
    void *workspace;
    size_t workspace_bytes;
    struct cuda_state matmul; /* of the files of matmul */
    struct progress progress; /* that the next kernel tells */
    cuda_watch_fn *watch;
    void *watch_context;
    atomic_bool given_up; /* by another thread, which the watch can tell of */
    struct cuda_kernel kernel[CUDA_MAX_KERNELS];
    int n_kernels;
};

static inline struct cuda_device *cuda_of(struct device *device)
{
    return (struct cuda_device *)device;
}
static inline const struct cuda_device *cuda_of_const(const struct device *device)
{
    return (const struct cuda_device *)device;
}

/* ---- entries of the table ---- */

void cuda_upload(struct device *device, void *to, const void *from_host, size_t n_bytes);
void cuda_download(struct device *device, void *to_host, const void *from, size_t n_bytes);
void cuda_copy_rows(struct device *device, void *to, size_t to_stride, const void *from,
                    size_t from_stride, size_t row_bytes, size_t n_rows);
uint64_t cuda_mark(struct device *device);
bool cuda_wait(struct device *device, uint64_t mark, struct error *err);

void cuda_record_begin(struct device *device);
struct device_record *cuda_record_end(struct device *device);
void cuda_replay(struct device *device, const struct device_record *record);
void cuda_record_free(struct device *device, struct device_record *record);
