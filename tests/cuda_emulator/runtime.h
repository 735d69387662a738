/* tests/cuda_emulator/runtime.h: what the files of the emulated CUDA runtime share.
 *
 * Everything but memory.c belongs to one host thread: its streams, its device, its last error; and
 * to the thread behind it, where there is one.
 */
#pragma once
#include "tests/cuda_emulator/cuda_emulator.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- work (stream.c) ---- */

struct work {
    struct work *next;
    const char *name;
    emulated_work_fn *run;
    size_t n_bytes;
    _Alignas(16) unsigned char context[];
};
struct work *work_new(const char *name, emulated_work_fn *run, const void *context, size_t n_bytes);

struct CUstream_st {
    struct CUstream_st *next; /* of this host thread */
    struct work *first, **last;
    struct CUgraph_st *capturing; /* NULL: it is not */
    enum cudaStreamCaptureMode mode;
    bool invalidated;      /* the capture is lost */
    bool failed;           /* for ever */
    int depth;             /* of stream_progress() */
    struct runtime *owner; /* of the host thread that made it, and alone does its work */
};

/* Captures, queues or does it. */
cudaError_t stream_submit(cudaStream_t stream, struct work *work);
/* Does what can be done. cudaErrorNotReady: work is left. */
cudaError_t stream_progress(cudaStream_t stream);
/* Until nothing is left. */
cudaError_t stream_finish(cudaStream_t stream);
/* All streams of this host thread. */
cudaError_t streams_finish(void);
/* The stream for NULL. */
cudaStream_t stream_or_default(cudaStream_t stream);
/* Operations done by this host thread. */
uint64_t work_done(void);
/* A call that may not be made while this thread captures; if it does, the capture is lost. */
bool capture_forbids(void);

/* ---- graphs (graph.c) ---- */

struct CUgraph_st *graph_new(void);
void graph_add(struct CUgraph_st *graph, struct work *work);

/* ---- errors and settings (runtime.c) ---- */

struct runtime {
    int device;
    cudaError_t last;
    struct CUstream_st *streams;
    uint64_t n_done;
    struct CUstream_st *default_stream;
    bool lazy;            /* streams wait for somebody who waits for them */
    pthread_mutex_t lock; /* of the streams; recursive */
    pthread_t behind;     /* emulated_work_behind() */
    bool has_behind;
    atomic_bool leaving; /* the thread behind shall end */
    char fail_name[64];
    long fail_in; /* calls; 0: never */
};
struct runtime *runtime_here(void);
void runtime_adopt(struct runtime *runtime); /* that of this thread, which works for another one */
cudaError_t told(cudaError_t status);        /* kept for cudaGetLastError() */
int64_t setting(const char *name, int64_t otherwise);

/* ---- memory (memory.c): of the process ---- */

enum memory_kind { MEMORY_DEVICE, MEMORY_PINNED, MEMORY_REGISTERED };

struct allocation {
    uintptr_t at;
    size_t n_bytes;
    enum memory_kind kind;
    int device;
    uint64_t serial; /* no two have the same one, dead or alive */
};
/* Device memory is closed to the host, where the processor can do that (protection keys), but while
 * a stream works for this host thread. Gives what it was before. */
bool device_memory_open(void);
void device_memory_close(bool was_open);
/* Fresh pages of device memory, closed; NULL: there is no memory. */
void *device_pages_new(size_t n_bytes);

/* The live allocation that holds the byte. */
bool memory_find(const void *p, struct allocation *out);
bool memory_is_alive(const struct allocation *allocation);
