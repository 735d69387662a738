/* runtime/request/sampling_fields.h: what a user said about how to answer, before it is checked.
 *
 * Plain values, so that every wire form can fill them in; gateway/sampling.h makes checked
 * parameters of them, and has sampling_nothing_said() to begin with. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Not said: NAN, SAMPLING_UNSAID, -1 of a flag, NULL. A NaN that somebody said (no JSON can) is for
 * the caller to refuse. Texts and lists are borrowed. */
#define SAMPLING_UNSAID INT64_MIN
struct sampling_fields {
    double temperature, top_p, min_p;
    double repetition_penalty, frequency_penalty, presence_penalty, length_penalty;
    int64_t top_k, n, max_tokens, min_tokens;
    int64_t seed;                      /* any; -1: drawn, as when unsaid */
    int64_t logprobs, prompt_logprobs; /* how many besides the token itself; -1: off */
    const char *logprobs_name;         /* what this user calls the first, for errors */
    int64_t beam_width;                /* 0, 1: sampling */
    int64_t priority, deadline_ms;     /* deadline 0: none */
    int8_t ignore_eos, include_stop_str_in_output, skip_special_tokens;
    int8_t detokenize;      /* 0: no text is wanted, so no text can stop it */
    int8_t penalize_prompt; /* length_penalty_scope "total" */
    const char *const *stop;
    size_t n_stop;
    const int64_t *stop_token_ids, *allowed_token_ids; /* allowed and none: refused */
    size_t n_stop_token_ids, n_allowed_token_ids;
    const struct sampling_bias {
        int64_t token;
        double bias;
    } * logit_bias;
    size_t n_logit_bias;
    const char *const *bad_words;
    size_t n_bad_words;
    const char *cache_salt;
};
