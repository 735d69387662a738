/* /v1/chat/completions: the next message of a conversation. */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/endpoints/endpoint.h"
#include "runtime/endpoints/openai_answer.h"

#include <string.h>

static const json_t *last_message(const struct openai_request *body)
{
    return json_array_get(body->messages, json_array_size(body->messages) - 1);
}

/* Who speaks next; without a generation prompt the last one goes on. */
static const char *role_of(const struct openai_request *body)
{
    const char *role = json_string_value(json_object_get(last_message(body), "role"));
    return body->add_generation_prompt || role == NULL ? "assistant" : role;
}

/* The text of the last message where it is the begin of the answer; parts are joined as templates
 * see them. */
static void add_begun(struct bytes *out, const struct openai_request *body, const char *role)
{
    const json_t *last = last_message(body), *content = json_object_get(last, "content"), *part;
    const char *speaker = json_string_value(json_object_get(last, "role"));
    size_t i;
    if (!body->form.echo || speaker == NULL || strcmp(speaker, role) != 0)
        return;
    if (json_is_string(content))
        bytes_add(out, json_string_value(content), json_string_length(content));
    json_array_foreach(content, i, part)
    {
        const json_t *text = json_object_get(part, "text");
        bytes_add_text(out, i > 0 ? "\n" : "");
        bytes_add(out, json_string_value(text), json_string_length(text));
    }
}

static struct call *start(const struct endpoints *e, const struct openai_request *body,
                          const struct call_request *call, const struct reply *reply)
{
    const struct generate_request request = {
        .source = endpoint_source(call, "chatcmpl-", body->request_id),
        .model = body->model,
        .sampling = body->sampling,
        .messages = body->messages,
        .tools = body->tools,
        .documents = body->documents,
        .template_variables = body->template_variables,
        .tool_choice_none = body->hide_tools ? "none" : NULL,
        .add_special_tokens = body->add_special_tokens,
        .add_generation_prompt = body->add_generation_prompt,
        .continue_final_message = body->continue_final_message,
        .truncate_prompt_tokens = body->truncate_prompt_tokens,
        .default_max_tokens = INT32_MAX,
    };
    struct bytes begun = {0};
    struct openai_start how = {.kind = OPENAI_CHAT, .form = &body->form, .role = role_of(body)};
    add_begun(&begun, body, how.role);
    how.echo = (struct json_text){begun.data, begun.len};
    struct call *answer = openai_answer_start(e, &how, &request, reply);
    bytes_release(&begun);
    return answer;
}

struct call *chat_call(const struct endpoints *e, const struct call_request *call,
                       const struct reply *reply)
{
    const struct sampling_fields nothing_said = sampling_nothing_said();
    struct openai_request body;
    struct error err = {0};
    struct call *answer = openai_chat_read(&body, call->body, call->n_body, &nothing_said, &err)
                              ? start(e, &body, call, reply)
                              : endpoint_refuse(e, reply, &err);
    openai_request_release(&body);
    return answer;
}
