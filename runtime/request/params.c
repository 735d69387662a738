/* Ranges as vLLM's SamplingParams has them, so that what it takes is taken and what it refuses is
 * refused. Every comparison is written so that a NaN fails it. */
#include "runtime/request/params.h"

#include "base/error.h"

#include <float.h>
#include <stddef.h>

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

static bool number_in(const char *name, float value, float lo, float hi, struct error *err)
{
    if (value >= lo && value <= hi)
        return true;
    return error_set(err, ERROR_INPUT, "%s must be in [%g, %g], got %g", name, (double)lo,
                     (double)hi, (double)value);
}

/* (0, hi] */
static bool positive_up_to(const char *name, float value, float hi, struct error *err)
{
    if (value > 0 && value <= hi)
        return true;
    if (hi == FLT_MAX)
        return error_set(err, ERROR_INPUT, "%s must be a finite number above 0, got %g", name,
                         (double)value);
    return error_set(err, ERROR_INPUT, "%s must be in (0, %g], got %g", name, (double)hi,
                     (double)value);
}

static bool count_in(const char *name, int32_t value, int32_t lo, int32_t hi, struct error *err)
{
    if (value >= lo && value <= hi)
        return true;
    if (hi == INT32_MAX)
        return error_set(err, ERROR_INPUT, "%s must be at least %d, got %d", name, lo, value);
    return error_set(err, ERROR_INPUT, "%s must be in [%d, %d], got %d", name, lo, hi, value);
}

static bool stop_ids_check(const struct sampling_params *p, int32_t vocab, struct error *err)
{
    if (!count_in("the number of stop_token_ids", p->n_stop_ids, 0, PARAMS_MAX_STOP_IDS, err))
        return false;
    for (int i = 0; i < p->n_stop_ids; i++)
        if (!count_in("stop_token_ids", p->stop_id[i], 0, vocab - 1, err))
            return false;
    return true;
}

bool params_check(const struct sampling_params *p, int32_t vocab, struct error *err)
{
    return number_in("temperature", p->temperature, 0, 2, err) &&
           positive_up_to("top_p", p->top_p, 1, err) && number_in("min_p", p->min_p, 0, 1, err) &&
           count_in("top_k", p->top_k, -1, INT32_MAX, err) &&
           positive_up_to("repetition_penalty", p->repetition_penalty, FLT_MAX, err) &&
           number_in("frequency_penalty", p->frequency_penalty, -2, 2, err) &&
           number_in("presence_penalty", p->presence_penalty, -2, 2, err) &&
           count_in("max_tokens", p->max_tokens, 1, INT32_MAX, err) &&
           count_in("min_tokens", p->min_tokens, 0, p->max_tokens, err) &&
           count_in("logprobs", p->logprobs, LOGPROBS_OFF, PARAMS_MAX_LOGPROBS, err) &&
           stop_ids_check(p, vocab, err);
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
