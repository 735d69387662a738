/* phalanx score: texts in, one JSON object a line out: a vector, the plain numbers of a reward
 * model, or probabilities of labels. */
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/commands.h"
#include "launcher/generation.h"
#include "launcher/model_path.h"
#include "launcher/progress.h"
#include "launcher/prompts.h"
#include "runtime/options/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum task { TASK_EMBED, TASK_CLASSIFY, TASK_REWARD };

struct scoring {
    const struct options *options;
    struct session session;
    struct generation generation;
    struct prompts prompts;
    struct progress progress;
    enum task task;
    enum pooling pooling;
    json_t *labels; /* id2label of config.json, or NULL */
    size_t n_written;
    struct error failure; /* the first one of a text: that of the command, after all others */
};

static bool choose_task(struct scoring *s, struct error *err)
{
    const char *name = s->options->task;
    const int n_labels = s->session.n_labels;
    if (strcmp(name, "auto") == 0)
        name = n_labels == 0 ? "embed" : n_labels == 1 ? "reward" : "classify";
    s->task = strcmp(name, "embed") == 0    ? TASK_EMBED
              : strcmp(name, "reward") == 0 ? TASK_REWARD
                                            : TASK_CLASSIFY;
    if (s->task == TASK_EMBED && n_labels > 0)
        return error_set(err, ERROR_INPUT,
                         "--task embed: this model has a head with %d output%s and no vectors; "
                         "give --task classify or reward",
                         n_labels, n_labels == 1 ? "" : "s");
    if (s->task != TASK_EMBED && n_labels == 0)
        return error_set(err, ERROR_INPUT,
                         "--task %s: this model has no head that scores; give --task embed", name);
    return true;
}

/* How the makers of a model for vectors pool: 1_Pooling/config.json, as sentence-transformers
 * writes it. A missing file says nothing. */
static bool read_pooling(struct scoring *s, const char *folder, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 16, .max_depth = 8, .max_values = 256};
    char path[MODEL_PATH_BYTES + 32];
    bool mean = false, last = false;
    json_t *config;
    snprintf(path, sizeof path, "%s/1_Pooling/config.json", folder);
    s->pooling = POOLING_LAST;
    if (!file_exists(path))
        return true;
    if (!json_read_file(&config, path, &limits, err))
        return false;
    const bool good = json_get_bool(config, "pooling_mode_mean_tokens", false, &mean, err) &&
                      json_get_bool(config, "pooling_mode_lasttoken", false, &last, err);
    json_decref(config);
    if (!good)
        return error_in(err, "%s", path);
    s->pooling = mean ? POOLING_MEAN : POOLING_LAST;
    return mean != last || error_set(err, ERROR_UNSUPPORTED,
                                     "%s: neither the mean nor the last token; say which one you "
                                     "want: --pooling mean or --pooling last",
                                     path);
}

static bool choose_pooling(struct scoring *s, const char *folder, struct error *err)
{
    const char *name = s->options->pooling;
    if (s->session.n_labels == 0 && strcmp(name, "auto") == 0)
        return read_pooling(s, folder, err);
    s->pooling = strcmp(name, "mean") == 0 ? POOLING_MEAN : POOLING_LAST;
    return s->session.n_labels == 0 || s->pooling == POOLING_LAST ||
           error_set(err, ERROR_INPUT,
                     "--pooling mean: the head of this model looks at the last token");
}

/* Names of labels are for people: without them there are numbers. */
static void read_labels(struct scoring *s, const char *folder)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 20, .max_depth = 64, .max_values = 100000};
    struct error ignored = {0};
    char path[MODEL_PATH_BYTES + 16];
    json_t *config;
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (!json_read_file(&config, path, &limits, &ignored))
        return;
    s->labels = json_incref(json_object_get(config, "id2label"));
    json_decref(config);
}

/* ---- numbers ---- */

static void print_numbers(const double *value, int n)
{
    for (int i = 0; i < n; i++)
        printf("%s%.9g", i > 0 ? ", " : "[", value[i]);
    printf("%s]", n > 0 ? "" : "[");
}

static void normalize(double *value, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += value[i] * value[i];
    for (int i = 0; sum > 0 && i < n; i++)
        value[i] /= sqrt(sum);
}

/* One output is a yes; several are one of them. */
static void make_probabilities(double *value, int n)
{
    double most = -INFINITY, sum = 0;
    if (n == 1) {
        value[0] = 1 / (1 + exp(-value[0]));
        return;
    }
    for (int i = 0; i < n; i++)
        most = value[i] > most ? value[i] : most;
    for (int i = 0; i < n; i++)
        sum += value[i] = exp(value[i] - most);
    for (int i = 0; i < n; i++)
        value[i] /= sum;
}

static void print_label(const struct scoring *s, const double *value, int n)
{
    char number[16];
    int best = 0;
    for (int i = 1; i < n; i++)
        best = value[i] > value[best] ? i : best;
    snprintf(number, sizeof number, "%d", best);
    const json_t *label = json_object_get(s->labels, number);
    if (json_is_string(label)) {
        printf("\"label\": ");
        json_dumpf(label, stdout, JSON_ENCODE_ANY);
    } else {
        printf("\"label\": \"LABEL_%d\"", best);
    }
}

static void print_result(const struct scoring *s, double *value, int n)
{
    switch (s->task) {
    case TASK_EMBED:
        if (s->options->normalize)
            normalize(value, n);
        printf("\"embedding\": ");
        print_numbers(value, n);
        break;
    case TASK_CLASSIFY:
        make_probabilities(value, n);
        print_label(s, value, n);
        printf(", \"probs\": ");
        print_numbers(value, n);
        break;
    case TASK_REWARD:
        printf(n == 1 ? "\"score\": " : "\"scores\": ");
        if (n == 1)
            printf("%.9g", value[0]);
        else
            print_numbers(value, n);
        break;
    }
}

/* ---- texts ---- */

static void print_failure(struct scoring *s, const struct generation_item *item)
{
    json_t *text = json_string(item->failure[0].text);
    printf("\"error\": ");
    json_dumpf(text, stdout, JSON_ENCODE_ANY);
    json_decref(text);
    if (s->failure.kind == ERROR_NONE) {
        s->failure = item->failure[0];
        error_in(&s->failure, "text %zu", item->number);
    }
}

static bool write_result(void *context, const struct generation_item *item, struct error *err)
{
    struct scoring *s = context;
    double *value = memory_alloc((size_t)item->n_values, sizeof *value);
    for (int i = 0; i < item->n_values; i++)
        value[i] = (double)item->value[i];
    progress_hide(&s->progress);
    printf("{\"index\": %zu, ", item->number);
    if (item->failure[0].kind != ERROR_NONE)
        print_failure(s, item);
    else if (item->n_values == 0) /* the deadline came first */
        printf("\"error\": \"%s\"", finish_reason_name(item->output[0].finish));
    else
        print_result(s, value, item->n_values);
    printf(", \"usage\": {\"prompt_tokens\": %zu}}\n", item->ids.n);
    memory_free(value);
    s->n_written++;
    progress_update(&s->progress, s->n_written, s->generation.n_prompt_tokens);
    return (!ferror(stdout) && fflush(stdout) == 0) ||
           error_set(err, ERROR_SYSTEM, "standard output: the answer could not be written");
}

static bool next_prompt(void *context, bool *more, struct error *err)
{
    struct scoring *s = context;
    const bool good = prompts_next(&s->prompts, more, err);
    s->progress.total = prompts_total(&s->prompts);
    return good;
}

static bool run(struct scoring *s, const char *folder, struct error *err)
{
    const struct generation_hooks hooks = {.next = next_prompt, .done = write_result, .context = s};
    struct sampling *sampling = &s->generation.sampling;
    if (!choose_task(s, err) || !choose_pooling(s, folder, err) ||
        !generation_init(&s->generation, s->options, &s->session, err))
        return false;
    sampling->params.pooling = s->pooling;
    sampling->params.max_tokens = 1;
    if (!prompts_begin(&s->prompts, &s->session, &s->generation, err))
        return false;
    const bool shows = s->options->prompts_file != NULL && !s->options->quiet;
    progress_begin(&s->progress, "texts", prompts_total(&s->prompts), !shows);
    const bool good = generation_run(&s->generation, &s->session, &hooks, err);
    progress_end(&s->progress, s->n_written, s->generation.n_prompt_tokens);
    if (!good)
        return false;
    *err = s->failure;
    return s->failure.kind == ERROR_NONE;
}

bool cmd_score(const struct options *options, const volatile sig_atomic_t *interrupt,
               struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    struct scoring s = {.options = options, .session.interrupt = interrupt};
    const bool good = prompts_open(&s.prompts, options, interrupt, err) &&
                      model_path_find(folder, options->model, "config.json", err) &&
                      session_open(&s.session, options, folder, interrupt, err);
    if (good)
        read_labels(&s, folder);
    const bool done = good && run(&s, folder, err);
    generation_release(&s.generation);
    session_close(&s.session);
    prompts_close(&s.prompts);
    json_decref(s.labels);
    return done;
}
