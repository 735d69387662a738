/* phalanx bench latency, phalanx bench throughput: the numbers of this field, with those of vLLM's
 * commands in the same words, and beside them what the memory of the machine allows (ceiling.h). */
#include "base/error.h"
#include "launcher/bench/batch.h"
#include "launcher/bench/ceiling.h"
#include "launcher/commands.h"
#include "launcher/model_path.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LATENCY_INPUT = 32, THROUGHPUT_INPUT = 1024 }; /* vLLM's */

struct bench {
    const struct options *options;
    struct session session;
    struct bench_prompts prompts;
    struct bench_times times;
    struct ceiling ceiling;
    struct progress progress;
    FILE *output; /* of --output-json, open from the start: hours may lie between */
};

/* Positions that the keys and values of a sequence have in the middle of its answer. */
static double middle_context(const struct bench *bench)
{
    const struct bench_times *t = &bench->times;
    const double prompt =
        t->n_requests > 0 ? (double)t->n_prompt_tokens / (double)t->n_requests : 0;
    return prompt + (double)bench->options->bench.output_len / 2;
}

static bool open_output(struct bench *bench, struct error *err)
{
    const char *path = bench->options->bench.output_json;
    if (path != NULL)
        bench->output = fopen(path, "w");
    return path == NULL || bench->output != NULL ||
           error_set(err, ERROR_INPUT, "--output-json: cannot write %s: %s", path, strerror(errno));
}

static bool write_json(struct bench *bench, json_t *result, struct error *err)
{
    bool good = true;
    if (bench->output != NULL) {
        good = json_dumpf(result, bench->output, JSON_INDENT(2)) == 0 &&
               fputc('\n', bench->output) != EOF;
        good = fclose(bench->output) == 0 && good;
        bench->output = NULL;
    }
    json_decref(result);
    return good || error_set(err, ERROR_SYSTEM, "--output-json: %s could not be written",
                             bench->options->bench.output_json);
}

/* What both commands say of answers. */
static json_t *describe(struct bench *bench)
{
    struct bench_times *t = &bench->times;
    json_t *result = json_pack(
        "{ss ss sI sI sI sI sI}", "model", bench->options->model, "engine", bench->session.about,
        "total_input_tokens", (json_int_t)t->n_prompt_tokens, "total_output_tokens",
        (json_int_t)t->n_tokens, "cached_tokens", (json_int_t)t->n_cached, "draft_tokens",
        (json_int_t)t->n_drafted, "accepted_tokens", (json_int_t)t->n_accepted);
    json_object_set_new(result, "ttft", samples_json(&t->first));
    json_object_set_new(result, "tpot", samples_json(&t->per_token));
    json_object_set_new(result, "itl", samples_json(&t->gaps));
    json_object_set_new(result, "e2el", samples_json(&t->end_to_end));
    printf("engine      %s\n", bench->session.about);
    samples_print(&t->first, "TTFT");
    samples_print(&t->per_token, "TPOT");
    samples_print(&t->gaps, "ITL");
    samples_print(&t->end_to_end, "E2EL");
    if (ceiling_is_known(&bench->ceiling)) {
        const double context = middle_context(bench);
        json_object_set_new(result, "ceiling", ceiling_json(&bench->ceiling, context));
        ceiling_print(&bench->ceiling, context);
    }
    if (t->n_cached > 0)
        printf("cached      %.1f %% of the tokens of prompts\n",
               100.0 * (double)t->n_cached / (double)t->n_prompt_tokens);
    if (t->n_drafted > 0)
        printf("drafts      %llu, of which %.1f %% were right\n", (unsigned long long)t->n_drafted,
               100.0 * (double)t->n_accepted / (double)t->n_drafted);
    return result;
}

/* Of the ceiling of n sequences, in the JSON under this name. */
static void report_share(const struct bench *bench, json_t *result, const char *name, double rate,
                         double n)
{
    if (!ceiling_is_known(&bench->ceiling))
        return;
    const double bound = n * ceiling_tokens(&bench->ceiling, middle_context(bench));
    printf(", %.1f %% of %.0f x the bound at batch 1", 100 * rate / bound, n);
    json_object_set_new(result, name, json_real(rate / bound));
}

/* ---- latency ---- */

/* Sequences of a batch that run at once. */
static double batch_sequences(const struct bench *bench)
{
    const int64_t n = bench->options->bench.batch_size * bench->options->n;
    return (double)(n < bench->session.max_num_seqs ? n : bench->session.max_num_seqs);
}

static bool report_latency(struct bench *bench, struct error *err)
{
    static const int percentiles[] = {10, 25, 50, 75, 90, 99};
    struct samples *latency = &bench->times.latency;
    json_t *all = json_array(), *table = json_object();
    for (size_t i = 0; i < latency->n; i++) /* as they came */
        json_array_append_new(all, json_real(latency->value[i]));
    printf("Avg latency: %.6f seconds\n", samples_mean(latency));
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        char name[8];
        const double value = samples_percentile(latency, percentiles[i]);
        snprintf(name, sizeof name, "%d", percentiles[i]);
        printf("%d%% percentile latency: %.6f seconds\n", percentiles[i], value);
        json_object_set_new(table, name, json_real(value));
    }
    json_t *result = describe(bench);
    json_object_set_new(result, "avg_latency", json_real(samples_mean(latency)));
    json_object_set_new(result, "latencies", all);
    json_object_set_new(result, "percentiles", table);

    const double n = batch_sequences(bench);
    const double rate = samples_percentile(&bench->times.decode_rate, 50);
    printf("decode      %.2f tokens/s of %.0f sequences", rate, n);
    json_object_set_new(result, "decode_tokens_per_second", json_real(rate));
    json_object_set_new(result, "decode_sequences", json_real(n));
    report_share(bench, result, "decode_share_of_bound", rate, n);
    printf("\n");
    return write_json(bench, result, err);
}

static bool run_latency(struct bench *bench, struct error *err)
{
    const struct options *options = bench->options;
    const size_t n_input =
        options->bench.input_len > 0 ? (size_t)options->bench.input_len : LATENCY_INPUT;
    struct bench_times unused = {0};
    if (!bench_prompts_make(&bench->prompts, (size_t)options->bench.batch_size, n_input, options,
                            &bench->session, err))
        return false;
    bool good = true;
    for (int64_t i = 0; good && i < options->bench.num_iters_warmup; i++)
        good = bench_batch_run(&unused, &bench->prompts, options, &bench->session, NULL, err);
    bench_times_release(&unused);
    ceiling_measure(&bench->ceiling);
    progress_begin(&bench->progress, "batches", (size_t)options->bench.num_iters, options->quiet);
    for (int64_t i = 0; good && i < options->bench.num_iters; i++) {
        good = bench_batch_run(&bench->times, &bench->prompts, options, &bench->session, NULL, err);
        progress_update(&bench->progress, (size_t)i + 1, bench->times.n_tokens);
    }
    progress_end(&bench->progress, bench->times.latency.n, bench->times.n_tokens);
    ceiling_measure(&bench->ceiling);
    return good && report_latency(bench, err);
}

/* ---- throughput ---- */

static bool report_throughput(struct bench *bench, struct error *err)
{
    const struct bench_times *t = &bench->times;
    const double total = (double)(t->n_prompt_tokens + t->n_tokens) / t->seconds;
    const double output = (double)t->n_tokens / t->seconds;
    const double requests = (double)t->n_requests / t->seconds;
    printf("Throughput: %.2f requests/s, %.2f total tokens/s, %.2f output tokens/s\n", requests,
           total, output);
    printf("Total num prompt tokens:  %llu\nTotal num output tokens:  %llu\n",
           (unsigned long long)t->n_prompt_tokens, (unsigned long long)t->n_tokens);
    json_t *result = describe(bench);
    json_object_set_new(result, "elapsed_time", json_real(t->seconds));
    json_object_set_new(result, "num_requests", json_integer((json_int_t)t->n_requests));
    json_object_set_new(result, "total_num_tokens",
                        json_integer((json_int_t)(t->n_prompt_tokens + t->n_tokens)));
    json_object_set_new(result, "requests_per_second", json_real(requests));
    json_object_set_new(result, "tokens_per_second", json_real(total));
    json_object_set_new(result, "output_tokens_per_second", json_real(output));

    printf("output      %.1f tokens/s", output);
    report_share(bench, result, "output_share_of_bound", output,
                 (double)bench->session.max_num_seqs);
    printf(", prompts included\n");
    return write_json(bench, result, err);
}

static bool run_throughput(struct bench *bench, struct error *err)
{
    const struct options *options = bench->options;
    const size_t n_input =
        options->bench.input_len > 0 ? (size_t)options->bench.input_len : THROUGHPUT_INPUT;
    if (!bench_prompts_make(&bench->prompts, (size_t)options->bench.num_prompts, n_input, options,
                            &bench->session, err))
        return false;
    ceiling_measure(&bench->ceiling);
    progress_begin(&bench->progress, "prompts", bench->prompts.n, options->quiet);
    const bool good = bench_batch_run(&bench->times, &bench->prompts, options, &bench->session,
                                      &bench->progress, err);
    progress_end(&bench->progress, (size_t)bench->times.n_requests, bench->times.n_tokens);
    ceiling_measure(&bench->ceiling);
    return good && report_throughput(bench, err);
}

bool cmd_bench(struct options *options, const volatile sig_atomic_t *interrupt, struct error *err)
{
    const bool is_latency = options->command == COMMAND_BENCH_LATENCY;
    char folder[MODEL_PATH_BYTES];
    struct bench bench = {.options = options, .session.interrupt = interrupt};
    /* As vLLM measures: every answer of the same length, none from the cache of the one before. */
    options->generation_config = "vllm";
    options->ignore_eos = true;
    options->max_tokens = options->bench.output_len;
    const bool good = model_path_find(folder, options->model, "config.json", err) &&
                      open_output(&bench, err) &&
                      session_open(&bench.session, options, folder, interrupt, err) &&
                      ceiling_open(&bench.ceiling, options, &bench.session, err) &&
                      (is_latency ? run_latency(&bench, err) : run_throughput(&bench, err));
    if (bench.output != NULL)
        fclose(bench.output);
    ceiling_close(&bench.ceiling);
    bench_prompts_release(&bench.prompts);
    bench_times_release(&bench.times);
    session_close(&bench.session);
    return good;
}
