/* Rounds: wait for the ranks, take what they say, tell it. */
#include "launcher/library/library.h"

#include <errno.h>
#include <sys/eventfd.h>

static void settle(struct phalanx_model *model)
{
    while (api_settle(&model->service.api))
        continue;
}

/* Fills *err of a wait that phalanx_interrupt() has ended. Always false. */
static bool fail_interrupted(struct phalanx_error *err)
{
    const struct error why = {.text = "interrupted", .code = "interrupted"};
    library_fail(err, &why);
    if (err != NULL)
        err->kind = PHALANX_ERROR_INTERRUPTED;
    return false;
}

/* What there is, after at most timeout_ms (-1: when there is something). False: the ranks are lost
 * for good, which is kept and said again, or the system refuses. */
static bool take_round(struct phalanx_model *model, int timeout_ms, bool *interrupted,
                       struct error *err)
{
    struct session *session = &model->service.session;
    if (!model_has_ranks(model, err) || !watch_wait(&model->watch, timeout_ms, interrupted, err))
        return false;
    model->is_running = true;
    const bool good = session_step(session, &model->loss); /* before text functions ask */
    if (model->is_ready)
        settle(model);
    model->is_running = false;
    requests_end_unwanted(model);
    if (good && model_be_ready(model, &model->loss))
        return watch_update(&model->watch, session, err);
    watch_stop(&model->watch);
    return model_has_ranks(model, err);
}

/* In the locale of numbers; text functions have their own meanwhile. */
static bool run_round(struct phalanx_model *model, int timeout_ms, bool *interrupted,
                      struct error *err)
{
    model->theirs = uselocale(model->numbers);
    const bool good = take_round(model, timeout_ms, interrupted, err);
    uselocale(model->theirs);
    return good;
}

/* A text function that waits would be called by itself. */
static bool may_run(const struct phalanx_model *model, struct error *err)
{
    if (!model_may_run(model, err))
        return false;
    return !model->is_running ||
           error_set(err, ERROR_INPUT,
                     "a phalanx_text_fn may look, ask, cancel and release, but not run or wait");
}

bool phalanx_run(struct phalanx_model *model, struct phalanx_error *err)
{
    struct error why = {0};
    bool interrupted = false;
    if (!may_run(model, &why) || !model_has_ranks(model, &why))
        return library_fail(err, &why);
    while ((model->n_open > 0 || !model->is_ready) && !interrupted)
        if (!run_round(model, -1, &interrupted, &why))
            return library_fail(err, &why);
    return !interrupted || fail_interrupted(err);
}

bool phalanx_step(struct phalanx_model *model, int timeout_ms, struct phalanx_error *err)
{
    struct error why = {0};
    bool interrupted;
    return (may_run(model, &why) &&
            run_round(model, timeout_ms > 0 ? timeout_ms : 0, &interrupted, &why)) ||
           library_fail(err, &why);
}

/* One that was released by a text function meanwhile. */
static bool fail_released(struct phalanx_request *r, struct phalanx_error *err)
{
    struct error why = {0};
    request_free(r);
    error_set(&why, ERROR_INPUT, "the request was released while it was waited for");
    return library_fail(err, &why);
}

bool phalanx_wait(struct phalanx_request *r, struct phalanx_error *err)
{
    struct error why = {0};
    bool good = true, interrupted = false;
    if (r == NULL)
        return false;
    if (!may_run(r->model, &why))
        return library_fail(err, &why);
    r->is_awaited = true;
    while (good && !interrupted && !phalanx_is_done(r))
        good = run_round(r->model, -1, &interrupted, &why);
    r->is_awaited = false;
    if (interrupted && phalanx_is_done(r))
        phalanx_interrupt(r->model); /* this wait has another end: it is for the next one */
    if (r->is_released)
        return fail_released(r, err);
    if (!phalanx_is_done(r))
        return good ? fail_interrupted(err) : library_fail(err, &why);
    return r->failure.kind == ERROR_NONE || library_fail(err, &r->failure);
}

bool phalanx_is_done(const struct phalanx_request *r)
{
    return r == NULL || (r->generate == NULL && r->pool == NULL);
}

struct phalanx_request *phalanx_next_done(struct phalanx_model *model)
{
    struct phalanx_request *r = model != NULL ? model->first_done : NULL;
    if (r != NULL)
        request_be_told(r);
    return r;
}

int phalanx_fd(const struct phalanx_model *model) { return model != NULL ? model->watch.all : -1; }

/* Only what a signal handler may call. */
void phalanx_interrupt(const struct phalanx_model *model)
{
    const int before = errno;
    if (model != NULL && model_is_ours(model)) /* a child of fork() has the same file */
        eventfd_write(model->watch.wakeup, 1); /* one that is full says it already */
    errno = before;
}
