/* launcher/bench/serve_metrics.h: what is said of a run against a server, in vLLM's words.
 *
 *   TTFT  from sending a request to its first chunk with tokens
 *   E2EL  to the last chunk of the answer
 *   TPOT  (E2EL - TTFT) / (output tokens - 1), of requests with more than one token
 *   ITL   the gaps between chunks with tokens, of all requests
 *
 * All of requests that were answered. Goodput counts those that kept every bound of --goodput; one
 * without a TPOT keeps any bound of it. docs/benchmarking.md says it to users.
 */
#pragma once
#include "launcher/bench/client.h"

#include <jansson.h>
#include <stdbool.h>

struct error;
struct options;

enum metric { METRIC_TTFT, METRIC_TPOT, METRIC_ITL, METRIC_E2EL, METRIC_COUNT };
enum { METRICS_MAX_PERCENTILES = 16 };

struct serve_metrics {
    struct samples of[METRIC_COUNT];            /* seconds */
    bool is_shown[METRIC_COUNT];                /* --percentile-metrics */
    double percentile[METRICS_MAX_PERCENTILES]; /* --metric-percentiles */
    int n_percentiles;
    double bound_ms[METRIC_COUNT]; /* --goodput; 0: none */
    bool has_bounds;
    size_t n_good, n_failed, n_within; /* answered; not; within all bounds */
    int64_t n_input, n_output;         /* tokens of those that were answered */
};

/* Reads the options, before a run. ERROR_INPUT names the one that is wrong. */
bool serve_metrics_begin(struct serve_metrics *out, const struct options *options,
                         struct error *err);
void serve_metrics_count(struct serve_metrics *metrics, const struct client_run *run);
void serve_metrics_print(struct serve_metrics *metrics, const struct client_run *run,
                         bool has_arrivals);
/* A new object with the keys of vLLM's bench serve; `detailed`: lists with a value of each request.
 */
json_t *serve_metrics_json(struct serve_metrics *metrics, const struct client_run *run,
                           bool detailed);
void serve_metrics_release(struct serve_metrics *metrics);

const char *metric_name(enum metric metric); /* "ttft" */
