#include "tests/unit/runtime_endpoints/fake_api.h"

#include "base/memory.h"
#include "runtime/api/metrics.h"
#include "runtime/api/sleep.h"
#include "runtime/jinja/jinja.h"
#include "runtime/text/encoder.h"
#include "tests/test.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct generate_call {
    struct fake *fake;
    struct generate_listener listener;
    struct sampling sampling;
    const char *stop[1];
    int n_prompts, n_choices;
    struct ids ids[FAKE_MAX_PROMPTS];
    char *text[FAKE_MAX_PROMPTS];
    struct output output[FAKE_MAX_PROMPTS][FAKE_MAX_CHOICES];
    struct api_source source;
};

struct pool_call {
    struct fake *fake;
    struct pool_listener listener;
    struct api_source source;
    int n_results, n_prompt_tokens;
    float value[FAKE_MAX_PROMPTS][FAKE_MAX_VALUES];
    int n_values[FAKE_MAX_PROMPTS];
};

struct sleep_waiter {
    struct fake *fake;
    sleep_done_fn *done;
    void *context;
};

struct world { /* what a fake stands on */
    struct fake fake;
    struct intake intake;
    struct chat_prompt chat;
    struct generate_call *generate;
    struct pool_call *pool;
    struct sleep_waiter *sleep;
};

static struct world *world_of(const struct fake *fake)
{
    return (struct world *)(void *)(uintptr_t)fake;
}
static struct fake *fake_of(const struct api *api)
{
    return (struct fake *)((char *)(uintptr_t)api - offsetof(struct fake, api));
}

static void encode(const struct fake *fake, const char *text, bool special, struct ids *out)
{
    const struct encode_options options = {.add_special_tokens = special};
    struct error err = {0};
    CHECK(encoder_encode(fake->api.intake->encoder, text, strlen(text), &options, out, &err));
}

/* ---- the api ---- */

bool api_check_model(const struct api *api, const char *name, struct error *err)
{
    if (name == NULL)
        return true;
    for (int i = 0; i < api->model.n_names; i++)
        if (strcmp(name, api->model.name[i]) == 0)
            return true;
    error_set(err, ERROR_INPUT, "The model `%s` does not exist.", name);
    error_param(err, "model");
    return error_code(err, "model_not_found");
}

/* A prompt is "hello", and as often " and more" as the variable of this name says. */
bool chat_prompt_render(const struct chat_prompt *p, const struct chat_prompt_request *request,
                        struct jinja_output *out, struct error *err)
{
    (void)p, (void)err;
    bytes_add_text(&out->text, "hello");
    for (int64_t i = 0; i < json_integer_value(json_object_get(request->variables, "more")); i++)
        bytes_add_text(&out->text, " and more");
    return true;
}

int admission_retry_after_s(const struct admission *admission)
{
    (void)admission;
    return 7;
}

void api_metrics_write(struct bytes *out, const struct api *api)
{
    (void)api;
    bytes_add_text(out, "a_metric 1\n");
}

static void add_json(struct fake *fake, const json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    if (text != NULL)
        bytes_printf(&fake->asked_json, "%s\n", text);
    free(text);
}

static bool refuses(const struct fake *fake, struct error *err)
{
    if (fake->refusal.kind != ERROR_NONE)
        *err = fake->refusal;
    return fake->refusal.kind != ERROR_NONE;
}

/* What is borrowed for the call only is looked at now. */
static void note(struct fake *fake, const char *model, const struct api_prompt *prompt, size_t n)
{
    bytes_clear(&fake->asked_text);
    bytes_clear(&fake->asked_json);
    snprintf(fake->asked_model, sizeof fake->asked_model, "%s", model != NULL ? model : "");
    for (size_t i = 0; i < n; i++)
        if (prompt[i].text != NULL)
            bytes_printf(&fake->asked_text, "%.*s|", (int)prompt[i].n_bytes, prompt[i].text);
}

static void read_prompt(struct generate_call *call, int i, const struct generate_request *request)
{
    struct fake *fake = call->fake;
    if (request->messages != NULL) {
        encode(fake, "hello", true, &call->ids[i]);
    } else if (request->prompt[i].text != NULL) {
        encode(fake, request->prompt[i].text, request->add_special_tokens, &call->ids[i]);
        call->text[i] = memory_copy_text(request->prompt[i].text);
    } else {
        for (size_t k = 0; k < request->prompt[i].n_ids; k++)
            ids_add(&call->ids[i], (int32_t)request->prompt[i].id[k]);
    }
}

static void read_sampling(struct generate_call *call, const struct sampling_fields *fields)
{
    struct fake *fake = call->fake;
    struct sampling *s = &call->sampling;
    s->params = params_default();
    s->params.prompt_logprobs =
        fields->prompt_logprobs >= 0 ? (int32_t)fields->prompt_logprobs : LOGPROBS_OFF;
    s->params.logprobs = fields->logprobs >= 0 ? (int32_t)fields->logprobs : LOGPROBS_OFF;
    s->params.seed = 42;
    if (fields->n_stop > 0)
        snprintf(fake->asked_stop, sizeof fake->asked_stop, "%s", fields->stop[0]);
    call->stop[0] = fake->asked_stop;
    s->rules = (struct output_rules){.tokenizer = fake->api.intake->tokenizer,
                                     .stop = call->stop,
                                     .n_stop = fields->n_stop > 0,
                                     .skip_special_tokens = true};
    s->n_choices = fields->n > 0 ? (int)fields->n : 1;
}

struct generate_call *api_generate(struct api *api, const struct generate_request *request,
                                   const struct generate_listener *listener, struct error *err)
{
    struct fake *fake = fake_of(api);
    fake->asked = *request;
    note(fake, request->model, request->prompt, request->n_prompts);
    add_json(fake, request->messages);
    add_json(fake, request->tools);
    add_json(fake, request->documents);
    add_json(fake, request->template_variables);
    if (refuses(fake, err))
        return NULL;
    struct generate_call *call = memory_alloc(1, sizeof *call);
    call->fake = fake;
    call->listener = *listener;
    call->source = request->source;
    read_sampling(call, &request->sampling);
    call->n_choices = call->sampling.n_choices;
    call->n_prompts = request->messages != NULL ? 1 : (int)request->n_prompts;
    CHECK(call->n_prompts <= FAKE_MAX_PROMPTS && call->n_choices <= FAKE_MAX_CHOICES);
    for (int i = 0; i < call->n_prompts; i++) {
        read_prompt(call, i, request);
        for (int j = 0; j < call->n_choices; j++)
            output_init(&call->output[i][j], &call->sampling.rules);
    }
    world_of(fake)->generate = call;
    return call;
}

static void forget(struct generate_call *call)
{
    world_of(call->fake)->generate = NULL;
    for (int i = 0; i < call->n_prompts; i++) {
        ids_release(&call->ids[i]);
        memory_free(call->text[i]);
        for (int j = 0; j < call->n_choices; j++)
            output_release(&call->output[i][j]);
    }
    memory_free(call);
}

void generate_cancel(struct generate_call *call)
{
    call->fake->n_cancelled++;
    forget(call);
}

int generate_prompts(const struct generate_call *call) { return call->n_prompts; }
int generate_choices(const struct generate_call *call) { return call->n_choices; }
const struct output *generate_output(const struct generate_call *call, int prompt, int choice)
{
    return &call->output[prompt][choice];
}
const struct ids *generate_prompt_ids(const struct generate_call *call, int prompt)
{
    return &call->ids[prompt];
}
const char *generate_prompt_text(const struct generate_call *call, int prompt, size_t *n_bytes)
{
    *n_bytes = call->text[prompt] != NULL ? strlen(call->text[prompt]) : 0;
    return call->text[prompt];
}
const struct sampling *generate_sampling(const struct generate_call *call)
{
    return &call->sampling;
}
const struct api_source *generate_source(const struct generate_call *call) { return &call->source; }

struct api_usage generate_usage(const struct generate_call *call)
{
    struct api_usage usage = {.cached_tokens = 1};
    for (int i = 0; i < call->n_prompts; i++) {
        usage.prompt_tokens += (int64_t)call->ids[i].n;
        for (int j = 0; j < call->n_choices; j++)
            usage.completion_tokens += (int64_t)call->output[i][j].tokens.n;
    }
    return usage;
}

struct pool_call *api_pool(struct api *api, const struct pool_request *request,
                           const struct pool_listener *listener, struct error *err)
{
    struct fake *fake = fake_of(api);
    struct ids ids = {0};
    fake->pooled = *request;
    note(fake, request->model, request->prompt, request->n_prompts);
    for (size_t i = 0; request->pair != NULL && i < request->n_prompts; i++)
        bytes_printf(&fake->asked_text, "+%.*s|", (int)request->pair[i].n_bytes,
                     request->pair[i].text);
    if (refuses(fake, err))
        return NULL;
    struct pool_call *call = memory_alloc(1, sizeof *call);
    *call = (struct pool_call){.fake = fake,
                               .listener = *listener,
                               .source = request->source,
                               .n_results = (int)request->n_prompts};
    for (size_t i = 0; i < request->n_prompts; i++)
        if (request->prompt[i].text != NULL)
            encode(fake, request->prompt[i].text, true, &ids);
    call->n_prompt_tokens = (int)ids.n;
    ids_release(&ids);
    world_of(fake)->pool = call;
    return call;
}

void pool_cancel(struct pool_call *call)
{
    call->fake->n_cancelled++;
    world_of(call->fake)->pool = NULL;
    memory_free(call);
}
int pool_results(const struct pool_call *call) { return call->n_results; }
struct pool_result pool_result(const struct pool_call *call, int i)
{
    return (struct pool_result){call->value[i], call->n_values[i]};
}
struct api_usage pool_usage(const struct pool_call *call)
{
    return (struct api_usage){.prompt_tokens = call->n_prompt_tokens};
}
const struct api_source *pool_source(const struct pool_call *call) { return &call->source; }

struct sleep_waiter *api_sleep(struct api *api, enum link_sleep level, sleep_done_fn *done,
                               void *context, struct error *err)
{
    struct fake *fake = fake_of(api);
    if (refuses(fake, err))
        return NULL;
    struct sleep_waiter *call = memory_alloc(1, sizeof *call);
    *call = (struct sleep_waiter){.fake = fake, .done = done, .context = context};
    fake->slept_level = (int)level;
    fake->admission.state = level == LINK_NOT_ASLEEP ? ADMISSION_OPEN : ADMISSION_SLEEPING;
    world_of(fake)->sleep = call;
    return call;
}

void sleep_cancel(struct sleep_waiter *call)
{
    call->fake->n_cancelled++;
    world_of(call->fake)->sleep = NULL;
    memory_free(call);
}

bool api_is_asleep(const struct api *api) { return api->admission->state == ADMISSION_SLEEPING; }

/* ---- the reply ---- */

static void hear_whole(void *context, int status, const char *content_type, int retry_after_s,
                       const char *body, size_t n_bytes)
{
    struct fake *fake = context;
    fake->heard.n_whole++;
    fake->heard.status = status;
    fake->heard.retry_after_s = retry_after_s;
    snprintf(fake->heard.type, sizeof fake->heard.type, "%s", content_type);
    bytes_add(&fake->heard.body, body, n_bytes);
    fake->call = NULL;
}

static void hear_begin(void *context, const char *content_type)
{
    struct fake *fake = context;
    fake->heard.n_begun++;
    snprintf(fake->heard.type, sizeof fake->heard.type, "%s", content_type);
}

static bool hear_event(void *context, const char *data, size_t n_bytes)
{
    struct heard *heard = &((struct fake *)context)->heard;
    CHECK_EQ(heard->n_begun, 1);
    CHECK_EQ(heard->n_ended, 0);
    bytes_add(&heard->body, data, n_bytes);
    return ++heard->n_events != heard->deaf_after;
}

static void hear_end(void *context)
{
    struct fake *fake = context;
    fake->heard.n_ended++;
    fake->call = NULL;
}

/* ---- what tests do ---- */

static bool is_ready(void *context) { return !((struct fake *)context)->not_ready; }
static bool is_alive(void *context) { return !((struct fake *)context)->not_alive; }

struct fake *fake_open(void)
{
    static const char *const names[] = {"tiny", "other-name"};
    struct world *world = memory_alloc(1, sizeof *world);
    struct fake *fake = &world->fake;
    struct error err = {0};
    CHECK(intake_open(&world->intake, SOURCE_DIR "/demo/model", &err));
    fake->api = (struct api){
        .model = {.name = names,
                  .n_names = 2,
                  .root = "/m/tiny",
                  .created_s = 1700000000,
                  .vocab = 2048,
                  .max_model_len = 512,
                  .about = "tp 2",
                  .tp = 2,
                  .pp = 1,
                  .dp = 1},
        .intake = &world->intake,
        .chat = &world->chat,
        .admission = &fake->admission,
    };
    const struct endpoints_settings settings = {
        .api = &fake->api,
        .is_ready = is_ready,
        .is_alive = is_alive,
        .context = fake,
        .can_sleep = true,
    };
    fake->endpoints = endpoints_create(&settings);
    return fake;
}

void fake_close(struct fake *fake)
{
    struct world *world = world_of(fake);
    CHECK(world->generate == NULL && world->pool == NULL && world->sleep == NULL);
    endpoints_destroy(fake->endpoints);
    intake_close(&world->intake);
    bytes_release(&fake->heard.body);
    bytes_release(&fake->asked_text);
    bytes_release(&fake->asked_json);
    memory_free(world);
}

void fake_call(struct fake *fake, const char *method, const char *path, const char *body)
{
    const struct reply reply = {.whole = hear_whole,
                                .begin = hear_begin,
                                .event = hear_event,
                                .end = hear_end,
                                .context = fake,
                                .record = &fake->record};
    struct call_request request = {.body = body,
                                   .n_body = strlen(body),
                                   .query = "",
                                   .source = {.request_id = "test"},
                                   .is_id_made_up = fake->is_id_made_up};
    char route[64];
    snprintf(route, sizeof route, "%.*s", (int)strcspn(path, "?"), path);
    if (path[strlen(route)] == '?')
        request.query = path + strlen(route) + 1;
    request.path = route;
    request.route = endpoints_find(route);
    CHECK(request.route != NULL && strstr(request.route->methods, method) != NULL);
    struct call *call = endpoints_call(fake->endpoints, &request, &reply);
    CHECK_EQ(call == NULL, fake->heard.n_whole == 1);
    fake->call = call;
}

static void tell(struct fake *fake, int prompt, int choice)
{
    struct generate_call *call = world_of(fake)->generate;
    if (call->listener.progress != NULL &&
        !call->listener.progress(call->listener.context, call, prompt, choice))
        output_end(&call->output[prompt][choice], FINISH_ABORT);
}

static void say(struct fake *fake, int prompt, int choice, const char *text,
                const struct link_logprob *logprob, int n_logprobs)
{
    struct output *output = &world_of(fake)->generate->output[prompt][choice];
    struct link_logprob own[4];
    struct ids ids = {0};
    encode(fake, text, false, &ids);
    for (size_t i = 0; i < ids.n; i++) {
        for (int k = 0; k < n_logprobs; k++) {
            own[k] = logprob[k];
            if (k == 0)
                own[k].token = ids.data[i];
        }
        const struct link_token token = {.token = ids.data[i],
                                         .logprob = own,
                                         .n_logprobs = n_logprobs,
                                         .stop_token = -1,
                                         .cached_tokens = 1};
        output_add(output, &token);
        tell(fake, prompt, choice);
    }
    ids_release(&ids);
}

void fake_say(struct fake *fake, int prompt, int choice, const char *text)
{
    say(fake, prompt, choice, text, NULL, 0);
}

void fake_say_likely(struct fake *fake, int prompt, int choice, const char *text, float logprob)
{
    struct ids x = {0};
    encode(fake, "x", false, &x);
    const struct link_logprob both[] = {{0, logprob, 2}, {x.data[0], -0.5f, 1}};
    ids_release(&x);
    say(fake, prompt, choice, text, both, 2);
}

void fake_prompt_logprobs(struct fake *fake, int prompt)
{
    struct generate_call *call = world_of(fake)->generate;
    const struct ids *ids = &call->ids[prompt];
    struct link_logprob row[64];
    int32_t end[64];
    const int n = (int)ids->n - 1;
    CHECK(n < 64);
    for (int i = 0; i < n; i++) {
        row[i] = (struct link_logprob){ids->data[i + 1], (float)(-1 - i), 1};
        end[i] = i + 1;
    }
    const struct link_prompt_logprobs logprobs = {
        .position = 1, .logprob = row, .end = end, .n_positions = n};
    CHECK(output_add_prompt(&call->output[prompt][0], &logprobs));
    tell(fake, prompt, 0);
}

void fake_end(struct fake *fake, int prompt, int choice, enum finish_reason reason)
{
    output_end(&world_of(fake)->generate->output[prompt][choice], reason);
    tell(fake, prompt, choice);
}

void fake_done(struct fake *fake)
{
    struct generate_call *call = world_of(fake)->generate;
    for (int i = 0; i < call->n_prompts; i++)
        for (int j = 0; j < call->n_choices; j++)
            output_end(&call->output[i][j], FINISH_ABORT);
    call->listener.done(call->listener.context, call);
    forget(call);
}

void fake_fail(struct fake *fake, enum error_kind kind, const char *code, const char *text)
{
    struct generate_call *call = world_of(fake)->generate;
    struct pool_call *pool = world_of(fake)->pool;
    struct error why = {0};
    error_set(&why, kind, "%s", text);
    error_code(&why, code);
    if (call != NULL) {
        call->listener.failed(call->listener.context, call, &why);
        forget(call);
    } else {
        pool->listener.failed(pool->listener.context, pool, &why);
        world_of(fake)->pool = NULL;
        memory_free(pool);
    }
}

void fake_value(struct fake *fake, int i, const float *value, int n_values)
{
    struct pool_call *call = world_of(fake)->pool;
    CHECK(n_values <= FAKE_MAX_VALUES);
    memcpy(call->value[i], value, (size_t)n_values * sizeof *value);
    call->n_values[i] = n_values;
}

void fake_pooled(struct fake *fake)
{
    struct pool_call *call = world_of(fake)->pool;
    call->listener.done(call->listener.context, call);
    world_of(fake)->pool = NULL;
    memory_free(call);
}

void fake_slept(struct fake *fake, const struct error *why)
{
    struct sleep_waiter *call = world_of(fake)->sleep;
    world_of(fake)->sleep = NULL;
    fake->call = NULL;
    call->done(call->context, why);
    memory_free(call);
}

/* "created" and random ids differ from run to run: each becomes what the test can write. */
static void settle(struct bytes *body)
{
    static const char created[] = "\"created\":";
    if (body->data == NULL)
        bytes_add_text(body, "");
    for (char *at = body->data; (at = strstr(at, created)) != NULL;) {
        at += sizeof created - 1;
        const size_t n = strspn(at, "0123456789");
        *at = '0';
        memmove(at + 1, at + n, strlen(at + n) + 1);
        body->len -= n - 1;
    }
}

void check_body(struct fake *fake, int status, const char *want)
{
    CHECK_EQ(fake->heard.n_whole, 1);
    CHECK_EQ(fake->heard.n_begun, 0);
    settle(&fake->heard.body);
    CHECK_STR(fake->heard.body.data, want);
    CHECK_EQ(fake->heard.status, status);
}

void check_stream(struct fake *fake, const char *want)
{
    CHECK_EQ(fake->heard.n_whole, 0);
    CHECK_EQ(fake->heard.n_begun, 1);
    CHECK_EQ(fake->heard.n_ended, 1);
    settle(&fake->heard.body);
    CHECK_STR(fake->heard.body.data, want);
}

void fake_forget(struct fake *fake)
{
    bytes_release(&fake->heard.body);
    fake->heard = (struct heard){0};
}
