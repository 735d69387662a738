/* How long a token takes to pick, on one thread: microseconds a row.
 *
 *     bench_sampler [vocab [level]]
 *
 * Rows as models give them (a bell, most of it 15 to 20 below a few peaks), a bell alone, and flat
 * ones, which are the most work. Medians of 15, in each of which every kind of request had its
 * turn.
 */
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/device.h"
#include "runtime/sample/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 15, N_ROWS = 16, N_TOKENS = 200 };

enum shape { PEAKS, BELL, FLAT, N_SHAPES };
static const char *const shape_names[N_SHAPES] = {"peaks", "bell", "flat"};

static uint32_t state = 1;

static float uniform(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) * 0x1p-24f;
}

static void fill(float *logits, int n, enum shape shape)
{
    for (int i = 0; i < n; i++) {
        float bell = -6;
        for (int k = 0; k < 12; k++)
            bell += uniform();
        logits[i] = shape == FLAT ? uniform() : bell * (shape == PEAKS ? 2.5f : 3);
        if (shape == PEAKS && uniform() < 1e-4f)
            logits[i] = 12 + 8 * uniform();
    }
}

static const struct kind {
    const char *name;
    float temperature, top_p, min_p, repetition_penalty;
    int top_k, logprobs;
    bool processed;
} kinds[] = {
    {"greedy", 0, 1, 0, 1, 0, LOGPROBS_OFF, false},
    {"greedy, penalty", 0, 1, 0, 1.1f, 0, LOGPROBS_OFF, false},
    {"greedy, 20 logprobs", 0, 1, 0, 1, 0, 20, false},
    {"temperature 1", 1, 1, 0, 1, 0, LOGPROBS_OFF, false},
    {"temperature 0.7", 0.7f, 1, 0, 1, 0, LOGPROBS_OFF, false},
    {"temperature 0.7, penalty", 0.7f, 1, 0, 1.1f, 0, LOGPROBS_OFF, false},
    {"min_p 0.05", 1, 1, 0.05f, 1, 0, LOGPROBS_OFF, false},
    {"top_k 40", 1, 1, 0, 1, 40, LOGPROBS_OFF, false},
    {"top_k 5000", 1, 1, 0, 1, 5000, LOGPROBS_OFF, false},
    {"top_p 0.9", 1, 0.9f, 0, 1, 0, LOGPROBS_OFF, false},
    {"temperature 0.7, top_p 0.9", 0.7f, 0.9f, 0, 1, 0, LOGPROBS_OFF, false},
    {"temperature 0.7, top_k 40, top_p 0.9", 0.7f, 0.9f, 0, 1, 40, LOGPROBS_OFF, false},
    {"the same, 20 processed logprobs", 0.7f, 0.9f, 0, 1, 40, 20, true},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct sampling_params params_of(const struct kind *kind, int i)
{
    struct sampling_params p = params_default();
    p.temperature = kind->temperature;
    p.top_p = kind->top_p;
    p.min_p = kind->min_p;
    p.top_k = kind->top_k;
    p.repetition_penalty = kind->repetition_penalty;
    p.logprobs = kind->logprobs;
    p.seed = (uint64_t)i;
    return p;
}

static double microseconds(struct sampler *sampler, const struct kind *kind, const float *logits,
                           int vocab)
{
    static int32_t token[N_TOKENS];
    struct sampling_params params[N_ROWS];
    struct sample_row row[N_ROWS];
    struct picked picked[N_ROWS];
    for (int i = 0; i < N_ROWS; i++) {
        params[i] = params_of(kind, i);
        row[i] = (struct sample_row){.logits = logits + (size_t)i * (size_t)vocab,
                                     .params = &params[i],
                                     .token = token,
                                     .n_prompt = N_TOKENS / 2,
                                     .n_tokens = N_TOKENS};
    }
    const int64_t begin = clock_now_ns();
    sampler_pick(sampler, row, N_ROWS, picked);
    return (double)(clock_now_ns() - begin) * 1e-3 / N_ROWS;
}

static void bench(struct sampler *const sampler[2], const float *logits, int vocab,
                  const char *shape_name)
{
    static double times[N_KINDS][RUNS];
    for (int run = -1; run < RUNS; run++) /* the first one does not count */
        for (int k = 0; k < N_KINDS; k++)
            times[k][run < 0 ? 0 : run] =
                microseconds(sampler[kinds[k].processed], &kinds[k], logits, vocab);
    for (int k = 0; k < N_KINDS; k++) {
        qsort(times[k], RUNS, sizeof *times[k], ascending);
        printf("%-6s %-37s %7.1f us\n", shape_name, kinds[k].name, times[k][RUNS / 2]);
    }
}

int main(int argc, char **argv)
{
    struct device *device;
    struct error err = {0};
    struct sampler *sampler[2];
    const long wanted = argc > 1 ? strtol(argv[1], NULL, 10) : 128256;
    const int vocab = wanted < 1 ? 1 : wanted > 1 << 20 ? 1 << 20 : (int)wanted;
    if (!device_open_cpu(&device, argc > 2 ? argv[2] : NULL, 1, 0, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    float *logits = memory_alloc((size_t)N_ROWS * (size_t)vocab, sizeof *logits);
    for (int processed = 0; processed < 2; processed++)
        sampler_create(&sampler[processed],
                       &(struct sampler_settings){
                           .device = device, .vocab = vocab, .processed_logprobs = processed == 1});
    for (enum shape shape = 0; shape < N_SHAPES; shape++) {
        fill(logits, N_ROWS * vocab, shape);
        bench(sampler, logits, vocab, shape_names[shape]);
    }
    sampler_destroy(sampler[0]);
    sampler_destroy(sampler[1]);
    memory_free(logits);
    device_close(device);
    return 0;
}
