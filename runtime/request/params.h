/* runtime/request/params.h: how the tokens of a request are chosen. Numbers only, no text:
 * stop strings belong to the gateway. Names, ranges and defaults are vLLM's SamplingParams. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct error;

enum {
    PARAMS_MAX_STOP_IDS = 128,
    PARAMS_MAX_LOGPROBS = 20, /* --max-logprobs raises it no further */
    LOGPROBS_OFF = -1,
};

struct sampling_params {
    float temperature; /* [0, 2]; below 1e-5: greedy. Between 0 and 0.01: taken as 0.01 */
    float top_p;       /* (0, 1] */
    float min_p;       /* [0, 1] */
    int32_t top_k;     /* 0 or -1: off */
    float repetition_penalty, frequency_penalty, presence_penalty; /* > 0; [-2, 2]; [-2, 2] */
    uint64_t seed;      /* choice i of a request uses seed + i */
    int32_t max_tokens; /* >= 1; the engine also ends at the model's length */
    int32_t min_tokens; /* no EOS or stop id before */
    int32_t logprobs;   /* LOGPROBS_OFF, or how many of the best besides the chosen one (0..20) */
    bool ignore_eos;
    int32_t n_stop_ids; /* stop_token_ids; EOS ids of the model come from the engine's config */
    int32_t stop_id[PARAMS_MAX_STOP_IDS];
};

struct sampling_params params_default(void); /* vLLM's: temperature 1, top_p 1, max_tokens 16, … */
/* ERROR_INPUT names the parameter, what it is and its range. `vocab` bounds the token ids. */
bool params_check(const struct sampling_params *params, int32_t vocab, struct error *err);

enum finish_reason { FINISH_NONE, FINISH_STOP, FINISH_LENGTH, FINISH_ABORT, FINISH_ERROR };
const char *finish_reason_name(enum finish_reason reason); /* "stop", "length", … NULL for NONE */
