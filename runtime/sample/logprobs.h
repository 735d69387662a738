/* runtime/sample/logprobs.h: how likely a token was, and the best ones.
 *
 * Of one row: the logits as the model gave them (raw), or what the rules made of them (processed).
 * rank: tokens at least as likely, the token itself too, so ties make it larger (as vLLM).
 */
#pragma once
#include "runtime/request/params.h"
#include "runtime/sample/row.h"

struct token_logprob {
    int32_t token;
    float logprob;
    int32_t rank;
};

/* The candidates of a beam; a token and the PARAMS_MAX_LOGPROBS best are fewer. */
enum { LOGPROBS_MAX_ENTRIES = 2 * PARAMS_MAX_BEAMS };

/* `picked` first, then the k best in order (by logit, then id) without it; their number.
 * lse: log(sum(exp(logits))). */
int logprobs_make(struct token_logprob out[LOGPROBS_MAX_ENTRIES], const struct row *row, float lse,
                  int32_t picked, int k);
/* The k best in order, without those that cannot be (-inf); their number. */
int logprobs_make_best(struct token_logprob out[LOGPROBS_MAX_ENTRIES], const struct row *row,
                       float lse, int k);
