/* runtime/sample/sampler.h: rows of logits -> tokens, log-probabilities, candidates of beams.
 *
 * Order of a row, as vLLM: raw log-probabilities, rules (rules.h), greedy or pick (pick.h). A row
 * is the work of one thread and depends on nothing but itself: logits, parameters, tokens so far.
 * With processed_logprobs (--logprobs-mode) the log-probabilities are those of the row after all
 * rules; a token that is out has -inf.
 */
#pragma once
#include "runtime/sample/logprobs.h"
#include "runtime/sample/rules.h"

struct device;
struct sampler;

struct picked {
    int32_t token; /* -1: the logits are not finite, or no token is allowed */
    float lse;     /* of the row, where log-probabilities are asked for */
    int n_logprobs;
    struct token_logprob logprob[LOGPROBS_MAX_ENTRIES]; /* of a beam: its candidates, best first */
};

/* The threads are those of `device` (borrowed); eos_id is copied. */
void sampler_create(struct sampler **out, struct device *device, int vocab, const int32_t *eos_id,
                    int n_eos_ids);
void sampler_destroy(struct sampler *sampler); /* NULL is fine */

/* picked[i] of row[i], i < n_rows. Allocates nothing. */
void sampler_pick(struct sampler *sampler, const struct sample_row *row, int n_rows,
                  struct picked *picked);
