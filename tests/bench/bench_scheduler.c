/* What the scheduler costs: choose, write and commit of a step in which all sequences decode, with
 * the prefix cache on. It also counts allocations: none.
 *
 *   bench_scheduler [SEQUENCES [TOKENS]]      256 sequences that have 1000 tokens on average */
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/schedule/scheduler.h"
#include "tests/unit/runtime_schedule/allocations.h"

#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_TOKENS = 16, VOCAB = 32000, N_STEPS = 400, N_WARM_UP = 50 };

struct bench {
    struct plan_limits limits;
    struct scheduler *scheduler;
    struct batch batch;
    struct row_result *result;
    struct outcome *outcome;
};

static void open_bench(struct bench *b, int n_sequences, int n_tokens, enum drafter drafter)
{
    const int length = n_tokens / 2 + N_STEPS * 5 + 2 * N_WARM_UP;
    *b = (struct bench){.limits = {.max_tokens = 8192,
                                   .max_sequences = n_sequences,
                                   .max_logits = 8 * n_sequences,
                                   .block_tokens = BLOCK_TOKENS,
                                   .n_kv_groups = 1,
                                   .max_copies = 8,
                                   .max_model_len = n_tokens * 2 + length,
                                   .vocab = VOCAB}};
    b->limits.n_kv_blocks = n_sequences * (b->limits.max_model_len / BLOCK_TOKENS + 1);
    scheduler_create(&b->scheduler, &(struct scheduler_settings){.limits = b->limits,
                                                                 .max_requests = n_sequences,
                                                                 .max_request_bytes = SIZE_MAX,
                                                                 .prefix_caching = true,
                                                                 .drafter = drafter,
                                                                 .max_drafts = 4,
                                                                 .ngram_min = 2,
                                                                 .ngram_max = 4});
    batch_init(&b->batch, &b->limits);
    b->result = memory_alloc((size_t)b->limits.max_logits, sizeof *b->result);
    b->outcome = memory_alloc((size_t)b->limits.max_logits, sizeof *b->outcome);
    int32_t *prompt = memory_alloc((size_t)n_tokens * 2, sizeof *prompt);
    struct sampling_params params = params_default();
    params.max_tokens = length;
    params.ignore_eos = true;
    for (int i = 0; i < n_sequences; i++) {
        /* from half to one and a half times as many */
        const int n = n_tokens / 2 + (int)((int64_t)n_tokens * i / n_sequences);
        for (int k = 0; k < n; k++)
            prompt[k] = (i * 7919 + k * 31) % VOCAB;
        struct error err = {0};
        const struct request_source source = {
            .id = (uint64_t)i + 1, .prompt = prompt, .n_prompt = n, .params = &params};
        if (!scheduler_submit(b->scheduler, &source, &err)) {
            fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
    }
    memory_free(prompt);
}

static void close_bench(struct bench *b)
{
    memory_free(b->result);
    memory_free(b->outcome);
    batch_release(&b->batch);
    scheduler_destroy(b->scheduler);
}

/* Tokens that go round, so that drafts are right. */
static void run_step(struct bench *b)
{
    if (!scheduler_choose(b->scheduler, &b->batch))
        return;
    scheduler_write(b->scheduler, &b->batch);
    for (int i = 0; i < b->batch.plan->n_logits; i++)
        b->result[i].token = 100 + b->batch.row[i].position % 50;
    scheduler_commit(b->scheduler, &b->batch, b->result, b->outcome);
}

static void measure(const char *what, int n_sequences, int n_tokens, enum drafter drafter)
{
    struct bench b;
    open_bench(&b, n_sequences, n_tokens, drafter);
    do
        run_step(&b);
    while (b.batch.plan->n_logits < n_sequences); /* until all prompts are done */
    for (int i = 0; i < N_WARM_UP; i++)
        run_step(&b);
    const long before = allocations();
    const int64_t begin_ns = clock_now_ns();
    for (int i = 0; i < N_STEPS; i++)
        run_step(&b);
    const int64_t end_ns = clock_now_ns();
    const struct scheduler_counts counts = scheduler_counts(b.scheduler);
    printf("%-8s %4d sequences of about %5d tokens: %7.1f us a step, %ld allocations in %d steps, "
           "%d running, %.2f tokens a row\n",
           what, n_sequences, n_tokens, (double)(end_ns - begin_ns) / 1e3 / N_STEPS,
           allocations() - before, N_STEPS, counts.n_running,
           1 + (double)counts.n_accepted / ((double)n_sequences * N_STEPS));
    close_bench(&b);
}

int main(int argc, char **argv)
{
    const int n_sequences = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 256;
    const int n_tokens = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1000;
    if (n_sequences < 1 || n_tokens < 2) {
        fprintf(stderr, "usage: bench_scheduler [SEQUENCES [TOKENS]]\n");
        return 2;
    }
    measure("plain", n_sequences, n_tokens, DRAFTER_NONE);
    measure("n-gram", n_sequences, n_tokens, DRAFTER_NGRAM);
    return allocations() > 0 ? 0 : 1; /* the counter counts */
}
