/* tests/unit/runtime_schedule/oracle.h: a model for the tests of the scheduler: what comes after a
 * sequence of tokens, as a pure function of them. So what a request gives must not depend on how it
 * was scheduled, and the tests can say beforehand what it is. */
#pragma once
#include "runtime/schedule/beam.h"

#include <stdint.h>

enum { ORACLE_VOCAB = 41, ORACLE_EOS = 2 }; /* the first id that ends; others may follow */

/* Of the first n tokens of a sequence with this cache key. */
uint64_t oracle_hash(uint64_t key, const int32_t *token, int n);
uint64_t oracle_extend(uint64_t hash, int32_t token);

/* The next token after `last`; it often depends on that one alone, so that texts repeat themselves.
 * Now and then -1: none can be picked. */
int32_t oracle_token(uint64_t hash, int32_t last);
/* What a smaller model would say: often the same. */
int32_t oracle_guess(uint64_t hash, int32_t last);
/* n different candidates, best first; sums of them are exact, so equal ones are really equal. */
void oracle_candidates(struct beam_candidate *out, int n, uint64_t hash);

bool oracle_is_eos(int32_t token, int n_eos_ids);

/* The beam search of these parameters, written down as simply as can be. Room for the width; tokens
 * go to token[i * stride]. The n_eos_ids from ORACLE_EOS on end. Returns how many. */
int oracle_beams(struct beam *out, int32_t *token, int stride, uint64_t key, const int32_t *prompt,
                 int n_prompt, int n_output, int n_eos_ids, const struct sampling_params *params);
