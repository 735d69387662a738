/* runtime/text/chat_template.h: messages to the text of a prompt, as the checkpoint writes it.
 *
 * The template comes from the folder of the checkpoint, in this order: chat_template.jinja (and
 * additional_chat_templates/NAME.jinja), "chat_template" of tokenizer_config.json (a text, or a
 * list of {"name", "template"}), chat_template.json; or from a file that the user names instead.
 * Of several, "tool_use" is taken for a request with tools, else "default". It sees what
 * transformers' apply_chat_template() gives it: messages, tools, documents,
 * add_generation_prompt, the special tokens by name (bos_token, …), and the request's own
 * variables.
 *
 * Source: transformers, PreTrainedTokenizerBase.apply_chat_template and get_chat_template.
 */
#pragma once
#include "runtime/jinja/jinja.h"
#include "runtime/text/chat_messages.h" /* enum content_format */

#include <jansson.h>
#include <stdbool.h>

struct calendar_time;
struct chat_template;
struct error;

/* `file` NULL: the template of the checkpoint; else a template file, and `model_folder` (may be
 * NULL) only has the special tokens. ERROR_INPUT when a file cannot be read or compiled. A
 * checkpoint without a template is no error here: see chat_template_exists(). */
bool chat_template_open(struct chat_template **out, const char *model_folder, const char *file,
                        struct error *err);
void chat_template_close(struct chat_template *t); /* NULL is fine */
bool chat_template_exists(const struct chat_template *t);
/* The form of contents for such a request: "string" or "openai", as vLLM calls them; "auto" (or
 * NULL) is what the template takes, found out by rendering a text and one of two parts. */
enum content_format chat_template_format(const struct chat_template *t, bool has_tools,
                                         const char *name);

struct chat_request {        /* JSON is borrowed; NULL is absent */
    const json_t *messages;  /* array of objects */
    const json_t *tools;     /* array */
    const json_t *documents; /* array */
    const json_t *variables; /* object: chat_template_kwargs; wins over what the checkpoint has */
    bool add_generation_prompt;
    bool continue_final_message;     /* the prompt ends inside the last message */
    const struct calendar_time *now; /* NULL: now */
};

/* The text has begin-of-text where the template writes it: encode it without special tokens added,
 * and with out->users as plain text. ERROR_INPUT: what jinja_render() refuses (also when a budget
 * is used up), both flags at once, a last message that the template changed, no template. Release
 * `out` with jinja_output_release() also after a failure. */
bool chat_template_render(const struct chat_template *t, const struct chat_request *request,
                          struct jinja_output *out, struct error *err);
