/* proto/openai_request.h: the bodies of /v1/chat/completions and /v1/completions.
 *
 * Names and defaults are those of OpenAI and vLLM; fields that nobody knows are ignored, null is
 * absent. What is known and not there (grammars, images, audio, suffix, a template in the request)
 * is refused, never forgotten. Errors are ERROR_INPUT with the field as their parameter. Source:
 * OpenAI API reference; vLLM, entrypoints/openai/protocol.py.
 */
#pragma once
#include "proto/json_prompts.h"
#include "proto/request_body.h"
#include "runtime/request/sampling_fields.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct openai_form { /* how the answer is to look */
    bool stream, include_usage, continuous_usage;
    bool echo;               /* the prompt, or the begun answer of a chat, comes first */
    bool only_echo;          /* of a completion with max_tokens 0: the answer is left out */
    bool return_token_ids;   /* of answers, and of the prompt */
    bool return_prompt_text; /* of a chat: the text of the ids of its prompt */
    bool tokens_as_ids;      /* "token_id:5" for the text of a token */
    bool has_logprobs;       /* then n_top of each token */
    int64_t n_top;           /* besides the chosen one (completions), with it (chat) */
};

struct openai_request {
    struct request_body body; /* all texts and lists live in it */
    struct sampling_fields sampling;
    struct openai_form form;
    const char *model;              /* NULL: whichever */
    const char *request_id;         /* NULL: none */
    bool add_special_tokens;        /* to texts */
    int64_t truncate_prompt_tokens; /* keep the last ones; SAMPLING_UNSAID: no; -1: what fits */
    /* of a completion */
    struct json_prompts prompts;
    /* of a chat; JSON is borrowed from the body, NULL is absent */
    const json_t *messages, *tools, *documents;
    json_t *template_variables; /* chat_template_kwargs, and what reasoning_effort says; owned */
    bool hide_tools;            /* tool_choice "none" */
    bool add_generation_prompt, continue_final_message;
};

/* `nothing_said`: what sampling begins as. openai_request_release() also after a failure. */
bool openai_chat_read(struct openai_request *out, const char *body, size_t n_bytes,
                      const struct sampling_fields *nothing_said, struct error *err);
bool openai_completion_read(struct openai_request *out, const char *body, size_t n_bytes,
                            const struct sampling_fields *nothing_said, struct error *err);
void openai_request_release(struct openai_request *request);

/* model, request_id, truncate_prompt_tokens: of requests that are no chat and no completion too. */
bool openai_read_model(const char **model, const json_t *body, struct error *err);
bool openai_read_request_id(const char **id, const json_t *body, struct error *err);
bool openai_read_truncation(int64_t *n, const json_t *body, struct error *err);
/* messages, tools, documents, template variables, and how the prompt ends: also of /tokenize. */
bool openai_read_chat_prompt(struct openai_request *out, struct error *err);
