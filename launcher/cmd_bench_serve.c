/* phalanx bench serve: any OpenAI-compatible server under load, from outside. */
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "launcher/bench/client.h"
#include "launcher/bench/load.h"
#include "launcher/bench/plot.h"
#include "launcher/bench/result_file.h"
#include "launcher/bench/serve_metrics.h"
#include "launcher/bench/target.h"
#include "launcher/commands.h"
#include "launcher/progress.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bench {
    const struct options *options;
    struct client_settings settings;
    struct load load;
    struct client_run run;
    struct serve_metrics metrics;
    struct bytes url;    /* where requests go */
    struct bytes result; /* the file of --save-result; empty: none */
    char *model;         /* as the server calls it */
    FILE *json, *plot;   /* open from the start: hours may lie between */
};

static bool open_file(FILE **out, const char *option, const char *path, struct error *err)
{
    *out = path != NULL ? fopen(path, "w") : NULL;
    return path == NULL || *out != NULL ||
           error_set(err, ERROR_INPUT, "%s: cannot write %s: %s", option, path, strerror(errno));
}

static bool close_file(FILE **file, bool good, const char *option, struct error *err)
{
    if (*file == NULL)
        return true;
    good = fclose(*file) == 0 && good;
    *file = NULL;
    return good || error_set(err, ERROR_SYSTEM, "%s: the file could not be written", option);
}

/* ---- before the run ---- */

static bool check_trust(const struct options *options, struct error *err)
{
    const char *path = options->bench.ca_file;
    if (path != NULL && options->bench.insecure)
        return error_set(err, ERROR_INPUT,
                         "--ssl-ca-certs says whom to trust, and --insecure to "
                         "trust anybody: give one of them");
    return path == NULL || access(path, R_OK) == 0 ||
           error_set(err, ERROR_INPUT, "--ssl-ca-certs: cannot read %s: %s", path, strerror(errno));
}

static bool check_metadata(const struct options *options, struct error *err)
{
    for (int i = 0; i < options->bench.metadata.n; i++) {
        const char *item = options->bench.metadata.item[i];
        if (strchr(item, '=') == NULL || utf8_valid_bytes(item, strlen(item)) != strlen(item))
            return error_set(err, ERROR_INPUT, "--metadata: '%s' is no KEY=VALUE (UTF-8)", item);
    }
    return true;
}

/* Its name may have that of the model in it, which the server has told now. */
static bool open_result(struct bench *bench, struct error *err)
{
    if (!bench->options->bench.save_result)
        return true;
    result_file_path(&bench->result, bench->options, bench->model);
    return open_file(&bench->json, "--save-result", bench->result.data, err);
}

static bool find_model(struct bench *bench, struct error *err)
{
    const struct options *options = bench->options;
    if (options->bench.ready_timeout > 0 || options->model == NULL) {
        if (!remote_find_model(&bench->model, &bench->settings.remote,
                               (double)options->bench.ready_timeout, bench->settings.interrupt,
                               err))
            return false;
    }
    if (options->model != NULL) {
        memory_free(bench->model);
        bench->model = memory_copy_text(options->model);
    }
    bench->settings.model = bench->model;
    return true;
}

static bool refuse(const struct bench *bench, const struct call_result *call, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s", call->why);
    if (call->kind == CALL_STATUS)
        error_in(err, "HTTP %d", call->status);
    return error_in(err, "%s: a request before the bench failed", bench->url.data);
}

/* Requests that are not counted, all at once, of the lengths of the first that are. When one fails
 * the others would, too. */
static bool warm_up(struct bench *bench, struct error *err)
{
    struct load load = bench->load;
    struct client_run run = {0};
    load.n = (size_t)bench->options->bench.num_warmups;
    load.first = bench->load.n;
    if (load.n == 0)
        return true;
    load.request = memory_alloc(load.n, sizeof *load.request);
    for (size_t i = 0; i < load.n; i++) {
        load.request[i] = bench->load.request[i % bench->load.n];
        load.request[i].arrival_s = 0;
    }
    bool good = client_run(&run, &load, &bench->settings, NULL, err);
    for (size_t i = 0; good && i < run.n; i++)
        good = run.call[i].kind == CALL_GOOD || refuse(bench, &run.call[i], err);
    client_run_release(&run);
    memory_free(load.request);
    return good;
}

/* ---- after it ---- */

static json_t *arrivals(const struct load *load)
{
    json_t *list = json_array();
    for (size_t i = 0; i < load->n; i++)
        json_array_append_new(list, json_real(load->request[i].arrival_s));
    return list;
}

static json_t *metadata_of(const struct options *options)
{
    json_t *object = json_object();
    for (int i = 0; i < options->bench.metadata.n; i++) {
        const char *item = options->bench.metadata.item[i], *equals = strchr(item, '=');
        char *key = memory_copy_text(item);
        key[equals - item] = '\0';
        json_object_set_new(object, key, json_string(equals + 1));
        memory_free(key);
    }
    return object;
}

static json_t *describe(struct bench *bench)
{
    const struct options *options = bench->options;
    struct serve_metrics *metrics = &bench->metrics;
    char date[RESULT_DATE_BYTES];
    result_file_date(date);
    json_t *own = json_pack(
        "{ss ss ss ss ss sI sf sI}", "date", date, "backend", options->bench.backend, "base_url",
        bench->settings.remote.base_url, "endpoint", bench->settings.endpoint, "model_id",
        bench->model, "num_prompts", (json_int_t)bench->load.n, "burstiness",
        options->bench.burstiness, "seed", (json_int_t)(options->seed >= 0 ? options->seed : 0));
    json_t *result = metadata_of(options);
    json_object_update_new(result, own);
    json_object_set_new(result, "max_concurrency",
                        options->bench.max_concurrency > 0
                            ? json_integer((json_int_t)options->bench.max_concurrency)
                            : json_null());
    /* JSON has no infinity */
    json_object_set_new(result, "request_rate",
                        isinf(options->bench.request_rate)
                            ? json_string("inf")
                            : json_real(options->bench.request_rate));
    if (options->bench.ramp_up_strategy != NULL) {
        json_object_set_new(result, "ramp_up_strategy",
                            json_string(options->bench.ramp_up_strategy));
        json_object_set_new(result, "ramp_up_start_rps",
                            json_real(options->bench.ramp_up_start_rps));
        json_object_set_new(result, "ramp_up_end_rps", json_real(options->bench.ramp_up_end_rps));
    }
    json_t *numbers = serve_metrics_json(metrics, &bench->run, options->bench.save_detailed);
    json_object_update(result, numbers);
    if (options->bench.save_detailed)
        json_object_set_new(result, "arrival_times", arrivals(&bench->load));
    json_decref(numbers);
    return result;
}

static bool write_files(struct bench *bench, struct error *err)
{
    bool good = true;
    if (bench->json != NULL) {
        json_t *result = describe(bench);
        good =
            json_dumpf(result, bench->json, JSON_INDENT(2)) == 0 && fputc('\n', bench->json) != EOF;
        json_decref(result);
    }
    if (!close_file(&bench->json, good,
                    bench->options->bench.save_result ? "--save-result" : "--output-json", err))
        return false;
    if (bench->result.len > 0)
        printf("saved       %s\n", bench->result.data);
    good =
        bench->plot == NULL || plot_write(bench->plot, bench->model, &bench->metrics, &bench->run);
    return close_file(&bench->plot, good, "--plot", err);
}

static bool report(struct bench *bench, struct error *err)
{
    const bool has_arrivals = bench->load.request[bench->load.n - 1].arrival_s > 0;
    serve_metrics_count(&bench->metrics, &bench->run);
    printf("server      %s, model %s\n", bench->url.data, bench->model);
    serve_metrics_print(&bench->metrics, &bench->run, has_arrivals);
    if (!write_files(bench, err))
        return false;
    return bench->metrics.n_good > 0 ||
           error_set(err, ERROR_SYSTEM, "no request was answered: %s", bench->run.call[0].why);
}

static bool run(struct bench *bench, struct error *err)
{
    struct progress progress;
    if (!find_model(bench, err) || !open_result(bench, err) || !warm_up(bench, err))
        return false;
    progress_begin(&progress, "requests", bench->load.n, bench->options->quiet);
    const bool good = client_run(&bench->run, &bench->load, &bench->settings, &progress, err);
    progress_end(&progress, bench->run.n_done, bench->run.n_tokens);
    return good && report(bench, err);
}

bool cmd_bench_serve(struct options *options, const volatile sig_atomic_t *interrupt,
                     struct error *err)
{
    if (!options_is_given(options, "--ignore-eos"))
        options->ignore_eos = true; /* every answer as long as it was asked for */
    if (!target_settle(options, err))
        return false;
    struct bench bench = {.options = options,
                          .settings = {.remote = {.base_url = options->bench.base_url,
                                                  .key = getenv("OPENAI_API_KEY"),
                                                  .ca_file = options->bench.ca_file,
                                                  .is_unchecked = options->bench.insecure,
                                                  .header = options->bench.header.item,
                                                  .n_headers = options->bench.header.n},
                                       .endpoint = options->bench.endpoint,
                                       .timeout_s = (double)options->bench.request_timeout,
                                       .max_concurrency = options->bench.max_concurrency,
                                       .interrupt = interrupt}};
    remote_url(&bench.url, &bench.settings.remote, bench.settings.endpoint);
    const bool good =
        check_trust(options, err) && remote_check_headers(&bench.settings.remote, err) &&
        check_metadata(options, err) && serve_metrics_begin(&bench.metrics, options, err) &&
        load_make(&bench.load, options, interrupt, err) && result_file_prepare(options, err) &&
        open_file(&bench.json, "--output-json", options->bench.output_json, err) &&
        open_file(&bench.plot, "--plot", options->bench.plot, err) && run(&bench, err);
    if (bench.json != NULL)
        fclose(bench.json);
    if (bench.plot != NULL)
        fclose(bench.plot);
    serve_metrics_release(&bench.metrics);
    client_run_release(&bench.run);
    load_release(&bench.load);
    bytes_release(&bench.url);
    bytes_release(&bench.result);
    memory_free(bench.model);
    return good;
}
