/* runtime/text/chat_messages.h: messages as clients send them become messages that templates read.
 *
 * In: OpenAI's shapes. A content is a text, null, or a list of parts ({"type": "text", "text": …});
 * tool_calls[].function.arguments is JSON in a text. Out: the shapes of transformers' chat
 * templates. A content is one text, or a list of {"type": "text", "text": …}, as the template
 * wants it; arguments are the value they spell, {} where there are none, and stay a text where
 * they are no JSON; null members and empty tool_calls are left out; reasoning is there as
 * "reasoning" and as "reasoning_content". Everything else passes, keys keep their order.
 *
 * Source: vLLM, entrypoints/chat_utils.py; OpenAI API, chat completions, messages.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct error;

enum content_format {
    CONTENT_AS_TEXT,   /* "string": the texts of all parts, a newline between */
    CONTENT_AS_PARTS,  /* "openai": a text is a list of one part */
    CONTENT_AS_EITHER, /* a text stays a text, a list a list */
};

/* *out is a new reference; `messages` is borrowed and left as it is. ERROR_INPUT names the message
 * and what is wrong: no object, no role, a part that is no text (images, audio). */
bool chat_messages_read(json_t **out, const json_t *messages, enum content_format format,
                        struct error *err);
