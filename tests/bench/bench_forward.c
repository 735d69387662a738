/* The forward pass of one rank against what the machine can do:
 *
 *     bench_forward MODEL [THREADS [LEVEL]]
 *
 *   decode   one token a step, after a prompt of 16: share of the read bandwidth of DRAM
 *   prefill  512 tokens in one step: GFLOP/s
 *
 * The bandwidth is measured before and after each result, over 1 GB: the machine is shared, and
 * only the ratio of neighbours means something. Medians, of the ratios too.
 */
#include "base/bandwidth.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "runtime/model/model.h"
#include "tests/unit/runtime_forward/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 9, PREFILL_RUNS = 3, PROMPT = 16, PREFILL = 512, DECODE_STEPS = 3 };

static const size_t READ_BYTES = (size_t)1 << 30;

struct bench {
    struct runner runner;
    uint64_t *memory; /* [READ_BYTES / 8] */
    int32_t ids[PREFILL + PROMPT + RUNS * DECODE_STEPS];
};

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, ascending);
    return values[n / 2];
}

static double seconds_since(int64_t begin_ns) { return (double)(clock_now_ns() - begin_ns) * 1e-9; }

static double read_bandwidth(struct bench *bench)
{
    return bandwidth_read(bench->runner.device->team, bench->memory, READ_BYTES);
}

static double step_seconds(struct bench *bench, int n_computed, int n_new)
{
    const struct feed feed = {
        .ids = bench->ids, .n_computed = n_computed, .n_new = n_new, .n_logits = 1};
    struct step_result result;
    struct error err = {0};
    const int64_t begin_ns = clock_now_ns();
    if (!runner_step(&bench->runner, &feed, 1, &result, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return seconds_since(begin_ns);
}

/* Bytes that a decode step must read: every weight once, of the embedding one row. */
static double bytes_of_step(const struct model *model)
{
    double n_bytes = (double)model->weight_bytes;
    if (!model->config.tied)
        n_bytes -= (double)span_length(model->share.vocab) * model->config.hidden *
                   (double)dtype_bytes(model->embed_tokens.dtype);
    return n_bytes;
}

static double flops_of_prefill(const struct model *model)
{
    const struct model_config *c = &model->config;
    const double q = (double)c->n_heads * c->head_dim, kv = (double)c->n_kv_heads * c->head_dim;
    const double layer = (2 * q + 2 * kv + 3.0 * c->ffn) * c->hidden;
    const double attention = q * PREFILL; /* q . k and p . v, half of the square each */
    return 2 * PREFILL * c->n_layers * (layer + attention);
}

static void measure(struct bench *bench)
{
    double bandwidth[RUNS + 1], decode[RUNS], share[RUNS], prefill[PREFILL_RUNS];
    const struct model *model = bench->runner.model;
    step_seconds(bench, 0, PROMPT); /* touches every weight */
    bandwidth[0] = read_bandwidth(bench);
    for (int run = 0; run < RUNS; run++) {
        decode[run] = 0;
        for (int i = 0; i < DECODE_STEPS; i++)
            decode[run] += step_seconds(bench, PROMPT + run * DECODE_STEPS + i, 1) / DECODE_STEPS;
        bandwidth[run + 1] = read_bandwidth(bench);
        share[run] =
            bytes_of_step(model) / decode[run] / ((bandwidth[run] + bandwidth[run + 1]) / 2);
    }
    for (int run = 0; run < PREFILL_RUNS; run++)
        prefill[run] = step_seconds(bench, 0, PREFILL);

    const double read = median(bandwidth, RUNS + 1), step = median(decode, RUNS);
    const double prompt = median(prefill, PREFILL_RUNS);
    printf("%s, %d threads, %.0f MB of weights\n", bench->runner.device->ops->name,
           team_size(bench->runner.device->team), (double)model->weight_bytes * 0x1p-20);
    printf("  read bandwidth %6.2f GB/s\n", read * 1e-9);
    printf("  decode         %6.2f tokens/s, %.1f ms, %.2f GB/s: %.0f %% of the bandwidth\n",
           1 / step, step * 1e3, bytes_of_step(model) / step * 1e-9, 100 * median(share, RUNS));
    printf("  prefill %d    %6.1f tokens/s, %.2f s, %.0f GFLOP/s\n", PREFILL, PREFILL / prompt,
           prompt, flops_of_prefill(model) / prompt * 1e-9);
}

static const struct ops *ops_of(const char *name)
{
    for (int i = 0; i < n_cpu_levels; i++) {
        if (strcmp(cpu_levels[i].ops.name, name) == 0)
            return &cpu_levels[i].ops;
    }
    fprintf(stderr, "no level %s\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct error err = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: bench_forward MODEL [THREADS [LEVEL]]\n");
        return 2;
    }
    const struct setup setup = {.folder = argv[1],
                                .dtype = "auto",
                                .tp_size = 1,
                                .n_threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 2,
                                .ops = argc > 3 ? ops_of(argv[3]) : NULL,
                                .kv_dtype = DTYPE_BF16,
                                .block_tokens = 32};
    void *memory;
    if (!memory_map(&memory, READ_BYTES, &err) ||
        !runner_open(&bench.runner, &setup, NULL, 0, PREFILL, 1,
                     (int)(sizeof bench.ids / sizeof *bench.ids), &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    bench.memory = memory;
    memset(memory, 1, READ_BYTES);
    for (size_t i = 0; i < sizeof bench.ids / sizeof *bench.ids; i++)
        bench.ids[i] = (int32_t)((i + 1) * 7919 % (size_t)bench.runner.model->config.vocab);
    measure(&bench);
    runner_close(&bench.runner);
    memory_unmap(memory, READ_BYTES);
    return 0;
}
