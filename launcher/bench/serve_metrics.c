#include "launcher/bench/serve_metrics.h"

#include "base/error.h"
#include "runtime/options/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[METRIC_COUNT] = {"ttft", "tpot", "itl", "e2el"};

const char *metric_name(enum metric metric) { return names[metric]; }

/* ---- options ---- */

static int find_metric(const char *name, size_t n)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (strlen(names[i]) == n && strncmp(names[i], name, n) == 0)
            return i;
    return -1;
}

static bool read_shown(struct serve_metrics *out, const char *list, struct error *err)
{
    while (*list != '\0') {
        const size_t n = strcspn(list, ",");
        const int metric = find_metric(list, n);
        if (metric < 0)
            return error_set(err, ERROR_INPUT,
                             "--percentile-metrics: '%.*s' is none of ttft, "
                             "tpot, itl, e2el",
                             (int)n, list);
        out->is_shown[metric] = true;
        list += n + (list[n] == ',');
    }
    return true;
}

static bool read_percentiles(struct serve_metrics *out, const char *list, struct error *err)
{
    while (*list != '\0') {
        char *end;
        const double p = strtod(list, &end);
        if (end == list || (*end != ',' && *end != '\0') || !(p >= 0 && p <= 100))
            return error_set(err, ERROR_INPUT,
                             "--metric-percentiles: '%s' is no list of numbers from 0 to 100",
                             list);
        if (out->n_percentiles == METRICS_MAX_PERCENTILES)
            return error_set(err, ERROR_INPUT, "--metric-percentiles: more than %d",
                             METRICS_MAX_PERCENTILES);
        out->percentile[out->n_percentiles++] = p;
        list = end + (*end == ',');
    }
    return true;
}

static bool read_bound(struct serve_metrics *out, const char *word, struct error *err)
{
    const size_t n = strcspn(word, ":");
    const int metric = find_metric(word, n);
    char *end = NULL;
    const double ms = word[n] == ':' ? strtod(word + n + 1, &end) : 0;
    if (metric < 0 || metric == METRIC_ITL || end == NULL || *end != '\0' || !(ms > 0))
        return error_set(err, ERROR_INPUT,
                         "--goodput: '%s' is no bound like ttft:500, tpot:50, e2el:10000 "
                         "(milliseconds)",
                         word);
    out->bound_ms[metric] = ms;
    out->has_bounds = true;
    return true;
}

bool serve_metrics_begin(struct serve_metrics *out, const struct options *options,
                         struct error *err)
{
    *out = (struct serve_metrics){0};
    if (!read_shown(out, options->bench.percentile_metrics, err) ||
        !read_percentiles(out, options->bench.metric_percentiles, err))
        return false;
    for (int i = 0; i < options->bench.goodput.n; i++)
        if (!read_bound(out, options->bench.goodput.item[i], err))
            return false;
    return true;
}

/* ---- counting ---- */

static double tpot_s(const struct call_result *call)
{
    return (call->e2el_s - call->ttft_s) / (double)(call->n_output - 1);
}

static bool is_within(const struct serve_metrics *metrics, const struct call_result *call)
{
    const double ms[METRIC_COUNT] = {[METRIC_TTFT] = 1e3 * call->ttft_s,
                                     [METRIC_TPOT] = call->n_output > 1 ? 1e3 * tpot_s(call) : 0,
                                     [METRIC_E2EL] = 1e3 * call->e2el_s};
    for (int i = 0; i < METRIC_COUNT; i++)
        if (metrics->bound_ms[i] > 0 && ms[i] > metrics->bound_ms[i])
            return false;
    return true;
}

void serve_metrics_count(struct serve_metrics *metrics, const struct client_run *run)
{
    for (size_t i = 0; i < run->n; i++) {
        const struct call_result *call = &run->call[i];
        if (call->kind != CALL_GOOD) {
            metrics->n_failed++;
            continue;
        }
        metrics->n_good++;
        metrics->n_within += is_within(metrics, call);
        metrics->n_input += call->n_input;
        metrics->n_output += call->n_output;
        samples_add(&metrics->of[METRIC_TTFT], call->ttft_s);
        samples_add(&metrics->of[METRIC_E2EL], call->e2el_s);
        if (call->n_output > 1)
            samples_add(&metrics->of[METRIC_TPOT], tpot_s(call));
        for (size_t k = 0; k < call->gaps.n; k++)
            samples_add(&metrics->of[METRIC_ITL], call->gaps.value[k]);
    }
}

/* ---- errors ---- */

/* "HTTP 429", "timeout": what failures are counted by. */
static void name_failure(char out[32], const struct call_result *call)
{
    static const char *const kinds[] = {[CALL_UNREACHABLE] = "no connection",
                                        [CALL_TIMEOUT] = "timeout",
                                        [CALL_REFUSED] = "error in the stream",
                                        [CALL_CUT] = "cut"};
    if (call->kind == CALL_STATUS)
        snprintf(out, 32, "HTTP %d", call->status);
    else
        snprintf(out, 32, "%s", kinds[call->kind]);
}

/* {"HTTP 429": {"count": 3, "first": "The queue is full"}} */
static json_t *count_failures(const struct client_run *run)
{
    json_t *all = json_object();
    for (size_t i = 0; i < run->n; i++) {
        const struct call_result *call = &run->call[i];
        char name[32];
        if (call->kind == CALL_GOOD)
            continue;
        name_failure(name, call);
        json_t *entry = json_object_get(all, name);
        if (entry == NULL) {
            entry = json_pack("{si ss}", "count", 0, "first", call->why);
            json_object_set_new(all, name, entry);
        }
        json_t *count = json_object_get(entry, "count");
        json_integer_set(count, json_integer_value(count) + 1);
    }
    return all;
}

static void print_failures(const struct client_run *run)
{
    json_t *all = count_failures(run), *entry;
    const char *name;
    json_object_foreach(all, name, entry)
        printf("%-11s %s: %lld, the first with: %s\n", "failed", name,
               (long long)json_integer_value(json_object_get(entry, "count")),
               json_string_value(json_object_get(entry, "first")));
    json_decref(all);
}

/* ---- for people ---- */

static void print_metric(struct serve_metrics *metrics, enum metric metric)
{
    struct samples *samples = &metrics->of[metric];
    char title[8];
    size_t n = 0;
    for (; names[metric][n] != '\0'; n++)
        title[n] = (char)toupper((unsigned char)names[metric][n]);
    title[n] = '\0';
    if (samples->n == 0)
        return;
    printf("%-11s mean %.2f ms, median %.2f, std %.2f", title, 1e3 * samples_mean(samples),
           1e3 * samples_percentile(samples, 50), 1e3 * samples_std(samples));
    for (int i = 0; i < metrics->n_percentiles; i++)
        printf(", p%g %.2f", metrics->percentile[i],
               1e3 * samples_percentile(samples, metrics->percentile[i]));
    printf("\n");
}

void serve_metrics_print(struct serve_metrics *metrics, const struct client_run *run,
                         bool has_arrivals)
{
    const double s = run->seconds;
    printf("requests    %zu answered, %zu failed, in %.2f s; at most %zu at once\n",
           metrics->n_good, metrics->n_failed, s, run->max_in_flight);
    print_failures(run);
    printf("tokens      %lld in, %lld out\n", (long long)metrics->n_input,
           (long long)metrics->n_output);
    printf("throughput  %.2f requests/s, %.2f output tokens/s, %.2f total tokens/s\n",
           (double)metrics->n_good / s, (double)metrics->n_output / s,
           (double)(metrics->n_input + metrics->n_output) / s);
    if (metrics->has_bounds) {
        printf("goodput     %.2f requests/s within", (double)metrics->n_within / s);
        for (int i = 0; i < METRIC_COUNT; i++)
            if (metrics->bound_ms[i] > 0)
                printf(" %s %g ms", names[i], metrics->bound_ms[i]);
        printf(": %zu of %zu\n", metrics->n_within, run->n);
    }
    for (int i = 0; i < METRIC_COUNT; i++)
        if (metrics->is_shown[i])
            print_metric(metrics, (enum metric)i);
    if (has_arrivals)
        printf("client      sent requests at most %.2f ms after their time\n", 1e3 * run->late_s);
}

/* ---- for programs ---- */

static void add_number(json_t *object, double value, const char *fmt, const char *name)
{
    char key[48];
    snprintf(key, sizeof key, "%s_%s_ms", fmt, name);
    json_object_set_new(object, key, json_real(1e3 * value));
}

static void add_metric(json_t *object, struct serve_metrics *metrics, enum metric metric)
{
    struct samples *samples = &metrics->of[metric];
    add_number(object, samples_mean(samples), "mean", names[metric]);
    add_number(object, samples_percentile(samples, 50), "median", names[metric]);
    add_number(object, samples_std(samples), "std", names[metric]);
    for (int i = 0; i < metrics->n_percentiles; i++) {
        char p[16];
        snprintf(p, sizeof p, "p%g", metrics->percentile[i]);
        add_number(object, samples_percentile(samples, metrics->percentile[i]), p, names[metric]);
    }
}

static void add_details(json_t *object, const struct client_run *run)
{
    static const char *const keys[] = {"input_lens", "output_lens", "start_times", "ttfts",
                                       "e2els",      "itls",        "errors"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set_new(object, keys[i], json_array());
    for (size_t i = 0; i < run->n; i++) {
        const struct call_result *call = &run->call[i];
        json_t *gaps = json_array();
        for (size_t k = 0; k < call->gaps.n; k++)
            json_array_append_new(gaps, json_real(call->gaps.value[k]));
        json_t *values[] = {json_integer(call->n_input), json_integer(call->n_output),
                            json_real(call->start_s),    json_real(call->ttft_s),
                            json_real(call->e2el_s),     gaps,
                            json_string(call->why)};
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            json_array_append_new(json_object_get(object, keys[k]), values[k]);
    }
}

json_t *serve_metrics_json(struct serve_metrics *metrics, const struct client_run *run,
                           bool detailed)
{
    const double s = run->seconds;
    json_t *object =
        json_pack("{sf sI sI sI sI sf sf sf sI sf}", "duration", s, "completed",
                  (json_int_t)metrics->n_good, "failed", (json_int_t)metrics->n_failed,
                  "total_input_tokens", (json_int_t)metrics->n_input, "total_output_tokens",
                  (json_int_t)metrics->n_output, "request_throughput", (double)metrics->n_good / s,
                  "output_throughput", (double)metrics->n_output / s, "total_token_throughput",
                  (double)(metrics->n_input + metrics->n_output) / s, "max_concurrent_requests",
                  (json_int_t)run->max_in_flight, "client_late_ms", 1e3 * run->late_s);
    json_object_set_new(object, "request_goodput",
                        metrics->has_bounds ? json_real((double)metrics->n_within / s)
                                            : json_null());
    json_object_set_new(object, "errors_by_kind", count_failures(run));
    for (int i = 0; i < METRIC_COUNT; i++)
        if (metrics->is_shown[i])
            add_metric(object, metrics, (enum metric)i);
    if (metrics->has_bounds)
        json_object_set_new(object, "within_goodput", json_integer((json_int_t)metrics->n_within));
    if (detailed)
        add_details(object, run);
    return object;
}

void serve_metrics_release(struct serve_metrics *metrics)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        samples_release(&metrics->of[i]);
    *metrics = (struct serve_metrics){0};
}
