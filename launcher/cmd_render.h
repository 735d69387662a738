/* launcher/cmd_render.h: phalanx render: the text tool of chat templates.
 *
 * One JSON object a line in, one JSON text a line out, in order.
 *   of a model    {"messages", "tools", "documents", "add_generation_prompt" (false),
 *                 "continue_final_message" (false), "chat_template_kwargs"}; every other key is a
 *                 variable too. What comes out is what transformers' apply_chat_template() gives.
 *   of a file     the object is all that the template sees, as jinja2 alone renders it
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>

struct error;
struct options;

/* ERROR_INPUT names the line that is wrong; what came before it is written. */
bool cmd_render(const struct options *options, FILE *in, FILE *out, struct error *err);
