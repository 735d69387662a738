/* Events. One lives until it is destroyed and no work speaks of it any more. */
#include "tests/cuda_emulator/runtime.h"

#include <sched.h>
#include <stdlib.h>

struct CUevent_st {
    int n_references;
    cudaStream_t stream;                 /* of the last record */
    _Atomic uint64_t n_recorded, n_done; /* records asked for, and those that the stream came to */
    uint64_t done_at;                    /* in operations of the host thread */
};

struct moment {
    cudaEvent_t event;
    uint64_t record;
};

static void release(cudaEvent_t event)
{
    if (--event->n_references == 0)
        free(event);
}

static enum emulated_progress reach(void *context)
{
    const struct moment *moment = context;
    moment->event->n_done = moment->record;
    moment->event->done_at = work_done();
    release(moment->event);
    return EMULATED_DONE;
}

static enum emulated_progress wait_for(void *context)
{
    const struct moment *moment = context;
    cudaEvent_t event = moment->event;
    enum emulated_progress progress = EMULATED_DONE;
    if (event->n_done < moment->record) {
        const cudaError_t status = stream_progress(event->stream);
        if (status != cudaSuccess && status != cudaErrorNotReady)
            progress = EMULATED_FAILED;
        else if (event->n_done < moment->record)
            return EMULATED_PENDING;
    }
    release(event);
    return progress;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    (void)flags;
    if (emulated_fails("cudaEventCreateWithFlags"))
        return told(cudaErrorUnknown);
    *out = calloc(1, sizeof **out);
    (*out)->n_references = 1;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    if (emulated_fails("cudaEventCreate"))
        return told(cudaErrorUnknown);
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (emulated_fails("cudaEventDestroy"))
        return told(cudaErrorUnknown);
    release(event);
    return cudaSuccess;
}

/* An event inside a capture would be an edge of the graph; ours has one stream and needs none. */
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (emulated_fails("cudaEventRecord"))
        return told(cudaErrorUnknown);
    stream = stream_or_default(stream);
    if (stream->capturing) {
        stream->invalidated = true;
        return told(cudaErrorStreamCaptureUnsupported);
    }
    const struct moment moment = {event, ++event->n_recorded};
    event->stream = stream;
    event->n_references++;
    return emulated_stream_enqueue(stream, "cudaEventRecord", reach, &moment, sizeof moment);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    if (emulated_fails("cudaStreamWaitEvent"))
        return told(cudaErrorUnknown);
    stream = stream_or_default(stream);
    if (stream->capturing) {
        stream->invalidated = true;
        return told(cudaErrorStreamCaptureUnsupported);
    }
    const struct moment moment = {event, event->n_recorded};
    event->n_references++;
    return emulated_stream_enqueue(stream, "cudaStreamWaitEvent", wait_for, &moment, sizeof moment);
}

/* Another host thread than that of the stream only looks. */
static cudaError_t progress(cudaEvent_t event)
{
    if (event->n_done == event->n_recorded)
        return cudaSuccess;
    if (event->stream->owner != runtime_here())
        return cudaErrorNotReady;
    const cudaError_t status = stream_progress(event->stream);
    if (status != cudaSuccess && status != cudaErrorNotReady)
        return told(status);
    return event->n_done == event->n_recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    if (emulated_fails("cudaEventQuery"))
        return told(cudaErrorUnknown);
    if (capture_forbids())
        return told(cudaErrorStreamCaptureUnsupported);
    return progress(event);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (emulated_fails("cudaEventSynchronize"))
        return told(cudaErrorUnknown);
    if (capture_forbids())
        return told(cudaErrorStreamCaptureUnsupported);
    cudaError_t status;
    while ((status = progress(event)) == cudaErrorNotReady)
        sched_yield();
    return status;
}

/* There is no time here: an operation counts as a microsecond. */
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    if (emulated_fails("cudaEventElapsedTime"))
        return told(cudaErrorUnknown);
    if (from->n_recorded == 0 || to->n_recorded == 0)
        return told(cudaErrorInvalidResourceHandle);
    if (progress(from) != cudaSuccess || progress(to) != cudaSuccess)
        return told(cudaErrorNotReady);
    *ms = (float)(int64_t)(to->done_at - from->done_at) * 1e-3f;
    return cudaSuccess;
}
