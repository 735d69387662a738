#include "runtime/api/metrics.h"

#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

#include <stdio.h>
#include <string.h>

enum { SEARCH_NS = 20000000 };

static char text[1 << 16], part[1 << 14];

static void write_metrics(const struct server *server)
{
    struct bytes out = {0};
    api_metrics_write(&out, &server->api);
    CHECK(out.len < sizeof text);
    memcpy(text, out.data, out.len + 1);
    bytes_release(&out);
}

/* The lines of one family. */
static const char *family(const char *name)
{
    char head[128];
    snprintf(head, sizeof head, "# HELP %s ", name);
    const char *begin = strstr(text, head);
    if (begin == NULL)
        test_fail(__FILE__, __LINE__, "no family %s", name);
    const char *end = strstr(begin + 1, "# HELP ");
    const size_t n = end != NULL ? (size_t)(end - begin) : strlen(begin);
    CHECK(n < sizeof part);
    memcpy(part, begin, n);
    part[n] = '\0';
    return part;
}

/* The number of a sample. */
static void check_sample(const char *sample, const char *want)
{
    char line[256], got[64];
    snprintf(line, sizeof line, "\n%s ", sample);
    const char *at = strstr(text, line);
    if (at == NULL)
        test_fail(__FILE__, __LINE__, "no sample %s", sample);
    CHECK_EQ(sscanf(at + strlen(line), "%63s", got), 1);
    CHECK_STR(got, want);
}

TEST(every_family_has_both_names_and_only_those_of_the_others_where_they_have_it)
{
    static const char *const both[] = {"num_requests_running",
                                       "num_requests_waiting",
                                       "kv_cache_usage_perc",
                                       "prefix_cache_queries_total",
                                       "prefix_cache_hits_total",
                                       "num_preemptions_total",
                                       "spec_decode_num_draft_tokens_total",
                                       "spec_decode_num_accepted_tokens_total",
                                       "engine_sleep_state",
                                       "cache_config_info",
                                       "prompt_tokens_total",
                                       "generation_tokens_total",
                                       "request_success_total",
                                       "time_to_first_token_seconds",
                                       "inter_token_latency_seconds",
                                       "request_time_per_output_token_seconds",
                                       "e2e_request_latency_seconds",
                                       "request_queue_time_seconds",
                                       "request_prefill_time_seconds",
                                       "request_decode_time_seconds",
                                       "request_inference_time_seconds",
                                       "request_prompt_tokens",
                                       "request_generation_tokens"};
    static const char *const own[] = {
        "phalanx_engine_steps_total",       "phalanx_engine_busy_seconds_total",
        "phalanx_all_reduce_calls_total",   "phalanx_all_reduce_bytes_total",
        "phalanx_all_reduce_seconds_total", "phalanx_rank_step_seconds",
        "phalanx_sequences_in_flight",      "phalanx_requests_refused_total",
        "phalanx_http_requests_total",      "http_requests_total"};
    struct server server;
    int n_families = 0;
    server_open(&server);
    write_metrics(&server);
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        char name[96];
        snprintf(name, sizeof name, "phalanx_%s", both[i]);
        family(name);
        snprintf(name, sizeof name, "vllm:%s", both[i]);
        family(name);
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        family(own[i]);
    for (const char *at = text; (at = strstr(at, "# HELP ")) != NULL; at++)
        n_families++;
    CHECK_EQ(n_families, (int)(2 * sizeof both / sizeof *both + sizeof own / sizeof *own));
    server_close(&server);
}

TEST(what_was_answered_is_counted)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
    struct generate_request request = ask_for(prompt, 2);
    ask(&server, &request, &heard);
    const int n_tokens = server.held[0].n_prompt;
    CHECK_EQ(server.held[1].n_prompt, n_tokens);
    server_token(&server, 0, 300, FINISH_NONE);
    server_token(&server, 0, 300, FINISH_NONE);
    server_token(&server, 0, 300, FINISH_STOP);
    server_token(&server, 0, 300, FINISH_LENGTH);
    generate_cancel(ask(&server, &request, &heard));
    server_hear(&server);
    write_metrics(&server);
    char count[16];
    snprintf(count, sizeof count, "%d", 2 * n_tokens);
    check_sample("vllm:prompt_tokens_total{model_name=\"demo\",engine=\"0\"}", count);
    check_sample("vllm:generation_tokens_total{model_name=\"demo\",engine=\"0\"}", "4");
    check_sample("vllm:time_to_first_token_seconds_count{model_name=\"demo\",engine=\"0\"}", "2");
    check_sample("vllm:inter_token_latency_seconds_count{model_name=\"demo\",engine=\"0\"}", "2");
    check_sample("vllm:e2e_request_latency_seconds_count{model_name=\"demo\",engine=\"0\"}", "4");
    check_sample(
        "vllm:request_time_per_output_token_seconds_count{model_name=\"demo\",engine=\"0\"}", "1");
    CHECK_STR(family("phalanx_request_success_total"),
              "# HELP phalanx_request_success_total Answers that have ended.\n"
              "# TYPE phalanx_request_success_total counter\n"
              "phalanx_request_success_total{model_name=\"demo\",engine=\"0\","
              "finished_reason=\"stop\"} 1\n"
              "phalanx_request_success_total{model_name=\"demo\",engine=\"0\","
              "finished_reason=\"length\"} 1\n"
              "phalanx_request_success_total{model_name=\"demo\",engine=\"0\","
              "finished_reason=\"abort\"} 2\n"
              "phalanx_request_success_total{model_name=\"demo\",engine=\"0\","
              "finished_reason=\"error\"} 0\n");
    server_close(&server);
}

/* The count of one of the histograms that part the time of a request. */
static void check_stage(const char *stage, const char *want)
{
    char sample[128];
    snprintf(sample, sizeof sample,
             "vllm:request_%s_time_seconds_count{model_name=\"demo\",engine=\"0\"}", stage);
    check_sample(sample, want);
}

TEST(the_time_of_a_request_is_parted_as_far_as_it_came)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt = text_of("One");
    const struct generate_request request = ask_for(&prompt, 1);
    generate_cancel(ask(&server, &request, &heard)); /* it never ran */
    server_hear(&server);
    struct generate_call *call = ask(&server, &request, &heard);
    server_begins(&server, 0);
    generate_cancel(call);
    server_hear(&server);
    ask(&server, &request, &heard);
    server_begins(&server, 0);
    server_token(&server, 0, 300, FINISH_NONE);
    server_token(&server, 0, 300, FINISH_STOP);
    write_metrics(&server);
    check_stage("queue", "2");
    check_stage("prefill", "1");
    check_stage("decode", "1");
    check_stage("inference", "1");
    server_close(&server);
}

/* A search of two beams that begins, and ends some ms after its first token, by its own word. */
static void search(struct server *server, int64_t *first_ns, int64_t told_ns)
{
    static const int32_t tokens[] = {300, 301, 302};
    const struct link_beam beam[] = {{tokens, 3, -1, -1, FINISH_LENGTH},
                                     {tokens, 3, -2, -2, FINISH_LENGTH}};
    struct heard heard;
    const struct api_prompt prompt = text_of("One");
    struct generate_request request = ask_for(&prompt, 1);
    request.sampling.beam_width = request.sampling.n = 2;
    request.sampling.temperature = 0;
    server->n_held = 0;
    ask(server, &request, &heard);
    server_begins(server, 0);
    *first_ns = clock_now_ns();
    system_sleep_ns(SEARCH_NS);
    const struct link_beams beams = {.id = server->held[0].id,
                                     .beam = beam,
                                     .n_beams = 2,
                                     .first_ns = told_ns > 0 ? told_ns : *first_ns};
    server_event(server, &(struct link_event){.kind = LINK_BEAMS, .beams = beams});
    CHECK_EQ(heard.n_done, 1);
}

TEST(beams_have_a_first_token_long_before_they_come)
{
    struct server server;
    int64_t first_ns;
    server_open(&server);
    const struct api_metrics *metrics = &server.metrics;
    search(&server, &first_ns, 0);
    write_metrics(&server);
    check_stage("prefill", "2");
    check_stage("decode", "2");
    CHECK(metrics->decode_s.sum >= 2e-9 * SEARCH_NS);
    CHECK(metrics->prefill_s.sum <= metrics->inference_s.sum - 2e-9 * SEARCH_NS);
    CHECK(metrics->token_s.sum >= 2e-9 * SEARCH_NS / 2); /* two tokens after the first */
    CHECK(metrics->first_token_s.sum >= 2e-9 * SEARCH_NS);
    server_close(&server);
}

TEST(no_time_is_below_0_whatever_an_engine_says_of_its_beams)
{
    for (int64_t told_ns = 1; told_ns > 0; told_ns = told_ns == 1 ? INT64_MAX : 0) {
        struct server server;
        int64_t first_ns;
        server_open(&server);
        search(&server, &first_ns, told_ns);
        const struct api_metrics *metrics = &server.metrics;
        CHECK(metrics->prefill_s.sum >= 0 && metrics->decode_s.sum >= 0);
        CHECK(metrics->prefill_s.sum <= metrics->inference_s.sum);
        CHECK(metrics->decode_s.sum <= metrics->inference_s.sum);
        server_close(&server);
    }
}

TEST(lengths_have_the_buckets_of_the_longest_sequence)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt = text_of("One");
    const struct generate_request request = ask_for(&prompt, 1);
    ask(&server, &request, &heard);
    for (int i = 0; i < 3; i++)
        server_token(&server, 0, 300, i == 2 ? FINISH_STOP : FINISH_NONE);
    write_metrics(&server);
#define NAME              "vllm:request_generation_tokens"
#define LABEL             "model_name=\"demo\",engine=\"0\""
#define BUCKET(le, count) NAME "_bucket{" LABEL ",le=\"" le "\"} " count "\n"
    CHECK_STR(family(NAME),
              "# HELP " NAME " Tokens of an answer.\n"
              "# TYPE " NAME " histogram\n" BUCKET("1", "0") BUCKET("2", "0") BUCKET("5", "1")
                  BUCKET("10", "1") BUCKET("20", "1") BUCKET("50", "1") BUCKET("100", "1")
                      BUCKET("200", "1") BUCKET("+Inf", "1") NAME "_sum{" LABEL "} 3\n" NAME
                                                                  "_count{" LABEL "} 1\n");
    server_close(&server);
}

TEST(an_engine_says_how_it_goes)
{
    struct server server;
    server_open(&server);
    const int64_t work_ns[] = {1500000, 2500000};
    const struct link_event event = {.kind = LINK_STATS,
                                     .stats = {.running = 3,
                                               .waiting = 5,
                                               .kv_blocks = 40,
                                               .kv_blocks_used = 10,
                                               .cache_hits = 7,
                                               .comm_ns = 250000000,
                                               .rank_work_ns = work_ns,
                                               .n_ranks = 2}};
    struct error err = {0};
    bool all_sent;
    CHECK(link_send_event(server.engine, &event, &err));
    CHECK(link_flush(server.engine, &all_sent, &err));
    CHECK(dispatch_take(server.api.dispatch, 0, 0, &err));
    server.api.model.kv_tokens = 640;
    server.api.model.block_tokens = 16;
    server.api.model.prefix_caching = true;
    write_metrics(&server);
    CHECK_STR(family("vllm:num_requests_running"),
              "# HELP vllm:num_requests_running Sequences that run.\n"
              "# TYPE vllm:num_requests_running gauge\n"
              "vllm:num_requests_running{model_name=\"demo\",engine=\"0\"} 3\n");
    check_sample("phalanx_num_requests_waiting{model_name=\"demo\",engine=\"0\"}", "5");
    check_sample("vllm:kv_cache_usage_perc{model_name=\"demo\",engine=\"0\"}", "0.25");
    check_sample("vllm:prefix_cache_hits_total{model_name=\"demo\",engine=\"0\"}", "7");
    check_sample("phalanx_all_reduce_seconds_total{model_name=\"demo\",engine=\"0\"}", "0.25");
    check_sample("phalanx_rank_step_seconds{model_name=\"demo\",engine=\"0\",rank=\"1\"}",
                 "0.0025");
    check_sample("vllm:cache_config_info{model_name=\"demo\",engine=\"0\",block_size=\"16\","
                 "num_gpu_blocks=\"40\",kv_tokens=\"640\",enable_prefix_caching=\"True\"}",
                 "1");
    server_close(&server);
}

TEST(no_label_comes_from_what_a_client_made_up)
{
    struct server server;
    server_open(&server);
    for (int i = 0; i < 3; i++)
        api_metrics_count_http(&server.metrics, "POST", "/v1/completions", 200);
    api_metrics_count_http(&server.metrics, "POST", "/v1/completions", 400);
    api_metrics_count_http(&server.metrics, "BREW", NULL, 405);
    api_metrics_count_http(&server.metrics, "SIP", NULL, 404);
    write_metrics(&server);
    CHECK_STR(family("http_requests_total"),
              "# HELP http_requests_total Answers of HTTP.\n"
              "# TYPE http_requests_total counter\n"
              "http_requests_total{handler=\"/v1/completions\",method=\"POST\",status=\"2xx\"} 3\n"
              "http_requests_total{handler=\"/v1/completions\",method=\"POST\",status=\"4xx\"} 1\n"
              "http_requests_total{handler=\"none\",method=\"other\",status=\"4xx\"} 2\n");
    server_close(&server);
}
