#include "base/error.h"
#include "runtime/request/params.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

enum { VOCAB = 1000 };

static void check_taken(const struct sampling_params *params)
{
    struct error err = {0};
    if (!params_check(params, VOCAB, &err))
        test_fail(__FILE__, __LINE__, "refused: %s", err.text);
}

static void check_refused(const struct sampling_params *params, const char *want)
{
    struct error err = {0};
    CHECK(!params_check(params, VOCAB, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.text, want);
    CHECK(*err.param != '\0' && strstr(want, err.param) != NULL);
}

TEST(defaults_are_those_of_vllm_and_are_taken)
{
    const struct sampling_params p = params_default();
    CHECK(p.temperature == 1 && p.top_p == 1 && p.min_p == 0 && p.top_k == 0);
    CHECK(p.repetition_penalty == 1 && p.frequency_penalty == 0 && p.presence_penalty == 0);
    CHECK(p.max_tokens == 16 && p.min_tokens == 0 && p.logprobs == LOGPROBS_OFF && !p.ignore_eos);
    check_taken(&p);
}

TEST(ends_of_ranges_are_taken)
{
    struct sampling_params p = params_default();
    p.temperature = 0;
    p.min_p = 1;
    p.top_k = -1;
    p.frequency_penalty = -2;
    p.presence_penalty = 2;
    p.min_tokens = p.max_tokens;
    p.logprobs = PARAMS_MAX_LOGPROBS;
    p.n_stop_ids = 2;
    p.stop_id[1] = VOCAB - 1;
    check_taken(&p);
    p.temperature = 2;
    p.top_p = 1e-6f;
    p.repetition_penalty = 1e-6f;
    p.n_stop_ids = 0;
    check_taken(&p);
}

#define REFUSED(field, value, text)                      \
    do {                                                 \
        struct sampling_params wrong = params_default(); \
        wrong.field = value;                             \
        check_refused(&wrong, text);                     \
    } while (0)

TEST(what_is_outside_a_range_is_refused_by_name)
{
    REFUSED(temperature, 2.5f, "temperature must be in [0, 2], got 2.5");
    REFUSED(temperature, -1, "temperature must be in [0, 2], got -1");
    REFUSED(temperature, NAN, "temperature must be in [0, 2], got nan");
    REFUSED(top_p, 0, "top_p must be in (0, 1], got 0");
    REFUSED(top_p, 1.5f, "top_p must be in (0, 1], got 1.5");
    REFUSED(top_p, NAN, "top_p must be in (0, 1], got nan");
    REFUSED(min_p, 1.5f, "min_p must be in [0, 1], got 1.5");
    REFUSED(top_k, -2, "top_k must be at least -1, got -2");
    REFUSED(repetition_penalty, 0, "repetition_penalty must be a finite number above 0, got 0");
    REFUSED(repetition_penalty, INFINITY,
            "repetition_penalty must be a finite number above 0, got inf");
    REFUSED(frequency_penalty, 3, "frequency_penalty must be in [-2, 2], got 3");
    REFUSED(presence_penalty, -3, "presence_penalty must be in [-2, 2], got -3");
    REFUSED(max_tokens, 0, "max_tokens must be at least 1, got 0");
    REFUSED(min_tokens, 17, "min_tokens must be in [0, 16], got 17");
    REFUSED(logprobs, 21, "logprobs must be in [-1, 20], got 21");
    REFUSED(n_stop_ids, 129, "the number of stop_token_ids must be in [0, 128], got 129");
    struct sampling_params p = params_default();
    p.n_stop_ids = 1;
    p.stop_id[0] = VOCAB;
    check_refused(&p, "stop_token_ids must be in [0, 999], got 1000");
}

TEST(what_comes_back_is_checked_by_name)
{
    REFUSED(prompt_logprobs, 21, "prompt_logprobs must be in [-1, 20], got 21");
    REFUSED(beam_width, 17, "beam_width must be in [0, 16], got 17");
    REFUSED(beam_width, -1, "beam_width must be in [0, 16], got -1");
    REFUSED(length_penalty, NAN, "length_penalty must be a finite number, got nan");
    REFUSED(length_penalty, -INFINITY, "length_penalty must be a finite number, got -inf");
    REFUSED(pooling, (enum pooling)3, "pooling must be in [0, 2], got 3");
    struct sampling_params p = params_default();
    p.pooling = POOLING_LAST;
    p.max_tokens = 0; /* not looked at */
    check_taken(&p);
    p.beam_width = 2;
    check_refused(&p, "a request that pools cannot have a beam_width");
}

TEST(ids_of_lists_are_inside_the_vocabulary)
{
    const int32_t good[] = {0, VOCAB - 1}, wrong[] = {0, VOCAB}, negative[] = {-1};
    struct sampling_params p = params_default();
    p.allowed_id = good;
    p.n_allowed_ids = 2;
    check_taken(&p);
    p.allowed_id = wrong;
    check_refused(&p, "allowed_token_ids must be in [0, 999], got 1000");
    p.allowed_id = negative;
    p.n_allowed_ids = 1;
    check_refused(&p, "allowed_token_ids must be in [0, 999], got -1");
    p.n_allowed_ids = VOCAB + 1;
    check_refused(&p, "the number of allowed_token_ids must be in [0, 1000], got 1001");
}

TEST(biases_have_a_range_and_a_number)
{
    struct token_bias bias[] = {{VOCAB - 1, 100}, {0, -100}};
    struct sampling_params p = params_default();
    p.bias = bias;
    p.n_biases = 2;
    check_taken(&p);
    bias[1].bias = 100.5f;
    check_refused(&p, "logit_bias must be in [-100, 100], got 100.5");
    bias[1].bias = NAN;
    check_refused(&p, "logit_bias must be in [-100, 100], got nan");
    bias[0].token = VOCAB;
    check_refused(&p, "a token of logit_bias must be in [0, 999], got 1000");
    p.n_biases = PARAMS_MAX_BIASES + 1;
    check_refused(&p, "the number of logit_bias must be in [0, 1024], got 1025");
}

TEST(bad_words_are_not_empty_and_not_too_many)
{
    int32_t id[] = {1, 2, 3}, end[] = {2, 3};
    struct sampling_params p = params_default();
    p.bad_id = id;
    p.bad_end = end;
    p.n_bad_words = 2;
    check_taken(&p);
    end[1] = 2;
    check_refused(&p, "bad_words cannot have an empty word");
    end[1] = PARAMS_MAX_BAD_IDS + 1;
    check_refused(&p, "the number of tokens of bad_words must be in [0, 8192], got 8193");
    end[1] = 3;
    id[2] = VOCAB;
    check_refused(&p, "a token of bad_words must be in [0, 999], got 1000");
    p.n_bad_words = PARAMS_MAX_BAD_WORDS + 1;
    check_refused(&p, "the number of bad_words must be in [0, 1024], got 1025");
}

TEST(finish_reasons_have_the_names_of_the_api)
{
    CHECK(finish_reason_name(FINISH_NONE) == NULL);
    CHECK_STR(finish_reason_name(FINISH_STOP), "stop");
    CHECK_STR(finish_reason_name(FINISH_LENGTH), "length");
    CHECK_STR(finish_reason_name(FINISH_ABORT), "abort");
    CHECK_STR(finish_reason_name(FINISH_ERROR), "error");
}
