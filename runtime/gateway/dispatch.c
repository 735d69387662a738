/* Requests and engines: which goes where, and what is sent. */
#include "runtime/gateway/dispatch.h"

#include "base/memory.h"
#include "base/system.h"
#include "runtime/gateway/dispatch_state.h"
#include "runtime/gateway/router.h"

/* ---- life ---- */

struct dispatch *dispatch_create(int n_engines)
{
    struct dispatch *dispatch = memory_alloc(1, sizeof *dispatch);
    dispatch->journal = journal_create(n_engines);
    dispatch->router = router_create();
    dispatch->n_engines = n_engines;
    dispatch->ward = JOURNAL_NOWHERE;
    return dispatch;
}

void dispatch_destroy(struct dispatch *dispatch)
{
    if (dispatch == NULL)
        return;
    journal_destroy(dispatch->journal);
    router_destroy(dispatch->router);
    memory_free(dispatch);
}

/* ---- to engines ---- */

void dispatch_fail_entry(struct dispatch *dispatch, struct journal_entry *entry,
                         const struct error *why)
{
    const struct dispatch_listener listener = entry->listener;
    journal_remove(dispatch->journal, entry);
    listener.failed(listener.context, why);
}

static void send_command(struct engine *engine, const struct link_command *command)
{
    if (engine->broken.kind == ERROR_NONE)
        link_send_command(engine->link, command, &engine->broken);
}

void dispatch_send_cancel(struct dispatch *dispatch, const struct journal_entry *entry)
{
    const struct link_command cancel = {.kind = LINK_CANCEL, .cancel_id = entry->wire_id};
    if (entry->engine != JOURNAL_NOWHERE)
        send_command(&dispatch->engine[entry->engine], &cancel);
}

/* Whether it can be sent something. */
static bool is_there(const struct engine *engine)
{
    return engine->link != NULL && engine->broken.kind == ERROR_NONE;
}

static void send_entry(struct dispatch *dispatch, struct journal_entry *entry, int number)
{
    struct engine *engine = &dispatch->engine[number];
    struct link_command command = {.kind = LINK_SUBMIT};
    struct error err = {0};
    journal_send(dispatch->journal, entry, number, &command.submit);
    if (link_send_command(engine->link, &command, &err))
        return;
    if (err.kind == ERROR_PEER) {
        engine->broken = err;
        journal_recall(dispatch->journal, entry); /* it never got there */
    } else {
        dispatch_fail_entry(dispatch, entry, &err);
    }
}

/* ---- suspects ---- */

static bool takes_requests(const struct dispatch *dispatch, int engine)
{
    return is_there(&dispatch->engine[engine]) && sleepers_is_awake(&dispatch->sleepers, engine);
}

static size_t load_of(const struct dispatch *dispatch, int engine)
{
    return journal_count_at(dispatch->journal, engine);
}

/* Whether the ward has a suspect: then nothing else. */
static bool ward_tries(struct dispatch *dispatch)
{
    const struct journal_entry *entry =
        dispatch->ward != JOURNAL_NOWHERE ? journal_at(dispatch->journal, dispatch->ward) : NULL;
    return entry != NULL && journal_is_suspect(entry);
}

/* Suspects need an engine of their own: one that is there, and has the least to end before. */
static void choose_ward(struct dispatch *dispatch)
{
    const bool any = journal_waiting(dispatch->journal, true) != NULL || ward_tries(dispatch);
    if (any && dispatch->ward != JOURNAL_NOWHERE && takes_requests(dispatch, dispatch->ward))
        return;
    dispatch->ward = JOURNAL_NOWHERE;
    for (int i = 0; any && i < dispatch->n_engines; i++)
        if (takes_requests(dispatch, i) &&
            (dispatch->ward == JOURNAL_NOWHERE ||
             load_of(dispatch, i) < load_of(dispatch, dispatch->ward)))
            dispatch->ward = i;
}

static int choose_engine(struct dispatch *dispatch, const struct journal_entry *entry)
{
    int load[JOURNAL_MAX_ENGINES];
    for (int i = 0; i < dispatch->n_engines; i++)
        load[i] = takes_requests(dispatch, i) && i != dispatch->ward ? (int)load_of(dispatch, i)
                                                                     : ROUTER_NOBODY;
    const struct router_prompt prompt = {.token = entry->submit.prompt,
                                         .n_tokens = entry->submit.n_prompt,
                                         .cache_key = entry->submit.cache_key,
                                         .n_cache_key = entry->submit.n_cache_key};
    return router_choose(dispatch->router, &prompt, load, dispatch->n_engines);
}

/* To sleep, or up again, who should and can. */
static void send_to_sleep(struct dispatch *dispatch)
{
    struct link_command command;
    int engine;
    const bool idle = journal_count(dispatch->journal) == 0;
    while (sleepers_next(&dispatch->sleepers, idle, &engine, &command))
        send_command(&dispatch->engine[engine], &command);
    sleepers_tell(&dispatch->sleepers, idle);
}

/* Sends what waits and can be sent. */
static void send_waiting(struct dispatch *dispatch)
{
    struct journal_entry *entry;
    int engine;
    if (dispatch->is_sending)
        return;
    dispatch->is_sending = true;
    for (choose_ward(dispatch);
         dispatch->ward != JOURNAL_NOWHERE && load_of(dispatch, dispatch->ward) == 0 &&
         (entry = journal_waiting(dispatch->journal, true)) != NULL;
         choose_ward(dispatch))
        send_entry(dispatch, entry, dispatch->ward);
    while ((entry = journal_waiting(dispatch->journal, false)) != NULL &&
           (engine = choose_engine(dispatch, entry)) != ROUTER_NOBODY)
        send_entry(dispatch, entry, engine);
    dispatch->is_sending = false;
    send_to_sleep(dispatch);
}

void dispatch_release_suspect(struct dispatch *dispatch, struct journal_entry *entry)
{
    if (journal_waiting(dispatch->journal, true) == NULL)
        return;
    dispatch_send_cancel(dispatch, entry);
    journal_recall(dispatch->journal, entry);
}

/* ---- engines come and go ---- */

void dispatch_attach(struct dispatch *dispatch, int engine, struct link *link)
{
    struct engine *there = &dispatch->engine[engine];
    there->link = link;
    there->heard_ns = clock_now_ns();
    sleepers_come(&dispatch->sleepers, engine);
    router_forget(dispatch->router, engine);
    send_waiting(dispatch);
}

/* An engine that ended with a suspect had nothing else. */
static void fail_poison(struct dispatch *dispatch, struct journal_entry *entry)
{
    struct error why = {0};
    error_set(&why, ERROR_SYSTEM,
              "engine_crash: the engine ended %d times when it had this request and nothing had "
              "come of it, at last without any other; it is not tried again",
              JOURNAL_SUSPECT + 1);
    error_code(&why, "engine_crash");
    dispatch_fail_entry(dispatch, entry, &why);
}

struct dispatch_loss dispatch_detach(struct dispatch *dispatch, int engine)
{
    struct engine *gone = &dispatch->engine[engine];
    const bool was_heard = gone->was_heard;
    struct journal_entry *entry = journal_at(dispatch->journal, engine);
    gone->link = NULL;
    gone->broken = (struct error){0};
    gone->was_heard = false;
    gone->heard_ns = 0;
    engine_stats_lose(&gone->stats);
    sleepers_leave(&dispatch->sleepers, engine);
    if (entry != NULL && journal_is_suspect(entry))
        fail_poison(dispatch, entry);
    const struct dispatch_loss loss = {load_of(dispatch, engine), was_heard};
    journal_lose(dispatch->journal, engine);
    send_waiting(dispatch);
    return loss;
}

/* ---- from engines ---- */

bool dispatch_flush(struct dispatch *dispatch, int engine)
{
    struct engine *to = &dispatch->engine[engine];
    bool all_sent = true;
    /* of one that broke no more is sent: its end is there to be taken */
    return !is_there(to) || !link_flush(to->link, &all_sent, &to->broken) || all_sent;
}

/* What becomes events for readers; all else costs them nothing. */
static bool is_for_readers(const struct link_event *event)
{
    return event->kind == LINK_TOKENS || event->kind == LINK_PROMPT_LOGPROBS;
}

bool dispatch_take(struct dispatch *dispatch, int engine, size_t at_most, struct error *err)
{
    struct engine *from = &dispatch->engine[engine];
    const bool was_broken = !is_there(from);
    bool got = true;
    int n_steps = 0;
    while (got && n_steps < DISPATCH_MAX_STEPS &&
           (at_most == 0 || dispatch_in_flight(dispatch) > at_most)) {
        struct link_event event;
        if (!link_receive_event(from->link, &event, &got, err) ||
            (got && !dispatch_give(dispatch, engine, &event, err)))
            return false;
        n_steps += got && is_for_readers(&event);
    }
    send_waiting(dispatch);
    dispatch_flush(dispatch, engine);
    if (got || !was_broken)
        return true; /* what came before it broke is there next time: maybe why it did */
    *err = from->broken;
    return false;
}

bool dispatch_has_more(const struct dispatch *dispatch, int engine)
{
    const struct link *link = dispatch->engine[engine].link;
    return link != NULL && link_has_message(link);
}

/* ---- how engines are ---- */

const struct link_stats *dispatch_stats(const struct dispatch *dispatch, int engine)
{
    return engine_stats_now(&dispatch->engine[engine].stats);
}

int64_t dispatch_heard_ns(const struct dispatch *dispatch, int engine)
{
    return dispatch->engine[engine].heard_ns;
}

void dispatch_ping(struct dispatch *dispatch)
{
    const struct link_command ping = {.kind = LINK_PING};
    for (int i = 0; i < dispatch->n_engines; i++)
        if (is_there(&dispatch->engine[i]))
            send_command(&dispatch->engine[i], &ping);
}

/* ---- sleep ---- */

void dispatch_sleep(struct dispatch *dispatch, enum link_sleep level, sleepers_fn *done,
                    void *context)
{
    sleepers_ask(&dispatch->sleepers, level, done, context);
    send_waiting(dispatch);
}

enum link_sleep dispatch_asleep(const struct dispatch *dispatch)
{
    return dispatch->sleepers.wanted;
}

/* ---- requests ---- */

void dispatch_submit(struct dispatch *dispatch, struct link_submit *submit,
                     const struct dispatch_listener *listener)
{
    journal_add(dispatch->journal, submit, listener);
    send_waiting(dispatch);
}

void dispatch_cancel(struct dispatch *dispatch, uint64_t id)
{
    struct journal_entry *entry = journal_find_id(dispatch->journal, id);
    if (entry == NULL)
        return;
    dispatch_send_cancel(dispatch, entry);
    journal_remove(dispatch->journal, entry);
    send_waiting(dispatch); /* a suspect may have waited for this one to end */
}

size_t dispatch_in_flight(const struct dispatch *dispatch)
{
    return journal_count(dispatch->journal);
}

uint64_t dispatch_events(const struct dispatch *dispatch) { return dispatch->n_events; }

void dispatch_expire(struct dispatch *dispatch, int64_t now_ns)
{
    struct journal_entry *entry;
    while ((entry = journal_overdue(dispatch->journal, now_ns)) != NULL) {
        const struct dispatch_listener listener = entry->listener;
        const struct link_token end = {
            .id = entry->id, .token = -1, .finish = FINISH_ABORT, .stop_token = -1};
        journal_remove(dispatch->journal, entry);
        listener.token(listener.context, &end);
    }
    send_to_sleep(dispatch);
}

int64_t dispatch_next_deadline(const struct dispatch *dispatch)
{
    return journal_next_deadline(dispatch->journal);
}

/* Any entry; NULL: none is left. */
static struct journal_entry *any_entry(struct dispatch *dispatch)
{
    struct journal_entry *entry = journal_waiting(dispatch->journal, false);
    if (entry == NULL)
        entry = journal_waiting(dispatch->journal, true);
    for (int i = 0; entry == NULL && i < dispatch->n_engines; i++)
        entry = journal_at(dispatch->journal, i);
    return entry;
}

void dispatch_fail_all(struct dispatch *dispatch, const struct error *why)
{
    struct journal_entry *entry;
    while ((entry = any_entry(dispatch)) != NULL) {
        dispatch_send_cancel(dispatch, entry);
        dispatch_fail_entry(dispatch, entry, why);
    }
    send_to_sleep(dispatch);
}

void dispatch_cancel_all(struct dispatch *dispatch)
{
    struct journal_entry *entry;
    while ((entry = any_entry(dispatch)) != NULL) {
        dispatch_send_cancel(dispatch, entry);
        journal_remove(dispatch->journal, entry);
    }
    send_to_sleep(dispatch);
}
