/* Graphs: what a stream would have done, to be done again. Each operation knows which memory it
 * was captured over. */
#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/runtime.h"

#include <stdlib.h>
#include <string.h>

struct operation {
    struct work *work; /* never run itself, but copied */
    struct allocation *memory;
    int n_memory;
};

struct CUgraph_st {
    struct operation *operations;
    int n, max;
};

struct CUgraphExec_st {
    struct CUgraph_st graph;
};

struct CUgraph_st *graph_new(void) { return calloc(1, sizeof(struct CUgraph_st)); }

static struct operation *add_slot(struct CUgraph_st *graph)
{
    if (graph->n == graph->max) {
        graph->max = graph->max ? 2 * graph->max : 64;
        graph->operations =
            realloc(graph->operations, sizeof *graph->operations * (size_t)graph->max);
    }
    struct operation *operation = &graph->operations[graph->n++];
    *operation = (struct operation){0};
    return operation;
}

/* Every aligned word of the context that is an address of live memory counts as a pointer. */
void graph_add(struct CUgraph_st *graph, struct work *work)
{
    struct operation *operation = add_slot(graph);
    const size_t n_words = work->n_bytes / sizeof(void *);
    operation->work = work;
    operation->memory = calloc(n_words + 1, sizeof *operation->memory);
    for (size_t i = 0; i < n_words; i++) {
        void *p;
        memcpy(&p, work->context + i * sizeof p, sizeof p);
        if (memory_find(p, &operation->memory[operation->n_memory]))
            operation->n_memory++;
    }
}

static void release(struct CUgraph_st *graph)
{
    for (int i = 0; i < graph->n; i++) {
        free(graph->operations[i].work);
        free(graph->operations[i].memory);
    }
    free(graph->operations);
}

/* ---- capture ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    if (emulated_fails("cudaStreamBeginCapture"))
        return told(cudaErrorUnknown);
    if (stream == NULL || stream->capturing)
        return told(cudaErrorStreamCaptureUnsupported);
    if (stream->failed)
        return told(cudaErrorLaunchFailure);
    stream->capturing = graph_new();
    stream->mode = mode;
    stream->invalidated = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    *out = NULL;
    if (stream == NULL || stream->capturing == NULL)
        return told(cudaErrorStreamCaptureUnmatched);
    struct CUgraph_st *graph = stream->capturing;
    const bool lost = stream->invalidated || emulated_fails("cudaStreamEndCapture");
    stream->capturing = NULL;
    if (lost) {
        cudaGraphDestroy(graph);
        return told(cudaErrorStreamCaptureInvalidated);
    }
    *out = graph;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    if (emulated_fails("cudaStreamIsCapturing"))
        return told(cudaErrorUnknown);
    stream = stream_or_default(stream);
    *status = stream->capturing == NULL ? cudaStreamCaptureStatusNone
              : stream->invalidated     ? cudaStreamCaptureStatusInvalidated
                                        : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

/* ---- replay ---- */

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    if (emulated_fails("cudaGraphInstantiate"))
        return told(cudaErrorUnknown);
    struct CUgraphExec_st *made = calloc(1, sizeof *made);
    for (int i = 0; i < graph->n; i++) {
        const struct operation *from = &graph->operations[i];
        struct operation *to = add_slot(&made->graph);
        to->work =
            work_new(from->work->name, from->work->run, from->work->context, from->work->n_bytes);
        to->n_memory = from->n_memory;
        to->memory = malloc(sizeof *to->memory * (size_t)(from->n_memory + 1));
        memcpy(to->memory, from->memory, sizeof *to->memory * (size_t)from->n_memory);
    }
    *out = made;
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream)
{
    (void)graph;
    (void)stream;
    return emulated_fails("cudaGraphUpload") ? told(cudaErrorUnknown) : cudaSuccess;
}

static void require_memory(const struct operation *operation)
{
    for (int i = 0; i < operation->n_memory; i++) {
        const struct allocation *memory = &operation->memory[i];
        if (!memory_is_alive(memory))
            emulated_die("replay of a graph: %s was captured over memory at %p, which is free by "
                         "now",
                         operation->work->name, (const void *)memory->at);
    }
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
    if (emulated_fails("cudaGraphLaunch"))
        return told(cudaErrorUnknown);
    for (int i = 0; i < graph->graph.n; i++) {
        const struct operation *operation = &graph->graph.operations[i];
        require_memory(operation);
        const struct work *work = operation->work;
        const cudaError_t status =
            stream_submit(stream, work_new(work->name, work->run, work->context, work->n_bytes));
        if (status != cudaSuccess)
            return status;
    }
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    if (emulated_fails("cudaGraphExecDestroy"))
        return told(cudaErrorUnknown);
    release(&graph->graph);
    free(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    if (emulated_fails("cudaGraphDestroy"))
        return told(cudaErrorUnknown);
    release(graph);
    free(graph);
    return cudaSuccess;
}
