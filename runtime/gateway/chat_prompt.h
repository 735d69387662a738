/* runtime/gateway/chat_prompt.h: messages to the token ids of a prompt: what a chat, the demo, and
 * every server share.
 *
 * Nothing in the messages can spell a special token, whoever wrote them: they are text. */
#pragma once
#include "runtime/text/chat_messages.h" /* enum content_format */

#include <jansson.h>
#include <stdbool.h>

struct chat_template;
struct error;
struct ids;
struct intake;
struct jinja_output;
struct options;

struct chat_prompt { /* how prompts are made; borrowed but for `variables` */
    const struct chat_template *template;
    json_t *variables; /* of the template; NULL: none. Release with json_decref() */
    enum content_format format, format_with_tools;
};

/* What the options say. ERROR_INPUT: variables that are no JSON object; a model without a
 * template. */
bool chat_prompt_init(struct chat_prompt *out, const struct chat_template *t,
                      const struct options *options, struct error *err);

struct chat_prompt_request { /* JSON is borrowed; NULL and null are absent */
    const json_t *messages, *tools, *documents;
    const json_t *variables; /* of this request: over those of the options */
    bool add_generation_prompt, continue_final_message;
    bool add_special_tokens; /* besides those that the template writes */
};
/* The text; jinja_output_release() also after a failure. ERROR_INPUT with the parameter:
 * "messages", "tools", "documents", "chat_template_kwargs", "continue_final_message". */
bool chat_prompt_render(const struct chat_prompt *p, const struct chat_prompt_request *request,
                        struct jinja_output *out, struct error *err);
/* The same, as ids. */
bool chat_prompt_make(const struct chat_prompt *p, struct intake *intake,
                      const struct chat_prompt_request *request, struct ids *out,
                      struct error *err);
