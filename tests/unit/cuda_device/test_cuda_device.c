/* The GPU as a device: memory, queue, records, and what it says when something fails. */
#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/device.h"
#include "kernels/ops.h"
#include "kernels/tensor.h"
#include "tests/cuda_emulator/cuda_emulator.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static struct device *open_gpu(void)
{
    struct device *device;
    struct error err = {0};
    if (!device_open_cuda(&device, &(struct cuda_settings){.exact = true, .graphs = true}, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return device;
}

static void *alloc(struct device *device, size_t n_bytes)
{
    void *p;
    struct error err = {0};
    if (!device_alloc(device, &p, n_bytes, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return p;
}

static void check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", text, part);
}

/* ---- which GPUs there are ---- */

static void check_cannot_open(int index, const char *part)
{
    struct device *device;
    struct error err = {0};
    CHECK(!device_open_cuda(&device, &(struct cuda_settings){.index = index}, &err));
    CHECK_EQ(err.kind, ERROR_UNSUPPORTED);
    check_contains(err.text, part);
}

TEST(a_gpu_that_is_not_there_is_named_with_the_number_of_those_that_are)
{
    setenv("EMULATOR_DEVICES", "2", 1);
    check_cannot_open(2, "GPU 2 is asked for, and there are 2");
    setenv("EMULATOR_DEVICES", "1", 1);
    check_cannot_open(3, "GPU 3 is asked for, and there is 1");
    setenv("EMULATOR_DEVICES", "0", 1);
    check_cannot_open(0, "the driver sees none");
    unsetenv("EMULATOR_DEVICES");
}

TEST(a_driver_that_is_too_old_is_told_with_both_versions)
{
    setenv("EMULATOR_DRIVER", "12040", 1);
    check_cannot_open(0, "the NVIDIA driver is for CUDA 12.4, and this build needs one for "
                         "CUDA 13.0 or later");
    setenv("EMULATOR_DRIVER", "0", 1);
    check_cannot_open(0, "this machine has no NVIDIA driver");
    unsetenv("EMULATOR_DRIVER");
}

/* ---- memory ---- */

TEST(memory_of_a_gpu_is_zeroed_and_is_not_that_of_the_host)
{
    struct device *device = open_gpu();
    struct error err = {0};
    unsigned char got[300];
    memset(got, 0xee, sizeof got);
    void *p = alloc(device, sizeof got);
    CHECK_EQ((uintptr_t)p % 64, 0);
    device_download(device, got, p, sizeof got);
    CHECK(device_sync(device, &err));
    for (size_t i = 0; i < sizeof got; i++)
        CHECK_EQ(got[i], 0);
    CHECK(!device_is_host(device));
    device_free(device, p, sizeof got);
    device_close(device);
}

TEST(memory_that_is_not_there_is_told_with_what_is_and_harms_nothing)
{
    struct device *device = open_gpu();
    struct error err = {0};
    void *p;
    CHECK(!device_alloc(device, &p, (size_t)1 << 40, &err));
    CHECK_EQ(err.kind, ERROR_SYSTEM);
    check_contains(err.text, "GPU 0 has ");
    check_contains(err.text, "and 1048576 MiB are needed");
    CHECK(device_sync(device, &(struct error){0}));
    device_close(device);
}

static size_t free_bytes(struct device *device)
{
    size_t n_free, n_all;
    device_memory(device, &n_free, &n_all);
    return n_free;
}

TEST(memory_that_could_not_be_cleared_is_given_back)
{
    struct device *device = open_gpu();
    const size_t before = free_bytes(device);
    struct error err = {0};
    void *p;
    emulated_fail("cudaMemsetAsync", 1);
    CHECK(!device_alloc(device, &p, 1 << 20, &err));
    check_contains(err.text, "clearing memory of the GPU");
    CHECK(p == NULL);
    CHECK_EQ(free_bytes(device), before);
    device_close(device);
}

TEST(a_device_that_has_failed_has_no_memory_to_give)
{
    struct device *device = open_gpu();
    struct error err = {0};
    void *p;
    cuda_keep(device, "a test", cudaErrorUnknown);
    emulated_fail("cudaMalloc", 1);
    CHECK(!device_alloc(device, &p, 4, &err));
    check_contains(err.text, "GPU 0: a test: ");
    CHECK(p == NULL);
    CHECK(
        emulated_fails("cudaMalloc")); /* it was not asked: it could wait for a kernel that hangs */
    emulated_fail("cudaMallocHost", 1);
    CHECK(!device_alloc_host(device, &p, 4, &err));
    CHECK(emulated_fails("cudaMallocHost"));
    device_close(device);
}

TEST(the_workspace_is_that_of_the_largest_needs)
{
    struct device *device = open_gpu();
    struct error err = {0};
    struct step_needs needs = {.n_tokens = 4,
                               .n_sequences = 2,
                               .n_logits = 2,
                               .n_heads = 4,
                               .n_kv_heads = 2,
                               .head_dim = 16,
                               .n_out = 64,
                               .n_leaves = 4,
                               .vocab = 300,
                               .max_positions = 64};
    const size_t small = device_workspace_bytes(device, &needs);
    CHECK(device_reserve(device, &needs, &err));
    CHECK_EQ(cuda_workspace_bytes_reserved(device), small);
    needs.vocab = 200000;
    needs.n_logits = 64;
    const size_t large = device_workspace_bytes(device, &needs);
    CHECK(large >= small && device_reserve(device, &needs, &err));
    needs.vocab = 300;
    CHECK(device_reserve(device, &needs, &err));
    CHECK_EQ(cuda_workspace_bytes_reserved(device), large);
    CHECK((uintptr_t)cuda_workspace(device) % 256 == 0);
    device_close(device);
}

/* ---- the queue ---- */

TEST(rows_are_copied_between_strides)
{
    struct device *device = open_gpu();
    struct error err = {0};
    const int32_t rows[] = {1, 2, 3, 4, 5, 6};
    int32_t got[9];
    void *from = alloc(device, sizeof rows), *to = alloc(device, sizeof got);
    device_upload(device, from, rows, sizeof rows);
    device_copy_rows(device, (int32_t *)to + 1, 12, from, 8, 8, 3);
    device_download(device, got, to, sizeof got);
    CHECK(device_sync(device, &err));
    CHECK(memcmp(got, (int32_t[]){0, 1, 2, 0, 3, 4, 0, 5, 6}, sizeof got) == 0);
    device_free(device, from, sizeof rows);
    device_free(device, to, sizeof got);
    device_close(device);
}

TEST(a_mark_is_waited_for_long_after_others_took_its_place)
{
    struct device *device = open_gpu();
    struct error err = {0};
    CHECK(device_wait(device, 0, &err)); /* of a time before the queue */
    const uint64_t first = device_mark(device);
    for (int i = 0; i < 3 * DEVICE_MARKS; i++)
        device_mark(device);
    CHECK(device_wait(device, first, &err));
    CHECK(device_sync(device, &err));
    device_close(device);
}

TEST(the_first_failure_stays_with_its_name_and_nothing_more_is_queued)
{
    struct device *device = open_gpu();
    struct error err = {0}, again = {0};
    int32_t seven = 7, got = 0;
    void *p = alloc(device, sizeof seven);
    emulated_fail("cudaMemcpyAsync", 1);
    device_upload(device, p, &seven, sizeof seven);
    device_download(device, &got, p, sizeof got);
    CHECK(!device_sync(device, &err));
    CHECK_EQ(err.kind, ERROR_SYSTEM);
    check_contains(err.text, "GPU 0: copy to the GPU: ");
    CHECK_EQ(got, 0);
    CHECK(!device_sync(device, &again));
    CHECK_STR(again.text, err.text);
    device_close(device);
}

static enum emulated_progress never(void *context)
{
    (void)context;
    return EMULATED_PENDING;
}

static bool loses_a_rank(void *context, struct error *err)
{
    int *n_looks = context;
    if (++*n_looks < 3)
        return true;
    return error_set(err, ERROR_PEER, "rank 1 is gone");
}

TEST(who_waits_for_the_device_hears_of_a_lost_rank)
{
    struct device *device = open_gpu();
    struct error err = {0};
    int n_looks = 0;
    char unused = 0;
    cuda_set_watch(device, loses_a_rank, &n_looks);
    CHECK(device_sync(device, &err));
    CHECK_EQ(n_looks, 0); /* what is done at once is worth no look */
    CHECK_EQ(emulated_stream_enqueue(cuda_stream(device), "never", never, &unused, 1), cudaSuccess);
    CHECK(!device_sync(device, &err));
    CHECK_EQ(err.kind, ERROR_PEER);
    CHECK_STR(err.text, "rank 1 is gone");
    CHECK_EQ(n_looks, 3);
    device_close(device);
}

/* The thread that watches has ended what waited for a lost rank, while the host was in a call of
 * its own: then all is done when the host comes to wait for it. */
TEST(work_that_was_given_up_is_not_taken_for_done)
{
    struct device *device = open_gpu();
    struct error err = {0};
    int n_looks = 2;
    cuda_set_watch(device, loses_a_rank, &n_looks);
    CHECK(device_sync(device, &err));
    cuda_give_up(device);
    CHECK(!device_sync(device, &err));
    CHECK_EQ(err.kind, ERROR_PEER);
    CHECK_STR(err.text, "rank 1 is gone");
    device_close(device);
}

/* ---- kernels ---- */

static void start_kernel(struct device *device, float *x)
{
    op_softcap(device, &(struct softcap_args){.x = x, .n = 3, .cap = 1});
}

TEST(a_kernel_that_could_not_be_started_is_named)
{
    struct device *device = open_gpu();
    struct error err = {0};
    float *x = alloc(device, 3 * sizeof *x);
    emulated_fail("cudaLaunchKernel", 1);
    start_kernel(device, x);
    CHECK(!device_sync(device, &err));
    check_contains(err.text, "softcap");
    device_close(device);
}

/* ---- the end ---- */

enum { ROWS = 16, K = 32 }; /* enough rows for cuBLASLt */

static void multiply(struct device *device)
{
    const struct leaves all = leaves_one(K);
    void *weight = alloc(device, K * K * 2), *x = alloc(device, ROWS * K * 2);
    void *out = alloc(device, ROWS * K * sizeof(float));
    op_matmul(device, &(struct matmul_args){.out = out,
                                            .x = operand_make(x, DTYPE_BF16, ROWS, &all),
                                            .weight = {weight, DTYPE_BF16, K},
                                            .leaves = &all,
                                            .n_tokens = ROWS,
                                            .out_stride = K,
                                            .n_out = K});
}

/* Does closing a device that has multiplied end cuBLASLt, which waits for the device? */
static bool ends_cublaslt(bool has_failed)
{
    struct device *device;
    struct error err = {0};
    CHECK(device_open_cuda(&device, &(struct cuda_settings){.index = 0}, &err));
    CHECK(device_reserve(device, &(struct step_needs){.n_tokens = ROWS, .vocab = K}, &err));
    multiply(device);
    CHECK(device_sync(device, &err));
    if (has_failed)
        cuda_keep(device, "a test", cudaErrorUnknown);
    emulated_fail("cublasLtDestroy", 1);
    device_close(device);
    return !emulated_fails("cublasLtDestroy"); /* the first one was there */
}

TEST(a_device_that_has_failed_is_closed_without_a_wait_for_it)
{
    CHECK(ends_cublaslt(false));
    CHECK(!ends_cublaslt(true));
}

/* ---- records ---- */

TEST(a_record_is_not_run_when_it_is_made_and_runs_as_often_as_wanted)
{
    struct device *device = open_gpu();
    struct error err = {0};
    CHECK(device_has_records(device));
    int32_t *a = alloc(device, 8), *b = alloc(device, 8), numbers[2] = {5, 6}, got[2];
    device_record_begin(device);
    device_copy_rows(device, b, 8, a, 8, 8, 1);
    struct device_record *record = device_record_end(device);
    CHECK(record != NULL);
    for (int round = 0; round < 3; round++) {
        device_upload(device, a, numbers, sizeof numbers);
        device_download(device, got, b, sizeof got);
        CHECK(device_sync(device, &err));
        CHECK_EQ(got[1], round == 0 ? 0 : numbers[1] - 1); /* of the round before */
        device_replay(device, record);
        device_download(device, got, b, sizeof got);
        CHECK(device_sync(device, &err));
        CHECK_EQ(got[1], numbers[1]++);
    }
    device_record_free(device, record);
    device_free(device, a, 8);
    device_free(device, b, 8);
    device_close(device);
}

TEST(a_record_that_could_not_be_made_says_why)
{
    static const char *const calls[] = {"cudaStreamBeginCapture", "cudaStreamEndCapture",
                                        "cudaGraphInstantiate"};
    for (int i = 0; i < 3; i++) {
        struct device *device = open_gpu();
        struct error err = {0};
        int32_t *a = alloc(device, 8);
        emulated_fail(calls[i], 1);
        device_record_begin(device);
        device_copy_rows(device, a + 1, 4, a, 4, 4, 1);
        CHECK(device_record_end(device) == NULL);
        CHECK(!device_sync(device, &err));
        check_contains(err.text, "record");
        device_close(device);
    }
}

TEST(graphs_can_be_switched_off)
{
    struct device *device;
    struct error err = {0};
    CHECK(device_open_cuda(&device, &(struct cuda_settings){.exact = true}, &err));
    CHECK(!device_has_records(device));
    device_close(device);
}
