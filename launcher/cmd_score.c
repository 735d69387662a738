/* phalanx score: texts in, one JSON object a line out: a vector, the plain numbers of a reward
 * model, or probabilities of labels. */
#include "base/error.h"
#include "base/memory.h"
#include "launcher/commands.h"
#include "launcher/generation.h"
#include "launcher/model_path.h"
#include "launcher/progress.h"
#include "launcher/prompts.h"
#include "runtime/gateway/pooling.h"
#include "runtime/options/options.h"

#include <stdio.h>

struct scoring {
    const struct options *options;
    struct session session;
    struct generation generation;
    struct prompts prompts;
    struct progress progress;
    struct pooling_head head;
    size_t n_written;
    struct error failure; /* the first one of a text: that of the command, after all others */
};

static void print_numbers(const double *value, int n)
{
    for (int i = 0; i < n; i++)
        printf("%s%.9g", i > 0 ? ", " : "[", value[i]);
    printf("%s]", n > 0 ? "" : "[");
}

static void print_text(const char *text)
{
    json_t *value = json_string(text);
    json_dumpf(value, stdout, JSON_ENCODE_ANY);
    json_decref(value);
}

static void print_label(const struct scoring *s, const double *value, int n)
{
    char buffer[24];
    int best = 0;
    for (int i = 1; i < n; i++)
        best = value[i] > value[best] ? i : best;
    printf("\"label\": ");
    print_text(pooling_label(&s->head, best, buffer));
}

static void print_result(const struct scoring *s, double *value, int n)
{
    switch (s->head.task) {
    case TASK_EMBED:
        if (s->options->normalize)
            pooling_normalize(value, n);
        printf("\"embedding\": ");
        print_numbers(value, n);
        break;
    case TASK_CLASSIFY:
        pooling_probabilities(value, n);
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
    printf("\"error\": ");
    print_text(item->answer.failure[0].text);
    if (s->failure.kind == ERROR_NONE) {
        s->failure = item->answer.failure[0];
        error_in(&s->failure, "text %zu", item->number);
    }
}

static bool write_result(void *context, const struct generation_item *item, struct error *err)
{
    struct scoring *s = context;
    double *value = memory_alloc((size_t)item->answer.n_values, sizeof *value);
    for (int i = 0; i < item->answer.n_values; i++)
        value[i] = (double)item->answer.value[i];
    progress_hide(&s->progress);
    printf("{\"index\": %zu, ", item->number);
    if (item->answer.failure[0].kind != ERROR_NONE)
        print_failure(s, item);
    else if (item->answer.n_values == 0) /* the deadline came first */
        printf("\"error\": \"%s\"", finish_reason_name(item->answer.output[0].finish));
    else
        print_result(s, value, item->answer.n_values);
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
    if (!pooling_head_read(&s->head, s->options, folder, s->session.n_labels, err) ||
        !generation_init(&s->generation, s->options, &s->session, err))
        return false;
    sampling->params.pooling = s->head.pooling;
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
    const bool done = good && run(&s, folder, err);
    generation_release(&s.generation);
    session_close(&s.session);
    prompts_close(&s.prompts);
    pooling_head_release(&s.head);
    return done;
}
