#include "runtime/gateway/pooling.h"

#include "base/error.h"
#include "base/json.h"
#include "base/system.h"
#include "runtime/options/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 + 32 };

static bool choose_task(struct pooling_head *head, const char *name, struct error *err)
{
    const int n_labels = head->n_labels;
    if (strcmp(name, "auto") == 0)
        name = n_labels == 0 ? "embed" : n_labels == 1 ? "reward" : "classify";
    head->task = strcmp(name, "embed") == 0    ? TASK_EMBED
                 : strcmp(name, "reward") == 0 ? TASK_REWARD
                                               : TASK_CLASSIFY;
    if (head->task == TASK_EMBED && n_labels > 0)
        return error_set(err, ERROR_INPUT,
                         "--task embed: this model has a head with %d output%s and no vectors; "
                         "give --task classify or reward",
                         n_labels, n_labels == 1 ? "" : "s");
    if (head->task != TASK_EMBED && n_labels == 0)
        return error_set(err, ERROR_INPUT,
                         "--task %s: this model has no head that scores; give --task embed", name);
    return true;
}

/* How the makers of a model for vectors pool: 1_Pooling/config.json, as sentence-transformers
 * writes it. A missing file says nothing. */
static bool read_pooling(struct pooling_head *head, const char *folder, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 16, .max_depth = 8, .max_values = 256};
    char path[PATH_BYTES];
    bool mean = false, last = false;
    json_t *config;
    snprintf(path, sizeof path, "%s/1_Pooling/config.json", folder);
    if (!file_exists(path))
        return true;
    if (!json_read_file(&config, path, &limits, err))
        return false;
    const bool good = json_get_bool(config, "pooling_mode_mean_tokens", false, &mean, err) &&
                      json_get_bool(config, "pooling_mode_lasttoken", false, &last, err);
    json_decref(config);
    if (!good)
        return error_in(err, "%s", path);
    head->pooling = mean ? POOLING_MEAN : POOLING_LAST;
    return mean != last || error_set(err, ERROR_UNSUPPORTED,
                                     "%s: neither the mean nor the last token; say which one you "
                                     "want: --pooling mean or --pooling last",
                                     path);
}

static bool choose_pooling(struct pooling_head *head, const char *name, const char *folder,
                           struct error *err)
{
    head->pooling = POOLING_LAST;
    if (head->n_labels == 0 && strcmp(name, "auto") == 0)
        return read_pooling(head, folder, err);
    if (strcmp(name, "mean") == 0)
        head->pooling = POOLING_MEAN;
    return head->n_labels == 0 || head->pooling == POOLING_LAST ||
           error_set(err, ERROR_INPUT,
                     "--pooling mean: the head of this model looks at the last token");
}

/* Names of labels are for people: without them there are numbers. */
static void read_labels(struct pooling_head *head, const char *folder)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 20, .max_depth = 64, .max_values = 100000};
    struct error ignored = {0};
    char path[PATH_BYTES];
    json_t *config;
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (!json_read_file(&config, path, &limits, &ignored))
        return;
    head->labels = json_incref(json_object_get(config, "id2label"));
    json_decref(config);
}

bool pooling_head_read(struct pooling_head *out, const struct options *options,
                       const char *model_folder, int n_labels, struct error *err)
{
    *out = (struct pooling_head){.n_labels = n_labels};
    read_labels(out, model_folder);
    return choose_task(out, options->task, err) &&
           choose_pooling(out, options->pooling, model_folder, err);
}

void pooling_head_release(struct pooling_head *head)
{
    json_decref(head->labels);
    *head = (struct pooling_head){0};
}

void pooling_normalize(double *value, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += value[i] * value[i];
    for (int i = 0; sum > 0 && i < n; i++)
        value[i] /= sqrt(sum);
}

void pooling_probabilities(double *value, int n)
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

const char *pooling_label(const struct pooling_head *head, int label, char buffer[24])
{
    snprintf(buffer, 24, "%d", label);
    const char *name = json_string_value(json_object_get(head->labels, buffer));
    if (name != NULL)
        return name;
    snprintf(buffer, 24, "LABEL_%d", label);
    return buffer;
}
