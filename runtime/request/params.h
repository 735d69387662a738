/* runtime/request/params.h: how the tokens of a request are chosen. Numbers only, no text:
 * stop strings belong to the gateway. Names, ranges and defaults are vLLM's SamplingParams. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct error;

enum {
    PARAMS_MAX_STOP_IDS = 128,
    PARAMS_MAX_LOGPROBS = 20, /* --max-logprobs raises it no further */
    PARAMS_MAX_BIASES = 1024,
    PARAMS_MAX_BAD_WORDS = 1024, /* and PARAMS_MAX_BAD_IDS ids in all of them */
    PARAMS_MAX_BAD_IDS = 8192,
    PARAMS_MAX_BEAMS = 16, /* a beam looks at twice as many candidates: ROW_MAX_BEST */
    PARAMS_MAX_CHOICES = 1024,
    LOGPROBS_OFF = -1,
};

struct token_bias {
    int32_t token;
    float bias; /* [-100, 100] */
};

/* A request without tokens of its own: what comes back is one vector, made of the hidden states
 * after the last norm. */
enum pooling { POOLING_NONE, POOLING_LAST, POOLING_MEAN };

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

    int32_t prompt_logprobs; /* as logprobs, for every token of the prompt but the first; then the
                                prefix cache is not read */
    int32_t beam_width;      /* 0: sampling; else beam search (schedule/beam.h), up to
                                PARAMS_MAX_BEAMS, and of the rest only max_tokens, ignore_eos and
                                the two below count */
    float length_penalty;    /* of a beam: cumulative logprob / length ^ length_penalty */
    bool penalize_prompt;    /* the length counts the prompt too, as in vLLM; false: as in HF */
    enum pooling pooling;    /* not NONE: max_tokens is not looked at */

    /* Lists. Borrowed by this struct; a request has copies of its own. */
    const int32_t *allowed_id; /* [n_allowed_ids] all others are out; 0: every token is allowed */
    const struct token_bias *bias; /* [n_biases] logit_bias, added in order */
    const int32_t *bad_id;  /* bad words end to end: word i is bad_end[i - 1] .. bad_end[i] */
    const int32_t *bad_end; /* [n_bad_words] */
    int32_t n_allowed_ids, n_biases, n_bad_words;
};

/* Is it one of the n ids? */
bool token_is_among(int32_t token, const int32_t *id, int n);

struct sampling_params params_default(void); /* vLLM's: temperature 1, top_p 1, max_tokens 16, … */
/* ERROR_INPUT names the parameter (error_param() too), what it is and its range. `vocab` bounds the
 * token ids. */
bool params_check(const struct sampling_params *params, int32_t vocab, struct error *err);

/* Rules before temperature, of the token after n_output tokens of output: whether they could change
 * its logits at all. Then the row depends on more than itself, and only who has the request can
 * pick from it. */
bool params_edit_logits(const struct sampling_params *params, int n_output);
bool params_penalize(const struct sampling_params *params); /* by what was said before */
bool params_mask_ends(const struct sampling_params *params, int n_output); /* min_tokens */

enum finish_reason { FINISH_NONE, FINISH_STOP, FINISH_LENGTH, FINISH_ABORT, FINISH_ERROR };
const char *finish_reason_name(enum finish_reason reason); /* "stop", "length", … NULL for NONE */
