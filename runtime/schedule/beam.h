/* runtime/schedule/beam.h: which beams live on: numbers only.
 *
 * vLLM's beam search. Each step every live beam offers its 2 * width most likely next tokens
 * (log-probabilities of the raw logits). A candidate that ends (an EOS, unless ignore_eos) is
 * completed; of the others the `width` with the highest cumulative logprob live on, the earlier
 * beam and then the likelier token first where two are equal. It ends at max_tokens, or when no
 * beam is left; then the best `width` of the completed and the live ones, by
 *
 *   cumulative logprob / length ^ length_penalty        length: prompt (penalize_prompt) + output,
 *                                                       less one where the last token is an EOS,
 *                                                       and at least 1
 *
 * Cumulative log-probabilities are sums in float64, in order of position. The power is our own,
 * because that of libm is not the same on all CPUs.
 */
#pragma once
#include "runtime/request/params.h"

#include <stdbool.h>
#include <stdint.h>

struct beam_candidate {
    int32_t token;
    float logprob;
};

/* One of the best sequences, when all is done. */
struct beam {
    const int32_t *token; /* [n_tokens] of the output, the EOS that ended it too */
    int n_tokens;
    double cumulative_logprob, score;
    enum finish_reason finish; /* FINISH_STOP or FINISH_LENGTH */
};

/* Offer `candidate` of live beam `parent`. */
struct beam_step {
    int parent;
    struct beam_candidate candidate;
    double cumulative_logprob;
};

/* candidates[parent * n_candidates + i], best first, of n_live beams whose sums so far are
 * cumulative[]. Where a beam has fewer, the rest has logprob -inf: those are no candidates. Writes
 * the best `width` that do not end to `live`, best first, and all that end to `ended`, as they
 * come; room for width, and for n_live * n_candidates. No eos_id with ignore_eos. */
struct beam_choice {
    int n_live, n_ended;
};
struct beam_choice beam_choose(struct beam_step *live, struct beam_step *ended, int width,
                               const struct beam_candidate *candidates, int n_candidates,
                               const double *cumulative, int n_live, const int32_t *eos_id,
                               int n_eos_ids);

double beam_score(double cumulative_logprob, int n_prompt, int n_output, bool ends_with_eos,
                  const struct sampling_params *params);
