/* phalanx bench startup: how long ranks take to be ready, and to say the first token. */
#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "launcher/bench/batch.h"
#include "launcher/bench/page_cache.h"
#include "launcher/commands.h"
#include "launcher/model_path.h"
#include "launcher/session.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PROMPT_TOKENS = 32 };

/* Moments since the begin of a start, and one that needs a second step. */
enum phase { PHASE_TEXT, PHASE_CONNECTED, PHASE_READY, PHASE_FIRST, PHASE_ENDED, PHASE_COUNT };
static const struct {
    const char *key, *title;
} phases[PHASE_COUNT] = {
    [PHASE_TEXT] = {"tokenizer_read", "tokenizer read (while ranks load)"},
    [PHASE_CONNECTED] = {"ranks_connected", "ranks are processes that talk"},
    [PHASE_READY] = {"ready", "ready"},
    [PHASE_FIRST] = {"first_token", "first token"},
    [PHASE_ENDED] = {"end", "from there to the end of all ranks"},
};

struct kind { /* of starts: cold, or warm */
    const char *name;
    int64_t n;
    struct samples at[PHASE_COUNT];
    double most_left; /* cold: the share of the checkpoint that stayed in memory */
};

struct bench {
    struct options *options;
    const char *folder;
    const volatile sig_atomic_t *interrupt;
    char about[sizeof((struct session){0}.about)];
    FILE *output;
};

static double since_s(int64_t begin_ns) { return (double)(clock_now_ns() - begin_ns) * 1e-9; }

/* ---- one start ---- */

static bool say_one_token(struct session *session, const struct options *options, struct error *err)
{
    struct bench_prompts prompts = {0};
    struct bench_times times = {0};
    const size_t n_tokens =
        options->bench.input_len > 0 ? (size_t)options->bench.input_len : PROMPT_TOKENS;
    const bool good = bench_prompts_make(&prompts, 1, n_tokens, options, session, err) &&
                      bench_batch_run(&times, &prompts, options, session, NULL, err);
    bench_prompts_release(&prompts);
    bench_times_release(&times);
    return good;
}

static void add(struct kind *kind, enum phase phase, int64_t begin_ns, int64_t at_ns)
{
    samples_add(&kind->at[phase], (double)(at_ns - begin_ns) * 1e-9);
}

static bool start_once(struct bench *bench, struct kind *kind, struct error *err)
{
    struct session session;
    bool good = session_open(&session, bench->options, bench->folder, bench->interrupt, err) &&
                say_one_token(&session, bench->options, err);
    const int64_t said_ns = clock_now_ns(), begin_ns = session.times.begin_ns;
    session_close(&session);
    if (!good)
        return false;
    add(kind, PHASE_TEXT, begin_ns, session.times.text_ns);
    add(kind, PHASE_CONNECTED, begin_ns, session.times.connected_ns);
    add(kind, PHASE_READY, begin_ns, session.times.ready_ns);
    add(kind, PHASE_FIRST, begin_ns, said_ns);
    samples_add(&kind->at[PHASE_ENDED], since_s(said_ns));
    snprintf(bench->about, sizeof bench->about, "%s", session.about);
    return true;
}

static bool start_all(struct bench *bench, struct kind *kind, bool is_cold, struct error *err)
{
    for (int64_t i = 0; i < kind->n; i++) {
        double left = 0;
        if (is_cold && !page_cache_drop(bench->folder, &left, err))
            return false;
        kind->most_left = left > kind->most_left ? left : kind->most_left;
        if (!start_once(bench, kind, err))
            return error_in(err, "%s start %lld", kind->name, (long long)i + 1);
        if (!bench->options->quiet)
            fprintf(stderr, "%s start %lld of %lld: ready after %.3f s\n", kind->name,
                    (long long)i + 1, (long long)kind->n, kind->at[PHASE_READY].value[i]);
    }
    return true;
}

/* ---- what is told ---- */

static json_t *report(struct kind *kind)
{
    json_t *result = json_object();
    printf("%s, %lld start%s\n", kind->name, (long long)kind->n, kind->n == 1 ? "" : "s");
    for (int i = 0; i < PHASE_COUNT; i++) {
        struct samples *at = &kind->at[i];
        json_t *all = json_array();
        for (size_t k = 0; k < at->n; k++) /* as they came */
            json_array_append_new(all, json_real(at->value[k]));
        printf("  %-36s median %.3f s, mean %.3f, fastest %.3f, slowest %.3f\n", phases[i].title,
               samples_percentile(at, 50), samples_mean(at), samples_percentile(at, 0),
               samples_percentile(at, 100));
        json_object_set_new(result, phases[i].key,
                            json_pack("{sf sf so}", "median_s", samples_percentile(at, 50),
                                      "mean_s", samples_mean(at), "all_s", all));
    }
    return result;
}

static bool write_json(struct bench *bench, json_t *result, struct error *err)
{
    const char *path = bench->options->bench.output_json;
    bool good = true;
    if (bench->output != NULL) {
        good = json_dumpf(result, bench->output, JSON_INDENT(2)) == 0 &&
               fputc('\n', bench->output) != EOF;
        good = fclose(bench->output) == 0 && good;
        bench->output = NULL;
    }
    json_decref(result);
    return good || error_set(err, ERROR_SYSTEM, "--output-json: %s could not be written", path);
}

static bool run(struct bench *bench, struct kind *cold, struct kind *warm, struct error *err)
{
    if (!start_all(bench, cold, true, err) || !start_all(bench, warm, false, err))
        return false;
    json_t *result = json_pack("{ss ss}", "model", bench->options->model, "engine", bench->about);
    printf("engine      %s\n", bench->about);
    if (cold->n > 0) {
        json_t *numbers = report(cold);
        json_object_set_new(numbers, "left_in_memory", json_real(cold->most_left));
        json_object_set_new(result, cold->name, numbers);
        if (cold->most_left > 0.01)
            printf("  not cold: %.0f %% of the checkpoint stayed in memory (it is in a file system "
                   "in memory, in use, or somebody else's)\n",
                   100 * cold->most_left);
    }
    if (warm->n > 0)
        json_object_set_new(result, warm->name, report(warm));
    return write_json(bench, result, err);
}

static bool open_output(struct bench *bench, struct error *err)
{
    const char *path = bench->options->bench.output_json;
    if (path != NULL)
        bench->output = fopen(path, "w");
    return path == NULL || bench->output != NULL ||
           error_set(err, ERROR_INPUT, "--output-json: cannot write %s: %s", path, strerror(errno));
}

bool cmd_bench_startup(struct options *options, const volatile sig_atomic_t *interrupt,
                       struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    struct kind cold = {.name = "cold", .n = options->bench.num_iters_cold};
    struct kind warm = {.name = "warm", .n = options->bench.num_iters_warm};
    struct bench bench = {.options = options, .folder = folder, .interrupt = interrupt};
    options->generation_config = "vllm";
    options->max_tokens = 1;
    options->ignore_eos = true;
    if (options->engine_fd != 0)
        return error_set(err, ERROR_INPUT,
                         "bench startup starts ranks by itself: run it without "
                         "mpirun or srun");
    const bool good = (cold.n + warm.n > 0 || error_set(err, ERROR_INPUT,
                                                        "no start: --num-iters-cold and "
                                                        "--num-iters-warm are 0")) &&
                      model_path_find(folder, options->model, "config.json", err) &&
                      open_output(&bench, err) && run(&bench, &cold, &warm, err);
    if (bench.output != NULL)
        fclose(bench.output);
    for (int i = 0; i < PHASE_COUNT; i++) {
        samples_release(&cold.at[i]);
        samples_release(&warm.at[i]);
    }
    return good;
}
