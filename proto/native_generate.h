/* proto/native_generate.h: /generate, in the shapes of three systems, told apart by their fields.
 *
 *   "prompt"                                vLLM's demo server  {"text": [prompt + answer, …]}
 *   "text" or "input_ids", sampling_params  SGLang              {"text", "output_ids", "meta_info"}
 *   "inputs", parameters                    TGI                 {"generated_text", "details"}
 *
 * /generate_stream is TGI's alone, and always a stream.
 *
 * Each keeps its own names and defaults. Source: vLLM, entrypoints/api_server.py (to 2025); SGLang,
 * "native APIs"; Text Generation Inference, OpenAPI document.
 */
#pragma once
#include "proto/json_logprobs.h"
#include "proto/json_prompts.h"
#include "proto/request_body.h"
#include "runtime/request/sampling_fields.h"

#include <stdbool.h>
#include <stdint.h>

struct error;

enum native_dialect { NATIVE_VLLM, NATIVE_SGLANG, NATIVE_TGI };

struct native_form { /* how the answer is to look */
    enum native_dialect dialect;
    bool stream;
    bool is_list;      /* SGLang: of several prompts */
    bool has_logprobs; /* SGLang's return_logprob, TGI's details */
    int64_t n_top;     /* SGLang's top_logprobs_num */
    bool details;      /* TGI */
    bool full_text;    /* TGI: the prompt comes first */
};

struct native_request {
    struct request_body body; /* all texts and lists live in it */
    struct native_form form;
    struct sampling_fields sampling;
    const char *model; /* NULL: whichever */
    struct json_prompts prompts;
    bool add_special_tokens;
    int64_t truncate_prompt_tokens;
};

/* ERROR_INPUT with the field. native_request_release() also after a failure. */
bool native_request_read(struct native_request *out, const char *body, size_t n_bytes,
                         const struct sampling_fields *nothing_said, struct error *err);
/* The body of /generate_stream. */
bool native_request_read_stream(struct native_request *out, const char *body, size_t n_bytes,
                                const struct sampling_fields *nothing_said, struct error *err);
void native_request_release(struct native_request *request);

struct native_choice { /* as it stands now */
    const char *id;
    int index;
    struct json_text prompt, text;
    const int32_t *token_ids;
    int n_tokens;
    struct json_logprob_rows logprobs; /* a row a token, where form->has_logprobs */
    const bool *is_special;            /* [rows] TGI tells which tokens are */
    const char *finish_reason;         /* "stop", "length", "abort", "error"; NULL: it goes on */
    const char *stop_text;             /* what stopped it: a text, */
    int32_t stop_token;                /* or an id; -1 and no text: the end of text */
    uint64_t seed;
    int64_t prompt_tokens, cached_tokens;
};

/* {"text", "output_ids", "meta_info"}; the text is all of it, also in a stream. */
void native_write_sglang(struct bytes *out, const struct native_form *form,
                         const struct native_choice *choice);
/* {"generated_text", "details"}, whole. */
void native_write_tgi(struct bytes *out, const struct native_form *form,
                      const struct native_choice *choice);
/* An event of a stream: the token of the first row, number `number` of the answer from 1. The last
 * one has the text and, where form->details, why it ended. */
void native_write_tgi_token(struct bytes *out, const struct native_form *form,
                            const struct native_choice *choice, int number);
