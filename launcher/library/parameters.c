/* What a user says about an answer, out of its JSON. A name that is misspelt would give another
 * answer than was asked for, so it is an error. */
#include "launcher/library/library.h"

#include "base/json.h"
#include "proto/json_fields.h"
#include "proto/json_sampling.h"

#include <string.h>

static const struct json_limits limits = {
    .max_bytes = 256 << 20, .max_depth = 64, .max_values = 1000000};

static const char *const of_answers[] = {"logprobs", "detokenize", "truncate_prompt_tokens", NULL};
static const char *const of_completions[] = {"echo", "add_special_tokens", NULL};
static const char *const of_chats[] = {
    "tools", "documents", "chat_template_kwargs", "add_generation_prompt", "continue_final_message",
    NULL};
static const char *const of_measures[] = {
    "dimensions",  "normalize", "truncate_prompt_tokens", "add_special_tokens", "priority",
    "deadline_ms", NULL};

static bool is_among(const char *key, const char *const *name)
{
    while (*name != NULL && strcmp(*name, key) != 0)
        name++;
    return *name != NULL;
}

/* `more` is of this kind of question, `what` its name; sampling: it is answered by tokens. */
static bool check_names(const json_t *object, const char *const *more, bool sampling,
                        const char *what, struct error *err)
{
    const char *key;
    json_t *value;
    if (sampling && !json_sampling_refuse(object, err)) /* tells what to do instead */
        return false;
    json_object_foreach((json_t *)object, key, value)
    {
        if (is_among(key, more) ||
            (sampling && (is_among(key, of_answers) || json_sampling_knows(key))))
            continue;
        error_set(err, ERROR_INPUT, "%.40s: no such parameter of a %s", key, what);
        return error_param(err, key);
    }
    return true;
}

/* NULL is no object, and says nothing. */
static bool parse(struct library_parameters *out, const char *parameters, struct error *err)
{
    if (parameters == NULL)
        return true;
    if (!json_parse(&out->json, parameters, strlen(parameters), &limits, err))
        return error_in(err, "parameters");
    return json_is_object(out->json) ||
           error_set(err, ERROR_INPUT, "parameters: no JSON object, want {…}");
}

static bool read_answer(struct library_parameters *out, struct generate_request *request,
                        struct error *err)
{
    bool detokenize = true;
    const bool good =
        json_sampling_read(&request->sampling, out->json, &out->arena, err) &&
        field_int(out->json, "logprobs", &request->sampling.logprobs, err) &&
        field_bool(out->json, "detokenize", &detokenize, err) &&
        field_int(out->json, "truncate_prompt_tokens", &request->truncate_prompt_tokens, err);
    request->sampling.detokenize = detokenize;
    return good;
}

bool parameters_read(struct library_parameters *out, struct generate_request *request,
                     const char *parameters, struct error *err)
{
    request->sampling = sampling_nothing_said();
    request->add_special_tokens = true;
    request->truncate_prompt_tokens = SAMPLING_UNSAID;
    if (!parse(out, parameters, err))
        return false;
    return out->json == NULL ||
           (check_names(out->json, of_completions, true, "completion", err) &&
            read_answer(out, request, err) && field_bool(out->json, "echo", &out->echo, err) &&
            field_bool(out->json, "add_special_tokens", &request->add_special_tokens, err));
}

static bool read_messages(struct library_parameters *out, struct generate_request *request,
                          const char *messages, struct error *err)
{
    if (messages == NULL)
        messages = "";
    if (!json_parse(&out->messages, messages, strlen(messages), &limits, err)) {
        error_in(err, "messages");
        return error_param(err, "messages");
    }
    if (!json_is_array(out->messages) || json_array_size(out->messages) == 0) {
        error_set(err, ERROR_INPUT, "messages: want a JSON array with at least one message");
        return error_param(err, "messages");
    }
    request->messages = out->messages;
    return true;
}

static bool read_template(struct generate_request *request, const json_t *object, struct error *err)
{
    return field_array(object, "tools", &request->tools, err) &&
           field_array(object, "documents", &request->documents, err) &&
           field_object(object, "chat_template_kwargs", &request->template_variables, err) &&
           field_bool(object, "add_generation_prompt", &request->add_generation_prompt, err) &&
           field_bool(object, "continue_final_message", &request->continue_final_message, err);
}

bool parameters_read_chat(struct library_parameters *out, struct generate_request *request,
                          const char *messages, const char *parameters, struct error *err)
{
    request->sampling = sampling_nothing_said();
    request->add_generation_prompt = true;
    request->truncate_prompt_tokens = SAMPLING_UNSAID;
    request->default_max_tokens = INT32_MAX; /* what fits */
    if (!parse(out, parameters, err) || !read_messages(out, request, messages, err))
        return false;
    return out->json == NULL ||
           (check_names(out->json, of_chats, true, "chat", err) && read_answer(out, request, err) &&
            read_template(request, out->json, err));
}

bool parameters_read_measure(struct library_parameters *out, struct pool_request *request,
                             const char *parameters, struct error *err)
{
    request->truncate_prompt_tokens = request->priority = request->deadline_ms = SAMPLING_UNSAID;
    if (!parse(out, parameters, err))
        return false;
    return out->json == NULL ||
           (check_names(out->json, of_measures, false, "measure", err) &&
            field_int(out->json, "dimensions", &request->dimensions, err) &&
            field_bool(out->json, "normalize", &request->normalize, err) &&
            field_int(out->json, "truncate_prompt_tokens", &request->truncate_prompt_tokens, err) &&
            field_bool(out->json, "add_special_tokens", &request->add_special_tokens, err) &&
            field_int(out->json, "priority", &request->priority, err) &&
            field_int(out->json, "deadline_ms", &request->deadline_ms, err));
}

void parameters_release(struct library_parameters *parameters)
{
    json_decref(parameters->json);
    json_decref(parameters->messages);
    arena_release(&parameters->arena);
}
