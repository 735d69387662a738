/* Memory, copies, devices and errors of the emulated runtime. */
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"
#include "tests/unit/cuda_emulator/death.h"
#include "tests/unit/cuda_emulator/gpu_array.h"
#include "tests/unit/cuda_emulator/kernels.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

TEST(new_device_memory_is_nan)
{
    unsigned char bytes[100];
    gpu_take_home(bytes, gpu_bytes(sizeof bytes), sizeof bytes);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(bytes[i], 0xff);
}

TEST(device_memory_is_aligned_to_256_bytes_and_counted)
{
    size_t free_before, free_after, total;
    cudaMemGetInfo(&free_before, &total);
    void *p = gpu_bytes(1000);
    CHECK_EQ((uintptr_t)p % 256, 0);
    cudaMemGetInfo(&free_after, &total);
    CHECK_EQ(free_before - free_after, 1024);
    CHECK_EQ(total, 256 << 20);
    cudaFree(p);
}

TEST(more_memory_than_the_device_has_is_refused)
{
    void *p;
    CHECK_EQ(cudaMalloc(&p, (256 << 20) + 1), cudaErrorMemoryAllocation);
    CHECK(p == NULL);
    CHECK_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    CHECK_EQ(cudaGetLastError(), cudaSuccess);
}

static void write_at(void *context)
{
    float *x = gpu_bytes(64 * sizeof *x);
    start_scale(NULL, &(struct scale_args){x, x, 1.0f, 1, *(const int *)context});
    cudaFree(x);
}

TEST(a_write_outside_an_allocation_aborts)
{
    int before = -1, behind = 64;
    CHECK_DIES(write_at, &before,
               ASAN ? "use-after-poison" : "somebody wrote 1 bytes before this memory");
    CHECK_DIES(write_at, &behind,
               ASAN ? "use-after-poison" : "somebody wrote 0 bytes behind the end of this memory");
}

static void touch(void *device) { *(volatile char *)device = 1; }

TEST(a_host_that_touches_device_memory_aborts)
{
    if (!emulated_guards_memory())
        SKIP("this machine has no memory protection keys");
    void *p = gpu_bytes(10);
    CHECK_DIES(touch, p, ASAN ? "SEGV" : "the host touches device memory at");
    cudaFree(p);
}

static void read_freed(void *context)
{
    float *x = gpu_bytes(64 * sizeof *x);
    cudaFree(context);
    start_scale(NULL, &(struct scale_args){x, context, 1.0f, 64, 0});
}

TEST(a_kernel_that_reads_freed_memory_aborts)
{
    CHECK_DIES(read_freed, gpu_bytes(1000),
               ASAN ? "SEGV" : "kernel scale, block (0, 0, 0): thread (");
}

static void free_twice(void *context)
{
    cudaFree(context);
    cudaFree(context);
}

TEST(memory_that_is_freed_twice_aborts)
{
    CHECK_DIES(free_twice, gpu_bytes(10), "no such memory is allocated");
}

TEST(registered_memory_cannot_be_registered_again)
{
    char host[100];
    CHECK_EQ(cudaHostRegister(host, 100, cudaHostRegisterDefault), cudaSuccess);
    CHECK_EQ(cudaHostRegister(host + 99, 10, cudaHostRegisterDefault),
             cudaErrorHostMemoryAlreadyRegistered);
    CHECK_EQ(cudaHostUnregister(host), cudaSuccess);
    CHECK_EQ(cudaHostRegister(host + 99, 1, cudaHostRegisterDefault), cudaSuccess);
    CHECK_EQ(cudaHostUnregister(host + 99), cudaSuccess);
    cudaGetLastError();
}

/* ---- copies ---- */

TEST(bytes_go_to_the_device_and_come_back)
{
    const char said[] = "there and back";
    char heard[sizeof said] = "";
    char *p = gpu_bytes(sizeof said);
    CHECK_EQ(cudaMemcpyAsync(p, said, sizeof said, cudaMemcpyHostToDevice, NULL), cudaSuccess);
    CHECK_EQ(cudaMemcpy(heard, p, sizeof said, cudaMemcpyDeviceToHost), cudaSuccess);
    CHECK_STR(heard, said);
    cudaFree(p);
}

TEST(rows_are_copied_with_their_pitches)
{
    const char from[] = "ab--cd--ef--";
    char *to = gpu_bytes(9), back[10] = "";
    cudaMemset(to, '.', 9);
    CHECK_EQ(cudaMemcpy2DAsync(to, 3, from, 4, 2, 3, cudaMemcpyHostToDevice, NULL), cudaSuccess);
    cudaMemcpy(back, to, 9, cudaMemcpyDeviceToHost);
    CHECK_STR(back, "ab.cd.ef.");
    cudaFree(to);
}

static void copy_beyond(void *context)
{
    char host[20] = "";
    cudaMemcpyAsync(context, host, 17, cudaMemcpyHostToDevice, NULL);
}

static void copy_from_host_as_device(void *context)
{
    char host[16] = "";
    cudaMemcpyAsync(context, host, 16, cudaMemcpyDeviceToDevice, NULL);
}

static void copy_to_device_as_host(void *context)
{
    cudaMemcpyAsync(context, context, 16, cudaMemcpyDeviceToHost, NULL);
}

TEST(copies_outside_live_memory_abort_with_the_name_of_the_call)
{
    void *p = gpu_bytes(16);
    CHECK_DIES(copy_beyond, p, "cudaMemcpyAsync: 17 bytes at");
    CHECK_DIES(copy_from_host_as_device, p, "is not in device memory");
    CHECK_DIES(copy_to_device_as_host, p, "is device memory, but was called host memory");
    cudaFree(p);
    CHECK_DIES(copy_beyond, p, "is not in device memory");
}

/* ---- planned failures ---- */

TEST(the_nth_call_fails_and_no_other)
{
    void *p;
    emulated_fail("cudaMalloc", 3);
    for (int i = 1; i <= 5; i++) {
        CHECK_EQ(cudaMalloc(&p, 8), i == 3 ? cudaErrorMemoryAllocation : cudaSuccess);
        if (i != 3)
            cudaFree(p);
    }
    cudaGetLastError();
}

TEST(a_kernel_that_fails_stops_its_stream_for_ever)
{
    cudaStream_t stream;
    float *x = gpu_bytes(64 * sizeof *x);
    const struct scale_args args = {x, x, 2.0f, 64, 0};
    cudaStreamCreate(&stream);
    emulated_fail("scale", 2);
    CHECK_EQ(start_scale(stream, &args), cudaSuccess);
    CHECK_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    CHECK_EQ(start_scale(stream, &args), cudaSuccess); /* it is queued, and fails later */
    CHECK_EQ(cudaStreamSynchronize(stream), cudaErrorLaunchFailure);
    CHECK_EQ(start_scale(stream, &args), cudaErrorLaunchFailure);
    CHECK_EQ(cudaStreamDestroy(stream), cudaErrorLaunchFailure);
    cudaFree(x);
    cudaGetLastError();
}

/* ---- devices ---- */

struct place {
    const char *name, *value;
    cudaError_t want;
};

static void count_devices(void *context)
{
    const struct place *place = context;
    int n;
    setenv(place->name, place->value, 1);
    if (cudaGetDeviceCount(&n) == place->want)
        abort_saying("as wanted");
}

TEST(devices_are_what_the_environment_says)
{
    CHECK_DIES(count_devices, &((struct place){"EMULATOR_DEVICES", "4", cudaSuccess}), "as wanted");
    CHECK_DIES(count_devices, &((struct place){"EMULATOR_DEVICES", "0", cudaErrorNoDevice}),
               "as wanted");
    CHECK_DIES(count_devices,
               &((struct place){"EMULATOR_DRIVER", "0", cudaErrorInsufficientDriver}), "as wanted");
    CHECK_DIES(count_devices,
               &((struct place){"EMULATOR_DRIVER", "12080", cudaErrorInsufficientDriver}),
               "as wanted");
}

TEST(a_device_that_is_not_there_is_refused)
{
    struct cudaDeviceProp properties;
    CHECK_EQ(cudaSetDevice(0), cudaSuccess);
    CHECK_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
    CHECK_EQ(cudaGetDeviceProperties(&properties, 1), cudaErrorInvalidDevice);
    CHECK_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
    CHECK_STR(properties.name, "Emulated GPU");
    cudaGetLastError();
}
