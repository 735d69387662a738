/* proto/request_output.h: the whole result of a request as JSON.
 *
 * Keys, order and meaning are those of vLLM's RequestOutput and CompletionOutput, with the token
 * ids of a logprobs entry as keys (JSON has no others), and with the seed that was used.
 * Log-probabilities have nine significant digits: reading them back gives the same float32.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct json_text { /* UTF-8; a model may write NUL characters */
    const char *data;
    size_t n_bytes;
};
struct json_logprob {
    int32_t token;
    float logprob;
    int32_t rank; /* tokens at least as likely */
    struct json_text decoded_token;
};
struct json_choice {
    struct json_text text;
    const int32_t *token_ids;
    int n_tokens;
    double cumulative_logprob;
    bool has_logprobs;
    const struct json_logprob *logprob; /* all tokens end to end */
    const int32_t *logprob_end; /* [n_tokens] token i has the entries before logprob_end[i] */
    const char *finish_reason;  /* NULL: null */
    const char *stop_text;      /* stop_reason: a text, */
    int32_t stop_token;         /* or an id; -1 and no text: null */
    const char *error;          /* why finish_reason is "error", or NULL */
};
struct json_request {
    const char *request_id;
    const char *prompt; /* NULL: given as ids */
    const int32_t *prompt_ids;
    int n_prompt, n_cached;
    uint64_t seed;
    const struct json_choice *choice;
    int n_choices;
};

/* Adds one JSON object, indented for people. */
void request_output_write(struct bytes *out, const struct json_request *request);
