/* The forward pass of one rank against what the machine can do:
 *
 *     bench_forward MODEL [THREADS [LEVEL [BATCH]]]     BATCH: the largest, at most 64; 32
 *
 *   decode   one token a step, after a prompt of 16: share of the read bandwidth of DRAM
 *   prefill  512 tokens in one step: GFLOP/s
 *   batch N  one token of each of N sequences, which have 100 to 500 positions: share of N times
 *            what the bandwidth allows one sequence, and the share of each operation of the time
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
#include "kernels/cpu/features.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/ops.h"
#include "runtime/model/model.h"
#include "tests/unit/runtime_forward/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUNS = 9,
    PREFILL_RUNS = 5,
    BATCH_RUNS = 5,
    PROMPT = 16,
    PREFILL = 512,
    DECODE_STEPS = 3,
    MAX_BATCH = 64,
    LEAST_POSITIONS = 100, /* of a sequence of a batch */
    MOST_POSITIONS = 500,
};

/* Every operation of struct ops, and "logits": the matmul with the vocabulary. */
#define OPERATIONS(X) \
    X(embed)          \
    X(rms_norm)       \
    X(head_norm)      \
    X(matmul)         \
    X(rope_angles)    \
    X(rope_store)     \
    X(attention)      \
    X(gated)          \
    X(softcap)        \
    X(copy_blocks)    \
    X(log_sum_exp)

enum operation {
#define X(name) OPERATION_##name,
    OPERATIONS(X)
#undef X
        OPERATION_logits,
    OPERATION_COUNT
};

static const char *const operation_names[] = {
#define X(name) #name,
    OPERATIONS(X)
#undef X
        "logits"};

/* The table that is measured, behind one that takes the time. */
static const struct ops *timed;
static int timed_vocab;
static int64_t spent_ns[OPERATION_COUNT];

static enum operation kind_of(enum operation operation, const void *args)
{
    const struct matmul_args *matmul = args;
    return operation == OPERATION_matmul && matmul->n_out == timed_vocab ? OPERATION_logits
                                                                         : operation;
}

#define X(name)                                                                     \
    static void timed_##name(struct device *device, const struct name##_args *args) \
    {                                                                               \
        const int64_t begin_ns = clock_now_ns();                                    \
        timed->name(device, args);                                                  \
        spent_ns[kind_of(OPERATION_##name, args)] += clock_now_ns() - begin_ns;     \
    }
OPERATIONS(X)
#undef X

static const size_t READ_BYTES = (size_t)1 << 30;

struct bench {
    struct runner runner;
    uint64_t *memory;                                    /* [READ_BYTES / 8] */
    int32_t ids[PREFILL + PROMPT + RUNS * DECODE_STEPS]; /* more than MOST_POSITIONS */
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

static double run_seconds(struct bench *bench, const struct feed *feeds, int n_feeds)
{
    struct step_result result;
    struct error err = {0};
    memset(spent_ns, 0, sizeof spent_ns);
    const int64_t begin_ns = clock_now_ns();
    if (!runner_step(&bench->runner, feeds, n_feeds, &result, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return seconds_since(begin_ns);
}

static double step_seconds(struct bench *bench, int n_computed, int n_new)
{
    const struct feed feed = {
        .ids = bench->ids, .n_computed = n_computed, .n_new = n_new, .n_logits = 1};
    return run_seconds(bench, &feed, 1);
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

static void print_spent(double seconds)
{
    double rest = seconds;
    printf("                ");
    for (int i = 0; i < OPERATION_COUNT; i++) {
        const double share = (double)spent_ns[i] * 1e-9 / seconds;
        rest -= (double)spent_ns[i] * 1e-9;
        if (share > 0.005)
            printf(" %s %.0f %%", operation_names[i], 100 * share);
    }
    printf(" other %.0f %%\n", 100 * rest / seconds);
}

/* Neighbours differ, so that every batch of the first few has short and long ones. */
static int positions_of(int sequence)
{
    return LEAST_POSITIONS + sequence * 149 % (MOST_POSITIONS - LEAST_POSITIONS + 1);
}

static void prefill_all(struct bench *bench, int n_sequences)
{
    for (int i = 0; i < n_sequences; i++) {
        const struct feed feed = {
            .sequence = i, .ids = bench->ids, .n_new = positions_of(i), .n_logits = 1};
        run_seconds(bench, &feed, 1);
    }
}

/* Median over steps of one token each; what the operations took is that of the last step. */
static void measure_batch(struct bench *bench, int n_sequences)
{
    struct feed feeds[MAX_BATCH];
    for (int i = 0; i < n_sequences; i++)
        feeds[i] = (struct feed){.sequence = i,
                                 .ids = bench->ids,
                                 .n_computed = positions_of(i),
                                 .n_new = 1,
                                 .n_logits = 1};
    double step[BATCH_RUNS], share[BATCH_RUNS], seconds = 0;
    double before = read_bandwidth(bench);
    for (int run = 0; run < BATCH_RUNS; run++) {
        seconds = step[run] = run_seconds(bench, feeds, n_sequences);
        const double after = read_bandwidth(bench);
        share[run] = bytes_of_step(bench->runner.model) / ((before + after) / 2) / step[run];
        before = after;
    }
    const double middle = median(step, BATCH_RUNS);
    printf("  batch %2d       %6.1f tokens/s, %.1f ms: %.0f %% of %d times one sequence\n",
           n_sequences, n_sequences / middle, middle * 1e3, 100 * median(share, BATCH_RUNS),
           n_sequences);
    print_spent(seconds);
}

static void measure(struct bench *bench, int max_batch)
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
    double last = 0;
    for (int run = 0; run < PREFILL_RUNS; run++)
        last = prefill[run] = step_seconds(bench, 0, PREFILL);

    const double read = median(bandwidth, RUNS + 1), step = median(decode, RUNS);
    const double prompt = median(prefill, PREFILL_RUNS);
    printf("%s, %d threads, %.0f MB of weights\n", bench->runner.device->ops->name,
           team_size(bench->runner.device->team), (double)model->weight_bytes * 0x1p-20);
    printf("  read bandwidth %6.2f GB/s\n", read * 1e-9);
    printf("  decode         %6.2f tokens/s, %.1f ms, %.2f GB/s: %.0f %% of the bandwidth\n",
           1 / step, step * 1e3, bytes_of_step(model) / step * 1e-9, 100 * median(share, RUNS));
    printf("  prefill %d    %6.1f tokens/s, %.2f s, %.0f GFLOP/s\n", PREFILL, PREFILL / prompt,
           prompt, flops_of_prefill(model) / prompt * 1e-9);
    print_spent(last);
    static const int batches[] = {1, 4, 16, 32, MAX_BATCH};
    prefill_all(bench, max_batch);
    for (size_t i = 0; i < sizeof batches / sizeof *batches && batches[i] <= max_batch; i++)
        measure_batch(bench, batches[i]);
}

/* NULL: the best of the machine. */
static const struct ops *ops_of(const char *name)
{
    const struct ops *best = NULL;
    for (int i = 0; i < n_cpu_levels; i++) {
        const bool runs_here = (cpu_levels[i].needs & ~cpu_features()) == 0;
        if (runs_here && (name == NULL || strcmp(cpu_levels[i].ops.name, name) == 0))
            best = &cpu_levels[i].ops;
    }
    if (best != NULL)
        return best;
    fprintf(stderr, "no level %s on this machine\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct error err = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: bench_forward MODEL [THREADS [LEVEL [BATCH]]]\n");
        return 2;
    }
    const int asked = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 32;
    const int max_batch = asked < 1 ? 1 : asked < MAX_BATCH ? asked : MAX_BATCH;
    setvbuf(stdout, NULL, _IOLBF, 0); /* it takes minutes */
    static struct ops timing;
    timed = ops_of(argc > 3 ? argv[3] : NULL);
    timing.name = timed->name;
#define X(name) timing.name = timed_##name;
    OPERATIONS(X)
#undef X
    const struct setup setup = {.folder = argv[1],
                                .dtype = "auto",
                                .tp_size = 1,
                                .n_threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 2,
                                .ops = &timing,
                                .kv_dtype = DTYPE_BF16,
                                .block_tokens = 32};
    void *memory;
    if (!memory_map(&memory, READ_BYTES, &err) ||
        !runner_open(&bench.runner, &setup, NULL, 0, PREFILL, MAX_BATCH,
                     (int)(sizeof bench.ids / sizeof *bench.ids), &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    bench.memory = memory;
    timed_vocab = bench.runner.model->config.vocab;
    memset(memory, 1, READ_BYTES);
    for (size_t i = 0; i < sizeof bench.ids / sizeof *bench.ids; i++)
        bench.ids[i] = (int32_t)((i + 1) * 7919 % (size_t)bench.runner.model->config.vocab);
    measure(&bench, max_batch);
    runner_close(&bench.runner);
    memory_unmap(memory, READ_BYTES);
    return 0;
}
