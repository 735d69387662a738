/* What engines say, to those who wait for it. */
#include "base/system.h"
#include "runtime/gateway/dispatch_state.h"

static bool not_asked(const char *what, struct error *err)
{
    return error_set(err, ERROR_PEER, "the engine answered with %s, which nobody asked for", what);
}

/* That a request runs clears it of no suspicion: it may be what kills engines. */
static void give_begun(struct dispatch *dispatch, const struct link_event *event)
{
    for (int i = 0; i < event->n_begun; i++) {
        struct journal_entry *entry = journal_find(dispatch->journal, event->begun_id[i]);
        if (entry == NULL || entry->has_begun)
            continue;
        entry->has_begun = true;
        if (entry->listener.begun != NULL)
            entry->listener.begun(entry->listener.context);
    }
}

/* To a text that pools and to beams a token is only the end, of a deadline. */
static bool wants_token(const struct journal_entry *entry, const struct link_token *token)
{
    const struct sampling_params *params = &entry->submit.params;
    return entry->listener.token != NULL &&
           (token->finish == FINISH_ABORT ||
            (params->pooling == POOLING_NONE && params->beam_width == 0));
}

static bool give_token(struct dispatch *dispatch, const struct link_token *from, struct error *err)
{
    struct journal_entry *entry = journal_find(dispatch->journal, from->id);
    if (entry == NULL)
        return true;
    if (!wants_token(entry, from))
        return not_asked("tokens", err);
    const bool was_suspect = journal_is_suspect(entry), ended = from->finish != FINISH_NONE;
    struct link_token token = *from;
    journal_hear_token(entry, &token);
    token.id = entry->id;
    const bool wanted = entry->listener.token(entry->listener.context, &token);
    entry = journal_find(dispatch->journal, from->id);
    if (entry == NULL) /* cancelled */
        return true;
    if (wanted && !ended) {
        if (was_suspect)
            dispatch_release_suspect(dispatch, entry);
        return true;
    }
    if (!ended)
        dispatch_send_cancel(dispatch, entry);
    journal_remove(dispatch->journal, entry);
    return true;
}

static bool give_prompt_logprobs(struct dispatch *dispatch, const struct link_event *event,
                                 struct error *err)
{
    struct link_prompt_logprobs rows = event->prompt_logprobs;
    struct journal_entry *entry = journal_find(dispatch->journal, rows.id);
    if (entry == NULL)
        return true;
    if (entry->submit.params.prompt_logprobs == LOGPROBS_OFF ||
        rows.n_positions > entry->submit.n_prompt - rows.position)
        return not_asked("log-probabilities of the prompt", err);
    const bool was_suspect = journal_is_suspect(entry);
    const uint64_t wire_id = rows.id;
    rows.id = entry->id;
    if (!journal_hear_prompt(dispatch->journal, entry, &rows))
        return true;
    dispatch->engine[entry->engine].was_heard = true;
    entry->listener.prompt_logprobs(entry->listener.context, &rows);
    entry = journal_find(dispatch->journal, wire_id);
    if (entry != NULL && was_suspect)
        dispatch_release_suspect(dispatch, entry);
    return true;
}

static bool give_beams(struct dispatch *dispatch, const struct link_event *event, struct error *err)
{
    struct journal_entry *entry = journal_find(dispatch->journal, event->beams.id);
    if (entry == NULL)
        return true;
    const struct dispatch_listener listener = entry->listener;
    struct link_beams beams = event->beams;
    if (entry->submit.params.beam_width == 0)
        return not_asked("beams", err);
    beams.id = entry->id;
    journal_remove(dispatch->journal, entry);
    listener.beams(listener.context, &beams);
    return true;
}

static bool give_pooled(struct dispatch *dispatch, const struct link_event *event,
                        struct error *err)
{
    struct journal_entry *entry = journal_find(dispatch->journal, event->pooled.id);
    if (entry == NULL)
        return true;
    const struct dispatch_listener listener = entry->listener;
    struct link_pooled pooled = event->pooled;
    if (entry->submit.params.pooling == POOLING_NONE)
        return not_asked("a vector", err);
    pooled.id = entry->id;
    journal_remove(dispatch->journal, entry);
    listener.pooled(listener.context, &pooled);
    return true;
}

static bool give_failure(struct dispatch *dispatch, const struct link_event *event,
                         struct error *err)
{
    if (event->failed_id == 0) {
        *err = event->failure;
        return false;
    }
    struct journal_entry *entry = journal_find(dispatch->journal, event->failed_id);
    if (entry != NULL)
        dispatch_fail_entry(dispatch, entry, &event->failure);
    return true;
}

/* A clock that both ends share does not run ahead. */
static void hear_pulse(struct engine *engine, int64_t progress_ns)
{
    const int64_t now = clock_now_ns();
    const int64_t until = progress_ns < now ? progress_ns : now;
    engine->heard_ns = until > engine->heard_ns ? until : engine->heard_ns;
}

bool dispatch_give(struct dispatch *dispatch, int engine, const struct link_event *event,
                   struct error *err)
{
    dispatch->n_events++;
    dispatch->engine[engine].was_heard |=
        event->kind == LINK_TOKENS || event->kind == LINK_BEAMS || event->kind == LINK_POOLED;
    switch (event->kind) {
    case LINK_READY:
    case LINK_LOADING:
        break;
    case LINK_BEGUN:
        give_begun(dispatch, event);
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
    case LINK_STATS:
        engine_stats_hear(&dispatch->engine[engine].stats, &event->stats);
        break;
    case LINK_PULSE:
        hear_pulse(&dispatch->engine[engine], event->progress_ns);
        break;
    case LINK_ASLEEP:
        return sleepers_hear(&dispatch->sleepers, engine, event->sleep) ||
               not_asked(event->sleep == LINK_NOT_ASLEEP ? "that it is awake" : "that it is asleep",
                         err);
    }
    return true;
}
