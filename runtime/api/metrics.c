#include "runtime/api/metrics.h"

#include <string.h>

/* Seconds, as vLLM has them. */
static const double first_token_s[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                       0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10,
                                       20,    40,    80,   160,  640,  2560};
static const double token_s[] = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                                 0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80};
static const double total_s[] = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                 30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};

static void set_bounds(struct metrics_histogram *histogram, const double *bound, size_t n)
{
    memcpy(histogram->bound, bound, n * sizeof *bound);
    histogram->n_bounds = (int)n;
}

/* 1, 2, 5, 10, 20, 50, … up to the longest. */
static void set_lengths(struct metrics_histogram *histogram, int longest)
{
    static const double steps[] = {1, 2, 5};
    double ten = 1;
    for (int i = 0; i < METRICS_MAX_BOUNDS && ten * steps[i % 3] <= longest; i++) {
        histogram->bound[histogram->n_bounds++] = ten * steps[i % 3];
        ten *= i % 3 == 2 ? 10 : 1;
    }
}

void api_metrics_init(struct api_metrics *out, int max_model_len)
{
    *out = (struct api_metrics){0};
    set_bounds(&out->first_token_s, first_token_s, sizeof first_token_s / sizeof(double));
    set_bounds(&out->inter_token_s, token_s, sizeof token_s / sizeof(double));
    set_bounds(&out->token_s, token_s, sizeof token_s / sizeof(double));
    struct metrics_histogram *const long_ones[] = {&out->total_s, &out->queue_s, &out->prefill_s,
                                                   &out->decode_s, &out->inference_s};
    for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++)
        set_bounds(long_ones[i], total_s, sizeof total_s / sizeof(double));
    set_lengths(&out->prompt_length, max_model_len);
    set_lengths(&out->generation_length, max_model_len);
}

void metrics_observe(struct metrics_histogram *histogram, double value)
{
    int i = 0;
    while (i < histogram->n_bounds && value > histogram->bound[i])
        i++;
    histogram->count[i]++;
    histogram->sum += value;
}

/* The literal of a method that exists; "other" for what a client made up. */
static const char *known_method(const char *method)
{
    static const char *const known[] = {"GET",    "POST",  "HEAD",  "OPTIONS", "PUT",
                                        "DELETE", "PATCH", "TRACE", "CONNECT"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(method, known[i]) == 0)
            return known[i];
    return "other";
}

void api_metrics_count_http(struct api_metrics *metrics, const char *method, const char *handler,
                            int status)
{
    const struct metrics_http key = {.method = known_method(method),
                                     .handler = handler != NULL ? handler : "none",
                                     .status_class = status / 100};
    int i = 0;
    while (i < metrics->n_http && (metrics->http[i].method != key.method ||
                                   metrics->http[i].status_class != key.status_class ||
                                   strcmp(metrics->http[i].handler, key.handler) != 0))
        i++;
    if (i == METRICS_MAX_HTTP) /* more than the table of routes can make */
        return;
    if (i == metrics->n_http)
        metrics->http[metrics->n_http++] = key;
    metrics->http[i].count++;
}
