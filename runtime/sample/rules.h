/* runtime/sample/rules.h: what sampling parameters do to one row of logits, before the pick.
 *
 * In the order of vLLM: allowed ids, bad words, min_tokens, biases, repetition, frequency,
 * presence; then, for a row that is not greedy, temperature, min_p, top_k, top_p. A token that is
 * out has -inf, and no later rule brings it back. Every rule gives the same bits whatever the order
 * of its walk: sums of probabilities are whole numbers (docs/numerics.md, "Sampling").
 */
#pragma once
#include "runtime/request/params.h"

#include <stdbool.h>
#include <stdint.h>

enum row_kind {
    ROW_SAMPLE,
    ROW_GUESS,  /* the same token, and nothing about it: of a draft model */
    ROW_PROMPT, /* token[n_tokens] is there already: only its log-probabilities are wanted */
    ROW_BEAM    /* the 2 * beam_width most likely tokens, by raw log-probability */
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

struct candidate {
    float value;
    int32_t token;
};

/* Working memory of one thread. */
struct rules_scratch {
    float *value;                /* [vocab] the row as it is edited */
    int32_t *count;              /* [vocab] zero between two rows */
    struct candidate *candidate; /* [vocab] */
    float *bin_mass;             /* exp(-distance) at the begin of each bin of rules.c */
};
void rules_scratch_init(struct rules_scratch *scratch, int vocab);
void rules_scratch_release(struct rules_scratch *scratch);

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
/* Divides by the temperature, then drops what min_p, top_k and top_p drop. */
void rules_temper(float *value, int vocab, const struct sampling_params *params);
void rules_filter(struct rules_scratch *scratch, int vocab, const struct sampling_params *params);

/* log(sum(exp(value))) of a row that the rules have left a token in. */
float rules_log_sum_exp(const struct rules_scratch *scratch, const float *value, int vocab);
