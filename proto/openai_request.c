#include "proto/openai_request.h"

#include "base/error.h"
#include "proto/json_fields.h"
#include "proto/json_sampling.h"
#include "proto/request_id.h"

#include <string.h>

enum { MAX_TOP_LOGPROBS = 20 }; /* of OpenAI's documentation; a server may allow fewer */

static bool refuse(const char *key, const char *text, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s", text);
    return error_param(err, key);
}

/* ---- what both have ---- */

bool openai_read_model(const char **model, const json_t *body, struct error *err)
{
    return field_text(body, "model", model, err);
}

bool openai_read_request_id(const char **id, const json_t *body, struct error *err)
{
    return field_text(body, "request_id", id, err) && (*id == NULL || request_id_check(*id, err));
}

bool openai_read_truncation(int64_t *n, const json_t *body, struct error *err)
{
    static const char name[] = "truncate_prompt_tokens";
    if (!field_int(body, name, n, err))
        return false;
    return *n == SAMPLING_UNSAID || *n == -1 || *n >= 1 ||
           refuse(name, "truncate_prompt_tokens: want at least 1, or -1 for what fits", err);
}

static bool read_stream_options(struct openai_request *out, struct error *err)
{
    const json_t *body = out->body.json, *options = NULL;
    if (!field_bool(body, "stream", &out->form.stream, err) ||
        !field_object(body, "stream_options", &options, err))
        return false;
    if (json_object_size(options) == 0) /* also where there are none */
        return true;
    if (!out->form.stream)
        return refuse("stream_options", "Stream options can only be defined when `stream=True`.",
                      err);
    if (!field_bool(options, "include_usage", &out->form.include_usage, err) ||
        !field_bool(options, "continuous_usage_stats", &out->form.continuous_usage, err))
        return false;
    out->form.continuous_usage = out->form.continuous_usage && out->form.include_usage;
    return true;
}

static bool read_common(struct openai_request *out, struct error *err)
{
    const json_t *body = out->body.json;
    out->truncate_prompt_tokens = SAMPLING_UNSAID;
    if (!openai_read_model(&out->model, body, err) ||
        !openai_read_request_id(&out->request_id, body, err) || !json_sampling_refuse(body, err) ||
        !json_sampling_read(&out->sampling, body, &out->body.arena, err) ||
        !read_stream_options(out, err) ||
        !openai_read_truncation(&out->truncate_prompt_tokens, body, err) ||
        !field_bool(body, "echo", &out->form.echo, err) ||
        !field_bool(body, "return_token_ids", &out->form.return_token_ids, err) ||
        !field_bool(body, "return_tokens_as_token_ids", &out->form.tokens_as_ids, err) ||
        !field_bool(body, "add_special_tokens", &out->add_special_tokens, err))
        return false;
    return !out->form.stream || out->sampling.prompt_logprobs == SAMPLING_UNSAID ||
           refuse("prompt_logprobs", "`prompt_logprobs` are not available when `stream=True`.",
                  err);
}

/* ---- completions ---- */

static bool read_completion_logprobs(struct openai_request *out, struct error *err)
{
    if (!field_int(out->body.json, "logprobs", &out->form.n_top, err))
        return false;
    out->form.has_logprobs = field_find(out->body.json, "logprobs") != NULL;
    if (!out->form.has_logprobs)
        return true;
    if (out->form.n_top < 0)
        return refuse("logprobs", "`logprobs` must be a positive value.", err);
    out->sampling.logprobs = out->form.n_top;
    if (out->form.echo && out->sampling.prompt_logprobs == SAMPLING_UNSAID)
        out->sampling.prompt_logprobs = out->form.n_top;
    return true;
}

bool openai_completion_read(struct openai_request *out, const char *body, size_t n_bytes,
                            const struct sampling_fields *nothing_said, struct error *err)
{
    *out = (struct openai_request){.sampling = *nothing_said, .add_special_tokens = true};
    if (!request_body_read(&out->body, body, n_bytes, err) || !read_common(out, err) ||
        !read_completion_logprobs(out, err) ||
        !json_prompts_read(&out->prompts, out->body.json, "prompt", &out->body.arena, err))
        return false;
    if (out->form.echo && out->sampling.max_tokens == 0) {
        out->form.only_echo = true;
        out->sampling.max_tokens = 1; /* the engine needs one to compute the prompt */
    }
    return true;
}

/* ---- chats ---- */

static bool read_chat_logprobs(struct openai_request *out, struct error *err)
{
    const json_t *body = out->body.json;
    if (!field_bool(body, "logprobs", &out->form.has_logprobs, err) ||
        !field_int(body, "top_logprobs", &out->form.n_top, err))
        return false;
    if (out->form.n_top < 0)
        return refuse("top_logprobs", "`top_logprobs` must be a positive value.", err);
    if (out->form.n_top > 0 && !out->form.has_logprobs)
        return refuse("top_logprobs", "when using `top_logprobs`, `logprobs` must be set to true.",
                      err);
    if (out->form.n_top > MAX_TOP_LOGPROBS)
        return refuse("top_logprobs", "`top_logprobs` must be at most 20.", err);
    out->sampling.logprobs_name = "top_logprobs";
    if (out->form.has_logprobs)
        out->sampling.logprobs = out->form.n_top;
    return true;
}

static bool has_tool(const json_t *tools, const char *name)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = json_object_get(json_array_get(tools, i), "function");
        const char *other = json_string_value(json_object_get(function, "name"));
        if (other != NULL && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

/* "none" and "auto" only: a call that must be made needs an answer bound to a grammar. */
static bool read_tool_choice(struct openai_request *out, struct error *err)
{
    static const char key[] = "tool_choice";
    const json_t *choice = field_find(out->body.json, key);
    const char *text = json_string_value(choice);
    if (choice == NULL)
        return true;
    out->hide_tools = text != NULL && strcmp(text, "none") == 0;
    if (out->hide_tools)
        return true;
    if (out->tools == NULL)
        return refuse(key, "When using `tool_choice`, `tools` must be set.", err);
    if (text != NULL && strcmp(text, "auto") == 0)
        return true;
    if (text != NULL && strcmp(text, "required") != 0)
        return refuse(key, "tool_choice: want \"none\", \"auto\" or a tool", err);
    const char *name =
        json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
    if (text == NULL && name == NULL)
        return field_wrong(key, choice, "\"none\", \"auto\" or a tool", err);
    if (text == NULL && !has_tool(out->tools, name))
        return refuse(key,
                      "The tool specified in `tool_choice` does not match any of the specified "
                      "`tools`",
                      err);
    return refuse(key,
                  "tool_choice is not supported but for \"none\" and \"auto\": no answer can be "
                  "made a tool call",
                  err);
}

/* As vLLM does: templates that know no effort may know whether to think. */
static void set_effort(json_t *variables, const char *effort)
{
    if (json_object_get(variables, "reasoning_effort") == NULL)
        json_object_set_new(variables, "reasoning_effort", json_string(effort));
    if (json_object_get(variables, "enable_thinking") == NULL)
        json_object_set_new(variables, "enable_thinking",
                            json_boolean(strcmp(effort, "none") != 0));
}

static bool read_variables(struct openai_request *out, struct error *err)
{
    const json_t *variables = NULL;
    const char *effort = NULL;
    if (!field_object(out->body.json, "chat_template_kwargs", &variables, err) ||
        !field_text(out->body.json, "reasoning_effort", &effort, err))
        return false;
    if (variables == NULL && effort == NULL)
        return true;
    out->template_variables = variables != NULL ? json_copy((json_t *)variables) : json_object();
    if (effort != NULL)
        set_effort(out->template_variables, effort);
    return true;
}

bool openai_read_chat_prompt(struct openai_request *out, struct error *err)
{
    const json_t *body = out->body.json;
    out->add_generation_prompt = true;
    if (!field_array(body, "messages", &out->messages, err) ||
        !field_array(body, "tools", &out->tools, err) ||
        !field_array(body, "documents", &out->documents, err) || !read_variables(out, err) ||
        !field_bool(body, "continue_final_message", &out->continue_final_message, err))
        return false;
    if (json_array_size(out->messages) == 0)
        return refuse("messages", "messages: empty, want a list of at least one message", err);
    if (out->tools != NULL && json_array_size(out->tools) == 0)
        return refuse("tools",
                      "`tools` must not be an empty array. Either provide at least one tool or "
                      "omit the field entirely.",
                      err);
    if (!field_bool(body, "add_generation_prompt", &out->add_generation_prompt, err))
        return false;
    return !out->continue_final_message || !out->add_generation_prompt ||
           refuse("continue_final_message",
                  "Cannot set both `continue_final_message` and `add_generation_prompt` to True.",
                  err);
}

bool openai_chat_read(struct openai_request *out, const char *body, size_t n_bytes,
                      const struct sampling_fields *nothing_said, struct error *err)
{
    *out = (struct openai_request){.sampling = *nothing_said};
    return request_body_read(&out->body, body, n_bytes, err) && read_common(out, err) &&
           field_bool(out->body.json, "return_prompt_text", &out->form.return_prompt_text, err) &&
           read_chat_logprobs(out, err) && openai_read_chat_prompt(out, err) &&
           read_tool_choice(out, err);
}

void openai_request_release(struct openai_request *request)
{
    json_decref(request->template_variables);
    request_body_release(&request->body);
    *request = (struct openai_request){0};
}
