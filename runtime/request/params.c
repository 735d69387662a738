/* Ranges as vLLM's SamplingParams has them, so that what it takes is taken and what it refuses is
 * refused. Every comparison is written so that a NaN fails it. */
#include "runtime/request/params.h"

#include "base/error.h"

#include <float.h>
#include <stddef.h>

bool token_is_among(int32_t token, const int32_t *id, int n)
{
    for (int i = 0; i < n; i++)
        if (id[i] == token)
            return true;
    return false;
}

struct sampling_params params_default(void)
{
    return (struct sampling_params){.temperature = 1,
                                    .top_p = 1,
                                    .repetition_penalty = 1,
                                    .max_tokens = 16,
                                    .logprobs = LOGPROBS_OFF,
                                    .prompt_logprobs = LOGPROBS_OFF,
                                    .length_penalty = 1,
                                    .penalize_prompt = true};
}

/* What is checked: a parameter, or a part of it. */
struct subject {
    const char *part; /* "", or "the number of " */
    const char *name; /* of the parameter */
};
static struct subject whole(const char *name) { return (struct subject){"", name}; }
static struct subject number_of(const char *name)
{
    return (struct subject){"the number of ", name};
}
static struct subject token_of(const char *name) { return (struct subject){"a token of ", name}; }

static bool number_in(const char *name, float value, float lo, float hi, struct error *err)
{
    if (value >= lo && value <= hi)
        return true;
    if (hi == FLT_MAX)
        error_set(err, ERROR_INPUT, "%s must be a finite number, got %g", name, (double)value);
    else
        error_set(err, ERROR_INPUT, "%s must be in [%g, %g], got %g", name, (double)lo, (double)hi,
                  (double)value);
    return error_param(err, name);
}

/* (0, hi] */
static bool positive_up_to(const char *name, float value, float hi, struct error *err)
{
    if (value > 0 && value <= hi)
        return true;
    if (hi == FLT_MAX)
        error_set(err, ERROR_INPUT, "%s must be a finite number above 0, got %g", name,
                  (double)value);
    else
        error_set(err, ERROR_INPUT, "%s must be in (0, %g], got %g", name, (double)hi,
                  (double)value);
    return error_param(err, name);
}

static bool count_in(struct subject of, int32_t value, int32_t lo, int32_t hi, struct error *err)
{
    if (value >= lo && value <= hi)
        return true;
    if (hi == INT32_MAX)
        error_set(err, ERROR_INPUT, "%s%s must be at least %d, got %d", of.part, of.name, lo,
                  value);
    else
        error_set(err, ERROR_INPUT, "%s%s must be in [%d, %d], got %d", of.part, of.name, lo, hi,
                  value);
    return error_param(err, of.name);
}

static bool ids_in(struct subject of, const int32_t *id, int n, int32_t vocab, struct error *err)
{
    for (int i = 0; i < n; i++)
        if (!count_in(of, id[i], 0, vocab - 1, err))
            return false;
    return true;
}

static bool biases_check(const struct sampling_params *p, int32_t vocab, struct error *err)
{
    if (!count_in(number_of("logit_bias"), p->n_biases, 0, PARAMS_MAX_BIASES, err))
        return false;
    for (int i = 0; i < p->n_biases; i++)
        if (!count_in(token_of("logit_bias"), p->bias[i].token, 0, vocab - 1, err) ||
            !number_in("logit_bias", p->bias[i].bias, -100, 100, err))
            return false;
    return true;
}

static bool bad_words_check(const struct sampling_params *p, int32_t vocab, struct error *err)
{
    const char *name = "bad_words";
    if (!count_in(number_of(name), p->n_bad_words, 0, PARAMS_MAX_BAD_WORDS, err))
        return false;
    int32_t end = 0;
    for (int i = 0; i < p->n_bad_words; i++) {
        if (p->bad_end[i] <= end) {
            error_set(err, ERROR_INPUT, "bad_words cannot have an empty word");
            return error_param(err, name);
        }
        end = p->bad_end[i];
    }
    return count_in((struct subject){"the number of tokens of ", name}, end, 0, PARAMS_MAX_BAD_IDS,
                    err) &&
           ids_in(token_of(name), p->bad_id, end, vocab, err);
}

static bool lists_check(const struct sampling_params *p, int32_t vocab, struct error *err)
{
    return count_in(number_of("stop_token_ids"), p->n_stop_ids, 0, PARAMS_MAX_STOP_IDS, err) &&
           ids_in(whole("stop_token_ids"), p->stop_id, p->n_stop_ids, vocab, err) &&
           count_in(number_of("allowed_token_ids"), p->n_allowed_ids, 0, vocab, err) &&
           ids_in(whole("allowed_token_ids"), p->allowed_id, p->n_allowed_ids, vocab, err) &&
           biases_check(p, vocab, err) && bad_words_check(p, vocab, err);
}

/* What comes back: tokens, beams, or a vector. */
static bool output_check(const struct sampling_params *p, struct error *err)
{
    if (!count_in(whole("pooling"), (int32_t)p->pooling, POOLING_NONE, POOLING_MEAN, err) ||
        !count_in(whole("beam_width"), p->beam_width, 0, PARAMS_MAX_BEAMS, err))
        return false;
    if (p->pooling != POOLING_NONE && p->beam_width != 0) {
        error_set(err, ERROR_INPUT, "a request that pools cannot have a beam_width");
        return error_param(err, "beam_width");
    }
    if (p->pooling != POOLING_NONE)
        return true;
    return count_in(whole("max_tokens"), p->max_tokens, 1, INT32_MAX, err) &&
           count_in(whole("min_tokens"), p->min_tokens, 0, p->max_tokens, err) &&
           number_in("length_penalty", p->length_penalty, -FLT_MAX, FLT_MAX, err);
}

bool params_check(const struct sampling_params *p, int32_t vocab, struct error *err)
{
    const int32_t most = PARAMS_MAX_LOGPROBS;
    return number_in("temperature", p->temperature, 0, 2, err) &&
           positive_up_to("top_p", p->top_p, 1, err) && number_in("min_p", p->min_p, 0, 1, err) &&
           count_in(whole("top_k"), p->top_k, -1, INT32_MAX, err) &&
           positive_up_to("repetition_penalty", p->repetition_penalty, FLT_MAX, err) &&
           number_in("frequency_penalty", p->frequency_penalty, -2, 2, err) &&
           number_in("presence_penalty", p->presence_penalty, -2, 2, err) && output_check(p, err) &&
           count_in(whole("logprobs"), p->logprobs, LOGPROBS_OFF, most, err) &&
           count_in(whole("prompt_logprobs"), p->prompt_logprobs, LOGPROBS_OFF, most, err) &&
           lists_check(p, vocab, err);
}

bool params_penalize(const struct sampling_params *p)
{
    return p->repetition_penalty != 1 || p->frequency_penalty != 0 || p->presence_penalty != 0;
}

bool params_mask_ends(const struct sampling_params *p, int n_output)
{
    return n_output < p->min_tokens;
}

bool params_edit_logits(const struct sampling_params *p, int n_output)
{
    return p->n_allowed_ids > 0 || p->n_bad_words > 0 || p->n_biases > 0 ||
           params_mask_ends(p, n_output) || params_penalize(p);
}

const char *finish_reason_name(enum finish_reason reason)
{
    switch (reason) {
    case FINISH_NONE:
        return NULL;
    case FINISH_STOP:
        return "stop";
    case FINISH_LENGTH:
        return "length";
    case FINISH_ABORT:
        return "abort";
    case FINISH_ERROR:
        return "error";
    }
    return NULL;
}
