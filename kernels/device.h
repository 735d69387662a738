/* kernels/device.h: where the numbers of a rank live, and who computes on them.
 *
 * A rank has one device: its CPU threads, or one GPU with one stream. Work is queued in order;
 * a CPU has finished it when the call returns. Not for use by two threads at once.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct ops;
struct team;

struct device {
    const struct ops *ops; /* complete: no entry is NULL */
    struct team *team;     /* CPU: the threads of this rank */
    void **scratch;        /* CPU: [team size] private memory of each thread */
    size_t scratch_bytes;  /* of each; enough for every kernel (kernels/cpu/cpu_ops.h) */
};

/* A CPU device whose kernels are the best that the machine runs, or those named:
 * "scalar" < "avx2" < "avx512" < "amx"; all give the same bits. NULL or "auto": the best.
 * Sets the floating point mode (flush denormals) of the calling thread and of the team's.
 * ERROR_INPUT for an unknown name, ERROR_UNSUPPORTED if the machine lacks it. */
bool device_open_cpu(struct device **out, const char *kernels, int n_threads, int64_t spin_ns,
                     struct error *err);
/* The same over a given table: for tests, and for a level that runs on an emulator. */
bool device_open_cpu_ops(struct device **out, const struct ops *ops, int n_threads, int64_t spin_ns,
                         struct error *err);
/* CUDA device `index`. ERROR_UNSUPPORTED in a build without CUDA. */
bool device_open_cuda(struct device **out, int index, struct error *err);
void device_close(struct device *device); /* NULL is fine */

/* Zeroed memory of the device, aligned to 64 bytes at least. ERROR_SYSTEM when there is not enough.
 */
bool device_alloc(struct device *device, void **out, size_t n_bytes, struct error *err);
void device_free(struct device *device, void *p, size_t n_bytes);

/* Flush denormals to zero and read them as zero (MXCSR FTZ and DAZ), in the calling thread:
 * the canonical arithmetic of docs/numerics.md. Every thread that touches numbers needs it. */
void cpu_float_mode_set(void);
