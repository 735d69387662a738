/* Questions: what is given becomes a request of the gateway, and goes off. */
#include "launcher/library/library.h"
#include "runtime/text/detokenizer.h"

#include <string.h>

enum { MAX_PROMPT_IDS = 1 << 24 }; /* that are looked at: no context is as long */

static struct api_source source(void)
{
    return (struct api_source){.request_id = "library", .peer = "library", .route = "library"};
}

static struct api_prompt prompt_of(const char *text)
{
    return (struct api_prompt){.text = text, .n_bytes = text != NULL ? strlen(text) : 0};
}

/* Ids of a prompt as the gateway has them. `param` is its name for errors. */
static bool prompt_of_tokens(struct api_prompt *out, const int32_t *token, size_t n,
                             const char *param, struct arena *arena, struct error *err)
{
    if (token == NULL && n > 0) {
        error_set(err, ERROR_INPUT, "%s: %zu tokens at NULL", param, n);
        return error_param(err, param);
    }
    if (n > MAX_PROMPT_IDS) {
        error_set(err, ERROR_INPUT, "%s: %zu tokens, want at most %d", param, n, MAX_PROMPT_IDS);
        error_param(err, param);
        return error_code(err, "context_length_exceeded");
    }
    int64_t *id = arena_alloc(arena, n, sizeof *id);
    for (size_t i = 0; i < n; i++)
        id[i] = token[i];
    *out = (struct api_prompt){.id = id, .n_ids = n};
    return true;
}

/* What the answers begin with: the prompt, as text. */
static void make_echo(struct bytes *out, const struct phalanx_request *r)
{
    size_t n_bytes;
    const char *text = generate_prompt_text(r->generate, 0, &n_bytes);
    if (text != NULL)
        bytes_add(out, text, n_bytes);
    else
        detokenizer_decode(r->model->service.session.intake.tokenizer, r->prompt.data, r->prompt.n,
                           generate_sampling(r->generate)->rules.skip_special_tokens, out);
}

static bool send(struct phalanx_request *r, struct generate_request *request, bool echo,
                 struct error *err)
{
    struct generate_listener listener = answer_listener;
    struct bytes begun = {0};
    listener.context = r;
    request->source = source();
    r->generate = api_generate(&r->model->service.api, request, &listener, err);
    if (r->generate == NULL)
        return false;
    const struct ids *prompt = generate_prompt_ids(r->generate, 0);
    const struct sampling_params *params = &generate_sampling(r->generate)->params;
    ids_add_all(&r->prompt, prompt->data, prompt->n);
    r->seed = params->seed;
    r->is_beam = params->beam_width > 0;
    r->has_logprobs = params->logprobs != LOGPROBS_OFF;
    if (echo)
        make_echo(&begun, r);
    request_be_open(r, generate_choices(r->generate), &begun);
    bytes_release(&begun);
    return true;
}

/* The end of every ask: what was made, or why not. Inside of a text function the round that is
 * under way looks at the files. */
static struct phalanx_request *sent(struct phalanx_request *r, bool good, struct error *why,
                                    struct phalanx_error *err)
{
    struct phalanx_model *model = r->model;
    if (good && (model->is_running || watch_update(&model->watch, &model->service.session, why)))
        return r;
    library_fail(err, why);
    phalanx_cancel(r);
    request_free(r);
    return NULL;
}

static struct phalanx_request *refused(const struct error *why, struct phalanx_error *err)
{
    library_fail(err, why);
    return NULL;
}

/* ---- to be gone on with ---- */

struct question { /* a text; or tokens, or messages, where it is said so */
    const char *prompt, *messages;
    const int32_t *token;
    size_t n_tokens;
    bool is_chat, is_tokens;
    const char *parameters;
};

static struct phalanx_request *ask(struct phalanx_model *model, const struct question *question,
                                   phalanx_text_fn *on_text, void *context,
                                   struct phalanx_error *err)
{
    struct error why = {0};
    struct library_parameters read = {0};
    if (!model_is_usable(model, &why) || !model_has_ranks(model, &why))
        return refused(&why, err);
    struct api_prompt prompt = prompt_of(question->prompt);
    struct generate_request request = {.default_max_tokens = 16, .prompt = &prompt, .n_prompts = 1};
    struct phalanx_request *r = request_new(model);
    const locale_t theirs = uselocale(model->numbers);
    r->on_text = on_text;
    r->context = context;
    const bool good =
        (question->is_chat
             ? parameters_read_chat(&read, &request, question->messages, question->parameters, &why)
             : parameters_read(&read, &request, question->parameters, &why)) &&
        (!question->is_tokens || prompt_of_tokens(&prompt, question->token, question->n_tokens,
                                                  "prompt", &read.arena, &why)) &&
        send(r, &request, read.echo, &why);
    parameters_release(&read);
    uselocale(theirs);
    return sent(r, good, &why, err);
}

struct phalanx_request *phalanx_ask(struct phalanx_model *model, const char *prompt,
                                    const char *parameters, phalanx_text_fn *on_text, void *context,
                                    struct phalanx_error *err)
{
    const struct question question = {.prompt = prompt, .parameters = parameters};
    return ask(model, &question, on_text, context, err);
}

struct phalanx_request *phalanx_ask_tokens(struct phalanx_model *model, const int32_t *token,
                                           size_t n_tokens, const char *parameters,
                                           phalanx_text_fn *on_text, void *context,
                                           struct phalanx_error *err)
{
    const struct question question = {
        .token = token, .n_tokens = n_tokens, .is_tokens = true, .parameters = parameters};
    return ask(model, &question, on_text, context, err);
}

struct phalanx_request *phalanx_ask_chat(struct phalanx_model *model, const char *messages,
                                         const char *parameters, phalanx_text_fn *on_text,
                                         void *context, struct phalanx_error *err)
{
    const struct question question = {
        .messages = messages, .is_chat = true, .parameters = parameters};
    return ask(model, &question, on_text, context, err);
}

/* ---- to be measured ---- */

/* Texts as over HTTP: one that is scored alone is a reward, which is a plain number of plain text.
 */
static bool send_measure(struct phalanx_request *r, enum phalanx_task task,
                         struct pool_request *request, struct error *err)
{
    static const enum pool_task tasks[] = {[PHALANX_EMBED] = POOL_EMBED,
                                           [PHALANX_SCORE] = POOL_SCORE,
                                           [PHALANX_CLASSIFY] = POOL_CLASSIFY};
    struct pool_listener listener = answer_values_listener;
    static const struct bytes nothing;
    listener.context = r;
    if ((size_t)task >= sizeof tasks / sizeof *tasks) {
        error_set(err, ERROR_INPUT, "there is no task %d", (int)task);
        return error_param(err, "task");
    }
    request->source = source();
    request->task = tasks[task];
    r->pool = api_pool(&r->model->service.api, request, &listener, err);
    if (r->pool != NULL)
        request_be_open(r, 0, &nothing);
    return r->pool != NULL;
}

static struct phalanx_request *ask_measure(struct phalanx_model *model, enum phalanx_task task,
                                           const struct question *question, const char *other,
                                           struct phalanx_error *err)
{
    struct error why = {0};
    struct library_parameters read = {0};
    if (!model_is_usable(model, &why) || !model_has_ranks(model, &why))
        return refused(&why, err);
    const bool is_reward = task == PHALANX_SCORE && other == NULL;
    const struct api_prompt pair = prompt_of(other);
    struct api_prompt prompt = prompt_of(question->prompt);
    struct pool_request request = {.prompt = &prompt,
                                   .n_prompts = 1,
                                   .pair = other != NULL ? &pair : NULL,
                                   .add_special_tokens = !is_reward,
                                   .normalize = !is_reward};
    struct phalanx_request *r = request_new(model);
    const locale_t theirs = uselocale(model->numbers);
    const bool good =
        parameters_read_measure(&read, &request, question->parameters, &why) &&
        (!question->is_tokens || prompt_of_tokens(&prompt, question->token, question->n_tokens,
                                                  "input", &read.arena, &why)) &&
        send_measure(r, task, &request, &why);
    parameters_release(&read);
    uselocale(theirs);
    return sent(r, good, &why, err);
}

struct phalanx_request *phalanx_ask_measure(struct phalanx_model *model, enum phalanx_task task,
                                            const char *text, const char *other,
                                            const char *parameters, struct phalanx_error *err)
{
    const struct question question = {.prompt = text, .parameters = parameters};
    return ask_measure(model, task, &question, other, err);
}

struct phalanx_request *phalanx_ask_measure_tokens(struct phalanx_model *model,
                                                   enum phalanx_task task, const int32_t *token,
                                                   size_t n_tokens, const char *parameters,
                                                   struct phalanx_error *err)
{
    const struct question question = {
        .token = token, .n_tokens = n_tokens, .is_tokens = true, .parameters = parameters};
    return ask_measure(model, task, &question, NULL, err);
}

/* ---- and waited for ---- */

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
                                        const char *text, const char *other, const char *parameters,
                                        struct phalanx_error *err)
{
    return whole(phalanx_ask_measure(model, task, text, other, parameters, err), err);
}
