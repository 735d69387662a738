/* proto/json_logprobs.h: the log-probabilities of tokens, and the three shapes clients know.
 *
 * A row has the chosen token first, and then the best ones, which may name it again. A row whose
 * first entry has the log-probability NAN is of a token that has none: the first one of a prompt.
 * The shapes are vLLM's: of /v1/chat/completions, of /v1/completions, and prompt_logprobs of both.
 */
#pragma once
#include "proto/json_write.h"

#include <stdbool.h>
#include <stdint.h>

struct json_logprob {
    int32_t token;
    float logprob;
    int32_t rank; /* tokens at least as likely */
    struct json_text decoded_token;
};
struct json_logprob_rows {
    const struct json_logprob *entry; /* all rows end to end */
    const int32_t *end;               /* [n_rows] row i has the entries before end[i] */
    int n_rows;
};

/* {"content":[{"token","logprob","bytes","top_logprobs":[…]},…]}: n_top of each row at most. */
void json_logprobs_write_chat(struct bytes *out, const struct json_logprob_rows *rows, int n_top);
/* {"text_offset","token_logprobs","tokens","top_logprobs"}. Offsets count characters, from
 * `offset`; n_top besides the chosen token. */
void json_logprobs_write_text(struct bytes *out, const struct json_logprob_rows *rows, int n_top,
                              int64_t offset);
/* Characters of the chosen tokens: where the offsets of the next rows begin. */
int64_t json_logprobs_characters(const struct json_logprob_rows *rows);
/* [null,{"5":{"logprob","rank","decoded_token"},…},…] */
void json_logprobs_write_prompt(struct bytes *out, const struct json_logprob_rows *rows);
