/* runtime/sample/logprobs.h: how likely the picked token was, and the best ones.
 *
 * Raw log-probabilities: of the logits as the model gave them, before penalties and temperature.
 * rank: tokens at least as likely, the token itself too, so ties make it larger (as vLLM).
 */
#pragma once
#include "runtime/request/params.h"

#include <stdint.h>

struct token_logprob {
    int32_t token;
    float logprob;
    int32_t rank;
};

enum { LOGPROBS_MAX_ENTRIES = PARAMS_MAX_LOGPROBS + 1 };

/* The picked token first, then the k best in order (by logit, then id) without it; their number.
 * lse: log(sum(exp(logits))). */
int logprobs_make(struct token_logprob out[LOGPROBS_MAX_ENTRIES], const float *logits, int vocab,
                  float lse, int32_t picked, int k);
