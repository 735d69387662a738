#include "runtime/sample/rules.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const float greedy_below = 1e-5f;

bool rules_are_greedy(const struct sampling_params *params)
{
    return params->temperature < greedy_below;
}

bool rules_edit_logits(const struct sample_row *row)
{
    return params_edit_logits(row->params, row->n_tokens - row->n_prompt);
}

void rules_copy_allowed(float *value, const struct sample_row *row, int vocab)
{
    const struct sampling_params *p = row->params;
    if (p->n_allowed_ids == 0) {
        memcpy(value, row->logits, (size_t)vocab * sizeof *value);
        return;
    }
    for (int i = 0; i < vocab; i++)
        value[i] = -INFINITY;
    for (int i = 0; i < p->n_allowed_ids; i++)
        value[p->allowed_id[i]] = row->logits[p->allowed_id[i]];
}

void rules_mask_bad_words(float *value, const struct sample_row *row)
{
    const struct sampling_params *p = row->params;
    const int n_output = row->n_tokens - row->n_prompt;
    int begin = 0;
    for (int i = 0; i < p->n_bad_words; begin = p->bad_end[i++]) {
        const int n_before = p->bad_end[i] - begin - 1;
        if (n_before <= n_output && memcmp(row->token + row->n_tokens - n_before, p->bad_id + begin,
                                           (size_t)n_before * sizeof *p->bad_id) == 0)
            value[p->bad_id[p->bad_end[i] - 1]] = -INFINITY;
    }
}

void rules_mask_ends(float *value, const struct sample_row *row, const int32_t *eos_id,
                     int n_eos_ids)
{
    if (!params_mask_ends(row->params, row->n_tokens - row->n_prompt))
        return;
    for (int i = 0; i < n_eos_ids; i++)
        value[eos_id[i]] = -INFINITY;
    for (int i = 0; i < row->params->n_stop_ids; i++)
        value[row->params->stop_id[i]] = -INFINITY;
}

void rules_add_biases(float *value, const struct sample_row *row)
{
    const struct token_bias *bias = row->params->bias;
    for (int i = 0; i < row->params->n_biases; i++)
        value[bias[i].token] += bias[i].bias;
}

/* Overflow stays finite, so that it can still be compared and subtracted. */
static float bounded(float x) { return x > FLT_MAX ? FLT_MAX : x; }

static float penalized(float x, const struct sampling_params *p, int32_t n_in_output)
{
    if (p->repetition_penalty != 1)
        x = bounded(x > 0 ? x / p->repetition_penalty : x * p->repetition_penalty);
    if (n_in_output > 0) {
        x -= p->frequency_penalty * (float)n_in_output;
        x -= p->presence_penalty;
    }
    return x;
}

/* count[] is 1 + the times a token is in the output, for every token of prompt and output. */
void rules_penalize(float *value, const struct sample_row *row, int32_t *count)
{
    if (!params_penalize(row->params))
        return;
    for (int i = 0; i < row->n_prompt; i++)
        count[row->token[i]] = 1;
    for (int i = row->n_prompt; i < row->n_tokens; i++)
        count[row->token[i]] += count[row->token[i]] == 0 ? 2 : 1;
    for (int i = 0; i < row->n_tokens; i++) {
        const int32_t token = row->token[i];
        if (count[token] > 0)
            value[token] = penalized(value[token], row->params, count[token] - 1);
        count[token] = 0; /* each token once */
    }
}
