/* Whoever hears that a completion is done may free it, so nothing here touches it afterwards. */
#include "runtime/gateway/completion.h"

#include "base/memory.h"
#include "base/system.h"
#include "runtime/gateway/dispatch.h"

#include <string.h>

struct completion_choice {
    struct completion *completion;
    int number;
    uint64_t id; /* in the dispatch; 0: it has ended, or is part of a beam search */
};

static bool has_beams(const struct completion *c)
{
    return c->request.sampling->params.beam_width > 0;
}

/* ---- ends ---- */

static bool tell_progress(const struct completion_choice *choice)
{
    struct completion *c = choice->completion;
    return c->hooks.progress == NULL || c->hooks.progress(c->hooks.context, c, choice->number);
}

static void tell_if_done(struct completion *c)
{
    if (c->n_left == 0 && !c->is_opening && c->hooks.done != NULL)
        c->hooks.done(c->hooks.context, c);
}

/* The choice has ended; with it maybe the completion. */
static void end_choice(struct completion_choice *choice)
{
    choice->id = 0;
    choice->completion->n_left--;
    tell_if_done(choice->completion);
}

/* All that there is has ended: beams, a vector, or their failure. */
static void end_all(struct completion_choice *choice)
{
    choice->id = 0;
    choice->completion->n_left = 0;
    tell_progress(choice);
    tell_if_done(choice->completion);
}

static void fail_from(struct completion *c, int first, const struct error *why)
{
    for (int i = first; i < c->n_choices; i++) {
        c->failure[i] = *why;
        output_end(&c->output[i], FINISH_ERROR);
    }
}

/* ---- what the dispatch says ---- */

static void take_begun(void *context)
{
    const struct completion_choice *choice = context;
    struct completion *c = choice->completion;
    const int n = has_beams(c) ? c->n_choices : 1; /* beams are one request */
    const int64_t now_ns = clock_now_ns();
    for (int i = 0; i < n; i++)
        c->begun_ns[choice->number + i] = now_ns;
}

/* Beams come whole: a token is only the end, of a deadline. */
static bool end_beams(struct completion_choice *choice, enum finish_reason reason)
{
    struct completion *c = choice->completion;
    for (int i = 0; i < c->n_choices; i++)
        output_end(&c->output[i], reason);
    end_all(choice);
    return false;
}

static bool take_token(void *context, const struct link_token *token)
{
    struct completion_choice *choice = context;
    struct completion *c = choice->completion;
    struct output *output = &c->output[choice->number];
    if (has_beams(c))
        return end_beams(choice, token->finish);
    output_add(output, token);
    if (token->token >= 0) { /* without one it is only the end */
        c->n_tokens++;
        if (c->first_token_ns == 0)
            c->first_token_ns = clock_now_ns();
    }
    if (!tell_progress(choice))
        output_end(output, FINISH_ABORT);
    if (output->finish == FINISH_NONE)
        return true;
    end_choice(choice);
    return false;
}

static void take_prompt_logprobs(void *context, const struct link_prompt_logprobs *logprobs)
{
    struct completion_choice *choice = context;
    struct completion *c = choice->completion;
    struct output *output = &c->output[choice->number];
    if (!output_add_prompt(output, logprobs)) {
        error_set(&c->failure[choice->number], ERROR_PEER,
                  "the engine left out log-probabilities of the prompt");
        output_end(output, FINISH_ERROR);
    }
    if (!tell_progress(choice))
        output_end(output, FINISH_ABORT);
    if (output->finish == FINISH_NONE)
        return;
    dispatch_cancel(c->dispatch, choice->id);
    end_choice(choice);
}

/* As the engine tells, but never out of the order of what is known here. */
static int64_t first_of_beams(const struct completion *c, int64_t told_ns, int64_t now_ns)
{
    if (told_ns < c->begun_ns[0])
        return c->begun_ns[0];
    return told_ns < now_ns ? told_ns : now_ns;
}

static void take_beams(void *context, const struct link_beams *beams)
{
    struct completion_choice *choice = context;
    struct completion *c = choice->completion;
    const struct error none = {.kind = ERROR_PEER, .text = "the engine has fewer beams"};
    const int n = beams->n_beams < c->n_choices ? beams->n_beams : c->n_choices;
    for (int i = 0; i < n; i++) {
        output_add_beam(&c->output[i], &beams->beam[i], beams->cached_tokens);
        c->n_tokens += (uint64_t)beams->beam[i].n_tokens;
    }
    c->first_token_ns = clock_now_ns();
    c->beams_ns = first_of_beams(c, beams->first_ns, c->first_token_ns);
    fail_from(c, n, &none);
    end_all(choice);
}

static void take_pooled(void *context, const struct link_pooled *pooled)
{
    struct completion_choice *choice = context;
    struct completion *c = choice->completion;
    c->value = memory_alloc((size_t)pooled->n_values, sizeof *c->value);
    memcpy(c->value, pooled->value, (size_t)pooled->n_values * sizeof *c->value);
    c->n_values = pooled->n_values;
    c->output[0].cached_tokens = pooled->cached_tokens;
    output_end(&c->output[0], FINISH_STOP);
    end_all(choice);
}

static void take_failure(void *context, const struct error *why)
{
    struct completion_choice *choice = context;
    struct completion *c = choice->completion;
    if (has_beams(c)) {
        fail_from(c, 0, why);
        end_all(choice);
        return;
    }
    c->failure[choice->number] = *why;
    output_end(&c->output[choice->number], FINISH_ERROR);
    tell_progress(choice);
    end_choice(choice);
}

/* ---- open and close ---- */

static void submit(struct completion_choice *choice)
{
    const struct completion_request *r = &choice->completion->request;
    const struct sampling *s = r->sampling;
    struct link_submit submit = {.prompt = r->prompt->data,
                                 .n_prompt = (int)r->prompt->n,
                                 .choice = choice->number,
                                 .params = s->params,
                                 .priority = r->priority,
                                 .tenant = r->tenant,
                                 .deadline_ns = r->deadline_ns,
                                 .cache_key = (const uint8_t *)s->cache_key.data,
                                 .n_cache_key = (int)s->cache_key.len};
    const struct dispatch_listener hear = {.begun = take_begun,
                                           .token = take_token,
                                           .prompt_logprobs = take_prompt_logprobs,
                                           .beams = take_beams,
                                           .pooled = take_pooled,
                                           .failed = take_failure,
                                           .context = choice};
    submit.params.max_tokens = r->max_tokens;
    submit.params.seed += r->seed_offset + (uint64_t)choice->number;
    if (choice->number > 0) /* the same for all choices */
        submit.params.prompt_logprobs = LOGPROBS_OFF;
    dispatch_submit(choice->completion->dispatch, &submit, &hear);
    if (choice->completion->output[choice->number].finish == FINISH_NONE)
        choice->id = submit.id;
}

static void init(struct completion *out, const struct completion_request *request)
{
    const int n = request->sampling->n_choices;
    *out = (struct completion){.request = *request,
                               .n_choices = n,
                               .n_left = n,
                               .output = memory_alloc((size_t)n, sizeof *out->output),
                               .failure = memory_alloc((size_t)n, sizeof *out->failure),
                               .begun_ns = memory_alloc((size_t)n, sizeof *out->begun_ns),
                               .choice = memory_alloc((size_t)n, sizeof *out->choice)};
    for (int i = 0; i < n; i++) {
        output_init(&out->output[i], &request->sampling->rules);
        out->choice[i] = (struct completion_choice){.completion = out, .number = i};
    }
}

void completion_open(struct completion *out, struct dispatch *dispatch,
                     const struct completion_request *request, const struct completion_hooks *hooks)
{
    init(out, request);
    out->hooks = *hooks;
    out->dispatch = dispatch;
    out->is_opening = true;
    const int n_requests = has_beams(out) ? 1 : out->n_choices; /* whatever it has beams */
    for (int i = 0; i < n_requests; i++)
        submit(&out->choice[i]);
    out->is_opening = false;
    tell_if_done(out);
}

void completion_refuse(struct completion *out, const struct completion_request *request,
                       const struct error *why)
{
    init(out, request);
    fail_from(out, 0, why);
    out->n_left = 0;
}

void completion_close(struct completion *c)
{
    for (int i = 0; i < c->n_choices; i++) {
        if (c->choice[i].id != 0)
            dispatch_cancel(c->dispatch, c->choice[i].id);
        output_release(&c->output[i]);
    }
    memory_free(c->output);
    memory_free(c->failure);
    memory_free(c->begun_ns);
    memory_free(c->choice);
    memory_free(c->value);
    *c = (struct completion){0};
}

const struct error *completion_failure(const struct completion *c)
{
    for (int i = 0; i < c->n_choices; i++)
        if (c->failure[i].kind != ERROR_NONE)
            return &c->failure[i];
    return NULL;
}
