/* phalanx generate: one prompt or many; streamed text for one answer, text or JSON for more, each
 * as soon as it and all before it are there. */
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/answer_json.h"
#include "launcher/commands.h"
#include "launcher/generation.h"
#include "launcher/model_path.h"
#include "launcher/progress.h"
#include "launcher/prompts.h"
#include "launcher/stream.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOK_MS = 200 };
static const int64_t LAST_WORDS_NS = 1000000000;

struct run { /* of the command */
    const struct options *options;
    struct session session;
    struct generation generation;
    struct prompts prompts;
    struct progress progress;
    struct stream stream;
    struct bytes text;    /* of the answer that is written */
    size_t n_written;     /* answers */
    bool is_unheard;      /* standard output takes nothing any more */
    int64_t until_ns;     /* interrupted: how long a reader is waited for; 0: for ever */
    struct error failure; /* the first one of an answer: that of the command, after all others */
};

/* Whether the reader takes something: waited for as long as nobody wants to end the command, and
 * then for a moment, so that what was begun is whole for a reader that is only slow. */
static bool wait_for_reader(struct run *run)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    for (;;) {
        if (*run->session.interrupt != 0 && run->until_ns == 0)
            run->until_ns = clock_now_ns() + LAST_WORDS_NS;
        if (poll(&out, 1, LOOK_MS) > 0)
            return true;
        if (run->until_ns != 0 && clock_now_ns() >= run->until_ns)
            return false;
    }
}

/* Parts that a pipe takes whole once it takes something: no write waits, so a signal cuts none.
 * After an error the rest is not tried. */
static void write_out(struct run *run, const char *text, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes && !run->is_unheard;) {
        const size_t left = n_bytes - at, part = left < PIPE_BUF ? left : PIPE_BUF;
        run->is_unheard = !wait_for_reader(run);
        const ssize_t n = run->is_unheard ? 0 : write(STDOUT_FILENO, text + at, part);
        at += n > 0 ? (size_t)n : 0;
        run->is_unheard = run->is_unheard || (n < 0 && errno != EINTR);
    }
}

static bool is_heard(const struct run *run, struct error *err)
{
    return !run->is_unheard ||
           error_set(err, ERROR_SYSTEM, "standard output: the answer could not be written");
}

static void note_failures(struct run *run, const struct generation_item *item)
{
    for (int i = 0; i < item->answer.n_choices && run->failure.kind == ERROR_NONE; i++)
        if (item->answer.failure[i].kind != ERROR_NONE) {
            run->failure = item->answer.failure[i];
            error_in(&run->failure, "prompt %zu", item->number);
        }
}

static bool is_json(const struct options *options) { return options->json || options->jsonl; }

static void add_answer(struct run *run, const struct generation_item *item)
{
    const bool lines = run->options->jsonl;
    struct bytes *text = &run->text;
    bytes_clear(text);
    if (!is_json(run->options)) {
        for (int i = 0; i < item->answer.n_choices; i++) {
            bytes_add_text(text, run->n_written + (size_t)i > 0 ? "\n" : "");
            bytes_add(text, item->answer.output[i].text.data, item->answer.output[i].text.len);
            bytes_add_char(text, '\n');
        }
        return;
    }
    if (!lines)
        bytes_add_text(text, run->n_written > 0 ? ",\n" : "[\n");
    answer_json_write(text, item, &run->generation.sampling, lines);
    if (lines)
        bytes_add_char(text, '\n');
}

static bool write_answer(void *context, const struct generation_item *item, struct error *err)
{
    struct run *run = context;
    note_failures(run, item);
    add_answer(run, item);
    if (run->progress.is_terminal && isatty(STDOUT_FILENO))
        progress_hide(&run->progress);
    write_out(run, run->text.data, run->text.len);
    run->n_written++;
    progress_update(&run->progress, run->n_written, run->generation.n_tokens);
    return is_heard(run, err);
}

static bool show_progress(void *context, const struct generation_item *item, int choice)
{
    struct run *run = context;
    (void)item;
    (void)choice;
    progress_update(&run->progress, run->n_written, run->generation.n_tokens);
    return true;
}

static bool next_prompt(void *context, bool *more, struct error *err)
{
    struct run *run = context;
    const bool good = prompts_next(&run->prompts, more, err);
    run->progress.total = prompts_total(&run->prompts);
    return good;
}

/* What is complete behind one that is not: an object says which it is, a text does not. */
static void write_the_rest(struct run *run)
{
    const struct generation *g = &run->generation;
    struct error ignored = {0};
    for (size_t i = 0; is_json(run->options) && i < g->n_submitted; i++)
        if (g->item[i]->answer.n_left == 0 && !run->is_unheard)
            write_answer(run, g->item[i], &ignored);
}

/* The only answer, as it comes. */
static bool run_streamed(struct run *run, struct error *err)
{
    const struct generation_hooks hooks = {.progress = stream_show, .context = &run->stream};
    const bool good = generation_run(&run->generation, &run->session, &hooks, err);
    printf("\n");
    if (good)
        note_failures(run, run->generation.item[0]);
    return good;
}

static bool run_all(struct run *run, struct error *err)
{
    const struct generation_hooks hooks = {
        .progress = show_progress, .next = next_prompt, .done = write_answer, .context = run};
    const bool shows = run->options->prompts_file != NULL && !run->options->quiet;
    progress_begin(&run->progress, "prompts", prompts_total(&run->prompts), !shows);
    const bool good = generation_run(&run->generation, &run->session, &hooks, err);
    if (!good)
        write_the_rest(run);
    if (run->options->json && !run->options->jsonl && run->n_written > 0)
        write_out(run, "\n]\n", 3);
    progress_end(&run->progress, run->n_written, run->generation.n_tokens);
    return good && is_heard(run, err);
}

static bool run_open(struct run *run, struct error *err)
{
    struct generation *g = &run->generation;
    if (!generation_init(g, run->options, &run->session, err) ||
        !prompts_begin(&run->prompts, &run->session, g, err))
        return false;
    const bool streams = !is_json(run->options) && run->options->prompts_file == NULL &&
                         g->n_items == 1 && g->sampling.n_choices == 1;
    if (!(streams ? run_streamed(run, err) : run_all(run, err)))
        return false;
    *err = run->failure;
    return run->failure.kind == ERROR_NONE;
}

bool cmd_generate(const struct options *options, const volatile sig_atomic_t *interrupt,
                  struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    struct run run = {.options = options, .session.interrupt = interrupt};
    const bool good = prompts_open(&run.prompts, options, interrupt, err) &&
                      model_path_find(folder, options->model, "config.json", err) &&
                      session_open(&run.session, options, folder, interrupt, err) &&
                      run_open(&run, err);
    generation_release(&run.generation);
    session_close(&run.session);
    prompts_close(&run.prompts);
    bytes_release(&run.text);
    return good;
}
