#include "launcher/generation.h"

#include "base/memory.h"
#include "base/system.h"
#include "runtime/api/prompt.h"
#include "runtime/gateway/dispatch.h"
#include "runtime/options/options.h"

#include <string.h>

enum {
    IN_FLIGHT_PER_SEQUENCE = 4, /* the engine never waits for the gateway */
    HELD_PER_IN_FLIGHT = 16,    /* answers that wait for a slow one before them */
};

bool generation_init(struct generation *out, const struct options *options, struct session *session,
                     struct error *err)
{
    *out = (struct generation){0};
    if (!options_is_given(options, "--max-tokens"))
        out->max_length = (int32_t)options->factory.max_length;
    return sampling_read(&out->sampling, options, session, err);
}

static void free_item(struct generation_item *item)
{
    completion_close(&item->answer);
    ids_release(&item->ids);
    memory_free(item->text);
    memory_free(item);
}

static struct generation_item *add_item(struct generation *g, const char *text, size_t n_bytes)
{
    struct generation_item *item = memory_alloc(1, sizeof *item);
    item->generation = g;
    item->number = g->n_added++;
    item->priority = g->sampling.priority;
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
    int32_t max_tokens = g->sampling.params.max_tokens;
    if (g->max_length > 0)
        max_tokens = (size_t)g->max_length > take_ids->n ? g->max_length - (int32_t)take_ids->n : 1;
    const struct prompt_room room = {.max_model_len = session->max_model_len,
                                     .max_tokens_said = exact};
    if (!prompt_fit(take_ids->n, &room, "prompt", &max_tokens, err)) {
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

/* What goes to the engine; borrows from the item. */
static struct completion_request request_of(const struct generation_item *item)
{
    const struct sampling *s = &item->generation->sampling;
    return (struct completion_request){
        .prompt = &item->ids,
        .sampling = s,
        .max_tokens = item->max_tokens,
        .priority = item->priority,
        .deadline_ns = s->deadline_ns > 0 ? clock_now_ns() + s->deadline_ns : 0,
    };
}

void generation_add_refused(struct generation *g, const char *text, const struct error *why)
{
    struct generation_item *item = add_item(g, text, text != NULL ? strlen(text) : 0);
    const struct completion_request request = request_of(item);
    completion_refuse(&item->answer, &request, why);
}

/* ---- prompts to the engine and back ---- */

static bool take_progress(void *context, struct completion *answer, int choice)
{
    struct generation_item *item = context;
    const struct generation_hooks *hooks = item->hooks;
    item->generation->n_tokens += answer->n_tokens - item->n_counted;
    item->n_counted = answer->n_tokens;
    return hooks->progress == NULL || hooks->progress(hooks->context, item, choice);
}

static void submit_item(struct generation *g, struct session *session, struct generation_item *item,
                        const struct generation_hooks *hooks)
{
    const struct completion_request request = request_of(item);
    const struct completion_hooks hear = {.progress = take_progress, .context = item};
    if (item->answer.n_choices > 0) /* it was refused */
        return;
    item->hooks = hooks;
    g->n_prompt_tokens += item->ids.n;
    completion_open(&item->answer, session->dispatch, &request, &hear);
}

/* Hands on what is answered at the front. */
static bool hand_on(struct generation *g, const struct generation_hooks *hooks, struct error *err)
{
    size_t n = 0;
    bool good = true;
    if (hooks->done == NULL)
        return true;
    while (good && n < g->n_submitted && g->item[n]->answer.n_left == 0) {
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
