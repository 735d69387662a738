#include "launcher/chat/prompt.h"

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
    return true;
}

bool chat_prompt_make(const struct chat_prompt *p, struct intake *intake, const json_t *messages,
                      struct ids *out, struct error *err)
{
    json_t *read;
    if (!chat_messages_read(&read, messages, p->format, err))
        return false;
    const struct chat_request request = {
        .messages = read, .variables = p->variables, .add_generation_prompt = true};
    struct jinja_output prompt;
    const bool good = chat_template_render(p->template, &request, &prompt, err) &&
                      intake_chat(intake, &prompt, out, err);
    jinja_output_release(&prompt);
    json_decref(read);
    return good;
}
