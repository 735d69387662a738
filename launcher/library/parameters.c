/* What a user says about an answer, out of its JSON. */
#include "launcher/library/library.h"

#include "base/json.h"
#include "proto/json_fields.h"
#include "proto/json_sampling.h"

#include <string.h>

static const struct json_limits limits = {
    .max_bytes = 256 << 20, .max_depth = 64, .max_values = 1000000};

static const char *const of_chats[] = {"tools", "documents", "chat_template_kwargs",
                                       "add_generation_prompt", "continue_final_message"};

static bool is_known(const char *key, bool chat)
{
    for (size_t i = 0; i < sizeof of_chats / sizeof *of_chats; i++)
        if (strcmp(of_chats[i], key) == 0)
            return chat;
    return json_sampling_knows(key);
}

/* A name that is misspelt would give another answer than was asked for. */
static bool check_names(const json_t *object, bool chat, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (is_known(key, chat))
            continue;
        error_set(err, ERROR_INPUT, "%.40s: no such parameter%s", key,
                  chat ? "" : " of a completion");
        return error_param(err, key);
    }
    return true;
}

static bool read_chat(struct generate_request *request, const json_t *object, struct error *err)
{
    request->add_generation_prompt = true;
    return field_array(object, "tools", &request->tools, err) &&
           field_array(object, "documents", &request->documents, err) &&
           field_object(object, "chat_template_kwargs", &request->template_variables, err) &&
           field_bool(object, "add_generation_prompt", &request->add_generation_prompt, err) &&
           field_bool(object, "continue_final_message", &request->continue_final_message, err);
}

bool parameters_read(struct library_parameters *out, struct generate_request *request,
                     const char *parameters, bool chat, struct error *err)
{
    request->sampling = sampling_nothing_said();
    request->add_generation_prompt = chat;
    if (parameters == NULL)
        return true;
    if (!json_parse(&out->json, parameters, strlen(parameters), &limits, err))
        return error_in(err, "parameters");
    if (!json_is_object(out->json))
        return error_set(err, ERROR_INPUT, "parameters: no JSON object, want {…}");
    return check_names(out->json, chat, err) &&
           json_sampling_read(&request->sampling, out->json, &out->arena, err) &&
           (!chat || read_chat(request, out->json, err));
}

bool parameters_read_messages(struct library_parameters *out, struct generate_request *request,
                              const char *messages, struct error *err)
{
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

void parameters_release(struct library_parameters *parameters)
{
    json_decref(parameters->json);
    json_decref(parameters->messages);
    arena_release(&parameters->arena);
}
