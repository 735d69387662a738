/* How near matmul comes to what the machine can do: decode against the read bandwidth, prefill
 * against the rate of the unit that multiplies (FMA, or with AMX the tiles), both ceilings measured
 * here, between the results (other programs share the machine; medians of RUNS, and only the ratios
 * mean something).
 *
 *     bench_matmul [level ...]      all levels of this machine but scalar, 1 and 2 threads
 */
#include "base/bandwidth.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/tile.h"
#include "kernels/device.h"
#include "kernels/ops.h"

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 5, MAX_THREADS = 2 };

static const size_t WEIGHTS_BYTES = (size_t)1100 << 20; /* far more than any cache */

static const struct shape {
    int k, n_out;
} shapes[] = {{2048, 8192}, {8192, 2048}, {2048, 128256}};

struct bench {
    struct device *device;
    char *weights; /* [WEIGHTS_BYTES] of small BF16 */
    void *x;
    float *out;
    int n_threads;
    struct shape shape; /* what multiply_all() multiplies */
    int n_tokens;
};

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of run(bench, argument), the median. */
static double median(void (*run)(struct bench *, int), struct bench *bench, int argument)
{
    double seconds[RUNS];
    for (int i = 0; i < RUNS; i++) {
        const int64_t begin = clock_now_ns();
        run(bench, argument);
        seconds[i] = (double)(clock_now_ns() - begin) * 1e-9;
    }
    qsort(seconds, RUNS, sizeof *seconds, ascending);
    return seconds[RUNS / 2];
}

/* ---- ceilings ---- */

enum { FMA_ROUNDS = 4 << 20, FMA_CHAINS = 24, TILE_ROUNDS = 1 << 16 };

static double read_bandwidth(struct bench *bench)
{
    double rate[RUNS];
    for (int i = 0; i < RUNS; i++)
        rate[i] = bandwidth_read(bench->device->team, bench->weights, WEIGHTS_BYTES);
    qsort(rate, RUNS, sizeof *rate, ascending);
    return rate[RUNS / 2];
}

__attribute__((target("avx512f"))) static void fma_512(void *context, int item, int thread)
{
    (void)item;
    const struct bench *bench = context;
    const __m512 a = _mm512_set1_ps(0.5f);
    __m512 sum[FMA_CHAINS];
    for (int j = 0; j < FMA_CHAINS; j++)
        sum[j] = _mm512_set1_ps((float)j);
    for (int i = 0; i < FMA_ROUNDS; i++)
#pragma GCC unroll 24
        for (int j = 0; j < FMA_CHAINS; j++)
            sum[j] = _mm512_fmadd_ps(sum[j], a, a);
    for (int j = 1; j < FMA_CHAINS; j++)
        sum[0] = _mm512_add_ps(sum[0], sum[j]);
    ((volatile float *)bench->x)[thread * 16] = _mm512_cvtss_f32(sum[0]);
}

__attribute__((target("avx2,fma"))) static void fma_256(void *context, int item, int thread)
{
    (void)item;
    enum { CHAINS = FMA_CHAINS / 2 };
    const struct bench *bench = context;
    const __m256 a = _mm256_set1_ps(0.5f);
    __m256 sum[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        sum[j] = _mm256_set1_ps((float)j);
    for (int i = 0; i < 2 * FMA_ROUNDS; i++)
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++)
            sum[j] = _mm256_fmadd_ps(sum[j], a, a);
    for (int j = 1; j < CHAINS; j++)
        sum[0] = _mm256_add_ps(sum[0], sum[j]);
    ((volatile float *)bench->x)[thread * 16] = _mm256_cvtss_f32(sum[0]);
}

/* TDPBF16PS on random numbers: on zeros it is a fifth faster, because the clock is. */
static void tiles(void *context, int item, int thread)
{
    (void)item;
    (void)thread;
    const struct bench *bench = context;
    static const struct tile_config config = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {16, 16, 16, 16, 16, 16, 16, 16},
    };
    tile_configure(&config);
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    tile_load(4, bench->weights, 64);
    tile_load(5, bench->weights + 1024, 64);
    tile_load(6, bench->weights + 2048, 64);
    tile_load(7, bench->weights + 3072, 64);
    for (int i = 0; i < TILE_ROUNDS; i++) {
        tile_dot_bf16(0, 4, 6);
        tile_dot_bf16(1, 5, 6);
        tile_dot_bf16(2, 4, 7);
        tile_dot_bf16(3, 5, 7);
    }
    tile_release();
}

/* What multiplies: 8 or 16 lanes of FMA, or tiles. */
enum unit { UNIT_FMA_256, UNIT_FMA_512, UNIT_TILES };

static enum unit unit_of(const struct cpu_level *level)
{
    return level->needs & CPU_AMX      ? UNIT_TILES
           : level->needs & CPU_AVX512 ? UNIT_FMA_512
                                       : UNIT_FMA_256;
}

static void multiply_in_registers(struct bench *bench, int unit)
{
    team_item_fn *const run[] = {fma_256, fma_512, tiles};
    team_run(bench->device->team, run[unit], bench, bench->n_threads);
}

/* Multiply-adds a second. */
static double peak_of(struct bench *bench, enum unit unit)
{
    const double fma = (double)FMA_ROUNDS * FMA_CHAINS;
    const double of_thread[] = {8 * fma, 16 * fma, 4.0 * TILE_ROUNDS * 16 * 16 * 32};
    return of_thread[unit] * bench->n_threads / median(multiply_in_registers, bench, (int)unit);
}

/* ---- matmul ---- */

/* All the weights there are, matrix after matrix. */
static void multiply_all(struct bench *bench, int n_matrices)
{
    const struct shape shape = bench->shape;
    const struct leaves leaves = leaves_one(shape.k);
    for (int i = 0; i < n_matrices; i++)
        op_matmul(bench->device,
                  &(struct matmul_args){
                      .out = bench->out,
                      .x = operand_make(bench->x, DTYPE_BF16, bench->n_tokens, &leaves),
                      .weight = {.data = bench->weights + (size_t)i * (size_t)shape.k *
                                                              (size_t)shape.n_out * sizeof(bf16),
                                 .dtype = DTYPE_BF16,
                                 .row_stride = shape.k},
                      .leaves = &leaves,
                      .n_tokens = bench->n_tokens,
                      .out_stride = shape.n_out,
                      .n_out = shape.n_out});
}

static void decode(struct bench *bench, struct shape shape, int n_tokens)
{
    const size_t matrix_bytes = (size_t)shape.k * (size_t)shape.n_out * sizeof(bf16);
    const int n_matrices = (int)(WEIGHTS_BYTES / matrix_bytes);
    bench->shape = shape;
    bench->n_tokens = n_tokens;
    const double bandwidth_before = read_bandwidth(bench);
    const double rate =
        (double)n_matrices * (double)matrix_bytes / median(multiply_all, bench, n_matrices);
    const double bandwidth = (bandwidth_before + read_bandwidth(bench)) / 2;
    printf("%-8s %d threads  %5d -> %6d  %3d tokens  %6.2f GB/s   %3.0f %% of %.2f GB/s\n",
           bench->device->ops->name, bench->n_threads, shape.k, shape.n_out, n_tokens, rate * 1e-9,
           100 * rate / bandwidth, bandwidth * 1e-9);
}

static void prefill(struct bench *bench, struct shape shape, int n_tokens, enum unit unit)
{
    bench->shape = shape;
    bench->n_tokens = n_tokens;
    const double peak_before = peak_of(bench, unit);
    const double seconds = median(multiply_all, bench, 1);
    const double peak = (peak_before + peak_of(bench, unit)) / 2;
    const double rate = (double)shape.k * shape.n_out * n_tokens / seconds;
    printf("%-8s %d threads  %5d -> %6d  %3d tokens  %6.1f GFLOP/s  %3.0f %% of %.0f GFLOP/s\n",
           bench->device->ops->name, bench->n_threads, shape.k, shape.n_out, n_tokens, 2e-9 * rate,
           100 * rate / peak, 2e-9 * peak);
}

static void bench_level(struct bench *bench, const struct cpu_level *level)
{
    static const int few[] = {1, 4, 8, 16, 32, 64}, many[] = {128, 512};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t t = 0; t < sizeof few / sizeof *few; t++)
            decode(bench, shapes[s], few[t]);
    for (size_t s = 0; s < 2; s++)
        for (size_t t = 0; t < sizeof many / sizeof *many; t++)
            prefill(bench, shapes[s], many[t], unit_of(level));
}

static bool is_asked_for(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc == 1 && strcmp(name, "scalar") != 0;
}

static bool fill(struct bench *bench, struct error *err)
{
    void *weights, *out;
    if (!memory_map(&weights, WEIGHTS_BYTES, err) || !memory_map(&bench->x, 16 << 20, err) ||
        !memory_map(&out, (size_t)512 * 128256 * sizeof(float), err))
        return false;
    bench->weights = weights;
    bench->out = out;
    for (size_t i = 0; i < WEIGHTS_BYTES / sizeof(bf16); i++)
        ((bf16 *)weights)[i] = bf16_from_f32((float)(i * 2654435761u % 1999) * 0x1p-10f - 1);
    for (size_t i = 0; i < (16 << 20) / sizeof(bf16); i++)
        ((bf16 *)bench->x)[i] = bf16_from_f32((float)(i * 40503u % 1999) * 0x1p-10f - 1);
    return true;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct bench bench = {0};
    setvbuf(stdout, NULL, _IOLBF, 0); /* it takes minutes */
    if (!fill(&bench, &err)) {
        fprintf(stderr, "bench_matmul: %s\n", err.text);
        return 1;
    }
    for (int level = 0; level < n_cpu_levels; level++)
        for (int n_threads = 1; n_threads <= MAX_THREADS; n_threads++) {
            if ((cpu_levels[level].needs & ~cpu_features()) != 0 ||
                !is_asked_for(cpu_levels[level].ops.name, argc, argv))
                continue;
            if (!device_open_cpu_ops(&bench.device, &cpu_levels[level].ops, n_threads, 0, &err)) {
                fprintf(stderr, "bench_matmul: %s\n", err.text);
                return 1;
            }
            bench.n_threads = n_threads;
            bench_level(&bench, &cpu_levels[level]);
            device_close(bench.device);
        }
    return 0;
}
