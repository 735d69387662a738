/* proto/request_output.h: the whole result of a request as JSON.
 *
 * Keys, order and meaning are those of vLLM's RequestOutput and CompletionOutput, with the token
 * ids of a logprobs entry as keys (JSON has no others), and with what else a run has: the seed, the
 * score of a beam, how many tokens were guessed and how many of them were right.
 * Log-probabilities have nine significant digits: reading them back gives the same float32.
 */
#pragma once
#include "base/bytes.h"
#include "proto/json_logprobs.h"
#include "proto/json_write.h"

#include <stdbool.h>
#include <stdint.h>

struct json_choice {
    struct json_text text;
    const int32_t *token_ids;
    int n_tokens;
    bool has_cumulative, has_score, has_logprobs; /* false: null; a score is left out */
    double cumulative_logprob;
    double score;                      /* of a beam */
    struct json_logprob_rows logprobs; /* a row a token */
    const char *finish_reason;         /* NULL: null */
    const char *stop_text;             /* stop_reason: a text, */
    int32_t stop_token;                /* or an id; -1 and no text: null */
    const char *error;                 /* why finish_reason is "error", or NULL */
};
struct json_request {
    const char *request_id;
    const char *prompt; /* NULL: given as ids */
    const int32_t *prompt_ids;
    int n_prompt, n_cached;
    int n_drafted, n_accepted; /* speculation: guesses, and those that were right */
    bool has_prompt_logprobs;
    struct json_logprob_rows prompt_logprobs; /* a row a token but the first, which has none */
    uint64_t seed;
    const struct json_choice *choice;
    int n_choices;
};

/* Adds one JSON object, indented for people. */
void request_output_write(struct bytes *out, const struct json_request *request);
/* The same in one line, without its end. */
void request_output_write_line(struct bytes *out, const struct json_request *request);
