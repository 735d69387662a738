/* phalanx batch: a file of requests in, a file of answers out; what was answered is never lost, and
 * the output is the same however often it was interrupted. */
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/batch/lines.h"
#include "launcher/batch/marks.h"
#include "launcher/batch/results.h"
#include "launcher/batch/run.h"
#include "launcher/commands.h"
#include "launcher/progress.h"
#include "launcher/service.h"
#include "runtime/api/metrics.h"
#include "runtime/options/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The engines are kept busy and nobody else asks: whatever is sent is let in. */
static const int64_t MAX_QUEUE = (int64_t)1 << 40;

struct batch { /* of the command */
    const struct options *options;
    struct batch_lines lines;
    struct batch_results results;
    struct service service;
    struct progress progress;
    json_t *marks;
    char *journal; /* its path; NULL: none */
};

/* ---- what is checked before a rank is started ---- */

/* Where a path leads: to a file, or to a name in a folder where there is none yet. */
static const char *find_place(const char *path, struct stat *out)
{
    const char *slash = strrchr(path, '/');
    char folder[MODEL_PATH_BYTES] = ".";
    if (stat(path, out) == 0)
        return "";
    if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    return stat(folder, out) == 0 ? (slash != NULL ? slash + 1 : path) : NULL;
}

static bool are_one_file(const char *a, const char *b)
{
    struct stat one, two;
    const char *name = find_place(a, &one), *other = find_place(b, &two);
    return name != NULL && other != NULL && strcmp(name, other) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

struct batch_file {
    const char *option;
    const char *path; /* NULL: not given, or a pipe */
};

static bool are_apart(const struct batch_file *file, int n, struct error *err)
{
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            if (file[i].path != NULL && file[j].path != NULL &&
                are_one_file(file[i].path, file[j].path))
                return error_set(err, ERROR_INPUT, "%s and %s are one file: %s", file[i].option,
                                 file[j].option, file[j].path);
    return true;
}

static const char *as_file(const char *path)
{
    return path != NULL && whole_file_is_possible(path) ? path : NULL;
}

/* What is written would spoil what is read, and one answer the other. */
static bool check_files(const struct batch *batch, struct error *err)
{
    const struct options *o = batch->options;
    const char *output = as_file(o->batch.output), *errors = as_file(o->batch.error_file);
    char *output_partial = output != NULL ? whole_file_partial(output) : NULL;
    char *errors_partial = errors != NULL ? whole_file_partial(errors) : NULL;
    const struct batch_file files[] = {
        {"--input-file", as_file(o->batch.input)},
        {"--output-file", output},
        {"--error-file", errors},
        {"--journal", batch->journal},
        {"the unfinished --output-file", output_partial},
        {"the unfinished --error-file", errors_partial},
    };
    const bool good = are_apart(files, sizeof files / sizeof *files, err);
    memory_free(output_partial);
    memory_free(errors_partial);
    return good;
}

static bool check_options(const struct options *options, struct error *err)
{
    if (options->batch.input == NULL || *options->batch.input == '\0')
        return error_set(err, ERROR_INPUT, "no requests: give a file with -i");
    if (options->batch.output == NULL || *options->batch.output == '\0')
        return error_set(err, ERROR_INPUT, "nowhere to write to: give a file with -o");
    const char *errors = options->batch.error_file;
    return errors == NULL || (strcmp(errors, "-") != 0 && *errors != '\0') ||
           error_set(err, ERROR_INPUT, "--error-file: want a file");
}

/* A journal is for a batch that can go on: its input can be read again, and its output is a file.
 */
static void find_journal(struct batch *batch)
{
    const struct options *o = batch->options;
    if (!batch->lines.is_regular || !whole_file_is_possible(o->batch.output)) {
        if (!o->quiet)
            log_tell("phalanx", batch->lines.is_regular
                                    ? "the output is no file: this batch cannot go on after a stop"
                                    : "the input cannot be read again: this batch cannot go on "
                                      "after a stop");
        return;
    }
    if (o->batch.journal != NULL) {
        batch->journal = memory_copy_text(o->batch.journal);
        return;
    }
    const size_t n = strlen(o->batch.output) + sizeof ".journal";
    batch->journal = memory_alloc(n, 1);
    snprintf(batch->journal, n, "%s.journal", o->batch.output);
}

static bool prepare(struct batch *batch, const volatile sig_atomic_t *interrupt, struct error *err)
{
    const struct options *o = batch->options;
    char folder[MODEL_PATH_BYTES];
    if (!check_options(o, err) || !model_path_find(folder, o->model, "config.json", err) ||
        !batch_lines_open(&batch->lines, o->batch.input, interrupt, err))
        return false;
    find_journal(batch);
    const struct results_settings settings = {.output = o->batch.output,
                                              .error_file = o->batch.error_file,
                                              .journal = batch->journal,
                                              .sync_every_s = o->batch.fsync_s,
                                              .restart = o->batch.restart};
    return check_files(batch, err) &&
           batch_marks_make(&batch->marks, o, folder, &batch->lines, PHALANX_VERSION, err) &&
           batch_results_open(&batch->results, &settings, err) &&
           batch_results_check(&batch->results, batch->marks, err);
}

/* ---- the batch ---- */

/* When it was begun: now, or the time that builds which have to be the same again are given
 * (reproducible-builds.org). */
static int64_t time_of_begin(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    const long long given_s = epoch != NULL ? strtoll(epoch, NULL, 10) : 0;
    return given_s > 0 ? given_s : clock_wall_ms() / 1000;
}

static bool begin(struct batch *batch, struct error *err)
{
    const struct session *session = &batch->service.session;
    batch_marks_set_begin(batch->marks, time_of_begin());
    batch_marks_add_ranks(batch->marks, session->model_mark, session->dtype, session->gpu,
                          session->max_model_len);
    if (!batch_results_begin(&batch->results, batch->marks, err))
        return false;
    if (batch->results.n_found > 0 && !batch->options->quiet) {
        char text[96];
        snprintf(text, sizeof text, "%llu of %llu requests are answered already",
                 (unsigned long long)batch->results.n_found,
                 (unsigned long long)batch->lines.n_requests);
        log_tell("phalanx", text);
    }
    return true;
}

static bool run(struct batch *batch, struct error *err)
{
    const struct options *o = batch->options;
    const struct batch_results *results = &batch->results;
    struct batch_run run = {.service = &batch->service,
                            .lines = &batch->lines,
                            .results = &batch->results,
                            .progress = &batch->progress,
                            .seed = o->seed >= 0 ? (uint64_t)o->seed : 0,
                            .created_s = batch_marks_begin(batch->marks)};
    const bool is_known = batch->lines.is_regular;
    const uint64_t left = is_known ? batch->lines.n_requests - results->n_found : 0;
    progress_begin(&batch->progress, "requests", left, o->quiet || (is_known && left == 0));
    const bool good = batch_run(&run, err) && batch_results_finish(&batch->results, err);
    progress_end(&batch->progress, results->n_answered - results->n_found,
                 batch->service.api.metrics->generation_tokens);
    return good;
}

/* The last words: what there is, and how to have the rest. */
static bool tell_end(struct batch *batch, bool good, struct error *err)
{
    const struct batch_results *results = &batch->results;
    const unsigned long long n = results->n_answered, n_failed = results->n_failed;
    struct error ignored = {0};
    char text[160];
    if (!good)
        batch_results_sync(&batch->results, true, &ignored);
    if (batch->options->quiet && good)
        text[0] = '\0';
    else if (good)
        snprintf(text, sizeof text, "%llu requests, %llu answered, %llu failed", n, n - n_failed,
                 n_failed);
    else if (batch->journal != NULL)
        snprintf(text, sizeof text,
                 "%llu of %llu answers are kept: the same command again goes on from there", n,
                 (unsigned long long)batch->lines.n_requests);
    else
        snprintf(text, sizeof text, "%llu requests were answered, and nothing goes on from there",
                 n);
    if (*text != '\0')
        log_tell("phalanx", text);
    if (!good || !batch->options->batch.strict || n_failed == 0)
        return good;
    return error_set(err, ERROR_INPUT, "%llu of %llu requests failed", n_failed, n);
}

static void close_all(struct batch *batch)
{
    service_close(&batch->service);
    batch_results_close(&batch->results);
    batch_lines_close(&batch->lines);
    json_decref(batch->marks);
    memory_free(batch->journal);
}

bool cmd_batch(const struct options *options, const volatile sig_atomic_t *interrupt,
               struct error *err)
{
    struct batch batch = {.options = options, .service.session.interrupt = interrupt};
    bool good = prepare(&batch, interrupt, err) &&
                service_open(&batch.service, options, MAX_QUEUE, interrupt, err) &&
                begin(&batch, err);
    if (good)
        good = tell_end(&batch, run(&batch, err), err);
    close_all(&batch);
    return good;
}
