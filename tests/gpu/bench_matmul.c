/* bench_matmul: the matmuls of one GPU, measured and compared with float64: how near each kernel
 * comes to the rate of copies and of a large cuBLASLt matmul, both taken in the same run, and
 * whether all kernels of the exact mode give the same bits. Under 40 seconds on an H100.
 *
 *   nvcc -O3 -std=c++17 -gencode arch=compute_90a,code=sm_90a -fmad=false -ftz=true \
 *     -prec-div=true -prec-sqrt=true -Xcompiler -pthread,-ffp-contract=off -D_GNU_SOURCE -I. \
 *     -o bench_matmul tests/gpu/bench_matmul.c kernels/cuda/[a-z]*.c kernels/cuda/[a-z]*.cu \
 *     kernels/[a-z]*.c base/{bytes,check,error,log,memory,system}.c -lcublasLt -lm
 *
 * Weights lie in a pool that is larger than any cache, and each run takes the next copy. The runs
 * of a measurement are one recorded graph, as steps are. */
#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/matmul.h"
#include "kernels/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ROWS = 8192,
    MAX_LOGIT_ROWS = 512, /* of the widest shape */
    MOST_RUNS = 100,
    SAMPLES = 24,
    REPLAYS = 3,
};
static const size_t pattern_bytes = (size_t)64 << 20, pool_bytes = (size_t)1280 << 20,
                    x_bytes = (size_t)512 << 20, out_bytes = (size_t)1 << 30;
static const size_t x_begin = 4096 * 13; /* of the pattern, in x */

struct bench {
    struct device *device;
    uint32_t *pattern;
    char *pool, *x;
    float *out;
    cudaEvent_t begin, end;
    double copy_rate, matmul_rate; /* bytes and operations a second */
};

typedef void matmul_fn(struct device *device, const struct matmul_job *job);

static void must(bool ok, const char *what, const struct error *err)
{
    if (ok)
        return;
    fprintf(stderr, "bench_matmul: %s: %s\n", what, err != NULL ? err->text : "failed");
    exit(1);
}

static void finish(struct bench *bench)
{
    struct error err = {0};
    must(device_sync(bench->device, &err), "a kernel", &err);
}

/* Any bits whose halves are bf16 between 2^-7 and 2 in size: good as float32 and as binary16 too.
 */
static uint32_t mix(uint32_t x)
{
    x *= 2654435761u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    return (x & 0x83ff83ffu) | 0x3c003c00u;
}

static char *upload_pattern(struct bench *bench, size_t n_bytes, size_t from)
{
    struct error err = {0};
    void *gpu;
    must(device_alloc(bench->device, &gpu, n_bytes, &err), "memory", &err);
    for (size_t at = 0; at < n_bytes;) {
        const size_t in_pattern = (at + from) % pattern_bytes;
        size_t n = pattern_bytes - in_pattern;
        if (n > n_bytes - at)
            n = n_bytes - at;
        device_upload(bench->device, (char *)gpu + at, (char *)bench->pattern + in_pattern, n);
        at += n;
    }
    finish(bench);
    return gpu;
}

static void open_bench(struct bench *bench)
{
    struct error err = {0};
    void *out;
    const struct cuda_settings settings = {.exact = true, .graphs = true};
    const struct step_needs needs = {.n_tokens = MAX_ROWS, .n_out = 28672, .n_leaves = 16};
    must(device_open_cuda(&bench->device, &settings, &err), "GPU", &err);
    must(device_reserve(bench->device, &needs, &err), "workspace", &err);
    must(device_alloc(bench->device, &out, out_bytes, &err), "output", &err);
    bench->out = out;
    bench->pattern = malloc(pattern_bytes);
    for (size_t i = 0; i < pattern_bytes / sizeof *bench->pattern; i++)
        bench->pattern[i] = mix((uint32_t)i);
    bench->pool = upload_pattern(bench, pool_bytes, 0);
    bench->x = upload_pattern(bench, x_bytes, x_begin);
    must(cudaEventCreate(&bench->begin) == cudaSuccess, "event", NULL);
    must(cudaEventCreate(&bench->end) == cudaSuccess, "event", NULL);
}

/* ---- the job ---- */

static struct matmul_job job_of(const struct bench *bench, const struct leaves *leaves,
                                enum dtype dtype, int n_tokens, int n_out)
{
    const int k = leaves_k(leaves); /* leaves of these tests are multiples of 32 */
    return (struct matmul_job){.out = bench->out,
                               .x = bench->x,
                               .weight = bench->pool,
                               .out_stride = n_out,
                               .x_stride = k,
                               .weight_stride = k,
                               .n_tokens = n_tokens,
                               .n_out = n_out,
                               .dtype = dtype,
                               .weight_dtype = DTYPE_BF16,
                               .order = k_order_of(leaves, dtype != DTYPE_F32)};
}

static double number(const struct bench *bench, enum dtype dtype, size_t i, size_t from)
{
    const size_t at = (i * dtype_bytes(dtype) + from) % pattern_bytes;
    if (dtype == DTYPE_BF16) {
        bf16 v;
        memcpy(&v, (char *)bench->pattern + at, sizeof v);
        return (double)bf16_to_f32(v);
    }
    float v;
    memcpy(&v, (char *)bench->pattern + at, sizeof v);
    return (double)v;
}

/* The largest error of some outputs, in 2^-24 of the sum of the products' sizes. */
static double error_of(struct bench *bench, const struct matmul_job *job, int k)
{
    double worst = 0;
    for (int i = 0; i < SAMPLES; i++) {
        const size_t t = i == 0 ? 0 : mix((uint32_t)i * 7919u) % (uint32_t)job->n_tokens;
        const size_t o = i == 0 ? 0 : mix((uint32_t)i * 104729u) % (uint32_t)job->n_out;
        double want = 0, size = 0;
        float got;
        for (size_t j = 0; j < (size_t)k; j++) {
            const double product =
                number(bench, job->dtype, t * (size_t)job->x_stride + j, x_begin) *
                number(bench, DTYPE_BF16, o * (size_t)job->weight_stride + j, 0);
            want += product;
            size += fabs(product);
        }
        device_download(bench->device, &got, job->out + t * (size_t)job->out_stride + o,
                        sizeof got);
        finish(bench);
        const double error = fabs((double)got - want) / size * 0x1p24;
        worst = error > worst || isnan(error) ? error : worst;
    }
    return worst;
}

/* ---- time ---- */

static double seconds_of_replay(struct bench *bench, const struct device_record *record)
{
    float best = INFINITY;
    device_replay(bench->device, record);
    for (int i = 0; i < REPLAYS; i++) {
        float ms;
        cudaEventRecord(bench->begin, cuda_stream(bench->device));
        device_replay(bench->device, record);
        cudaEventRecord(bench->end, cuda_stream(bench->device));
        finish(bench);
        must(cudaEventElapsedTime(&ms, bench->begin, bench->end) == cudaSuccess, "time", NULL);
        best = ms < best ? ms : best;
    }
    return (double)best * 1e-3;
}

static double seconds_of(struct bench *bench, matmul_fn *run, struct matmul_job job, int k)
{
    const size_t weight_bytes = (size_t)job.n_out * (size_t)k * 2;
    const size_t n_copies = pool_bytes / weight_bytes;
    const double guess =
        (double)weight_bytes / 3e12 + 2.0 * job.n_out * (double)k * job.n_tokens / 5e14;
    int n_runs = (int)(3e-3 / guess);
    n_runs = n_runs < 2 ? 2 : n_runs > MOST_RUNS ? MOST_RUNS : n_runs;
    run(bench->device, &job); /* also lets an algorithm be chosen */
    finish(bench);
    device_record_begin(bench->device);
    for (int i = 0; i < n_runs; i++) {
        job.weight = bench->pool + ((size_t)i % n_copies) * weight_bytes;
        run(bench->device, &job);
    }
    struct device_record *record = device_record_end(bench->device);
    if (record == NULL)
        finish(bench); /* says why */
    const double seconds = seconds_of_replay(bench, record) / n_runs;
    device_record_free(bench->device, record);
    return seconds;
}

static void measure_rates(struct bench *bench)
{
    const size_t half = pool_bytes / 2 / 256 * 256;
    struct leaves leaves = leaves_one(8192);
    device_record_begin(bench->device);
    for (int i = 0; i < 4;
         i++) /* onto bytes that are the same: half is a multiple of the pattern */
        device_copy_rows(bench->device, bench->pool + half, half, bench->pool, half, half, 1);
    struct device_record *record = device_record_end(bench->device);
    if (record == NULL)
        finish(bench);
    bench->copy_rate = 4.0 * 2.0 * (double)half / seconds_of_replay(bench, record);
    device_record_free(bench->device, record);
    const double seconds =
        seconds_of(bench, lt_matmul, job_of(bench, &leaves, DTYPE_BF16, MAX_ROWS, 8192), 8192);
    bench->matmul_rate = 2.0 * 8192 * 8192 * MAX_ROWS / seconds;
    printf("copies %.2f TB/s (read and written), cuBLASLt [8192, 8192] x 8192 rows %.0f TFLOP/s\n",
           bench->copy_rate * 1e-12, bench->matmul_rate * 1e-12);
}

static void measure(struct bench *bench, const char *name, matmul_fn *run, struct matmul_job job,
                    int k)
{
    const double seconds = seconds_of(bench, run, job, k);
    const size_t x_size = dtype_bytes(job.dtype);
    const double bytes = (double)job.n_out * k * 2 + (double)job.n_tokens * k * (double)x_size +
                         4.0 * job.n_tokens * job.n_out;
    job.weight = bench->pool;
    run(bench->device, &job);
    finish(bench);
    printf("  %s %8.1f us %3.0f%% %3.0f%% %5.2f", name, seconds * 1e6,
           100 * bytes / seconds / bench->copy_rate,
           100 * 2.0 * job.n_out * k * job.n_tokens / seconds / bench->matmul_rate,
           error_of(bench, &job, k));
    fflush(stdout);
}

/* ---- equal bits ---- */

enum { BIT_ROWS = 600, BIT_OUT = 4096 }; /* enough for large tiles on 132 multiprocessors */

/* Rows [first, first + n) by one kernel, against those of `whole`, [n_parts, BIT_ROWS, BIT_OUT]. */
static void compare(struct bench *bench, const char *what, matmul_fn *run, struct matmul_job job,
                    int first, int n, const float *whole, float *part)
{
    const size_t n_parts = (size_t)job.order.n_parts, row = BIT_OUT * sizeof(float);
    size_t n_different = 0;
    job.x = (const char *)job.x + (size_t)first * (size_t)job.x_stride * dtype_bytes(job.dtype);
    job.n_tokens = n;
    run(bench->device, &job);
    device_download(bench->device, part, job.out, n_parts * (size_t)n * row);
    finish(bench);
    for (size_t p = 0; p < n_parts; p++)
        for (size_t t = 0; t < (size_t)n; t++)
            n_different += memcmp(part + (p * (size_t)n + t) * BIT_OUT,
                                  whole + (p * BIT_ROWS + (size_t)first + t) * BIT_OUT, row) != 0;
    printf("  %-6s %3d rows from %3d: %s\n", what, n, first,
           n_different == 0 ? "the same bits" : "DIFFERENT BITS");
}

static void compare_all(struct bench *bench, const char *what, const struct leaves *leaves,
                        enum dtype dtype)
{
    const struct matmul_job job = job_of(bench, leaves, dtype, BIT_ROWS, BIT_OUT);
    const size_t n = (size_t)leaves->n_parts * BIT_ROWS * BIT_OUT;
    float *whole = malloc(n * sizeof *whole), *part = malloc(n * sizeof *part);
    matmul_fn *many = dtype == DTYPE_F32 ? f32_matmul : exact_matmul;
    matmul_fn *few = dtype == DTYPE_F32 ? f32_matmul : few_rows_matmul;
    printf("%s, against %d rows at once\n", what, BIT_ROWS);
    many(bench->device, &job);
    device_download(bench->device, whole, job.out, n * sizeof *whole);
    finish(bench);
    compare(bench, "few", few, job, 0, 1, whole, part);
    compare(bench, "few", few, job, 599, 1, whole, part);
    compare(bench, "few", few, job, 5, 8, whole, part);
    compare(bench, "few", few, job, 100, 13, whole, part);
    compare(bench, "few", few, job, 500, 64, whole, part);
    compare(bench, "many", many, job, 17, 70, whole, part); /* small tiles */
    free(part);
    free(whole);
}

static struct leaves equal_leaves(int n_leaves, int length, bool is_whole)
{
    struct leaves leaves = {.n_leaves = n_leaves, .n_parts = is_whole ? 1 : 2};
    for (int i = 0; i < n_leaves; i++) {
        leaves.leaf[i].k_end = (i + 1) * length;
        for (int bit = 1; (i & bit) != 0 && (is_whole || bit < n_leaves / 2); bit *= 2)
            leaves.leaf[i].n_merges++;
    }
    return leaves;
}

static void compare_bits(struct bench *bench)
{
    const struct leaves one = leaves_one(4096), tree = equal_leaves(16, 896, true),
                        parts = equal_leaves(8, 896, false);
    compare_all(bench, "[4096, 4096]", &one, DTYPE_BF16);
    compare_all(bench, "[4096, 14336] in 16 leaves", &tree, DTYPE_BF16);
    compare_all(bench, "[4096, 7168] in 8 leaves, 2 parts", &parts, DTYPE_BF16);
    compare_all(bench, "[4096, 4096] binary16", &one, DTYPE_F16);
    compare_all(bench, "[4096, 4096] float32", &one, DTYPE_F32);
}

int main(void)
{
    static const int shapes[][2] = {{6144, 4096},  {4096, 4096},   {28672, 4096},
                                    {4096, 14336}, {128256, 4096}, {3072, 2048},
                                    {2048, 2048},  {16384, 2048},  {2048, 8192}};
    static const int rows[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 2048, 8192};
    struct bench bench = {0};
    open_bench(&bench);
    printf("%s\n", cuda_name(bench.device));
    measure_rates(&bench);
    compare_bits(&bench);
    printf("us, share of the copies' rate, of the large matmul's, error in 2^-24 of the size\n");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const struct leaves leaves = leaves_one(shapes[s][1]);
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            const struct matmul_job job =
                job_of(&bench, &leaves, DTYPE_BF16, rows[r], shapes[s][0]);
            if (shapes[s][0] > 100000 && rows[r] > MAX_LOGIT_ROWS)
                continue;
            printf("[%6d, %5d] %4d", shapes[s][0], shapes[s][1], rows[r]);
            if (rows[r] <= 256)
                measure(&bench, "few", few_rows_matmul, job, shapes[s][1]);
            if (rows[r] >= 32)
                measure(&bench, "exact", exact_matmul, job, shapes[s][1]);
            measure(&bench, "lt", lt_matmul, job, shapes[s][1]);
            printf("\n");
        }
    }
    for (int n = 1; n <= 512; n *= 8) {
        const struct leaves leaves = leaves_one(4096);
        printf("[  4096,  4096] %4d", n);
        measure(&bench, "f32", f32_matmul, job_of(&bench, &leaves, DTYPE_F32, n, 4096), 4096);
        printf("\n");
    }
    return 0;
}
