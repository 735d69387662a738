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
    const struct ops *ops;            /* complete: no entry is NULL */
    const struct device_calls *calls; /* the functions below, of this kind of device */
    struct team *team;                /* CPU: the threads of this rank */
    void **scratch;                   /* CPU: [team size] private memory of each thread */
    size_t scratch_bytes; /* CPU: of each; enough for every kernel (kernels/cpu/cpu_ops.h) */
};

/* A CPU device whose kernels are the best that the machine runs, or those named:
 * "scalar" < "avx2" < "avx512" < "amx"; all give the same bits. NULL or "auto": the best.
 * Sets the floating point mode (flush denormals) of the calling thread and of the team's.
 * ERROR_INPUT for an unknown name, ERROR_UNSUPPORTED if the machine lacks it. GPUs:
 * kernels/cuda/cuda_device.h. */
bool device_open_cpu(struct device **out, const char *kernels, int n_threads, int64_t spin_ns,
                     struct error *err);
/* The same over a given table: for tests, and for a level that runs on an emulator. */
bool device_open_cpu_ops(struct device **out, const struct ops *ops, int n_threads, int64_t spin_ns,
                         struct error *err);
void device_close(struct device *device); /* NULL is fine */

/* Its memory is that of the host: pointers are good for both, and copies between them are never
 * needed. */
bool device_is_host(const struct device *device);

/* ---- memory ---- */

/* Zeroed memory of the device, aligned to 64 bytes at least. ERROR_SYSTEM when there is not enough:
 * says how much there is. */
bool device_alloc(struct device *device, void **out, size_t n_bytes, struct error *err);
void device_free(struct device *device, void *p, size_t n_bytes);
/* Zeroed memory of the host that the device copies from and to while the host goes on. */
bool device_alloc_host(struct device *device, void **out, size_t n_bytes, struct error *err);
void device_free_host(struct device *device, void *p, size_t n_bytes);
/* What is free now, and all that there is, of the memory that device_alloc() takes from. */
void device_memory(struct device *device, size_t *free_bytes, size_t *total_bytes);

/* What the largest step of a job asks of the operations. */
struct step_needs {
    int n_tokens, n_sequences, n_logits;
    int n_heads, n_kv_heads, head_dim; /* of this rank */
    int n_out;                         /* the widest output of a matmul that has leaves */
    int n_leaves;                      /* most leaves of one */
    int vocab, max_positions;
};
/* Memory that operations need for themselves, made once, before the first of them.
 * device_workspace_bytes() says how much; on a CPU nothing (its threads have scratch memory). */
bool device_reserve(struct device *device, const struct step_needs *needs, struct error *err);
size_t device_workspace_bytes(const struct device *device, const struct step_needs *needs);

/* ---- the queue ---- */

/* Copies of bytes in the order of the queue; the host's end must stay as it is until they are
 * done (device_wait()). From or to any memory of the host; only that of device_alloc_host() lets
 * the host go on meanwhile. */
void device_upload(struct device *device, void *to, const void *from_host, size_t n_bytes);
void device_download(struct device *device, void *to_host, const void *from, size_t n_bytes);
/* n_rows runs of row_bytes within the device; strides in bytes. */
void device_copy_rows(struct device *device, void *to, size_t to_stride, const void *from,
                      size_t from_stride, size_t row_bytes, size_t n_rows);

/* The end of the queue as it is now. Waiting for a mark waits for all that was queued before it;
 * at most DEVICE_MARKS may be waited for at a time, older ones are done with the next.
 * ERROR_SYSTEM, ERROR_PEER: the first failure since the device was opened, with the name of the
 * operation; it stays, and nothing is computed any more. */
enum { DEVICE_MARKS = 8 };
uint64_t device_mark(struct device *device);
bool device_wait(struct device *device, uint64_t mark, struct error *err);
bool device_sync(struct device *device, struct error *err); /* waits for everything */

/* ---- records ---- */

/* Between begin and end, work is not queued but recorded; device_replay() queues it as one, as
 * often as wanted: the same pointers, the same numbers in arguments. A device that has no records
 * (CPUs, and GPUs where graphs are switched off) says so. NULL from device_record_end(): it could
 * not be recorded, for a reason that device_wait() tells. */
struct device_record;
bool device_has_records(const struct device *device);
void device_record_begin(struct device *device);
struct device_record *device_record_end(struct device *device);
void device_replay(struct device *device, const struct device_record *record);
void device_record_free(struct device *device, struct device_record *record); /* NULL is fine */

/* How a kind of device does all this. */
struct device_calls {
    bool is_host, has_records;
    bool (*alloc)(struct device *, void **out, size_t n_bytes, struct error *err);
    void (*free)(struct device *, void *p, size_t n_bytes);
    bool (*alloc_host)(struct device *, void **out, size_t n_bytes, struct error *err);
    void (*free_host)(struct device *, void *p, size_t n_bytes);
    void (*memory)(struct device *, size_t *free_bytes, size_t *total_bytes);
    bool (*reserve)(struct device *, const struct step_needs *, struct error *err);
    size_t (*workspace_bytes)(const struct device *, const struct step_needs *);
    void (*upload)(struct device *, void *to, const void *from_host, size_t n_bytes);
    void (*download)(struct device *, void *to_host, const void *from, size_t n_bytes);
    void (*copy_rows)(struct device *, void *to, size_t to_stride, const void *from,
                      size_t from_stride, size_t row_bytes, size_t n_rows);
    uint64_t (*mark)(struct device *);
    bool (*wait)(struct device *, uint64_t mark, struct error *err);
    void (*record_begin)(struct device *);
    struct device_record *(*record_end)(struct device *);
    void (*replay)(struct device *, const struct device_record *);
    void (*record_free)(struct device *, struct device_record *);
    void (*close)(struct device *);
};

/* Flush denormals to zero and read them as zero (MXCSR FTZ and DAZ), in the calling thread:
 * the canonical arithmetic of docs/numerics.md. Every thread that touches numbers needs it. */
void cpu_float_mode_set(void);
