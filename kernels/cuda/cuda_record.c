/* Records are CUDA graphs: what the stream is asked for between begin and end. */
#include "base/check.h"
#include "base/memory.h"
#include "kernels/cuda/cuda_state.h"

struct device_record {
    cudaGraphExec_t graph;
};

void cuda_record_begin(struct device *device)
{
    /* thread local: the thread that watches the communicator may ask the runtime meanwhile */
    if (!cuda_failed(device))
        cuda_keep(device, "beginning to record a step",
                  cudaStreamBeginCapture(cuda_stream(device), cudaStreamCaptureModeThreadLocal));
}

struct device_record *cuda_record_end(struct device *device)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaGraph_t graph = NULL;
    struct device_record *record = NULL;
    if (!cuda_keep(device, "recording a step",
                   cudaStreamIsCapturing(cuda_stream(device), &status)) ||
        status == cudaStreamCaptureStatusNone)
        return NULL; /* it never began */
    cudaGraphExec_t exec = NULL;
    if (cuda_keep(device, "ending the record of a step",
                  cudaStreamEndCapture(cuda_stream(device), &graph)) &&
        !cuda_failed(device) &&
        cuda_keep(device, "making a record of a step", cudaGraphInstantiate(&exec, graph, 0))) {
        record = memory_alloc(1, sizeof *record);
        record->graph = exec;
    }
    if (graph != NULL)
        cudaGraphDestroy(graph);
    return record;
}

void cuda_replay(struct device *device, const struct device_record *record)
{
    if (!cuda_failed(device))
        cuda_keep(device, "starting a recorded step",
                  cudaGraphLaunch(record->graph, cuda_stream(device)));
}

void cuda_record_free(struct device *device, struct device_record *record)
{
    /* one that still runs must not go; where it cannot end, it goes with the process */
    if (!cuda_failed(device))
        cuda_keep(device, "freeing the record of a step", cudaGraphExecDestroy(record->graph));
    memory_free(record);
}
