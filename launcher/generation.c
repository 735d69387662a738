#include "launcher/generation.h"

#include "base/memory.h"
#include "base/system.h"
#include "runtime/options/options.h"

#include <string.h>

enum {
    IN_FLIGHT_PER_SEQUENCE = 4, /* the engine never waits for the gateway */
    HELD_PER_IN_FLIGHT = 16,    /* answers that wait for a slow one before them */
};

struct generation_listener { /* of one choice */
    struct generation *g;
    struct generation_item *item;
    int choice;
    const struct generation_hooks *hooks;
};

bool generation_init(struct generation *out, const struct options *options, struct session *session,
                     struct error *err)
{
    *out = (struct generation){0};
    return sampling_read(&out->sampling, options, session, err);
}

static void free_item(struct generation_item *item)
{
    for (int i = 0; i < item->n_choices; i++)
        output_release(&item->output[i]);
    ids_release(&item->ids);
    memory_free(item->text);
    memory_free(item->output);
    memory_free(item->failure);
    memory_free(item->value);
    memory_free(item->listener);
    memory_free(item);
}

static struct generation_item *add_item(struct generation *g, const char *text, size_t n_bytes)
{
    struct generation_item *item = memory_alloc(1, sizeof *item);
    item->number = g->n_added++;
    item->priority = g->sampling.priority;
    item->n_choices = item->n_left = g->sampling.n_choices;
    item->output = memory_alloc((size_t)item->n_choices, sizeof *item->output);
    item->failure = memory_alloc((size_t)item->n_choices, sizeof *item->failure);
    item->listener = memory_alloc((size_t)item->n_choices, sizeof *item->listener);
    for (int i = 0; i < item->n_choices; i++)
        output_init(&item->output[i], &g->sampling.rules);
    if (text != NULL) {
        item->text = memory_alloc(n_bytes + 1, 1);
        memcpy(item->text, text, n_bytes);
    }
    if (g->n_items == g->capacity) {
        g->capacity = 2 * g->capacity + 1;
        g->item = memory_resize(g->item, g->capacity, sizeof(*g->item));
    }
    g->item[g->n_items++] = item;
    return item;
}

/* Takes over the ids of a prompt, also when it fails. */
static bool add_prompt(struct generation *g, const struct session *session, const char *text,
                       size_t n_bytes, struct ids *take_ids, bool exact, struct error *err)
{
    const struct sampling *s = &g->sampling;
    int32_t max_tokens = s->params.max_tokens;
    if (s->max_length > 0)
        max_tokens = (size_t)s->max_length > take_ids->n ? s->max_length - (int32_t)take_ids->n : 1;
    if (!intake_fit(take_ids->n, session->max_model_len, exact, &max_tokens, err)) {
        ids_release(take_ids);
        return false;
    }
    struct generation_item *item = add_item(g, text, n_bytes);
    item->ids = *take_ids;
    item->max_tokens = max_tokens;
    return true;
}

bool generation_add_prompt(struct generation *g, const struct session *session, const char *text,
                           struct ids *take_ids, bool exact_max_tokens, struct error *err)
{
    return add_prompt(g, session, text, text != NULL ? strlen(text) : 0, take_ids, exact_max_tokens,
                      err);
}

bool generation_add_text(struct generation *g, struct session *session, const char *text,
                         size_t n_bytes, bool exact_max_tokens, struct error *err)
{
    struct ids ids = {0};
    if (!intake_text(&session->intake, text, n_bytes, &ids, err)) {
        ids_release(&ids);
        return false;
    }
    return add_prompt(g, session, text, n_bytes, &ids, exact_max_tokens, err);
}

/* All choices from `first` on end with an error. */
static void fail_item(struct generation_item *item, int first, const struct error *why)
{
    for (int i = first; i < item->n_choices; i++) {
        item->failure[i] = *why;
        output_end(&item->output[i], FINISH_ERROR);
    }
}

void generation_add_refused(struct generation *g, const char *text, const struct error *why)
{
    struct generation_item *item = add_item(g, text, text != NULL ? strlen(text) : 0);
    fail_item(item, 0, why);
    item->n_left = 0;
}

/* ---- answers ---- */

/* A beam search is one request, whatever it has beams. */
static int n_requests(const struct generation *g, const struct generation_item *item)
{
    return g->sampling.params.beam_width > 0 ? 1 : item->n_choices;
}

static bool tell_progress(const struct generation_listener *l)
{
    return l->hooks->progress == NULL || l->hooks->progress(l->hooks->context, l->item, l->choice);
}

static bool take_token(void *context, const struct link_token *token)
{
    struct generation_listener *l = context;
    struct output *output = &l->item->output[l->choice];
    if (n_requests(l->g, l->item) < l->item->n_choices) { /* beams come whole: it is only the end */
        for (int i = 0; i < l->item->n_choices; i++)
            output_end(&l->item->output[i], token->finish);
        l->item->n_left = 0;
        return tell_progress(l);
    }
    output_add(output, token);
    l->g->n_tokens += token->token >= 0; /* without one it is only the end */
    if (!tell_progress(l))
        output_end(output, FINISH_ABORT);
    l->item->n_left -= output->finish != FINISH_NONE;
    return output->finish == FINISH_NONE;
}

static void take_prompt_logprobs(void *context, const struct link_prompt_logprobs *logprobs)
{
    struct generation_listener *l = context;
    if (!output_add_prompt(&l->item->output[l->choice], logprobs))
        error_set(&l->item->failure[l->choice], ERROR_PEER,
                  "the engine left out log-probabilities of the prompt");
}

static void take_beams(void *context, const struct link_beams *beams)
{
    struct generation_listener *l = context;
    struct generation_item *item = l->item;
    const struct error none = {.kind = ERROR_PEER, .text = "the engine has fewer beams"};
    const int n = beams->n_beams < item->n_choices ? beams->n_beams : item->n_choices;
    for (int i = 0; i < n; i++) {
        output_add_beam(&item->output[i], &beams->beam[i], beams->cached_tokens);
        l->g->n_tokens += (uint64_t)beams->beam[i].n_tokens;
    }
    fail_item(item, n, &none);
    item->n_left = 0;
    tell_progress(l);
}

static void take_pooled(void *context, const struct link_pooled *pooled)
{
    struct generation_listener *l = context;
    struct generation_item *item = l->item;
    item->value = memory_alloc((size_t)pooled->n_values, sizeof(*item->value));
    memcpy(item->value, pooled->value, (size_t)pooled->n_values * sizeof(*item->value));
    item->n_values = pooled->n_values;
    item->output[0].cached_tokens = pooled->cached_tokens;
    output_end(&item->output[0], FINISH_STOP);
    item->n_left = 0;
    tell_progress(l);
}

static void take_failure(void *context, const struct error *why)
{
    struct generation_listener *l = context;
    if (l->g->sampling.params.beam_width > 0) {
        fail_item(l->item, 0, why);
        l->item->n_left = 0;
    } else {
        l->item->failure[l->choice] = *why;
        output_end(&l->item->output[l->choice], FINISH_ERROR);
        l->item->n_left--;
    }
    tell_progress(l);
}

/* ---- prompts to the engine ---- */

static void submit_item(struct generation *g, struct session *session, struct generation_item *item,
                        const struct generation_hooks *hooks)
{
    const struct sampling *s = &g->sampling;
    const int64_t deadline_ns = s->deadline_ns > 0 ? clock_now_ns() + s->deadline_ns : 0;
    g->n_prompt_tokens += item->ids.n;
    for (int i = 0; item->n_left > 0 && i < n_requests(g, item); i++) {
        struct link_submit submit = {.prompt = item->ids.data,
                                     .n_prompt = (int)item->ids.n,
                                     .choice = i,
                                     .params = s->params,
                                     .priority = item->priority,
                                     .deadline_ns = deadline_ns,
                                     .cache_key = (const uint8_t *)s->cache_key.data,
                                     .n_cache_key = (int)s->cache_key.len};
        submit.params.max_tokens = item->max_tokens;
        submit.params.seed += (uint64_t)i;
        if (i > 0) /* the same for all choices */
            submit.params.prompt_logprobs = LOGPROBS_OFF;
        item->listener[i] = (struct generation_listener){g, item, i, hooks};
        const struct dispatch_listener hear = {.token = take_token,
                                               .prompt_logprobs = take_prompt_logprobs,
                                               .beams = take_beams,
                                               .pooled = take_pooled,
                                               .failed = take_failure,
                                               .context = &item->listener[i]};
        dispatch_submit(session->dispatch, &submit, &hear);
    }
}

/* Hands on what is answered at the front. */
static bool hand_on(struct generation *g, const struct generation_hooks *hooks, struct error *err)
{
    size_t n = 0;
    bool good = true;
    if (hooks->done == NULL)
        return true;
    while (good && n < g->n_submitted && g->item[n]->n_left == 0) {
        good = hooks->done(hooks->context, g->item[n], err);
        free_item(g->item[n++]);
    }
    if (n == 0)
        return true;
    memmove(g->item, g->item + n, (g->n_items - n) * sizeof(*g->item));
    g->n_items -= n;
    g->n_submitted -= n;
    return good;
}

/* Takes prompts and sends them as long as there is room. */
static bool send_prompts(struct generation *g, struct session *session,
                         const struct generation_hooks *hooks, bool *more, struct error *err)
{
    const size_t window = (size_t)session->max_num_seqs * IN_FLIGHT_PER_SEQUENCE;
    const size_t most_held = hooks->done != NULL ? window * HELD_PER_IN_FLIGHT : SIZE_MAX;
    for (;;) {
        const size_t in_flight = dispatch_in_flight(session->dispatch);
        if (in_flight > 0 && in_flight + (size_t)g->sampling.n_choices > window)
            return true;
        if (*more && g->n_submitted == g->n_items && g->n_items < most_held &&
            !hooks->next(hooks->context, more, err))
            return false;
        if (g->n_submitted == g->n_items)
            return true;
        submit_item(g, session, g->item[g->n_submitted++], hooks);
    }
}

static bool run(struct generation *g, struct session *session, const struct generation_hooks *hooks,
                struct error *err)
{
    bool more = hooks->next != NULL;
    for (;;) {
        /* first what is there: the next prompt may be one that somebody has yet to write */
        if (!hand_on(g, hooks, err) || !send_prompts(g, session, hooks, &more, err))
            return false;
        const size_t in_flight = dispatch_in_flight(session->dispatch);
        if (in_flight == 0 && g->n_submitted == g->n_items && !more)
            return hand_on(g, hooks, err); /* those that were refused */
        if (in_flight > 0 && !session_run(session, in_flight - 1, err))
            return false;
    }
}

bool generation_run(struct generation *g, struct session *session,
                    const struct generation_hooks *hooks, struct error *err)
{
    if (run(g, session, hooks, err))
        return true;
    /* what is in flight must not speak to listeners that are gone */
    dispatch_cancel_all(session->dispatch);
    return false;
}

void generation_release(struct generation *g)
{
    for (size_t i = 0; i < g->n_items; i++)
        free_item(g->item[i]);
    memory_free(g->item);
    sampling_release(&g->sampling);
    *g = (struct generation){0};
}
