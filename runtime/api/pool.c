/* A pair is one prompt where the model reads pairs, else two, of which a query that stands before
 * many documents is asked only once. */
#include "runtime/api/pool.h"

#include "base/error.h"
#include "runtime/api/admission.h"
#include "runtime/api/call.h"
#include "runtime/api/prompt.h"
#include "runtime/api/reading.h"

#include <math.h>
#include <string.h>

struct pool_call {
    struct api_call base;
    struct pool_listener listener;
    enum pool_task task;
    bool normalize;
    int dimensions; /* 0: all */
    int n_results;
    int (*source)[2];           /* [n_results] prompts of each; the second -1: there is none */
    struct pool_result *result; /* [n_results] once it is done */
    struct prompt_rules rules;
};

/* ---- what comes out ---- */

static double *numbers_of(struct pool_call *call, int prompt, int *n)
{
    const struct completion *completion = &call->base.prompt[prompt].completion;
    double *value = arena_alloc(&call->base.arena, (size_t)completion->n_values, sizeof *value);
    for (int i = 0; i < completion->n_values; i++)
        value[i] = (double)completion->value[i];
    *n = completion->n_values;
    return value;
}

static double cosine(const double *a, const double *b, int n)
{
    double dot = 0, aa = 0, bb = 0;
    for (int i = 0; i < n; i++) {
        dot += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? dot / (sqrt(aa) * sqrt(bb)) : 0;
}

static void finish_one(struct pool_call *call, int i)
{
    int n;
    double *value = numbers_of(call, call->source[i][0], &n);
    if (call->source[i][1] >= 0) {
        int n_other;
        const double *other = numbers_of(call, call->source[i][1], &n_other);
        value[0] = cosine(value, other, n < n_other ? n : n_other);
        n = 1;
    } else if (call->task == POOL_EMBED) {
        n = call->dimensions > 0 && call->dimensions < n ? call->dimensions : n;
        if (call->normalize)
            pooling_normalize(value, n);
    } else if (call->normalize) {
        pooling_probabilities(value, n);
    }
    float *out = arena_alloc(&call->base.arena, (size_t)n, sizeof *out);
    for (int k = 0; k < n; k++)
        out[k] = (float)value[k];
    call->result[i] = (struct pool_result){.value = out, .n_values = n};
}

static void tell_end(struct api_call *base)
{
    struct pool_call *call = (struct pool_call *)base;
    if (base->failure.kind != ERROR_NONE) {
        call->listener.failed(call->listener.context, call, &base->failure);
        return;
    }
    for (int i = 0; i < call->n_results; i++)
        finish_one(call, i);
    call->listener.done(call->listener.context, call);
}

/* ---- what goes in ---- */

static bool reads_pairs(const struct api *api, const struct pool_request *request)
{
    return request->pair != NULL && api->model.head.n_labels > 0;
}

static bool check_task(const struct api *api, const struct pool_request *request, struct error *err)
{
    const int n_labels = api->model.head.n_labels;
    switch (request->task) {
    case POOL_EMBED:
        return n_labels == 0 ||
               error_set(err, ERROR_UNSUPPORTED,
                         "this model has a head with %d output%s, and makes no embeddings: ask for "
                         "a classification or a score",
                         n_labels, n_labels == 1 ? "" : "s");
    case POOL_SCORE:
        return n_labels <= 1 ||
               error_set(err, ERROR_UNSUPPORTED,
                         "this model has a head with %d outputs, and a score is one: ask for a "
                         "classification",
                         n_labels);
    case POOL_CLASSIFY:
        break;
    }
    return n_labels > 0 ||
           error_set(err, ERROR_UNSUPPORTED,
                     "this model has no head that classifies: ask for an embedding");
}

/* The field of which there are many. */
static const char *field_of(const struct pool_request *request)
{
    const struct api_prompt *many = request->pair != NULL ? request->pair : request->prompt;
    const char *given = request->n_prompts > 0 ? many[0].param : NULL;
    return given != NULL ? given : "input";
}

static bool check_request(const struct api *api, const struct pool_request *request,
                          struct error *err)
{
    const int most = api->model.hidden_size > 0 ? api->model.hidden_size : INT32_MAX;
    if (request->n_prompts < 1 || request->n_prompts > API_MAX_PROMPTS) {
        error_set(err, ERROR_INPUT, "want 1 to %d inputs, got %zu", API_MAX_PROMPTS,
                  request->n_prompts);
        return error_param(err, field_of(request));
    }
    if (request->task == POOL_SCORE && request->pair == NULL && api->model.head.n_labels == 0) {
        error_set(err, ERROR_INPUT, "a score of this model is that of two texts");
        return error_param(err, field_of(request));
    }
    if (request->dimensions < 0 || request->dimensions > most) {
        error_set(err, ERROR_INPUT, "dimensions must be in [1, %d], got %lld", most,
                  (long long)request->dimensions);
        return error_param(err, "dimensions");
    }
    return true;
}

static bool check_room(const struct api *api, const struct pool_request *request, int n_prompts,
                       struct error *err)
{
    if (n_prompts <= api->admission->max_in_flight)
        return true;
    error_set(
        err, ERROR_INPUT,
        "%d texts are more than the %lld sequences that this server takes at once: give fewer "
        "in one request",
        n_prompts, (long long)api->admission->max_in_flight);
    return error_param(err, field_of(request));
}

static bool is_same(const struct api_prompt *a, const struct api_prompt *b)
{
    return a->text != NULL && b->text != NULL && a->n_bytes == b->n_bytes &&
           (a->text == b->text || memcmp(a->text, b->text, a->n_bytes) == 0);
}

/* Which prompts there are, and which of them each result is made of. */
static int plan_prompts(struct pool_call *call, const struct pool_request *request, bool as_one)
{
    struct api_prompt *from = arena_alloc(&call->base.arena, 2 * request->n_prompts, sizeof *from);
    int n = 0;
    for (size_t i = 0; i < request->n_prompts; i++) {
        const bool again = i > 0 && request->pair != NULL && !as_one &&
                           is_same(&request->prompt[i], &request->prompt[i - 1]);
        call->source[i][0] = again ? call->source[i - 1][0] : n;
        call->source[i][1] = -1;
        if (!again)
            from[n++] = request->prompt[i];
        if (request->pair != NULL && !as_one) {
            call->source[i][1] = n;
            from[n++] = request->pair[i];
        }
    }
    call->base.from = from;
    call->base.pair = as_one ? request->pair : NULL;
    return n;
}

static bool read_prompt(struct api_call *base, int i, struct error *err)
{
    const struct pool_call *call = (const struct pool_call *)base;
    const struct api *api = base->api;
    const struct prompt_room room = {.max_model_len = api->model.max_model_len,
                                     .kv_tokens = api->model.kv_tokens};
    const bool as_one = base->pair != NULL;
    struct call_prompt *prompt = &base->prompt[i];
    const struct api_prompt *from = &base->from[i];
    const char *param = as_one || from->param == NULL ? call->rules.param : from->param;
    prompt->max_tokens = 1;
    const bool good =
        as_one ? prompt_read_pair(&base->reader, api->intake, from, &base->pair[i], &call->rules,
                                  &prompt->ids, err)
               : prompt_read(&base->reader, api->intake, from, &call->rules, &prompt->ids, err);
    return good &&
           (base->reader.is_under_way || prompt_fit_alone(prompt->ids.n, &room, param, err));
}

static bool read_all(struct pool_call *call, const struct pool_request *request, struct error *err)
{
    const struct api *api = call->base.api;
    const int n = plan_prompts(call, request, reads_pairs(api, request));
    call->rules = (struct prompt_rules){.param = field_of(request),
                                        .add_special_tokens = request->add_special_tokens,
                                        .vocab = api->model.vocab,
                                        .max_model_len = api->model.max_model_len};
    return check_room(api, request, n, err) && call_admit(&call->base, n, err) &&
           prompt_cut_read(&call->rules, request->truncate_prompt_tokens, PROMPT_KEEP_FIRST,
                           api->model.max_model_len, err) &&
           reading_begin(&call->base, err);
}

static bool make_sampling(struct pool_call *call, const struct pool_request *request,
                          struct error *err)
{
    struct sampling *sampling = &call->base.sampling;
    struct sampling_fields fields = sampling_nothing_said();
    fields.priority = request->priority;
    fields.deadline_ms = request->deadline_ms;
    if (!sampling_make(sampling, &fields, &call->base.api->sampling, 1, err))
        return false;
    sampling->params.pooling = call->base.api->model.head.pooling;
    sampling->params.max_tokens = 1;
    return true;
}

static bool prepare(struct pool_call *call, const struct pool_request *request, struct error *err)
{
    const struct api *api = call->base.api;
    if (!api_check_model(api, request->model, err) || !check_task(api, request, err) ||
        !check_request(api, request, err) || !make_sampling(call, request, err))
        return false;
    struct arena *arena = &call->base.arena;
    call->n_results = (int)request->n_prompts;
    call->source = arena_alloc(arena, request->n_prompts, sizeof *call->source);
    call->result = arena_alloc(arena, request->n_prompts, sizeof *call->result);
    return read_all(call, request, err);
}

struct pool_call *api_pool(struct api *api, const struct pool_request *request,
                           const struct pool_listener *listener, struct error *err)
{
    static const struct call_hooks hooks = {.read = read_prompt, .ended = tell_end};
    struct pool_call *call = memory_alloc(1, sizeof *call);
    call->listener = *listener;
    call->task = request->task;
    call->normalize = request->normalize;
    call->dimensions = (int)request->dimensions; /* looked at before it is used */
    call_init(&call->base, api, &request->source, &hooks);
    if (!prepare(call, request, err)) {
        call_refuse(&call->base, err);
        return NULL;
    }
    return call;
}

void pool_cancel(struct pool_call *call) { call_cancel(&call->base); }

int pool_results(const struct pool_call *call) { return call->n_results; }

struct pool_result pool_result(const struct pool_call *call, int i) { return call->result[i]; }

struct api_usage pool_usage(const struct pool_call *call) { return call_usage(&call->base); }

const struct api_source *pool_source(const struct pool_call *call) { return &call->base.source; }
