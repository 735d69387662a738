#include "runtime/gateway/chat_prompt.h"

#include "base/error.h"
#include "base/json.h"
#include "runtime/gateway/intake.h"
#include "runtime/options/options.h"
#include "runtime/text/chat_template.h"

#include <string.h>

static const struct json_limits variables_limits = {
    .max_bytes = 1 << 20, .max_depth = 32, .max_values = 1 << 16};

static bool read_variables(json_t **out, const struct options *options, struct error *err)
{
    const char *text = options->template_variables;
    *out = NULL;
    if (text != NULL) {
        if (!json_parse(out, text, strlen(text), &variables_limits, err))
            return error_in(err, "--default-chat-template-kwargs");
        if (!json_is_object(*out))
            return error_set(err, ERROR_INPUT,
                             "--default-chat-template-kwargs: want an object: {\"name\": value}");
    }
    if (options_is_given(options, "--enable-thinking")) {
        if (*out == NULL)
            *out = json_object();
        json_object_set_new(*out, "enable_thinking", json_boolean(options->enable_thinking));
    }
    return true;
}

static bool require_template(const struct chat_template *t, const struct options *options,
                             struct error *err)
{
    if (chat_template_exists(t))
        return true;
    const char *name = options->factory.template;
    return error_set(err, ERROR_INPUT,
                     "the model has no chat template%s%s%s; give one with --chat-template FILE",
                     name ? " (template: " : "", name ? name : "",
                     name ? " is a name of LLaMA-Factory, and its templates are not here)" : "");
}

bool chat_prompt_init(struct chat_prompt *out, const struct chat_template *t,
                      const struct options *options, struct error *err)
{
    *out = (struct chat_prompt){.template = t};
    if (!require_template(t, options, err) || !read_variables(&out->variables, options, err))
        return false;
    out->format = chat_template_format(t, false, options->content_format);
    out->format_with_tools = chat_template_format(t, true, options->content_format);
    return true;
}

static bool is_there(const json_t *value) { return value != NULL && !json_is_null(value); }

/* null and a list of nothing are as if nobody had said it; what else it is the template says. */
static const json_t *or_absent(const json_t *list)
{
    return !is_there(list) || (json_is_array(list) && json_array_size(list) == 0) ? NULL : list;
}

/* A new reference; those of the request win. */
static bool join_variables(json_t **out, const struct chat_prompt *p, const json_t *requests,
                           struct error *err)
{
    *out = NULL;
    if (is_there(requests) && !json_is_object(requests)) {
        error_set(err, ERROR_INPUT, "chat_template_kwargs: want an object: {\"name\": value}");
        return error_param(err, "chat_template_kwargs");
    }
    if (p->variables != NULL && is_there(requests)) {
        *out = json_copy(p->variables);
        json_object_update(*out, (json_t *)requests);
    } else {
        *out = json_incref(is_there(requests) ? (json_t *)requests : p->variables);
    }
    return true;
}

bool chat_prompt_render(const struct chat_prompt *p, const struct chat_prompt_request *request,
                        struct jinja_output *out, struct error *err)
{
    const bool has_tools = json_array_size(request->tools) > 0;
    json_t *messages = NULL, *variables = NULL;
    const enum content_format format = has_tools ? p->format_with_tools : p->format;
    bool good = join_variables(&variables, p, request->variables, err) &&
                chat_messages_read(&messages, request->messages, format, err);
    if (good) {
        const struct chat_request whole = {.messages = messages,
                                           .tools = or_absent(request->tools),
                                           .documents = or_absent(request->documents),
                                           .variables = variables,
                                           .add_generation_prompt = request->add_generation_prompt,
                                           .continue_final_message =
                                               request->continue_final_message};
        good = chat_template_render(p->template, &whole, out, err);
    }
    json_decref(messages);
    json_decref(variables);
    return good || error_param(err, "messages"); /* unless it was another one */
}

bool chat_prompt_make(const struct chat_prompt *p, struct intake *intake,
                      const struct chat_prompt_request *request, struct ids *out, struct error *err)
{
    struct jinja_output prompt = {0};
    const bool good = chat_prompt_render(p, request, &prompt, err) &&
                      (intake_chat(intake, &prompt, request->add_special_tokens, out, err) ||
                       error_param(err, "messages"));
    jinja_output_release(&prompt);
    return good;
}
