/* What the gateway asks of the engine, between two steps. */
#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "parallel/ranks.h"
#include "runtime/engine_state.h"
#include "runtime/link/engine_link.h"
#include "runtime/outbox.h"
#include "runtime/pooler.h"
#include "runtime/reporter.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

enum { WATCH_MS = 250 }; /* between two looks whether another rank is lost, without work */

/* ---- commands ---- */

void engine_heed(struct engine *e, bool good, const struct error *why)
{
    if (good || e->stopping)
        return;
    log_write(LOG_INFO, "engine", "the gateway is gone: %s", why->text);
    e->stopping = true;
}

static void take_submit(struct engine *e, const struct link_submit *submit)
{
    struct error err = {0}, lost = {0};
    const struct request_source source = {.id = submit->id,
                                          .prompt = submit->prompt,
                                          .n_prompt = submit->n_prompt,
                                          .output = submit->output,
                                          .n_output = submit->n_output,
                                          .params = &submit->params,
                                          .priority = submit->priority,
                                          .tenant = submit->tenant,
                                          .deadline_ns = submit->deadline_ns,
                                          .cache_key = submit->cache_key,
                                          .n_cache_key = submit->n_cache_key};
    if (!pooler_check(e->pooler, &submit->params, &err) ||
        !scheduler_submit(e->scheduler, &source, &err))
        engine_heed(e, outbox_send_failure(e->outbox, submit->id, &err, &lost), &lost);
}

/* Nobody half awakes: from a deep sleep there is only the whole way up. */
static void ask_rest(struct engine *e, enum plan_rest rest)
{
    e->wanted_rest = rest == PLAN_AWAKE || rest > e->rest ? rest : e->rest;
    e->owes_rest = true;
}

static void take_command(struct engine *e, const struct link_command *command)
{
    struct error err = {0};
    switch (command->kind) {
    case LINK_SUBMIT:
        take_submit(e, &command->submit);
        break;
    case LINK_CANCEL:
        scheduler_cancel(e->scheduler, command->cancel_id);
        break;
    case LINK_STOP:
        e->stopping = true;
        break;
    case LINK_PING:
        engine_heed(e, reporter_answer(e->reporter, &err), &err);
        break;
    case LINK_SLEEP:
        ask_rest(e, (enum plan_rest)command->sleep);
        break;
    }
}

void engine_take_commands(struct engine *e)
{
    bool got = true;
    while (got && !e->stopping) {
        struct link_command command;
        struct error err = {0};
        engine_heed(e, link_receive_command(e->is.link, &command, &got, &err), &err);
        if (!got || e->stopping)
            return;
        take_command(e, &command);
    }
}

/* ---- time ---- */

void engine_expire_deadlines(struct engine *e)
{
    if (scheduler_next_deadline(e->scheduler) == INT64_MAX)
        return;
    const int64_t now = clock_now_ns();
    for (uint64_t id; (id = scheduler_expire(e->scheduler, now)) != 0;) {
        struct error err = {0};
        engine_heed(e, outbox_send_abort(e->outbox, id, &err), &err);
    }
}

/* For poll(): -1 for ever, but with other ranks, one of which may be lost meanwhile. */
static int ms_to_next_look(const struct engine *e)
{
    const int64_t deadline = scheduler_next_deadline(e->scheduler);
    const int most = e->ranks->watchdog != NULL ? WATCH_MS : INT_MAX;
    if (deadline == INT64_MAX)
        return most < INT_MAX ? most : -1;
    const int64_t left = deadline - clock_now_ns();
    const int64_t ms = left > 0 ? left / 1000000 + 1 : 0;
    return ms < most ? (int)ms : most;
}

void engine_serve_link(struct engine *e, bool has_work)
{
    struct error err = {0};
    bool all_sent = true;
    const bool good =
        reporter_tell(e->reporter, has_work, &err) && link_flush(e->is.link, &all_sent, &err);
    engine_heed(e, good, &err);
    if (has_work || e->stopping)
        return;
    struct pollfd wait = {.fd = link_fd(e->is.link),
                          .events = (short)(POLLIN | (all_sent ? 0 : POLLOUT))};
    if (poll(&wait, 1, ms_to_next_look(e)) < 0 && errno != EINTR) {
        error_errno(&err, "waiting for the gateway");
        engine_heed(e, false, &err);
    }
}
