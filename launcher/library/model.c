/* A model: opened, asked about, closed. */
#include "base/check.h"
#include "base/log.h"
#include "launcher/library/library.h"
#include "runtime/options/options.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
_Static_assert(sizeof(struct phalanx_error) == 1024 && sizeof(struct phalanx_logprob) == 48,
               "programs have these sizes in them");

/* ---- open and close ---- */

static bool check_options(const char *const *option, int n_options, struct error *err)
{
    if (n_options < 0 || n_options > MAX_OPTIONS)
        return error_set(err, ERROR_INPUT, "want 0 to %d options, got %d", MAX_OPTIONS, n_options);
    for (int i = 0; i < n_options; i++)
        if (option == NULL || option[i] == NULL)
            return error_set(err, ERROR_INPUT, "option %d of %d is NULL", i + 1, n_options);
    return true;
}

/* A socket that took the place of standard error would get the lines that are meant for it. */
static bool check_standard_files(struct error *err)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return error_set(err, ERROR_SYSTEM,
                             "file %d is closed, and another one could take its place: open "
                             "/dev/null there first",
                             fd);
    return true;
}

/* The model is given by its key, so that nothing it is called is taken for an option or a file of
 * options. */
static bool read_options(struct phalanx_model *out, const char *model, const char *const *option,
                         int n_options, struct error *err)
{
    static const char key[] = "model=";
    struct arena *arena = &out->words;
    if (!check_options(option, n_options, err))
        return false;
    char **word = arena_alloc(arena, (size_t)n_options + 1, sizeof *word);
    const size_t n_model = strlen(model);
    word[0] = arena_alloc(arena, sizeof key + n_model, 1);
    memcpy(word[0], key, sizeof key - 1);
    memcpy(word[0] + sizeof key - 1, model, n_model + 1);
    for (int i = 0; i < n_options; i++)
        word[1 + i] = arena_copy_text(arena, option[i], strlen(option[i]));
    return options_parse(&out->options, COMMAND_LIBRARY, n_options + 1, word, err);
}

static bool begin(struct phalanx_model *out, const char *model, const char *const *option,
                  int n_options, struct error *err)
{
    struct options *options = &out->options;
    out->service.session.interrupt = &out->interrupt;
    if (out->numbers == (locale_t)0)
        return error_errno(err, "the locale \"C\"");
    if (!check_standard_files(err) || !read_options(out, model, option, n_options, err))
        return false;
    log_set(log_level_named(options->log_level), -1);
    return watch_open(&out->watch, err) && model_path_find_draft(options, err) &&
           service_begin(&out->service, options, &out->interrupt, err) &&
           watch_update(&out->watch, &out->service.session, err);
}

bool model_be_ready(struct phalanx_model *model, struct error *err)
{
    if (model->is_ready || !model->service.session.is_open)
        return true;
    model->is_ready = service_join(&model->service, &model->options, MAX_QUEUE, err);
    return model->is_ready;
}

static void close_model(struct phalanx_model *model)
{
    service_close(&model->service);
    watch_close(&model->watch);
    options_release(&model->options);
    arena_release(&model->words);
    if (model->numbers != (locale_t)0)
        freelocale(model->numbers);
    memory_free(model);
}

struct phalanx_model *phalanx_begin(const char *model, const char *const *option, int n_options,
                                    struct phalanx_error *err)
{
    struct error why = {0};
    struct phalanx_model *out = memory_alloc(1, sizeof *out);
    out->process = getpid();
    out->watch = (struct library_watch){.all = -1, .ranks = -1, .timer = -1, .wakeup = -1};
    out->numbers = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const locale_t theirs = uselocale(out->numbers);
    const bool good = begin(out, model != NULL ? model : "", option, n_options, &why);
    uselocale(theirs);
    if (good)
        return out;
    library_fail(err, &why);
    close_model(out);
    return NULL;
}

struct phalanx_model *phalanx_open(const char *model, const char *const *option, int n_options,
                                   struct phalanx_error *err)
{
    struct phalanx_model *out = phalanx_begin(model, option, n_options, err);
    if (out == NULL || phalanx_run(out, err))
        return out;
    phalanx_close(out);
    return NULL;
}

bool phalanx_is_ready(const struct phalanx_model *model)
{
    return model != NULL && model->is_ready;
}

void phalanx_close(struct phalanx_model *model)
{
    if (model == NULL || !model_is_ours(model))
        return;
    check(!model->is_running); /* the phalanx_run() that called it would go on without a model */
    while (model->first != NULL)
        phalanx_release(model->first);
    close_model(model);
}

bool model_is_ours(const struct phalanx_model *model) { return model->process == getpid(); }

bool model_may_run(const struct phalanx_model *model, struct error *err)
{
    if (model == NULL)
        return error_set(err, ERROR_INPUT, "the model is NULL: phalanx_open() has told why");
    return model_is_ours(model) ||
           error_set(err, ERROR_INPUT,
                     "the model belongs to process %d: after fork() a child has to open its own",
                     (int)model->process);
}

bool model_has_ranks(const struct phalanx_model *model, struct error *err)
{
    if (model->loss.kind != ERROR_NONE)
        *err = model->loss;
    return model->loss.kind == ERROR_NONE;
}

bool model_is_usable(const struct phalanx_model *model, struct error *err)
{
    if (!model_may_run(model, err))
        return false;
    if (model->is_ready)
        return true;
    error_set(err, ERROR_LIMIT, "the ranks are not ready yet: phalanx_run() waits for them");
    return error_code(err, "not_ready");
}

/* ---- what it is ---- */

const char *phalanx_about(const struct phalanx_model *model)
{
    return phalanx_is_ready(model) ? model->service.session.about : "";
}

int phalanx_max_model_len(const struct phalanx_model *model)
{
    return phalanx_is_ready(model) ? model->service.session.max_model_len : 0;
}

int phalanx_vocab_size(const struct phalanx_model *model)
{
    return phalanx_is_ready(model) ? model->service.session.vocab : 0;
}

int phalanx_embedding_size(const struct phalanx_model *model)
{
    return phalanx_is_ready(model) ? model->service.session.hidden_size : 0;
}

int phalanx_labels(const struct phalanx_model *model)
{
    return phalanx_is_ready(model) ? model->service.session.n_labels : 0;
}

const char *phalanx_label(struct phalanx_model *model, int label)
{
    if (label < 0 || label >= phalanx_labels(model))
        return NULL;
    return pooling_label(&model->service.api.model.head, label, model->label);
}
