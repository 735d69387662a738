/* runtime/sample/rules.h: what sampling parameters do to the logits of one row.
 *
 * In the order of vLLM: allowed ids, bad words, min_tokens, biases, repetition, frequency,
 * presence; then, for a row that is not greedy, temperature (tempered.h) and filters (filter.h). A
 * token that is out has -inf, and no later rule brings it back.
 */
#pragma once
#include "runtime/request/params.h"

#include <stdbool.h>
#include <stdint.h>

enum row_kind {
    ROW_SAMPLE,
    ROW_GUESS,  /* the same token, and nothing about it: of a draft model */
    ROW_PROMPT, /* token[n_tokens] is there already: only its log-probabilities are wanted */
    ROW_BEAM,   /* the 2 * beam_width most likely tokens, by raw log-probability */
    ROW_PICKED  /* nothing: it was picked where it was made (row_picker.h) */
};

/* One row: whose next token it gives. The row behind a draft is a row as all others: the draft is
 * one of its tokens so far. */
struct sample_row {
    const float *logits; /* [vocab] */
    const struct sampling_params *params;
    const int32_t *token; /* [n_tokens] prompt, then output; the pick becomes token[n_tokens] */
    int n_prompt, n_tokens;
    enum row_kind kind;
};

/* Does any rule before temperature change this row? */
bool rules_edit_logits(const struct sample_row *row);
/* These rules, in their order; the first one writes value[vocab]. A bad word is known by the tokens
 * of the output before its last one, which is then out. Ids that end a sequence are out until
 * min_tokens; tokens seen before are made less likely. */
void rules_copy_allowed(float *value, const struct sample_row *row, int vocab);
void rules_mask_bad_words(float *value, const struct sample_row *row);
void rules_mask_ends(float *value, const struct sample_row *row, const int32_t *eos_id,
                     int n_eos_ids);
void rules_add_biases(float *value, const struct sample_row *row);
void rules_penalize(float *value, const struct sample_row *row, int32_t *count);

bool rules_are_greedy(const struct sampling_params *params); /* temperature < 1e-5 */
