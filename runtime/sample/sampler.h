/* runtime/sample/sampler.h: rows of logits -> tokens, log-probabilities, candidates of beams.
 *
 * Order of a row, as vLLM: raw log-probabilities, rules (rules.h), greedy or pick (pick.h). A row
 * is the work of one thread and depends on nothing but itself: logits, parameters, tokens so far.
 * With processed_logprobs (--logprobs-mode) the log-probabilities of a sampled token are those of
 * the row after all rules; a token that is out has -inf. Those of prompts and beams, where no rule
 * applies, are always raw.
 */
#pragma once
#include "runtime/sample/logprobs.h"
#include "runtime/sample/rules.h"

struct device;
struct sampler;

struct sampler_settings {
    struct device *device; /* borrowed: its threads do the work */
    int vocab;
    const int32_t *eos_id; /* [n_eos_ids], copied */
    int n_eos_ids;
    bool processed_logprobs;
};

struct picked {
    int32_t token;  /* of a ROW_PROMPT the one that is there, of a ROW_BEAM the likeliest. -1: the
                       logits are not finite, or no token is allowed */
    bool is_finite; /* the logits; else there is no token, and nothing else */
    float lse;      /* of the row, where log-probabilities are asked for */
    int n_logprobs;
    struct token_logprob logprob[LOGPROBS_MAX_ENTRIES]; /* of a beam: its candidates, best first,
                                                           fewer where the vocabulary ends */
};

void sampler_create(struct sampler **out, const struct sampler_settings *settings);
void sampler_destroy(struct sampler *sampler); /* NULL is fine */

/* picked[i] of row[i], i < n_rows; that of a ROW_PICKED stays as it is. Allocates nothing. Fastest
 * where rows that need log-probabilities are next to each other in memory too. */
void sampler_pick(struct sampler *sampler, const struct sample_row *row, int n_rows,
                  struct picked *picked);
