/* runtime/api/metrics.h: what the gateway counts, and its text for Prometheus.
 *
 * Plain numbers, written by one thread. Every family is there twice, as `phalanx_…` and under the
 * name that dashboards for vLLM know (`vllm:…`), with its labels model_name and engine. A choice of
 * a request is a request here, as there.
 *
 * Source of names and buckets: vLLM, v1/metrics/loggers.py.
 */
#pragma once
#include "base/bytes.h"
#include "runtime/request/params.h"

#include <stddef.h>
#include <stdint.h>

struct api;

enum {
    METRICS_MAX_BOUNDS = 24,
    METRICS_MAX_HTTP = 512, /* pairs of a method and a handler with a class of status */
    METRICS_FINISH_REASONS = FINISH_ERROR + 1,
};

struct metrics_histogram { /* without bounds: only the sum and the count */
    double bound[METRICS_MAX_BOUNDS];
    int n_bounds;
    uint64_t count[METRICS_MAX_BOUNDS + 1]; /* of values in (bound[i - 1], bound[i]] */
    double sum;
};

struct metrics_http {
    const char *method, *handler; /* literals */
    int status_class;             /* 2 of 200 */
    uint64_t count;
};

struct api_metrics {
    uint64_t prompt_tokens, generation_tokens; /* of prompts: when their first token came */
    uint64_t prefix_queries, prefix_hits;      /* tokens that were looked up, and found */
    uint64_t draft_tokens, accepted_tokens;    /* of speculation, of what has ended */
    uint64_t finished[METRICS_FINISH_REASONS];
    struct metrics_histogram first_token_s, inter_token_s, token_s, total_s;
    struct metrics_histogram queue_s, prefill_s, decode_s, inference_s; /* parts of total_s */
    struct metrics_histogram prompt_length, generation_length;          /* tokens */
    struct metrics_http http[METRICS_MAX_HTTP];
    int n_http;
};

void api_metrics_init(struct api_metrics *out, int max_model_len);
void metrics_observe(struct metrics_histogram *histogram, double value);

/* An answer of HTTP. `handler` is the path of its route, a literal; NULL: it has none. What a
 * client makes up never becomes a label. */
void api_metrics_count_http(struct api_metrics *metrics, const char *method, const char *handler,
                            int status);

/* All families, text format 0.0.4 (content type "text/plain; version=0.0.4; charset=utf-8"). */
void api_metrics_write(struct bytes *out, const struct api *api);
