/* Families of engines have a sample for each of them; what is counted here, where nobody knows who
 * answered, has one for all. */
#include "proto/prometheus.h"
#include "runtime/api/admission.h"
#include "runtime/api/api.h"
#include "runtime/api/metrics.h"
#include "runtime/gateway/dispatch.h"

#include <stddef.h>
#include <stdio.h>

static const char *const prefixes[] = {"phalanx_", "vllm:"};
enum { N_PREFIXES = 2, NAME_BYTES = 96 };
static const double NS_PER_S = 1e9;

struct writer {
    struct bytes *out;
    const struct api *api;
    struct prometheus_label label[2]; /* model_name, engine */
    char engine[16];
};

static const char *full_name(char out[NAME_BYTES], const char *prefix, const char *name)
{
    snprintf(out, NAME_BYTES, "%s%s", prefix, name);
    return out;
}

/* Labels of an engine; -1: of all. */
static struct prometheus_labels labels_of(struct writer *w, int engine)
{
    const int only = w->api->model.dp <= 1 ? 0 : engine;
    snprintf(w->engine, sizeof w->engine, only < 0 ? "all" : "%d", only);
    w->label[1].value = w->engine;
    return (struct prometheus_labels){w->label, 2};
}

static int n_engines(const struct writer *w) { return w->api->model.dp > 1 ? w->api->model.dp : 1; }

/* ---- engines ---- */

static double kv_usage(const struct link_stats *s)
{
    return s->kv_blocks > 0 ? (double)s->kv_blocks_used / (double)s->kv_blocks : 0;
}
static double running(const struct link_stats *s) { return s->running; }
static double waiting(const struct link_stats *s) { return s->waiting; }
static double cache_queries(const struct link_stats *s) { return (double)s->cache_queries; }
static double cache_hits(const struct link_stats *s) { return (double)s->cache_hits; }
static double preemptions(const struct link_stats *s) { return (double)s->preemptions; }
static double drafted(const struct link_stats *s) { return (double)s->drafted; }
static double accepted(const struct link_stats *s) { return (double)s->accepted; }
static double plans(const struct link_stats *s) { return (double)s->plans; }
static double busy_s(const struct link_stats *s) { return (double)s->busy_ns / NS_PER_S; }
static double comm_calls(const struct link_stats *s) { return (double)s->comm_calls; }
static double comm_bytes(const struct link_stats *s) { return (double)s->comm_bytes; }
static double comm_s(const struct link_stats *s) { return (double)s->comm_ns / NS_PER_S; }

static const struct engine_family {
    const char *name, *help;
    double (*value)(const struct link_stats *stats);
    enum prometheus_type type;
    bool is_own; /* no other system has it */
} engine_families[] = {
    {"num_requests_running", "Sequences that run.", running, PROMETHEUS_GAUGE, false},
    {"num_requests_waiting", "Sequences that wait to run.", waiting, PROMETHEUS_GAUGE, false},
    {"kv_cache_usage_perc", "Part of the KV cache that is in use; 1 is all of it.", kv_usage,
     PROMETHEUS_GAUGE, false},
    {"prefix_cache_queries_total", "Tokens that were looked up in the prefix cache.", cache_queries,
     PROMETHEUS_COUNTER, false},
    {"prefix_cache_hits_total", "Tokens that were found in the prefix cache.", cache_hits,
     PROMETHEUS_COUNTER, false},
    {"num_preemptions_total", "Sequences that gave their blocks back and waited again.",
     preemptions, PROMETHEUS_COUNTER, false},
    {"spec_decode_num_draft_tokens_total", "Tokens that were guessed.", drafted, PROMETHEUS_COUNTER,
     false},
    {"spec_decode_num_accepted_tokens_total", "Guessed tokens that were right.", accepted,
     PROMETHEUS_COUNTER, false},
    {"engine_steps_total", "Steps of the model.", plans, PROMETHEUS_COUNTER, true},
    {"engine_busy_seconds_total", "Time in which the engine had work.", busy_s, PROMETHEUS_COUNTER,
     true},
    {"all_reduce_calls_total", "Calls of the communicator of rank 0.", comm_calls,
     PROMETHEUS_COUNTER, true},
    {"all_reduce_bytes_total", "Bytes in calls of the communicator of rank 0.", comm_bytes,
     PROMETHEUS_COUNTER, true},
    {"all_reduce_seconds_total",
     "Time in calls of the communicator of rank 0, waiting for other ranks in it.", comm_s,
     PROMETHEUS_COUNTER, true},
};

static void write_engines(struct writer *w, const struct engine_family *family)
{
    static const struct link_stats nothing;
    char name[NAME_BYTES];
    for (int p = 0; p < (family->is_own ? 1 : N_PREFIXES); p++) {
        full_name(name, prefixes[p], family->name);
        prometheus_family(w->out, name, family->type, family->help);
        for (int i = 0; i < n_engines(w); i++) {
            const struct prometheus_labels labels = labels_of(w, i);
            const struct link_stats *stats = dispatch_stats(w->api->dispatch, i);
            prometheus_sample(w->out, name, &labels, NULL,
                              family->value(stats != NULL ? stats : &nothing));
        }
    }
}

static void write_ranks(struct writer *w)
{
    static const char name[] = "phalanx_rank_step_seconds";
    prometheus_family(w->out, name, PROMETHEUS_GAUGE,
                      "Time of a rank in the last step, without what it waited for others.");
    for (int i = 0; i < n_engines(w); i++) {
        const struct prometheus_labels labels = labels_of(w, i);
        const struct link_stats *stats = dispatch_stats(w->api->dispatch, i);
        for (int rank = 0; stats != NULL && rank < stats->n_ranks; rank++) {
            char number[16];
            snprintf(number, sizeof number, "%d", rank);
            prometheus_sample(w->out, name, &labels, &(struct prometheus_label){"rank", number},
                              (double)stats->rank_work_ns[rank] / NS_PER_S);
        }
    }
}

/* One of the states is 1. What ranks are asked to be: they are on their way at once. */
static void write_sleep(struct writer *w)
{
    static const char *const states[] = {[LINK_NOT_ASLEEP] = "awake",
                                         [LINK_NO_CACHE] = "weights_offloaded",
                                         [LINK_NO_WEIGHTS] = "discard_all"};
    const enum link_sleep asleep = dispatch_asleep(w->api->dispatch);
    char name[NAME_BYTES];
    for (int p = 0; p < N_PREFIXES; p++) {
        full_name(name, prefixes[p], "engine_sleep_state");
        prometheus_family(w->out, name, PROMETHEUS_GAUGE,
                          "1 of the state an engine is in: awake, or asleep at level 1 or 2.");
        for (int i = 0; i < n_engines(w); i++) {
            const struct prometheus_labels labels = labels_of(w, i);
            for (int s = LINK_NOT_ASLEEP; s <= LINK_NO_WEIGHTS; s++)
                prometheus_sample(w->out, name, &labels,
                                  &(struct prometheus_label){"sleep_state", states[s]},
                                  s == (int)asleep);
        }
    }
}

static void write_cache_config(struct writer *w)
{
    const struct api_model *model = &w->api->model;
    char name[NAME_BYTES], block_size[16], blocks[24], tokens[24];
    const int64_t block_tokens = model->block_tokens > 0 ? model->block_tokens : 1;
    snprintf(block_size, sizeof block_size, "%d", (int)block_tokens);
    snprintf(blocks, sizeof blocks, "%lld", (long long)(model->kv_tokens / block_tokens));
    snprintf(tokens, sizeof tokens, "%lld", (long long)model->kv_tokens);
    for (int p = 0; p < N_PREFIXES; p++) {
        full_name(name, prefixes[p], "cache_config_info");
        prometheus_family(w->out, name, PROMETHEUS_GAUGE,
                          "How large the KV cache of an engine is.");
        for (int i = 0; i < n_engines(w); i++) {
            const struct prometheus_labels own = labels_of(w, i);
            const struct prometheus_label label[] = {
                own.label[0],
                own.label[1],
                {"block_size", block_size},
                {"num_gpu_blocks", blocks},
                {"kv_tokens", tokens},
                {"enable_prefix_caching", model->prefix_caching ? "True" : "False"}};
            const struct prometheus_labels labels = {label, (int)(sizeof label / sizeof *label)};
            prometheus_sample(w->out, name, &labels, NULL, 1);
        }
    }
}

/* ---- what is counted here ---- */

static const struct {
    const char *name, *help;
    size_t offset;
} counters[] =
    {
        {"prompt_tokens_total", "Tokens of prompts whose answer has begun.",
         offsetof(struct api_metrics, prompt_tokens)},
        {"generation_tokens_total", "Tokens of answers.",
         offsetof(struct api_metrics, generation_tokens)},
},
  histograms[] = {
      {"time_to_first_token_seconds", "From a request to its first token.",
       offsetof(struct api_metrics, first_token_s)},
      {"inter_token_latency_seconds", "From one token of an answer to the next.",
       offsetof(struct api_metrics, inter_token_s)},
      {"request_time_per_output_token_seconds", "Mean time of a token but the first.",
       offsetof(struct api_metrics, token_s)},
      {"e2e_request_latency_seconds", "From a request to its end.",
       offsetof(struct api_metrics, total_s)},
      {"request_queue_time_seconds", "From when its prompts were read to its first step.",
       offsetof(struct api_metrics, queue_s)},
      {"request_prefill_time_seconds", "From its first step to its first token.",
       offsetof(struct api_metrics, prefill_s)},
      {"request_decode_time_seconds", "From its first token to its last.",
       offsetof(struct api_metrics, decode_s)},
      {"request_inference_time_seconds", "From its first step to its last token.",
       offsetof(struct api_metrics, inference_s)},
      {"request_prompt_tokens", "Tokens of a prompt.", offsetof(struct api_metrics, prompt_length)},
      {"request_generation_tokens", "Tokens of an answer.",
       offsetof(struct api_metrics, generation_length)},
};

static void write_counters(struct writer *w)
{
    const char *metrics = (const char *)w->api->metrics;
    const struct prometheus_labels labels = labels_of(w, -1);
    char name[NAME_BYTES];
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        for (int p = 0; p < N_PREFIXES; p++) {
            full_name(name, prefixes[p], counters[i].name);
            prometheus_family(w->out, name, PROMETHEUS_COUNTER, counters[i].help);
            prometheus_sample(w->out, name, &labels, NULL,
                              (double)*(const uint64_t *)(metrics + counters[i].offset));
        }
}

static void write_finished(struct writer *w)
{
    const struct prometheus_labels labels = labels_of(w, -1);
    char name[NAME_BYTES];
    for (int p = 0; p < N_PREFIXES; p++) {
        full_name(name, prefixes[p], "request_success_total");
        prometheus_family(w->out, name, PROMETHEUS_COUNTER, "Answers that have ended.");
        for (int reason = FINISH_STOP; reason < METRICS_FINISH_REASONS; reason++) {
            const struct prometheus_label own = {"finished_reason",
                                                 finish_reason_name((enum finish_reason)reason)};
            prometheus_sample(w->out, name, &labels, &own,
                              (double)w->api->metrics->finished[reason]);
        }
    }
}

static void write_histograms(struct writer *w)
{
    const char *metrics = (const char *)w->api->metrics;
    const struct prometheus_labels labels = labels_of(w, -1);
    char name[NAME_BYTES];
    for (size_t i = 0; i < sizeof histograms / sizeof *histograms; i++)
        for (int p = 0; p < N_PREFIXES; p++) {
            const struct metrics_histogram *histogram =
                (const struct metrics_histogram *)(const void *)(metrics + histograms[i].offset);
            full_name(name, prefixes[p], histograms[i].name);
            prometheus_family(w->out, name, PROMETHEUS_HISTOGRAM, histograms[i].help);
            prometheus_histogram(w->out, name, &labels, histogram->bound, histogram->n_bounds,
                                 histogram->count, histogram->sum);
        }
}

static void write_admission(struct writer *w)
{
    const struct admission *admission = w->api->admission;
    const struct prometheus_labels labels = labels_of(w, -1);
    prometheus_family(w->out, "phalanx_sequences_in_flight", PROMETHEUS_GAUGE,
                      "Sequences that were let in and have not ended.");
    prometheus_sample(w->out, "phalanx_sequences_in_flight", &labels, NULL,
                      (double)admission->n_in_flight);
    prometheus_family(w->out, "phalanx_requests_refused_total", PROMETHEUS_COUNTER,
                      "Requests that were not let in: too many, draining, asleep.");
    prometheus_sample(w->out, "phalanx_requests_refused_total", &labels, NULL,
                      (double)admission->n_refused);
}

/* No prefix where others have none. */
static void write_http(struct writer *w)
{
    static const char *const names[] = {"phalanx_http_requests_total", "http_requests_total"};
    const struct api_metrics *metrics = w->api->metrics;
    for (int p = 0; p < N_PREFIXES; p++) {
        prometheus_family(w->out, names[p], PROMETHEUS_COUNTER, "Answers of HTTP.");
        for (int i = 0; i < metrics->n_http; i++) {
            const char class[] = {(char)('0' + metrics->http[i].status_class), 'x', 'x', '\0'};
            const struct prometheus_label label[] = {{"handler", metrics->http[i].handler},
                                                     {"method", metrics->http[i].method},
                                                     {"status", class}};
            const struct prometheus_labels labels = {label, 3};
            prometheus_sample(w->out, names[p], &labels, NULL, (double)metrics->http[i].count);
        }
    }
}

void api_metrics_write(struct bytes *out, const struct api *api)
{
    struct writer w = {.out = out, .api = api};
    w.label[0] =
        (struct prometheus_label){"model_name", api->model.n_names > 0 ? api->model.name[0] : ""};
    w.label[1] = (struct prometheus_label){"engine", w.engine};
    for (size_t i = 0; i < sizeof engine_families / sizeof *engine_families; i++)
        write_engines(&w, &engine_families[i]);
    write_ranks(&w);
    write_sleep(&w);
    write_cache_config(&w);
    write_admission(&w);
    if (api->metrics == NULL)
        return;
    write_counters(&w);
    write_finished(&w);
    write_histograms(&w);
    write_http(&w);
}
