#include "runtime/api/sleep.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/api/admission.h"
#include "runtime/api/reading.h"
#include "runtime/gateway/dispatch.h"

struct sleep_waiter {
    struct api *api;
    sleep_done_fn *done;
    void *context;
    bool wants_sleep;
    struct error failure; /* kind ERROR_NONE: none */
    struct sleep_waiter *next;
};

/* The dispatch has it as it was asked for; one that was asked for before is no news. */
static void reached(void *context, bool good)
{
    struct api *api = context;
    struct admission *admission = api->admission;
    if (!good)
        return;
    api->rest.is_under_way = false;
    if (dispatch_asleep(api->dispatch) == LINK_NOT_ASLEEP && admission->state == ADMISSION_SLEEPING)
        admission->state = ADMISSION_OPEN;
}

static void supersede(struct api *api, bool wants_sleep)
{
    for (struct sleep_waiter *call = api->rest.first; call != NULL; call = call->next)
        if (call->wants_sleep != wants_sleep && call->failure.kind == ERROR_NONE) {
            error_set(&call->failure, ERROR_LIMIT, "meanwhile somebody asked the model to %s",
                      wants_sleep ? "sleep" : "wake up");
            error_code(&call->failure, "superseded");
        }
}

/* Who was let in, but is not at an engine yet, would wait there until somebody wakes the model. */
static void close_doors(struct api *api)
{
    struct error why = {0};
    api->admission->state = ADMISSION_SLEEPING;
    error_set(&why, ERROR_LIMIT, "the model goes to sleep: wake it up first");
    error_code(&why, "sleeping");
    reading_fail_all(api, &why);
}

static void ask(struct api *api, enum link_sleep level)
{
    const enum link_sleep asked = dispatch_asleep(api->dispatch);
    const bool wants_sleep = level != LINK_NOT_ASLEEP;
    if (wants_sleep ? level <= asked : asked == LINK_NOT_ASLEEP)
        return;
    supersede(api, wants_sleep);
    if (wants_sleep)
        close_doors(api);
    api->rest.is_under_way = true;
    dispatch_sleep(api->dispatch, level, reached, api);
}

struct sleep_waiter *api_sleep(struct api *api, enum link_sleep level, sleep_done_fn *done,
                               void *context, struct error *err)
{
    const enum admission_state state = api->admission->state;
    if (state != ADMISSION_OPEN && state != ADMISSION_SLEEPING) {
        error_set(err, ERROR_LIMIT, "the server %s: it neither sleeps nor wakes now",
                  state == ADMISSION_DRAINING ? "is about to end" : "still starts");
        error_code(err, state == ADMISSION_DRAINING ? "draining" : "not_ready");
        return NULL;
    }
    struct sleep_waiter *call = memory_alloc(1, sizeof *call);
    *call = (struct sleep_waiter){.api = api,
                                  .done = done,
                                  .context = context,
                                  .wants_sleep = level != LINK_NOT_ASLEEP,
                                  .next = api->rest.first};
    api->rest.first = call;
    ask(api, level);
    return call;
}

static void unlist(struct sleep_waiter *call)
{
    struct sleep_waiter **at = &call->api->rest.first;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
}

void sleep_cancel(struct sleep_waiter *call)
{
    unlist(call);
    memory_free(call);
}

void api_sleep_fail(struct api *api, const struct error *why)
{
    for (struct sleep_waiter *call = api->rest.first; call != NULL; call = call->next)
        call->failure = *why;
}

bool api_is_asleep(const struct api *api) { return api->admission->state == ADMISSION_SLEEPING; }

/* NULL: none. */
static struct sleep_waiter *next_end(const struct api *api)
{
    struct sleep_waiter *call = api->rest.first;
    while (call != NULL && call->failure.kind == ERROR_NONE && api->rest.is_under_way)
        call = call->next;
    return call;
}

bool sleep_settle(struct api *api)
{
    struct sleep_waiter *call;
    bool any = false;
    while ((call = next_end(api)) != NULL) {
        unlist(call);
        call->done(call->context, call->failure.kind != ERROR_NONE ? &call->failure : NULL);
        memory_free(call);
        any = true;
    }
    return any;
}
