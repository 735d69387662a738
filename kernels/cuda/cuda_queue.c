/* The stream: copies, marks in it, and waiting for them.
 *
 * Waiting polls an event instead of blocking in the runtime: the host looks after lost peers
 * meanwhile, and a step that is nearly done is noticed within a microsecond. */
#include "base/check.h"
#include "base/system.h"
#include "kernels/cuda/cuda_state.h"

static const int64_t spin_ns = 100 * 1000;       /* steps end soon after one another */
static const int64_t sleep_ns = 20 * 1000;       /* between two looks after that */
static const int64_t watch_ns = 2 * 1000 * 1000; /* between two looks for lost peers */

cudaStream_t cuda_stream(const struct device *device) { return cuda_of_const(device)->stream; }

/* ---- the first failure ---- */

bool cuda_failed(const struct device *device)
{
    return cuda_of_const(device)->failure.kind != ERROR_NONE;
}

bool cuda_keep(struct device *device, const char *what, cudaError_t status)
{
    if (status == cudaSuccess)
        return true;
    if (!cuda_failed(device))
        error_set(&cuda_of(device)->failure, ERROR_SYSTEM, "GPU %d: %s: %s",
                  cuda_of(device)->is.index, what, cudaGetErrorString(status));
    return false;
}

/* ---- copies ---- */

void cuda_upload(struct device *device, void *to, const void *from_host, size_t n_bytes)
{
    if (!cuda_failed(device))
        cuda_keep(
            device, "copy to the GPU",
            cudaMemcpyAsync(to, from_host, n_bytes, cudaMemcpyHostToDevice, cuda_stream(device)));
}

void cuda_download(struct device *device, void *to_host, const void *from, size_t n_bytes)
{
    if (!cuda_failed(device))
        cuda_keep(
            device, "copy from the GPU",
            cudaMemcpyAsync(to_host, from, n_bytes, cudaMemcpyDeviceToHost, cuda_stream(device)));
}

void cuda_copy_rows(struct device *device, void *to, size_t to_stride, const void *from,
                    size_t from_stride, size_t row_bytes, size_t n_rows)
{
    if (!cuda_failed(device))
        cuda_keep(device, "copy within the GPU",
                  cudaMemcpy2DAsync(to, to_stride, from, from_stride, row_bytes, n_rows,
                                    cudaMemcpyDeviceToDevice, cuda_stream(device)));
}

/* ---- marks ---- */

uint64_t cuda_mark(struct device *device)
{
    struct cuda_device *cuda = cuda_of(device);
    const uint64_t mark = ++cuda->n_marks;
    if (!cuda_failed(device))
        cuda_keep(device, "mark", cudaEventRecord(cuda->mark[mark % DEVICE_MARKS], cuda->stream));
    return mark;
}

void cuda_set_watch(struct device *device, cuda_watch_fn *watch, void *context)
{
    cuda_of(device)->watch = watch;
    cuda_of(device)->watch_context = context;
}

void cuda_give_up(struct device *device) { atomic_store(&cuda_of(device)->given_up, true); }

/* False when a peer is lost; that is kept. */
static bool look(struct cuda_device *cuda)
{
    struct error lost = {0};
    if (cuda->watch == NULL || cuda->watch(cuda->watch_context, &lost))
        return true;
    if (!cuda_failed(&cuda->device))
        cuda->failure = lost;
    return false;
}

/* The first look for lost peers comes after a while of waiting: it costs more than a short wait. */
static void wait_for(struct cuda_device *cuda, cudaEvent_t event)
{
    const int64_t begin = clock_now_ns();
    int64_t next_look = begin + watch_ns;
    cudaError_t status;
    while ((status = cudaEventQuery(event)) == cudaErrorNotReady) {
        const int64_t now = clock_now_ns();
        if (now >= next_look) {
            if (!look(cuda))
                return;
            next_look = now + watch_ns;
        }
        if (now - begin < spin_ns)
            system_pause();
        else
            system_sleep_ns(sleep_ns);
    }
    /* whatever was queued before and failed shows here first, without a name */
    if (cuda_keep(&cuda->device, "a kernel or copy that was queued before", status) &&
        atomic_load(&cuda->given_up))
        look(cuda); /* it is over because it was ended, and what it left is nothing */
}

bool cuda_wait(struct device *device, uint64_t mark, struct error *err)
{
    struct cuda_device *cuda = cuda_of(device);
    check(mark <= cuda->n_marks);
    if (mark > 0 && !cuda_failed(device))
        wait_for(cuda, cuda->mark[mark % DEVICE_MARKS]); /* of this mark, or of a later one */
    if (!cuda_failed(device))
        return true;
    *err = cuda->failure;
    return false;
}
