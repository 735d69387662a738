/* A model: opened, run, closed. */
#include "base/check.h"
#include "base/log.h"
#include "base/system.h"
#include "launcher/library/library.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_OPTIONS = 1024,  /* words */
    MAX_QUEUE = 1 << 20, /* sequences: the program knows what it asks */
};

const char *phalanx_version(void) { return PHALANX_VERSION; }

bool library_fail(struct phalanx_error *out, const struct error *err)
{
    if (out == NULL)
        return false;
    *out = (struct phalanx_error){.kind = (enum phalanx_error_kind)err->kind};
    snprintf(out->text, sizeof out->text, "%s", err->text);
    snprintf(out->param, sizeof out->param, "%s", err->param);
    snprintf(out->code, sizeof out->code, "%s", err->code);
    return false;
}
_Static_assert((int)PHALANX_ERROR_INPUT == (int)ERROR_INPUT &&
                   (int)PHALANX_ERROR_LIMIT == (int)ERROR_LIMIT &&
                   (int)PHALANX_ERROR_UNSUPPORTED == (int)ERROR_UNSUPPORTED &&
                   (int)PHALANX_ERROR_SYSTEM == (int)ERROR_SYSTEM &&
                   (int)PHALANX_ERROR_PEER == (int)ERROR_PEER,
               "the kinds of errors are the same outside");

/* ---- open and close ---- */

/* The model is given by its key, so that nothing it is called is taken for an option or a file of
 * options. */
static bool read_options(struct phalanx_model *out, const char *model, const char *const *option,
                         int n_options, struct error *err)
{
    static const char key[] = "model=";
    struct arena *arena = &out->words;
    if (n_options < 0 || n_options > MAX_OPTIONS)
        return error_set(err, ERROR_INPUT, "want 0 to %d options, got %d", MAX_OPTIONS, n_options);
    char **word = arena_alloc(arena, (size_t)n_options + 1, sizeof *word);
    const size_t n_model = strlen(model);
    word[0] = arena_alloc(arena, sizeof key + n_model, 1);
    memcpy(word[0], key, sizeof key - 1);
    memcpy(word[0] + sizeof key - 1, model, n_model + 1);
    for (int i = 0; i < n_options; i++)
        word[1 + i] = arena_copy_text(arena, option[i], strlen(option[i]));
    return options_parse(&out->options, COMMAND_LIBRARY, n_options + 1, word, err);
}

static bool open_model(struct phalanx_model *out, const char *model, const char *const *option,
                       int n_options, struct error *err)
{
    struct options *options = &out->options;
    out->service.session.interrupt = &out->interrupt;
    if (!read_options(out, model, option, n_options, err))
        return false;
    log_set(log_level_named(options->log_level), -1);
    return model_path_find_draft(options, err) &&
           service_open(&out->service, options, MAX_QUEUE, &out->interrupt, err);
}

static void close_model(struct phalanx_model *model)
{
    service_close(&model->service);
    options_release(&model->options);
    arena_release(&model->words);
    memory_free(model);
}

struct phalanx_model *phalanx_open(const char *model, const char *const *option, int n_options,
                                   struct phalanx_error *err)
{
    struct error why = {0};
    struct phalanx_model *out = memory_alloc(1, sizeof *out);
    if (open_model(out, model != NULL ? model : "", option, n_options, &why))
        return out;
    library_fail(err, &why);
    close_model(out);
    return NULL;
}

void phalanx_close(struct phalanx_model *model)
{
    if (model == NULL)
        return;
    check(!model->is_running);
    while (model->first != NULL)
        phalanx_release(model->first);
    close_model(model);
}

const char *phalanx_about(const struct phalanx_model *model)
{
    return model->service.session.about;
}

int phalanx_max_model_len(const struct phalanx_model *model)
{
    return model->service.session.max_model_len;
}

/* ---- run ---- */

static void settle(struct phalanx_model *model)
{
    while (api_settle(&model->service.api))
        continue;
}

/* What was cancelled while answers were looked at. */
static void end_unwanted(struct phalanx_model *model)
{
    if (!model->any_unwanted)
        return;
    model->any_unwanted = false;
    for (struct phalanx_request *r = model->first; r != NULL; r = r->next)
        if (r->is_unwanted)
            phalanx_cancel(r);
}

/* Until something is there, at most so long. */
static bool wait_for_ranks(struct session *session, int timeout_ms, struct error *err)
{
    struct pollfd fd[SESSION_MAX_WATCHED];
    int64_t until_ns;
    int n;
    session_watch(session, fd, &n, &until_ns);
    const int64_t left_ms = (until_ns - clock_now_ns()) / 1000000 + 1;
    const int64_t wait_ms = left_ms < timeout_ms ? left_ms : timeout_ms;
    return poll(fd, (nfds_t)n, wait_ms > 0 ? (int)wait_ms : 0) >= 0 || errno == EINTR ||
           error_errno(err, "waiting for the ranks");
}

bool library_round(struct phalanx_model *model, int timeout_ms, struct error *err)
{
    struct session *session = &model->service.session;
    const size_t in_flight = dispatch_in_flight(session->dispatch);
    check(!model->is_running); /* a phalanx_text_fn must not run its model */
    model->is_running = true;
    const bool good = timeout_ms < 0
                          ? in_flight == 0 || session_run(session, in_flight - 1, err)
                          : wait_for_ranks(session, timeout_ms, err) && session_step(session, err);
    settle(model);
    model->is_running = false;
    end_unwanted(model);
    return good;
}

bool phalanx_run(struct phalanx_model *model, struct phalanx_error *err)
{
    struct error why = {0};
    while (model->n_open > 0)
        if (!library_round(model, -1, &why))
            return library_fail(err, &why);
    return true;
}

bool phalanx_step(struct phalanx_model *model, int timeout_ms, struct phalanx_error *err)
{
    struct error why = {0};
    return library_round(model, timeout_ms > 0 ? timeout_ms : 0, &why) || library_fail(err, &why);
}
