/* A question on its way, and what is kept of its answer. */
#include "base/check.h"
#include "base/system.h"
#include "launcher/library/library.h"

#include <stdio.h>
#include <string.h>

/* ---- requests of a model ---- */

static struct phalanx_request *create(struct phalanx_model *model)
{
    struct phalanx_request *r = memory_alloc(1, sizeof *r);
    *r = (struct phalanx_request){.model = model, .next = model->first};
    if (model->first != NULL)
        model->first->previous = r;
    model->first = r;
    return r;
}

static void destroy(struct phalanx_request *r)
{
    if (r->previous != NULL)
        r->previous->next = r->next;
    else
        r->model->first = r->next;
    if (r->next != NULL)
        r->next->previous = r->previous;
    for (int i = 0; i < r->n_choices; i++) {
        bytes_release(&r->choice[i].text);
        ids_release(&r->choice[i].token);
    }
    memory_free(r->choice);
    memory_free(r->value);
    memory_free(r);
}

static void be_open(struct phalanx_request *r, int n_choices)
{
    r->n_choices = n_choices;
    r->choice = memory_alloc((size_t)n_choices, sizeof *r->choice);
    r->model->n_open++;
}

static void be_done(struct phalanx_request *r)
{
    r->generate = NULL;
    r->pool = NULL;
    r->model->n_open--;
}

static void take_usage(struct phalanx_request *r, struct api_usage usage)
{
    r->usage =
        (struct phalanx_counts){usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens};
}

/* ---- what comes ---- */

/* What is new of a choice; of a beam all of it comes at its end. False: it is not wanted. */
static bool take_choice(struct phalanx_request *r, const struct generate_call *call, int i,
                        size_t n_text)
{
    const struct output *output = generate_output(call, 0, i);
    struct library_choice *choice = &r->choice[i];
    const size_t n_had = choice->text.len;
    ids_add_all(&choice->token, output->tokens.data + choice->token.n,
                output->tokens.n - choice->token.n);
    choice->finish = finish_reason_name(output->finish);
    if (r->is_unwanted || n_text <= n_had)
        return !r->is_unwanted;
    bytes_add(&choice->text, output->text.data + n_had, n_text - n_had);
    const char *text = choice->text.data + n_had;
    if (r->on_text != NULL && !r->on_text(r->context, r, i, text, n_text - n_had))
        phalanx_cancel(r);
    return !r->is_unwanted;
}

static bool on_progress(void *context, struct generate_call *call, int prompt, int choice)
{
    check(prompt == 0);
    return take_choice(context, call, choice, generate_output(call, 0, choice)->n_released);
}

static void on_done(void *context, struct generate_call *call)
{
    struct phalanx_request *r = context;
    for (int i = 0; i < r->n_choices; i++)
        take_choice(r, call, i, generate_output(call, 0, i)->text.len);
    take_usage(r, generate_usage(call));
    be_done(r);
}

static void on_failed(void *context, struct generate_call *call, const struct error *why)
{
    struct phalanx_request *r = context;
    r->failure = *why;
    take_usage(r, generate_usage(call));
    for (int i = 0; i < r->n_choices; i++)
        if (r->choice[i].finish == NULL)
            r->choice[i].finish = finish_reason_name(FINISH_ERROR);
    be_done(r);
}

static void on_values(void *context, struct pool_call *call)
{
    struct phalanx_request *r = context;
    const struct pool_result result = pool_result(call, 0);
    r->n_values = (size_t)result.n_values;
    r->value = memory_alloc(r->n_values, sizeof *r->value);
    memcpy(r->value, result.value, r->n_values * sizeof *r->value);
    take_usage(r, pool_usage(call));
    be_done(r);
}

static void on_no_values(void *context, struct pool_call *call, const struct error *why)
{
    struct phalanx_request *r = context;
    (void)call;
    r->failure = *why;
    be_done(r);
}

/* ---- what is asked ---- */

static struct api_source source(void)
{
    return (struct api_source){.request_id = "library", .peer = "library", .route = "library"};
}

static bool send(struct phalanx_request *r, struct generate_request *request, struct error *err)
{
    const struct generate_listener listener = {
        .progress = on_progress, .done = on_done, .failed = on_failed, .context = r};
    request->source = source();
    request->truncate_prompt_tokens = SAMPLING_UNSAID;
    r->generate = api_generate(&r->model->service.api, request, &listener, err);
    if (r->generate == NULL)
        return false;
    be_open(r, generate_choices(r->generate));
    return true;
}

static struct api_prompt prompt_of(const char *text)
{
    return (struct api_prompt){.text = text, .n_bytes = text != NULL ? strlen(text) : 0};
}

/* messages NULL: `prompt` is asked. */
static struct phalanx_request *ask(struct phalanx_model *model, const char *prompt,
                                   const char *messages, const char *parameters,
                                   phalanx_text_fn *on_text, void *context,
                                   struct phalanx_error *err)
{
    struct error why = {0};
    struct library_parameters read = {0};
    struct phalanx_request *r = create(model);
    const struct api_prompt text = prompt_of(prompt);
    struct generate_request request = {.default_max_tokens = messages != NULL ? INT32_MAX : 16,
                                       .prompt = &text,
                                       .n_prompts = 1,
                                       .add_special_tokens = messages == NULL};
    r->on_text = on_text;
    r->context = context;
    const bool good =
        parameters_read(&read, &request, parameters, messages != NULL, &why) &&
        (messages == NULL || parameters_read_messages(&read, &request, messages, &why)) &&
        send(r, &request, &why);
    parameters_release(&read);
    if (good)
        return r;
    library_fail(err, &why);
    destroy(r);
    return NULL;
}

struct phalanx_request *phalanx_ask(struct phalanx_model *model, const char *prompt,
                                    const char *parameters, phalanx_text_fn *on_text, void *context,
                                    struct phalanx_error *err)
{
    return ask(model, prompt, NULL, parameters, on_text, context, err);
}

struct phalanx_request *phalanx_ask_chat(struct phalanx_model *model, const char *messages,
                                         const char *parameters, phalanx_text_fn *on_text,
                                         void *context, struct phalanx_error *err)
{
    return ask(model, NULL, messages != NULL ? messages : "", parameters, on_text, context, err);
}

struct phalanx_request *phalanx_ask_measure(struct phalanx_model *model, enum phalanx_task task,
                                            const char *text, const char *other,
                                            struct phalanx_error *err)
{
    static const enum pool_task tasks[] = {[PHALANX_EMBED] = POOL_EMBED,
                                           [PHALANX_SCORE] = POOL_SCORE,
                                           [PHALANX_CLASSIFY] = POOL_CLASSIFY};
    struct error why = {0};
    struct phalanx_request *r = create(model);
    const struct pool_listener listener = {.done = on_values, .failed = on_no_values, .context = r};
    const struct api_prompt prompt = prompt_of(text), pair = prompt_of(other);
    const bool known = (size_t)task < sizeof tasks / sizeof *tasks;
    const bool is_reward = task == PHALANX_SCORE && other == NULL; /* as over HTTP: plain */
    const struct pool_request request = {.source = source(),
                                         .task = known ? tasks[task] : POOL_EMBED,
                                         .prompt = &prompt,
                                         .n_prompts = 1,
                                         .pair = other != NULL ? &pair : NULL,
                                         .add_special_tokens = !is_reward,
                                         .normalize = !is_reward,
                                         .truncate_prompt_tokens = SAMPLING_UNSAID,
                                         .priority = SAMPLING_UNSAID,
                                         .deadline_ms = SAMPLING_UNSAID};
    if (!known)
        error_set(&why, ERROR_INPUT, "there is no task %d", (int)task);
    else
        r->pool = api_pool(&model->service.api, &request, &listener, &why);
    if (r->pool != NULL) {
        be_open(r, 0);
        return r;
    }
    library_fail(err, &why);
    destroy(r);
    return NULL;
}

/* ---- and waited for ---- */

bool phalanx_is_done(const struct phalanx_request *r)
{
    return r->generate == NULL && r->pool == NULL;
}

bool phalanx_wait(struct phalanx_request *r, struct phalanx_error *err)
{
    struct error why = {0};
    while (!phalanx_is_done(r))
        if (!library_round(r->model, -1, &why))
            break; /* it has failed with all others */
    return r->failure.kind == ERROR_NONE || library_fail(err, &r->failure);
}

/* Answered, or NULL. */
static struct phalanx_request *whole(struct phalanx_request *r, struct phalanx_error *err)
{
    if (r == NULL || phalanx_wait(r, err))
        return r;
    phalanx_release(r);
    return NULL;
}

struct phalanx_request *phalanx_generate(struct phalanx_model *model, const char *prompt,
                                         const char *parameters, struct phalanx_error *err)
{
    return whole(phalanx_ask(model, prompt, parameters, NULL, NULL, err), err);
}

struct phalanx_request *phalanx_chat(struct phalanx_model *model, const char *messages,
                                     const char *parameters, struct phalanx_error *err)
{
    return whole(phalanx_ask_chat(model, messages, parameters, NULL, NULL, err), err);
}

struct phalanx_request *phalanx_measure(struct phalanx_model *model, enum phalanx_task task,
                                        const char *text, const char *other,
                                        struct phalanx_error *err)
{
    return whole(phalanx_ask_measure(model, task, text, other, err), err);
}

/* Inside of a phalanx_text_fn answers are being looked at, maybe those of this request: it ends
 * after them. */
void phalanx_cancel(struct phalanx_request *r)
{
    r->is_unwanted = true;
    if (phalanx_is_done(r))
        return;
    if (r->model->is_running) {
        r->model->any_unwanted = true;
        return;
    }
    if (r->generate != NULL) {
        take_usage(r, generate_usage(r->generate));
        generate_cancel(r->generate);
    } else {
        pool_cancel(r->pool);
    }
    for (int i = 0; i < r->n_choices; i++)
        if (r->choice[i].finish == NULL)
            r->choice[i].finish = finish_reason_name(FINISH_ABORT);
    be_done(r);
}

void phalanx_release(struct phalanx_request *r)
{
    if (r == NULL)
        return;
    check(!r->model->is_running);
    phalanx_cancel(r);
    destroy(r);
}

/* ---- what there is ---- */

int phalanx_choices(const struct phalanx_request *r) { return r->n_choices; }

static const struct library_choice *choice_of(const struct phalanx_request *r, int i)
{
    static const struct library_choice none;
    return i >= 0 && i < r->n_choices ? &r->choice[i] : &none;
}

const char *phalanx_text(const struct phalanx_request *r, int choice, size_t *n_bytes)
{
    const struct bytes *text = &choice_of(r, choice)->text;
    if (n_bytes != NULL)
        *n_bytes = text->len;
    return text->data != NULL ? text->data : "";
}

const int32_t *phalanx_tokens(const struct phalanx_request *r, int choice, size_t *n)
{
    *n = choice_of(r, choice)->token.n;
    return choice_of(r, choice)->token.data;
}

const char *phalanx_finish_reason(const struct phalanx_request *r, int choice)
{
    return choice_of(r, choice)->finish;
}

const float *phalanx_values(const struct phalanx_request *r, size_t *n)
{
    *n = r->n_values;
    return r->value;
}

struct phalanx_counts phalanx_usage(const struct phalanx_request *r) { return r->usage; }
