#include "runtime/gateway/sampling.h"

#include "base/error.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_gateway/demo_intake.h"

#include <stdio.h>
#include <string.h>

enum { VOCAB = DEMO_VOCAB, DEFAULT_MAX_TOKENS = 16 };

static struct sampling_model *model(void)
{
    static struct sampling_model model;
    struct error err = {0};
    CHECK(sampling_model_init(&model, demo_intake(), VOCAB, NULL, &err));
    return &model;
}

static void make(struct sampling *out, const struct sampling_fields *fields)
{
    struct error err = {0};
    if (!sampling_make(out, fields, model(), DEFAULT_MAX_TOKENS, &err))
        test_fail(__FILE__, __LINE__, "refused: %s", err.text);
}

static void check_refused(const struct sampling_fields *fields, const char *param, const char *text)
{
    struct error err = {0};
    struct sampling sampling;
    CHECK(!sampling_make(&sampling, fields, model(), DEFAULT_MAX_TOKENS, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.text, text);
    CHECK_STR(err.param, param);
    sampling_release(&sampling);
}

#define REFUSED(field, value, text)                             \
    do {                                                        \
        struct sampling_fields wrong = sampling_nothing_said(); \
        wrong.field = value;                                    \
        check_refused(&wrong, #field, text);                    \
    } while (0)

/* ---- what was not said ---- */

TEST(what_nobody_says_is_as_in_vllm)
{
    const struct sampling_fields fields = sampling_nothing_said();
    const struct sampling_params plain = params_default();
    struct sampling s;
    make(&s, &fields);
    CHECK(s.params.temperature == plain.temperature && s.params.top_p == plain.top_p &&
          s.params.min_p == plain.min_p && s.params.length_penalty == plain.length_penalty);
    CHECK(s.params.repetition_penalty == 1 && s.params.frequency_penalty == 0 &&
          s.params.presence_penalty == 0);
    CHECK_EQ(s.params.top_k, 0);
    CHECK_EQ(s.params.max_tokens, DEFAULT_MAX_TOKENS);
    CHECK(!s.max_tokens_said);
    CHECK_EQ(s.params.min_tokens, 0);
    CHECK_EQ(s.params.logprobs, LOGPROBS_OFF);
    CHECK_EQ(s.params.prompt_logprobs, LOGPROBS_OFF);
    CHECK_EQ(s.params.beam_width, 0);
    CHECK_EQ(s.n_choices, 1);
    CHECK_EQ(s.priority, 0);
    CHECK_EQ(s.deadline_ns, 0);
    CHECK(!s.params.ignore_eos && !s.rules.include_stop && s.rules.skip_special_tokens);
    CHECK(s.params.penalize_prompt);
    CHECK(s.rules.n_stop == 0 && s.params.n_stop_ids == 0 && s.params.n_allowed_ids == 0 &&
          s.params.n_biases == 0 && s.params.n_bad_words == 0 && s.cache_key.len == 0);
    sampling_release(&s);
}

TEST(what_nobody_says_is_as_the_makers_of_the_model_say)
{
    const struct folder folder = folder_make();
    const char text[] = "{\"temperature\": 0.5, \"top_k\": 7, \"max_new_tokens\": 77}";
    struct sampling_model makers;
    struct sampling s;
    struct error err = {0};
    struct sampling_fields fields = sampling_nothing_said();
    folder_write(&folder, "generation_config.json", text, sizeof text - 1);
    CHECK(sampling_model_init(&makers, demo_intake(), VOCAB, folder.path, &err));
    folder_remove(&folder);

    CHECK(sampling_make(&s, &fields, &makers, DEFAULT_MAX_TOKENS, &err));
    CHECK(s.params.temperature == 0.5f);
    CHECK_EQ(s.params.top_k, 7);
    CHECK_EQ(s.params.max_tokens, 77);
    CHECK(!s.max_tokens_said);
    sampling_release(&s);

    fields.temperature = 1;
    fields.max_tokens = 5;
    CHECK(sampling_make(&s, &fields, &makers, DEFAULT_MAX_TOKENS, &err));
    CHECK(s.params.temperature == 1);
    CHECK_EQ(s.params.max_tokens, 5);
    CHECK(s.max_tokens_said);
    sampling_release(&s);
}

/* ---- numbers ---- */

TEST(ends_of_ranges_are_taken)
{
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.temperature = 2;
    fields.top_p = 1e-300; /* above 0, also as a float */
    fields.min_p = 1;
    fields.repetition_penalty = 1e-6;
    fields.frequency_penalty = -2;
    fields.presence_penalty = 2;
    fields.top_k = INT32_MAX;
    fields.n = PARAMS_MAX_CHOICES;
    fields.max_tokens = fields.min_tokens = INT32_MAX;
    fields.logprobs = fields.prompt_logprobs = PARAMS_MAX_LOGPROBS;
    fields.priority = INT32_MIN;
    fields.deadline_ms = 31536000000;
    make(&s, &fields);
    CHECK(s.params.top_p > 0);
    CHECK_EQ(s.params.min_tokens, INT32_MAX);
    CHECK_EQ(s.n_choices, PARAMS_MAX_CHOICES);
    CHECK_EQ(s.priority, INT32_MIN);
    CHECK_EQ(s.deadline_ns, 31536000000 * 1000000);
    sampling_release(&s);
}

TEST(a_number_outside_its_range_is_refused_by_name)
{
    REFUSED(temperature, 2.5, "temperature must be in [0, 2], got 2.5");
    REFUSED(temperature, -1, "temperature must be in [0, 2], got -1");
    REFUSED(temperature, 1e300, "temperature must be in [0, 2], got inf");
    REFUSED(temperature, -INFINITY, "temperature must be in [0, 2], got -inf");
    REFUSED(top_p, 0, "top_p must be in (0, 1], got 0");
    REFUSED(top_p, 1.5, "top_p must be in (0, 1], got 1.5");
    REFUSED(min_p, -0.5, "min_p must be in [0, 1], got -0.5");
    REFUSED(repetition_penalty, 0, "repetition_penalty must be a finite number above 0, got 0");
    REFUSED(repetition_penalty, INFINITY,
            "repetition_penalty must be a finite number above 0, got inf");
    REFUSED(frequency_penalty, 2.5, "frequency_penalty must be in [-2, 2], got 2.5");
    REFUSED(presence_penalty, -2.5, "presence_penalty must be in [-2, 2], got -2.5");
    REFUSED(length_penalty, INFINITY, "length_penalty must be a finite number, got inf");
    REFUSED(top_k, -2, "top_k must be in [-1, 2147483647], got -2");
    REFUSED(n, 0, "n must be in [1, 1024], got 0");
    REFUSED(n, 10000, "n must be in [1, 1024], got 10000");
    REFUSED(max_tokens, 0, "max_tokens must be in [1, 2147483647], got 0");
    REFUSED(min_tokens, -1, "min_tokens must be in [0, 2147483647], got -1");
    REFUSED(min_tokens, 17, "min_tokens must be in [0, 16], got 17");
    REFUSED(logprobs, 21, "logprobs must be in [-1, 20], got 21");
    REFUSED(prompt_logprobs, -2, "prompt_logprobs must be in [-1, 20], got -2");
    REFUSED(beam_width, 17, "beam_width must be in [0, 16], got 17");
    REFUSED(deadline_ms, -1, "deadline_ms must be in [0, 31536000000], got -1");
}

TEST(a_number_that_no_parameter_can_hold_is_not_cut)
{
    REFUSED(top_k, (1ll << 32) + 5, "top_k must be in [-1, 2147483647], got 4294967301");
    REFUSED(max_tokens, INT64_MAX,
            "max_tokens must be in [1, 2147483647], got 9223372036854775807");
    REFUSED(n, (1ll << 32) + 1, "n must be in [1, 1024], got 4294967297");
    REFUSED(beam_width, 1ll << 32, "beam_width must be in [0, 16], got 4294967296");
    REFUSED(priority, 1ll << 31, "priority must be in [-2147483648, 2147483647], got 2147483648");
    REFUSED(deadline_ms, INT64_MAX,
            "deadline_ms must be in [0, 31536000000], got 9223372036854775807");
}

TEST(a_server_may_allow_fewer_log_probabilities)
{
    struct sampling_model *few = model();
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    struct error err = {0};
    few->max_logprobs = 5;
    fields.logprobs = 6;
    CHECK(!sampling_make(&s, &fields, few, DEFAULT_MAX_TOKENS, &err));
    CHECK_STR(err.text, "logprobs must be in [-1, 5], got 6");
    sampling_release(&s);
}

TEST(a_seed_is_taken_as_it_is_and_drawn_where_there_is_none)
{
    static const int64_t said[] = {0, 7, INT64_MAX, -2};
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling one, two;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        fields.seed = said[i];
        make(&one, &fields);
        CHECK_EQ((int64_t)one.params.seed, said[i]);
        sampling_release(&one);
    }
    fields.seed = -1;
    make(&one, &fields);
    fields.seed = SAMPLING_UNSAID;
    make(&two, &fields);
    CHECK(one.params.seed != two.params.seed);
    CHECK(one.params.seed < 1ull << 53 && two.params.seed < 1ull << 53);
    sampling_release(&one);
    sampling_release(&two);
}

TEST(flags_are_what_was_said)
{
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.ignore_eos = fields.include_stop_str_in_output = 1;
    fields.skip_special_tokens = fields.detokenize = fields.penalize_prompt = 0;
    make(&s, &fields);
    CHECK(s.params.ignore_eos && s.rules.include_stop && !s.rules.skip_special_tokens &&
          s.rules.no_text && !s.params.penalize_prompt);
    sampling_release(&s);
}

/* ---- lists ---- */

TEST(ids_are_those_of_the_model)
{
    static const int64_t good[] = {0, VOCAB - 1}, wide[] = {5, (1ll << 32) + 5}, negative[] = {-1};
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.stop_token_ids = fields.allowed_token_ids = good;
    fields.n_stop_token_ids = fields.n_allowed_token_ids = 2;
    make(&s, &fields);
    CHECK(s.params.n_stop_ids == 2 && s.params.stop_id[1] == VOCAB - 1);
    CHECK(s.params.n_allowed_ids == 2 && s.params.allowed_id[1] == VOCAB - 1);
    sampling_release(&s);

    fields.stop_token_ids = wide;
    check_refused(&fields, "stop_token_ids",
                  "stop_token_ids: 4294967301 is no token of this model (0 .. 2047)");
    fields.stop_token_ids = good;
    fields.allowed_token_ids = negative;
    fields.n_allowed_token_ids = 1;
    check_refused(&fields, "allowed_token_ids",
                  "allowed_token_ids: -1 is no token of this model (0 .. 2047)");
}

TEST(an_answer_that_may_have_no_token_is_refused)
{
    static const int64_t none[1];
    struct sampling_fields fields = sampling_nothing_said();
    fields.allowed_token_ids = none;
    check_refused(&fields, "allowed_token_ids",
                  "allowed_token_ids: an empty list allows no answer; leave it out");
}

TEST(biases_have_tokens_of_the_model_and_a_range)
{
    struct sampling_bias bias[] = {{VOCAB - 1, 100}, {0, -100}};
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.logit_bias = bias;
    fields.n_logit_bias = 2;
    make(&s, &fields);
    CHECK(s.params.n_biases == 2 && s.params.bias[0].token == VOCAB - 1);
    CHECK(s.params.bias[1].bias == -100);
    sampling_release(&s);
    bias[1].bias = NAN;
    check_refused(&fields, "logit_bias", "logit_bias must be in [-100, 100], got nan");
    bias[1].bias = 1e300;
    check_refused(&fields, "logit_bias", "logit_bias must be in [-100, 100], got inf");
    bias[1] = (struct sampling_bias){INT64_MAX, 0};
    check_refused(&fields, "logit_bias",
                  "logit_bias: 9223372036854775807 is no token of this model (0 .. 2047)");
}

/* Nothing but the count is looked at: there is nothing behind it. */
TEST(lists_that_are_too_long_are_refused_before_they_are_read)
{
    static const int64_t one_id[1];
    static const struct sampling_bias one_bias[1];
    static const char *const one_text[1];
    const struct {
        const char *param, *text;
        size_t n_stop, n_stop_ids, n_allowed, n_biases, n_bad;
    } rows[] = {
        {"stop", "stop: at most 64 texts, got 10000", .n_stop = 10000},
        {"stop_token_ids", "stop_token_ids: at most 128 ids, got 129", .n_stop_ids = 129},
        {"allowed_token_ids", "allowed_token_ids: at most 2048 ids, got 1000000",
         .n_allowed = 1000000},
        {"logit_bias", "logit_bias: at most 1024 tokens, got 1025", .n_biases = 1025},
        {"bad_words", "bad_words: at most 1024 words, got 5000000000", .n_bad = 5000000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sampling_fields fields = sampling_nothing_said();
        fields.stop = fields.bad_words = one_text;
        fields.stop_token_ids = one_id;
        fields.allowed_token_ids = rows[i].n_allowed > 0 ? one_id : NULL;
        fields.logit_bias = one_bias;
        fields.n_stop = rows[i].n_stop;
        fields.n_stop_token_ids = rows[i].n_stop_ids;
        fields.n_allowed_token_ids = rows[i].n_allowed;
        fields.n_logit_bias = rows[i].n_biases;
        fields.n_bad_words = rows[i].n_bad;
        check_refused(&fields, rows[i].param, rows[i].text);
    }
}

/* ---- texts ---- */

static void check_text(const char *text, const char *want)
{
    struct sampling_fields fields = sampling_nothing_said();
    const char *const texts[] = {"good", text};
    char about[128];
    fields.stop = texts;
    fields.n_stop = 2;
    snprintf(about, sizeof about, "stop%s", want);
    check_refused(&fields, "stop", about);
    fields.n_stop = 0;
    fields.bad_words = texts;
    fields.n_bad_words = 2;
    snprintf(about, sizeof about, "bad_words%s", want);
    check_refused(&fields, "bad_words", about);
}

TEST(texts_are_whole_characters_and_not_too_many)
{
    static char longest[SAMPLING_MAX_TEXT_BYTES + 2];
    memset(longest, 'a', SAMPLING_MAX_TEXT_BYTES + 1);
    check_text("", " cannot contain an empty string");
    check_text("\xc3", ": the text is not UTF-8");
    check_text(longest, ": a text of more than 4096 bytes");
}

TEST(no_text_stops_an_answer_without_text)
{
    static const char *const texts[] = {"x"};
    struct sampling_fields fields = sampling_nothing_said();
    fields.detokenize = 0;
    fields.stop = texts;
    fields.n_stop = 1;
    check_refused(&fields, "stop",
                  "stop strings are only supported when detokenize is True. Set "
                  "`detokenize=True` to use stop.");
}

TEST(stop_texts_are_copies)
{
    char text[] = "stop";
    const char *const texts[] = {text};
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.stop = texts;
    fields.n_stop = 1;
    make(&s, &fields);
    text[0] = 'x';
    CHECK_STR(s.rules.stop[0], "stop");
    sampling_release(&s);
}

TEST(bad_words_are_tokens_inside_and_at_the_begin_of_words)
{
    static const char *const words[] = {"dog"}, *const blank[] = {" "};
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.bad_words = words;
    fields.n_bad_words = 1;
    make(&s, &fields);
    CHECK_EQ(s.params.n_bad_words, 2);
    sampling_release(&s);
    fields.bad_words = blank;
    check_refused(&fields, "bad_words", "bad_words: an empty word");
}

TEST(a_salt_keeps_prompts_apart)
{
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.cache_salt = "mine";
    make(&s, &fields);
    CHECK_STR(s.cache_key.data, "cache_salt=mine");
    sampling_release(&s);
    fields.cache_salt = "";
    check_refused(&fields, "cache_salt", "cache_salt: an empty salt");
}

/* ---- what does not go together ---- */

TEST(equal_answers_are_refused)
{
    struct sampling_fields fields = sampling_nothing_said();
    fields.n = 2;
    fields.temperature = 0;
    check_refused(&fields, "n", "n must be 1 when using greedy sampling, got 2.");
}

TEST(a_width_of_one_is_sampling_and_more_are_beams)
{
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.beam_width = 1;
    make(&s, &fields);
    CHECK_EQ(s.params.beam_width, 0);
    sampling_release(&s);
    fields.beam_width = 4;
    fields.n = 4;
    fields.temperature = 0; /* of beams n are different ones */
    fields.length_penalty = 0.5;
    make(&s, &fields);
    CHECK_EQ(s.params.beam_width, 4);
    CHECK_EQ(s.n_choices, 4);
    CHECK(s.params.length_penalty == 0.5f);
    sampling_release(&s);
    fields.n = 5;
    check_refused(&fields, "n", "n: 5 answers of 4 beams; ask for fewer, or for more beams");
}

#define REFUSED_WITH_BEAMS(field, value)                                                         \
    do {                                                                                         \
        struct sampling_fields wrong = sampling_nothing_said();                                  \
        wrong.beam_width = 2;                                                                    \
        wrong.field = value;                                                                     \
        check_refused(&wrong, #field,                                                            \
                      #field ": has no meaning with beam search (beam_width, num_beams); leave " \
                             "one of the two out");                                              \
    } while (0)

TEST(what_has_no_meaning_with_beams_is_refused)
{
    REFUSED_WITH_BEAMS(logprobs, 1);
    REFUSED_WITH_BEAMS(prompt_logprobs, 0);
    REFUSED_WITH_BEAMS(min_tokens, 2);
    REFUSED_WITH_BEAMS(repetition_penalty, 1.3);
    REFUSED_WITH_BEAMS(frequency_penalty, 0.5);
    REFUSED_WITH_BEAMS(presence_penalty, -1);
    struct sampling_fields fields = sampling_nothing_said();
    struct sampling s;
    fields.beam_width = 2;
    fields.repetition_penalty = 1; /* changes nothing */
    fields.logprobs = fields.prompt_logprobs = -1;
    fields.min_tokens = 0;
    make(&s, &fields);
    sampling_release(&s);
}
