/* Streams, events and graphs of the emulated runtime. */
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"
#include "tests/unit/cuda_emulator/death.h"
#include "tests/unit/cuda_emulator/gpu_array.h"
#include "tests/unit/cuda_emulator/kernels.h"

#include <pthread.h>
#include <stdlib.h>

enum { N = 64 };

struct fixture {
    cudaStream_t stream;
    float *x; /* [N], all 1, pinned: what a kernel has done is seen without a wait */
};

static struct fixture open_fixture(void)
{
    struct fixture f;
    CHECK_EQ(cudaStreamCreateWithFlags(&f.stream, cudaStreamNonBlocking), cudaSuccess);
    CHECK_EQ(cudaMallocHost((void **)&f.x, N * sizeof *f.x), cudaSuccess);
    for (int i = 0; i < N; i++)
        f.x[i] = 1.0f;
    return f;
}

static void close_fixture(struct fixture *f)
{
    cudaStreamDestroy(f->stream);
    cudaFreeHost(f->x);
}

static void double_it(const struct fixture *f)
{
    CHECK_EQ(start_scale(f->stream, &(struct scale_args){f->x, f->x, 2.0f, N, 0}), cudaSuccess);
}

/* ---- queues ---- */

/* Work that is done when somebody opens the gate, or fails when it breaks. */
enum gate { CLOSED, OPEN, BROKEN };

static enum emulated_progress pass(void *context)
{
    const enum gate *gate = *(enum gate **)context;
    return *gate == OPEN ? EMULATED_DONE : *gate == BROKEN ? EMULATED_FAILED : EMULATED_PENDING;
}

static void wait_at(cudaStream_t stream, enum gate *gate)
{
    CHECK_EQ(emulated_stream_enqueue(stream, "gate", pass, &gate, sizeof gate), cudaSuccess);
}

TEST(work_waits_behind_work_that_is_not_done)
{
    struct fixture f = open_fixture();
    enum gate gate = CLOSED;
    double_it(&f);
    CHECK(f.x[0] == 2.0f);
    wait_at(f.stream, &gate);
    double_it(&f);
    CHECK_EQ(cudaStreamQuery(f.stream), cudaErrorNotReady);
    CHECK(f.x[0] == 2.0f);
    gate = OPEN;
    CHECK_EQ(cudaStreamSynchronize(f.stream), cudaSuccess);
    CHECK(f.x[0] == 4.0f);
    close_fixture(&f);
}

TEST(work_that_fails_ends_the_stream)
{
    struct fixture f = open_fixture();
    enum gate gate = CLOSED;
    wait_at(f.stream, &gate);
    double_it(&f);
    gate = BROKEN;
    CHECK_EQ(cudaStreamQuery(f.stream), cudaErrorLaunchFailure);
    CHECK(f.x[0] == 1.0f);
    close_fixture(&f);
    cudaGetLastError();
}

TEST(an_event_is_reached_when_the_work_before_it_is_done)
{
    struct fixture f = open_fixture();
    enum gate gate = CLOSED;
    cudaEvent_t event;
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    CHECK_EQ(cudaEventQuery(event), cudaSuccess); /* never recorded: nothing to wait for */
    wait_at(f.stream, &gate);
    cudaEventRecord(event, f.stream);
    CHECK_EQ(cudaEventQuery(event), cudaErrorNotReady);
    gate = OPEN;
    CHECK_EQ(cudaEventQuery(event), cudaSuccess);
    CHECK_EQ(cudaEventSynchronize(event), cudaSuccess);
    cudaEventDestroy(event);
    close_fixture(&f);
}

TEST(a_stream_waits_for_an_event_of_another)
{
    struct fixture f = open_fixture();
    cudaStream_t other;
    cudaEvent_t event;
    enum gate gate = CLOSED;
    cudaStreamCreate(&other);
    cudaEventCreate(&event);
    wait_at(other, &gate);
    cudaEventRecord(event, other);
    CHECK_EQ(cudaStreamWaitEvent(f.stream, event, 0), cudaSuccess);
    double_it(&f);
    CHECK_EQ(cudaStreamQuery(f.stream), cudaErrorNotReady);
    CHECK(f.x[0] == 1.0f);
    gate = OPEN;
    CHECK_EQ(cudaStreamSynchronize(f.stream), cudaSuccess);
    CHECK(f.x[0] == 2.0f);
    cudaStreamDestroy(other);
    cudaEventDestroy(event);
    close_fixture(&f);
}

static void add_one(void *context) { ++*(int *)context; }

TEST(a_host_function_is_called_in_its_turn)
{
    struct fixture f = open_fixture();
    enum gate gate = CLOSED;
    int n_calls = 0;
    wait_at(f.stream, &gate);
    cudaLaunchHostFunc(f.stream, add_one, &n_calls);
    CHECK_EQ(n_calls, 0);
    gate = OPEN;
    cudaStreamSynchronize(f.stream);
    CHECK_EQ(n_calls, 1);
    close_fixture(&f);
}

static void read_before_the_wait(void *context)
{
    (void)context;
    setenv("EMULATOR_LAZY", "1", 1);
    struct fixture f = open_fixture();
    double_it(&f);
    if (f.x[0] == 1.0f && cudaStreamSynchronize(f.stream) == cudaSuccess && f.x[0] == 2.0f)
        abort_saying("only after the wait");
}

static void *in_a_thread(void *context)
{
    read_before_the_wait(context);
    return NULL;
}

static void read_in_a_new_thread(void *context)
{
    pthread_t thread;
    pthread_create(&thread, NULL, in_a_thread, context);
    pthread_join(thread, NULL);
}

TEST(lazy_streams_do_nothing_before_somebody_waits)
{
    CHECK_DIES(read_in_a_new_thread, NULL, "only after the wait");
}

/* ---- graphs ---- */

static cudaGraphExec_t capture_doubling(const struct fixture *f)
{
    cudaGraph_t graph;
    cudaGraphExec_t made;
    CHECK_EQ(cudaStreamBeginCapture(f->stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    double_it(f);
    CHECK_EQ(cudaStreamEndCapture(f->stream, &graph), cudaSuccess);
    CHECK_EQ(cudaGraphInstantiate(&made, graph, 0), cudaSuccess);
    CHECK_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return made;
}

TEST(a_graph_does_nothing_when_captured_and_everything_at_each_replay)
{
    struct fixture f = open_fixture();
    cudaGraphExec_t graph = capture_doubling(&f);
    CHECK(f.x[0] == 1.0f);
    CHECK_EQ(cudaGraphLaunch(graph, f.stream), cudaSuccess);
    CHECK_EQ(cudaGraphLaunch(graph, f.stream), cudaSuccess);
    CHECK_EQ(cudaStreamSynchronize(f.stream), cudaSuccess);
    CHECK(f.x[0] == 4.0f && f.x[N - 1] == 4.0f);
    cudaGraphExecDestroy(graph);
    close_fixture(&f);
}

TEST(a_graph_has_the_work_of_libraries_and_copies)
{
    struct fixture f = open_fixture();
    enum gate gate = CLOSED;
    cudaGraph_t graph;
    cudaGraphExec_t made;
    float *pinned, first;
    float *x = gpu_copy_of(f.x, N * sizeof *x);
    cudaHostAlloc((void **)&pinned, sizeof *pinned, cudaHostAllocDefault);
    *pinned = 7.0f;
    cudaStreamBeginCapture(f.stream, cudaStreamCaptureModeThreadLocal);
    cudaMemcpyAsync(x, pinned, sizeof *pinned, cudaMemcpyHostToDevice, f.stream);
    wait_at(f.stream, &gate);
    start_scale(f.stream, &(struct scale_args){x, x, 2.0f, N, 0});
    cudaStreamEndCapture(f.stream, &graph);
    cudaGraphInstantiate(&made, graph, 0);
    *pinned = 5.0f; /* read at replay */
    cudaGraphLaunch(made, f.stream);
    CHECK_EQ(cudaStreamQuery(f.stream), cudaErrorNotReady);
    gate = OPEN;
    cudaStreamSynchronize(f.stream);
    gpu_take_home(&first, x, sizeof first);
    CHECK(first == 10.0f);
    cudaGraphDestroy(graph);
    cudaGraphExecDestroy(made);
    close_fixture(&f);
    cudaFreeHost(pinned);
}

static void replay(void *graph) { cudaGraphLaunch(graph, NULL); }

TEST(a_graph_over_memory_that_was_freed_aborts_and_names_the_kernel)
{
    struct fixture f = open_fixture();
    cudaGraphExec_t graph = capture_doubling(&f);
    close_fixture(&f);
    CHECK_DIES(replay, graph, "replay of a graph: scale was captured over memory at");
    cudaGraphExecDestroy(graph);
}

TEST(waiting_and_allocating_are_no_part_of_a_capture)
{
    struct fixture f = open_fixture();
    cudaGraph_t graph;
    void *p;
    cudaStreamBeginCapture(f.stream, cudaStreamCaptureModeThreadLocal);
    CHECK_EQ(cudaStreamSynchronize(f.stream), cudaErrorStreamCaptureUnsupported);
    CHECK_EQ(cudaStreamEndCapture(f.stream, &graph), cudaErrorStreamCaptureInvalidated);
    cudaStreamBeginCapture(f.stream, cudaStreamCaptureModeThreadLocal);
    CHECK_EQ(cudaMalloc(&p, 8), cudaErrorStreamCaptureUnsupported);
    CHECK_EQ(cudaStreamEndCapture(f.stream, &graph), cudaErrorStreamCaptureInvalidated);
    CHECK_EQ(cudaStreamEndCapture(f.stream, &graph), cudaErrorStreamCaptureUnmatched);
    close_fixture(&f);
    cudaGetLastError();
}

/* ---- threads ---- */

static void *double_often(void *context)
{
    (void)context;
    struct fixture f = open_fixture();
    for (int i = 0; i < 100; i++)
        double_it(&f);
    void *last = f.x[N - 1] == 0x1p100f ? NULL : "wrong";
    close_fixture(&f);
    return last;
}

TEST(ranks_may_be_threads)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, double_often, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        CHECK(wrong == NULL);
    }
}
