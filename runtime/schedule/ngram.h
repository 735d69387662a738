/* runtime/schedule/ngram.h: guesses the next tokens from what was there before (prompt lookup).
 *
 * Text repeats itself: code that is edited, a document that is summed up. The longest n-gram that
 * ends the sequence and was there earlier too is taken, of several places of this length the first
 * one, as vLLM does; what followed there is the guess. The earlier place may overlap the end.
 */
#pragma once
#include <stdint.h>

/* Writes at most `most` tokens to draft[] (which may begin at token + n_tokens) and returns how
 * many; 0: no n-gram of ngram_min .. ngram_max tokens was there before. 1 <= ngram_min. */
int ngram_propose(int32_t *draft, int most, const int32_t *token, int n_tokens, int ngram_min,
                  int ngram_max);
