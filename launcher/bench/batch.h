/* launcher/bench/batch.h: prompts that are answered while a clock runs.
 *
 * Every answer has --output-len tokens. Times are those at which tokens reach the gateway; tokens
 * that came in one message came together.
 */
#pragma once
#include "launcher/bench/samples.h"
#include "launcher/progress.h"
#include "launcher/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct options;

struct bench_prompts {
    struct ids *ids; /* [n] */
    size_t n;
};

/* What came of batches so far, in seconds. */
struct bench_times {
    struct samples latency;          /* of whole batches */
    struct samples first, per_token; /* TTFT; (end - first) / (tokens - 1) */
    struct samples gaps;             /* ITL: between messages with tokens of one answer */
    struct samples end_to_end;       /* of each answer */
    struct samples decode_rate; /* tokens per second of a batch, from where all answers had begun */
    uint64_t n_prompt_tokens, n_tokens, n_requests, n_drafted, n_accepted, n_cached;
    double seconds;
};

/* `n` prompts: of --dataset, taken again from its begin where it has fewer, or random ids. */
bool bench_prompts_make(struct bench_prompts *out, size_t n, size_t n_tokens,
                        const struct options *options, struct session *session, struct error *err);
void bench_prompts_release(struct bench_prompts *prompts);

/* Sends all, waits for all. `progress` NULL: nothing is shown. */
bool bench_batch_run(struct bench_times *times, const struct bench_prompts *prompts,
                     const struct options *options, struct session *session,
                     struct progress *progress, struct error *err);
void bench_times_release(struct bench_times *times);
