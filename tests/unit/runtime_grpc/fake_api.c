#include "tests/unit/runtime_grpc/fake_api.h"

#include "base/check.h"
#include "base/error.h"
#include "base/system.h"
#include "proto/status.h"
#include "runtime/api/generate.h"
#include "runtime/api/pool.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_TOKENS = 16, SLOW_STEPS = 10, FLOOD_TOKENS = 64, VALUES = 3 };

/* Both kinds of calls: generate_call and pool_call are this. */
struct fake_call {
    struct fake_api *fake;
    struct fake_call *next;
    struct api_source source;
    struct generate_listener listener; /* of a call that generates */
    struct pool_listener pool_listener;
    struct output_rules rules;
    struct output *output; /* [n_choices] NULL: it pools */
    struct sampling sampling;
    struct ids prompt;
    char text[64]; /* the begin of the prompt */
    int n_choices, n_tokens, most;
    int64_t deadline_ns;
    float (*value)[VALUES];
    int n_results, n_values;
};
struct generate_call {
    struct fake_call call;
};
struct pool_call {
    struct fake_call call;
};

static struct fake_api *fake_of(struct api *api)
{
    return (struct fake_api *)(void *)api; /* its first member */
}

/* ---- refusals ---- */

static bool refuse(const struct api_source *source, const char *model, const char *text,
                   struct error *err)
{
    (void)source;
    if (model != NULL && strcmp(model, "other") == 0) {
        error_set(err, ERROR_INPUT, "the model other does not exist");
        error_param(err, "model");
        return error_code(err, "model_not_found");
    }
    if (text != NULL && strcmp(text, "full") == 0) {
        error_set(err, ERROR_LIMIT, "the queue is full");
        return error_code(err, "queue_full");
    }
    return true;
}

static void copy_text(char to[64], const char *from)
{
    snprintf(to, 64, "%s", from == NULL ? "" : from);
}

static struct fake_call *add_call(struct fake_api *fake, struct fake_call *call,
                                  const struct api_source *source, int64_t deadline_ms)
{
    call->fake = fake;
    call->source = fake->source = *source;
    call->next = fake->first;
    call->deadline_ns =
        deadline_ms == SAMPLING_UNSAID ? INT64_MAX : clock_now_ns() + deadline_ms * 1000000;
    fake->first = call;
    fake->n_begun++;
    fake->admission.n_in_flight++;
    return call;
}

static void free_call(struct fake_call *call)
{
    struct fake_call **at = &call->fake->first;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    call->fake->admission.n_in_flight--;
    for (int i = 0; call->output != NULL && i < call->n_choices; i++)
        output_release(&call->output[i]);
    memory_free(call->output);
    memory_free(call->value);
    ids_release(&call->prompt);
    memory_free(call);
}

/* ---- generate ---- */

static void remember(struct fake_api *fake, const struct generate_request *request)
{
    fake->sampling = request->sampling;
    copy_text(fake->cache_salt, request->sampling.cache_salt);
    copy_text(fake->stop, request->sampling.n_stop > 0 ? request->sampling.stop[0] : NULL);
    if (request->messages != NULL) {
        const json_t *first = json_array_get(request->messages, 0);
        copy_text(fake->role, json_string_value(json_object_get(first, "role")));
    }
    if (request->tools != NULL)
        copy_text(fake->tool_name,
                  json_string_value(json_object_get(json_array_get(request->tools, 0), "name")));
}

struct generate_call *api_generate(struct api *api, const struct generate_request *request,
                                   const struct generate_listener *listener, struct error *err)
{
    struct fake_api *fake = fake_of(api);
    const char *text = request->n_prompts > 0 ? request->prompt[0].text : NULL;
    if (!refuse(&request->source, request->model, text, err))
        return NULL;
    if (request->messages != NULL && json_array_size(request->messages) == 0) {
        error_set(err, ERROR_INPUT, "messages is empty");
        error_param(err, "messages");
        return NULL;
    }
    if (request->sampling.temperature > 2) {
        error_set(err, ERROR_INPUT, "temperature must be in [0, 2]");
        error_param(err, "temperature");
        return NULL;
    }
    struct generate_call *made = memory_alloc(1, sizeof *made);
    struct fake_call *call =
        add_call(fake, &made->call, &request->source, request->sampling.deadline_ms);
    remember(fake, request);
    copy_text(call->text, text);
    call->listener = *listener;
    call->rules =
        (struct output_rules){.tokenizer = fake->intake.tokenizer, .skip_special_tokens = true};
    call->n_choices = request->sampling.n > 1 ? (int)request->sampling.n : 1;
    call->most =
        request->sampling.max_tokens > 0 ? (int)request->sampling.max_tokens : DEFAULT_TOKENS;
    call->sampling.params.logprobs =
        request->sampling.logprobs >= 0 ? (int32_t)request->sampling.logprobs : LOGPROBS_OFF;
    call->output = memory_alloc((size_t)call->n_choices, sizeof *call->output);
    for (int i = 0; i < call->n_choices; i++)
        output_init(&call->output[i], &call->rules);
    if (text == NULL && request->n_prompts > 0) {
        fake->n_ids = request->prompt[0].n_ids;
        for (size_t i = 0; i < request->prompt[0].n_ids; i++)
            ids_add(&call->prompt, (int32_t)request->prompt[0].id[i]);
    } else {
        ids_add_all(&call->prompt, fake->text.data, 5);
    }
    return made;
}

void generate_cancel(struct generate_call *call)
{
    call->call.fake->n_cancelled++;
    free_call(&call->call);
}

bool generate_is_sent(const struct generate_call *call)
{
    (void)call;
    return true;
}
int generate_prompts(const struct generate_call *call)
{
    (void)call;
    return 1;
}
int generate_choices(const struct generate_call *call) { return call->call.n_choices; }
const struct output *generate_output(const struct generate_call *call, int prompt, int choice)
{
    (void)prompt;
    return &call->call.output[choice];
}
const struct ids *generate_prompt_ids(const struct generate_call *call, int prompt)
{
    (void)prompt;
    return &call->call.prompt;
}
const struct sampling *generate_sampling(const struct generate_call *call)
{
    return &call->call.sampling;
}
const struct api_source *generate_source(const struct generate_call *call)
{
    return &call->call.source;
}
struct api_usage generate_usage(const struct generate_call *call)
{
    return (struct api_usage){.prompt_tokens = (int64_t)call->call.prompt.n,
                              .completion_tokens = call->call.n_tokens * call->call.n_choices,
                              .cached_tokens = 2};
}

/* ---- pool ---- */

static float length_of(const struct api_prompt *prompt)
{
    return (float)(prompt->text != NULL ? prompt->n_bytes : prompt->n_ids);
}

struct pool_call *api_pool(struct api *api, const struct pool_request *request,
                           const struct pool_listener *listener, struct error *err)
{
    struct fake_api *fake = fake_of(api);
    if (!refuse(&request->source, request->model, request->prompt[0].text, err))
        return NULL;
    struct pool_call *made = memory_alloc(1, sizeof *made);
    struct fake_call *call = add_call(fake, &made->call, &request->source, request->deadline_ms);
    call->pool_listener = *listener;
    copy_text(call->text, request->prompt[0].text);
    call->n_results = (int)request->n_prompts;
    call->n_values = request->task == POOL_SCORE ? 1 : VALUES;
    call->value = memory_alloc(request->n_prompts, sizeof *call->value);
    for (size_t i = 0; i < request->n_prompts; i++)
        for (int k = 0; k < VALUES; k++)
            call->value[i][k] = request->pair != NULL ? length_of(&request->pair[i])
                                                      : length_of(&request->prompt[i]) + (float)k;
    return made;
}

void pool_cancel(struct pool_call *call)
{
    call->call.fake->n_cancelled++;
    free_call(&call->call);
}
int pool_results(const struct pool_call *call) { return call->call.n_results; }
struct pool_result pool_result(const struct pool_call *call, int i)
{
    return (struct pool_result){call->call.value[i], call->call.n_values};
}
struct api_usage pool_usage(const struct pool_call *call)
{
    return (struct api_usage){.prompt_tokens = call->call.n_results};
}
const struct api_source *pool_source(const struct pool_call *call) { return &call->call.source; }

/* ---- the model ---- */

static void fail(struct fake_call *call, enum error_kind kind, const char *text, const char *code)
{
    struct error why = {0};
    error_set(&why, kind, "%s", text);
    error_code(&why, code);
    call->fake->n_ended++;
    if (call->output != NULL)
        call->listener.failed(call->listener.context, (struct generate_call *)(void *)call, &why);
    else
        call->pool_listener.failed(call->pool_listener.context, (struct pool_call *)(void *)call,
                                   &why);
    free_call(call);
}

static bool say(struct fake_call *call)
{
    const struct ids *text = &call->fake->text;
    const struct link_logprob best[] = {{7, -0.5f, 1}, {8, -1.5f, 2}};
    const bool is_last = ++call->n_tokens == call->most;
    for (int i = 0; i < call->n_choices; i++) {
        const struct link_token token = {
            .token = text->data[(size_t)(call->n_tokens - 1) % text->n],
            .logprob = best,
            .n_logprobs = call->sampling.params.logprobs == LOGPROBS_OFF ? 0 : 2,
            .finish = is_last ? FINISH_LENGTH : FINISH_NONE,
            .stop_token = -1};
        output_add(&call->output[i], &token);
        if (!call->listener.progress(call->listener.context, (struct generate_call *)(void *)call,
                                     0, i)) {
            call->most = call->n_tokens; /* nobody wants the rest */
            return false;
        }
    }
    return !is_last;
}

static bool is_called(const struct fake_call *call, const char *name)
{
    return strncmp(call->text, name, strlen(name)) == 0;
}

static void step_call(struct fake_call *call)
{
    if (clock_now_ns() > call->deadline_ns) {
        fail(call, ERROR_LIMIT, "the deadline of the request is over", "deadline_exceeded");
        return;
    }
    if (is_called(call, "forever") || (is_called(call, "slow") && call->fake->n_steps % SLOW_STEPS))
        return;
    if (call->output == NULL) {
        call->fake->n_ended++;
        call->pool_listener.done(call->pool_listener.context, (struct pool_call *)(void *)call);
        free_call(call);
        return;
    }
    if (is_called(call, "crash") && call->n_tokens == 2) {
        fail(call, ERROR_PEER, "the engine is lost", "engine_crash");
        return;
    }
    bool goes_on = true;
    for (int i = 0; goes_on && i < (is_called(call, "flood") ? FLOOD_TOKENS : 1); i++)
        goes_on = say(call);
    if (goes_on)
        return;
    call->fake->n_ended++;
    call->listener.done(call->listener.context, (struct generate_call *)(void *)call);
    free_call(call);
}

void fake_api_step(struct fake_api *fake)
{
    struct fake_call *next;
    fake->n_steps++;
    for (struct fake_call *call = fake->first; call != NULL; call = next) {
        next = call->next;
        step_call(call);
    }
}

void fake_api_open(struct fake_api *fake)
{
    static const char *const names[] = {"demo", "also-demo"};
    struct error err = {0};
    *fake = (struct fake_api){0};
    check(intake_open(&fake->intake, SOURCE_DIR "/demo/model", &err));
    const char say[] = "Once upon a time there was a little engine.";
    check(intake_text(&fake->intake, say, sizeof say - 1, &fake->text, &err));
    fake->api = (struct api){
        .model = {.name = names,
                  .n_names = 2,
                  .root = "demo",
                  .vocab = 2048,
                  .max_model_len = 256,
                  .kv_tokens = 4096,
                  .about = "a fake",
                  .tp = 2,
                  .pp = 1,
                  .dp = 3},
        .intake = &fake->intake,
        .admission = &fake->admission,
    };
}

void fake_api_close(struct fake_api *fake)
{
    check(fake->first == NULL);
    ids_release(&fake->text);
    intake_close(&fake->intake);
}

int admission_retry_after_s(const struct admission *admission)
{
    (void)admission;
    return 3;
}
