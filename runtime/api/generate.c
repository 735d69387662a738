#include "runtime/api/generate.h"

#include "base/error.h"
#include "runtime/api/admission.h"
#include "runtime/api/call.h"
#include "runtime/api/prompt.h"
#include "runtime/api/reading.h"
#include "runtime/jinja/jinja.h"

#include <string.h>
#include <xxhash.h>

struct generate_call {
    struct api_call base;
    struct generate_listener listener;
    struct prompt_rules rules;
    struct prompt_room room;
};

/* ---- the listener ---- */

static void tell_sent(struct api_call *base)
{
    struct generate_call *call = (struct generate_call *)base;
    if (call->listener.sent != NULL)
        call->listener.sent(call->listener.context, call);
}

static bool tell_progress(struct api_call *base, int prompt, int choice)
{
    struct generate_call *call = (struct generate_call *)base;
    return call->listener.progress == NULL ||
           call->listener.progress(call->listener.context, call, prompt, choice);
}

static void tell_end(struct api_call *base)
{
    struct generate_call *call = (struct generate_call *)base;
    if (base->failure.kind != ERROR_NONE)
        call->listener.failed(call->listener.context, call, &base->failure);
    else
        call->listener.done(call->listener.context, call);
}

/* ---- prompts ---- */

static bool is_chat(const struct generate_request *request) { return request->messages != NULL; }

static const char *prompt_param(const struct generate_request *request)
{
    if (is_chat(request))
        return "messages";
    const char *given = request->n_prompts > 0 ? request->prompt[0].param : NULL;
    return given != NULL ? given : "prompt";
}

/* Answers of one request are bounded, and those that no queue could ever take are refused here:
 * to come back later would not help. */
static bool check_counts(const struct api *api, const struct generate_request *request,
                         const struct sampling *sampling, struct error *err)
{
    const size_t n_prompts = is_chat(request) ? 1 : request->n_prompts;
    if (n_prompts < 1 || n_prompts > API_MAX_PROMPTS) {
        error_set(err, ERROR_INPUT, "want 1 to %d prompts, got %zu", API_MAX_PROMPTS, n_prompts);
        return error_param(err, "prompt");
    }
    const int64_t most = api->admission->max_in_flight < API_MAX_CHOICES
                             ? api->admission->max_in_flight
                             : API_MAX_CHOICES;
    const int width = sampling_sequences(sampling);
    if ((int64_t)n_prompts * width <= most)
        return true;
    error_set(err, ERROR_INPUT,
              "%zu prompt%s with %d answers each are more than the %lld sequences that this server "
              "takes at once: ask for fewer in one request",
              n_prompts, n_prompts == 1 ? "" : "s", width, (long long)most);
    return error_param(err, width > 1 ? "n" : "prompt");
}

static bool render_chat(const struct api *api, const struct generate_request *request,
                        struct jinja_output *out, struct error *err)
{
    const struct chat_prompt_request chat = {
        .messages = request->messages,
        .tools = request->tool_choice_none != NULL ? NULL : request->tools,
        .documents = request->documents,
        .variables = request->template_variables,
        .add_generation_prompt = request->add_generation_prompt,
        .continue_final_message = request->continue_final_message,
    };
    if (api->chat == NULL) {
        error_set(err, ERROR_INPUT,
                  "this model has no chat template: ask for a completion of a prompt, or start the "
                  "server with --chat-template");
        return error_param(err, "messages");
    }
    return chat_prompt_render(api->chat, &chat, out, err);
}

/* What the template makes of a chat is the one prompt, and lives in the arena of the call. */
static bool take_chat(struct api_call *call, const struct generate_request *request,
                      struct error *err)
{
    struct jinja_output text = {0};
    const bool good = render_chat(call->api, request, &text, err);
    if (good) {
        struct api_prompt *prompt = arena_alloc(&call->arena, 1, sizeof *prompt);
        struct text_range *plain = arena_alloc(&call->arena, text.n_users, sizeof *plain);
        if (text.n_users > 0)
            memcpy(plain, text.users, text.n_users * sizeof *plain);
        *prompt = (struct api_prompt){
            .text = arena_copy_text(&call->arena, text.text.len > 0 ? text.text.data : "",
                                    text.text.len),
            .n_bytes = text.text.len,
            .is_rendered = true,
            .plain = plain,
            .n_plain = text.n_users,
        };
        call->from = prompt;
        call->owns_from = true;
    }
    jinja_output_release(&text);
    return good;
}

static bool read_prompt(struct api_call *base, int i, struct error *err)
{
    struct generate_call *call = (struct generate_call *)base;
    struct call_prompt *prompt = &base->prompt[i];
    if (!prompt_read(&base->reader, base->api->intake, &base->from[i], &call->rules, &prompt->ids,
                     err))
        return false;
    if (base->reader.is_under_way)
        return true;
    prompt->max_tokens = base->sampling.params.max_tokens;
    if (!prompt_fit(prompt->ids.n, &call->room, call->rules.param, &prompt->max_tokens, err))
        return false;
    call_keep_text(base, i);
    return true;
}

static bool read_prompts(struct generate_call *call, const struct generate_request *request,
                         struct error *err)
{
    const struct api *api = call->base.api;
    const struct sampling *sampling = &call->base.sampling;
    const int64_t left = (int64_t)api->model.max_model_len - sampling->params.max_tokens;
    /* where the answer may be as long as it fits, one token of it has to */
    const int64_t fits = left >= 1 ? left : api->model.max_model_len - 1;
    call->room = (struct prompt_room){.max_model_len = api->model.max_model_len,
                                      .kv_tokens = api->model.kv_tokens,
                                      .max_tokens_said = sampling->max_tokens_said};
    call->rules = (struct prompt_rules){.param = prompt_param(request),
                                        .add_special_tokens = request->add_special_tokens,
                                        .vocab = api->model.vocab,
                                        .max_model_len = api->model.max_model_len};
    if (!prompt_cut_read(&call->rules, request->truncate_prompt_tokens, PROMPT_KEEP_LAST, fits,
                         err))
        return false;
    if (is_chat(request) && !take_chat(&call->base, request, err))
        return false;
    if (!is_chat(request))
        call->base.from = request->prompt;
    return reading_begin(&call->base, err);
}

/* ---- the call ---- */

/* Of 53 bits, which every JSON reader gets back whole. */
static int64_t next_seed(const struct api_seeds *seeds)
{
    const uint64_t number = seeds->n_used;
    return (int64_t)(XXH3_64bits_withSeed(&number, sizeof number, seeds->from) >> 11);
}

/* True: it is the next one of the server's. */
static bool choose_seed(struct sampling_fields *fields, const struct api *api,
                        const struct generate_request *request)
{
    const bool is_said = fields->seed != SAMPLING_UNSAID && fields->seed != -1;
    if (!is_said && request->source.seed > 0)
        fields->seed = (int64_t)request->source.seed;
    else if (!is_said && api->seeds.are_given)
        fields->seed = next_seed(&api->seeds);
    return !is_said && request->source.seed == 0 && api->seeds.are_given;
}

static bool prepare(struct generate_call *call, const struct generate_request *request,
                    struct error *err)
{
    struct api *api = call->base.api;
    struct sampling *sampling = &call->base.sampling;
    struct sampling_fields fields = request->sampling;
    const bool takes_seed = choose_seed(&fields, api, request);
    if (!api_check_model(api, request->model, err) ||
        !sampling_make(sampling, &fields, &api->sampling, request->default_max_tokens, err) ||
        !check_counts(api, request, sampling, err) ||
        !call_admit(&call->base, is_chat(request) ? 1 : (int)request->n_prompts, err) ||
        !read_prompts(call, request, err))
        return false;
    api->seeds.n_used += takes_seed; /* one that is refused takes none */
    return true;
}

struct generate_call *api_generate(struct api *api, const struct generate_request *request,
                                   const struct generate_listener *listener, struct error *err)
{
    static const struct call_hooks hooks = {
        .read = read_prompt, .sent = tell_sent, .progress = tell_progress, .ended = tell_end};
    struct generate_call *call = memory_alloc(1, sizeof *call);
    call->listener = *listener;
    call_init(&call->base, api, &request->source, &hooks);
    call->base.seed_said =
        request->sampling.seed != SAMPLING_UNSAID && request->sampling.seed != -1;
    if (!prepare(call, request, err)) {
        call_refuse(&call->base, err);
        return NULL;
    }
    return call;
}

void generate_cancel(struct generate_call *call) { call_cancel(&call->base); }

/* ---- what there is ---- */

int generate_prompts(const struct generate_call *call) { return call->base.n_prompts; }

bool generate_is_sent(const struct generate_call *call) { return call->base.is_sent; }

int generate_choices(const struct generate_call *call) { return call->base.sampling.n_choices; }

const struct output *generate_output(const struct generate_call *call, int prompt, int choice)
{
    return &call->base.prompt[prompt].completion.output[choice];
}

const struct ids *generate_prompt_ids(const struct generate_call *call, int prompt)
{
    return &call->base.prompt[prompt].ids;
}

const char *generate_prompt_text(const struct generate_call *call, int prompt, size_t *n_bytes)
{
    *n_bytes = call->base.prompt[prompt].n_bytes;
    return call->base.prompt[prompt].text;
}

const struct sampling *generate_sampling(const struct generate_call *call)
{
    return &call->base.sampling;
}

const struct api_source *generate_source(const struct generate_call *call)
{
    return &call->base.source;
}

struct api_usage generate_usage(const struct generate_call *call)
{
    return call_usage(&call->base);
}
