/* Streams: work in order, and the calls that queue it. Contract in cuda_emulator.h. */
#include "tests/cuda_emulator/runtime.h"

#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct work *work_new(const char *name, emulated_work_fn *run, const void *context, size_t n_bytes)
{
    struct work *work = malloc(sizeof *work + n_bytes);
    *work = (struct work){.name = name, .run = run, .n_bytes = n_bytes};
    if (n_bytes > 0)
        memcpy(work->context, context, n_bytes);
    return work;
}

/* ---- the queue ---- */

cudaStream_t stream_or_default(cudaStream_t stream)
{
    struct runtime *runtime = runtime_here();
    if (stream)
        return stream;
    if (runtime->default_stream == NULL)
        cudaStreamCreate(&runtime->default_stream);
    return runtime->default_stream;
}

static void drop_all(cudaStream_t stream)
{
    while (stream->first) {
        struct work *work = stream->first;
        stream->first = work->next;
        free(work);
    }
    stream->last = &stream->first;
}

static cudaError_t progress_locked(cudaStream_t stream)
{
    if (stream->depth > 0)
        return cudaErrorNotReady; /* work of this stream asks whether it is done */
    const bool was_open = device_memory_open();
    stream->depth++;
    while (stream->first && !stream->failed) {
        struct work *work = stream->first;
        const enum emulated_progress progress = work->run(work->context);
        if (progress == EMULATED_PENDING)
            break;
        stream->failed = progress == EMULATED_FAILED;
        runtime_here()->n_done++;
        stream->first = work->next;
        if (stream->first == NULL)
            stream->last = &stream->first;
        free(work);
    }
    stream->depth--;
    device_memory_close(was_open);
    if (stream->failed) {
        drop_all(stream);
        return cudaErrorLaunchFailure;
    }
    return stream->first ? cudaErrorNotReady : cudaSuccess;
}

cudaError_t stream_progress(cudaStream_t stream)
{
    pthread_mutex_lock(&stream->owner->lock);
    const cudaError_t status = progress_locked(stream);
    pthread_mutex_unlock(&stream->owner->lock);
    return status;
}

cudaError_t stream_finish(cudaStream_t stream)
{
    cudaError_t status;
    while ((status = stream_progress(stream)) == cudaErrorNotReady)
        sched_yield();
    return status;
}

cudaError_t streams_finish(void)
{
    cudaError_t first = cudaSuccess;
    for (cudaStream_t s = runtime_here()->streams; s; s = s->next) {
        const cudaError_t status = s->capturing ? cudaSuccess : stream_finish(s);
        if (first == cudaSuccess)
            first = status;
    }
    return first;
}

uint64_t work_done(void) { return runtime_here()->n_done; }

cudaError_t stream_submit(cudaStream_t stream, struct work *work)
{
    stream = stream_or_default(stream);
    if (stream->capturing) {
        graph_add(stream->capturing, work);
        return cudaSuccess;
    }
    if (stream->failed) {
        free(work);
        return told(cudaErrorLaunchFailure);
    }
    pthread_mutex_lock(&stream->owner->lock);
    *stream->last = work;
    stream->last = &work->next;
    pthread_mutex_unlock(&stream->owner->lock);
    if (!runtime_here()->lazy)
        stream_progress(stream);
    return cudaSuccess;
}

cudaError_t emulated_stream_enqueue(cudaStream_t stream, const char *name, emulated_work_fn *work,
                                    const void *context, size_t n_bytes)
{
    return stream_submit(stream, work_new(name, work, context, n_bytes));
}

/* ---- the thread behind ---- */

static void *work_behind(void *argument)
{
    struct runtime *runtime = argument;
    runtime_adopt(runtime);
    while (!atomic_load(&runtime->leaving)) {
        pthread_mutex_lock(&runtime->lock);
        for (cudaStream_t s = runtime->streams; s; s = s->next)
            if (s->first)
                stream_progress(s);
        pthread_mutex_unlock(&runtime->lock);
        poll(NULL, 0, 1); /* ms */
    }
    runtime_adopt(NULL);
    return NULL;
}

void emulated_work_behind(void)
{
    struct runtime *runtime = runtime_here();
    if (!runtime->has_behind && !runtime->lazy)
        runtime->has_behind = pthread_create(&runtime->behind, NULL, work_behind, runtime) == 0;
}

/* ---- calls ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    (void)flags;
    if (emulated_fails("cudaStreamCreateWithFlags"))
        return told(cudaErrorUnknown);
    struct runtime *runtime = runtime_here();
    cudaStream_t stream = calloc(1, sizeof *stream);
    stream->last = &stream->first;
    stream->owner = runtime;
    pthread_mutex_lock(&runtime->lock);
    stream->next = runtime->streams;
    runtime->streams = stream;
    pthread_mutex_unlock(&runtime->lock);
    *out = stream;
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    if (emulated_fails("cudaStreamCreate"))
        return told(cudaErrorUnknown);
    return cudaStreamCreateWithFlags(out, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (emulated_fails("cudaStreamDestroy"))
        return told(cudaErrorUnknown);
    struct CUstream_st **link = &runtime_here()->streams;
    while (*link && *link != stream)
        link = &(*link)->next;
    if (*link == NULL)
        return told(cudaErrorInvalidResourceHandle);
    const cudaError_t status = stream_finish(stream);
    pthread_mutex_lock(&stream->owner->lock);
    *link = stream->next;
    pthread_mutex_unlock(&stream->owner->lock);
    free(stream);
    return told(status);
}

static bool lost_by_capture(cudaStream_t stream)
{
    if (stream->capturing)
        stream->invalidated = true;
    return stream->capturing;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    stream = stream_or_default(stream);
    if (emulated_fails("cudaStreamQuery"))
        return told(cudaErrorUnknown);
    if (lost_by_capture(stream))
        return told(cudaErrorStreamCaptureUnsupported);
    return stream_progress(stream);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    stream = stream_or_default(stream);
    if (emulated_fails("cudaStreamSynchronize"))
        return told(cudaErrorUnknown);
    if (lost_by_capture(stream))
        return told(cudaErrorStreamCaptureUnsupported);
    return told(stream_finish(stream));
}

bool capture_forbids(void)
{
    bool forbidden = false;
    for (cudaStream_t s = runtime_here()->streams; s; s = s->next) {
        if (s->capturing && s->mode != cudaStreamCaptureModeRelaxed)
            forbidden = s->invalidated = true;
    }
    return forbidden;
}

cudaError_t cudaDeviceSynchronize(void)
{
    if (emulated_fails("cudaDeviceSynchronize"))
        return told(cudaErrorUnknown);
    if (capture_forbids())
        return told(cudaErrorStreamCaptureUnsupported);
    return told(streams_finish());
}

struct host_call {
    cudaHostFn_t function;
    void *context;
};

static enum emulated_progress run_host_call(void *context)
{
    const struct host_call *call = context;
    device_memory_close(false); /* it is code of the host */
    call->function(call->context);
    device_memory_open();
    return EMULATED_DONE;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *context)
{
    if (emulated_fails("cudaLaunchHostFunc"))
        return told(cudaErrorUnknown);
    const struct host_call call = {function, context};
    return emulated_stream_enqueue(stream, "cudaLaunchHostFunc", run_host_call, &call, sizeof call);
}
