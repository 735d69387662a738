/* Ids count up and are never used twice, so a token that was on its way when its choice was
 * cancelled finds no entry and is dropped. */
#include "runtime/gateway/dispatch.h"

#include "base/memory.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <uthash.h>

enum { INTERRUPT_POLL_MS = 200 };

struct entry {
    uint64_t id;
    struct dispatch_listener listener;
    UT_hash_handle hh;
};

struct dispatch {
    struct link *link;
    struct entry *entries; /* by id */
    uint64_t last_id, n_events;
};

struct dispatch *dispatch_create(struct link *link)
{
    struct dispatch *dispatch = memory_alloc(1, sizeof *dispatch);
    dispatch->link = link;
    return dispatch;
}

static void remove_entry(struct dispatch *dispatch, struct entry *entry)
{
    HASH_DEL(dispatch->entries, entry);
    memory_free(entry);
}

void dispatch_destroy(struct dispatch *dispatch)
{
    if (dispatch == NULL)
        return;
    struct entry *entry, *next;
    HASH_ITER(hh, dispatch->entries, entry, next)
    remove_entry(dispatch, entry);
    memory_free(dispatch);
}

static struct entry *find_entry(struct dispatch *dispatch, uint64_t id)
{
    struct entry *entry;
    HASH_FIND(hh, dispatch->entries, &id, sizeof id, entry);
    return entry;
}

bool dispatch_submit(struct dispatch *dispatch, struct link_submit *submit,
                     const struct dispatch_listener *listener, struct error *err)
{
    submit->id = ++dispatch->last_id;
    const struct link_command command = {.kind = LINK_SUBMIT, .submit = *submit};
    if (!link_send_command(dispatch->link, &command, err))
        return false;
    struct entry *entry = memory_alloc(1, sizeof *entry);
    entry->id = submit->id;
    entry->listener = *listener;
    HASH_ADD(hh, dispatch->entries, id, sizeof entry->id, entry);
    return true;
}

static bool not_asked(const char *what, struct error *err)
{
    return error_set(err, ERROR_PEER, "the engine answered with %s, which nobody asked for", what);
}

static bool give_token(struct dispatch *dispatch, const struct link_token *token, struct error *err)
{
    struct entry *entry = find_entry(dispatch, token->id);
    if (entry == NULL)
        return true;
    if (entry->listener.token == NULL)
        return not_asked("tokens", err);
    const bool wanted = entry->listener.token(entry->listener.context, token);
    const bool ended = token->finish != FINISH_NONE;
    if (wanted && !ended)
        return true;
    remove_entry(dispatch, entry);
    const struct link_command cancel = {.kind = LINK_CANCEL, .cancel_id = token->id};
    return ended || link_send_command(dispatch->link, &cancel, err);
}

static bool give_prompt_logprobs(struct dispatch *dispatch, const struct link_event *event,
                                 struct error *err)
{
    const struct entry *entry = find_entry(dispatch, event->prompt_logprobs.id);
    if (entry == NULL)
        return true;
    if (entry->listener.prompt_logprobs == NULL)
        return not_asked("log-probabilities of the prompt", err);
    entry->listener.prompt_logprobs(entry->listener.context, &event->prompt_logprobs);
    return true;
}

static bool give_beams(struct dispatch *dispatch, const struct link_event *event, struct error *err)
{
    struct entry *entry = find_entry(dispatch, event->beams.id);
    if (entry == NULL)
        return true;
    const struct dispatch_listener listener = entry->listener;
    if (listener.beams == NULL)
        return not_asked("beams", err);
    remove_entry(dispatch, entry);
    listener.beams(listener.context, &event->beams);
    return true;
}

static bool give_pooled(struct dispatch *dispatch, const struct link_event *event,
                        struct error *err)
{
    struct entry *entry = find_entry(dispatch, event->pooled.id);
    if (entry == NULL)
        return true;
    const struct dispatch_listener listener = entry->listener;
    if (listener.pooled == NULL)
        return not_asked("a vector", err);
    remove_entry(dispatch, entry);
    listener.pooled(listener.context, &event->pooled);
    return true;
}

static bool give_failure(struct dispatch *dispatch, const struct link_event *event,
                         struct error *err)
{
    if (event->failed_id == 0) {
        *err = event->failure;
        return false;
    }
    struct entry *entry = find_entry(dispatch, event->failed_id);
    if (entry == NULL)
        return true;
    const struct dispatch_listener listener = entry->listener;
    remove_entry(dispatch, entry);
    listener.failed(listener.context, &event->failure);
    return true;
}

static bool give_event(struct dispatch *dispatch, const struct link_event *event, struct error *err)
{
    dispatch->n_events++;
    switch (event->kind) {
    case LINK_READY:
        break;
    case LINK_TOKENS:
        for (int i = 0; i < event->n_tokens; i++)
            if (!give_token(dispatch, &event->token[i], err))
                return false;
        break;
    case LINK_FAILED:
        return give_failure(dispatch, event, err);
    case LINK_PROMPT_LOGPROBS:
        return give_prompt_logprobs(dispatch, event, err);
    case LINK_BEAMS:
        return give_beams(dispatch, event, err);
    case LINK_POOLED:
        return give_pooled(dispatch, event, err);
    }
    return true;
}

size_t dispatch_in_flight(const struct dispatch *dispatch) { return HASH_COUNT(dispatch->entries); }
uint64_t dispatch_events(const struct dispatch *dispatch) { return dispatch->n_events; }

bool dispatch_run(struct dispatch *dispatch, size_t at_most, const volatile sig_atomic_t *interrupt,
                  struct error *err)
{
    while (dispatch_in_flight(dispatch) > at_most) {
        bool all_sent, got = true;
        while (got && dispatch_in_flight(dispatch) > at_most) {
            struct link_event event;
            if (!link_receive_event(dispatch->link, &event, &got, err) ||
                (got && !give_event(dispatch, &event, err)))
                return false;
        }
        if (!link_flush(dispatch->link, &all_sent, err)) /* also what cancels the last one */
            return false;
        if (dispatch_in_flight(dispatch) <= at_most)
            return true;
        if (*interrupt)
            return error_set(err, ERROR_LIMIT, "interrupted");
        struct pollfd wait = {.fd = link_fd(dispatch->link),
                              .events = (short)(POLLIN | (all_sent ? 0 : POLLOUT))};
        /* A signal between the test above and poll() is seen when the time is over. */
        if (poll(&wait, 1, INTERRUPT_POLL_MS) < 0 && errno != EINTR)
            return error_errno(err, "waiting for the engine");
    }
    return true;
}

bool dispatch_cancel_all(struct dispatch *dispatch, struct error *err)
{
    bool good = true;
    struct entry *entry, *next;
    HASH_ITER(hh, dispatch->entries, entry, next)
    {
        const struct link_command cancel = {.kind = LINK_CANCEL, .cancel_id = entry->id};
        good = good && link_send_command(dispatch->link, &cancel, err);
        remove_entry(dispatch, entry);
    }
    bool all_sent; /* the rest goes with the next request */
    return good && link_flush(dispatch->link, &all_sent, err);
}
