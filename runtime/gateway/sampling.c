/* Every list is bounded before anything is allocated for it, and every number is inside its type
 * before it is narrowed; ranges are params_check()'s. */
#include "runtime/gateway/sampling.h"

#include "base/error.h"
#include "base/system.h"
#include "base/utf8.h"
#include "runtime/gateway/generation_config.h"
#include "runtime/gateway/intake.h"

#include <float.h>
#include <string.h>

static const int64_t NS_OF_MS = 1000000;
static const int64_t MAX_DEADLINE_MS = 31536000000; /* a year: no sum with a clock overflows */

struct sampling_fields sampling_nothing_said(void)
{
    return (struct sampling_fields){
        .temperature = NAN,
        .top_p = NAN,
        .min_p = NAN,
        .repetition_penalty = NAN,
        .frequency_penalty = NAN,
        .presence_penalty = NAN,
        .length_penalty = NAN,
        .top_k = SAMPLING_UNSAID,
        .n = SAMPLING_UNSAID,
        .max_tokens = SAMPLING_UNSAID,
        .min_tokens = SAMPLING_UNSAID,
        .seed = SAMPLING_UNSAID,
        .logprobs = SAMPLING_UNSAID,
        .prompt_logprobs = SAMPLING_UNSAID,
        .beam_width = SAMPLING_UNSAID,
        .priority = SAMPLING_UNSAID,
        .deadline_ms = SAMPLING_UNSAID,
        .ignore_eos = -1,
        .include_stop_str_in_output = -1,
        .skip_special_tokens = -1,
        .detokenize = -1,
        .penalize_prompt = -1,
    };
}

bool sampling_model_init(struct sampling_model *out, struct intake *intake, int vocab,
                         const char *model_folder, struct error *err)
{
    *out = (struct sampling_model){.intake = intake,
                                   .vocab = vocab,
                                   .max_logprobs = PARAMS_MAX_LOGPROBS,
                                   .defaults = params_default()};
    out->defaults.max_tokens = 0;
    return model_folder == NULL || generation_config_read(&out->defaults, model_folder, err);
}

/* ---- numbers ---- */

/* What is no float is the nearest one that params_check() judges the same. */
static float narrow(double value)
{
    if (value > 0 && value < (double)FLT_MIN)
        return FLT_MIN;
    if (value > (double)FLT_MAX)
        return INFINITY;
    return value < -(double)FLT_MAX ? -INFINITY : (float)value;
}

static void read_numbers(struct sampling_params *p, const struct sampling_fields *f)
{
    const struct {
        float *to;
        double said;
    } rows[] = {
        {&p->temperature, f->temperature},
        {&p->top_p, f->top_p},
        {&p->min_p, f->min_p},
        {&p->repetition_penalty, f->repetition_penalty},
        {&p->frequency_penalty, f->frequency_penalty},
        {&p->presence_penalty, f->presence_penalty},
        {&p->length_penalty, f->length_penalty},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!isnan(rows[i].said))
            *rows[i].to = narrow(rows[i].said);
}

static bool read_counts(struct sampling *s, const struct sampling_fields *f, int max_logprobs,
                        struct error *err)
{
    struct sampling_params *p = &s->params;
    int64_t deadline_ms = 0, n = 1, priority = 0;
    int64_t top_k = p->top_k, max_tokens = p->max_tokens, min_tokens = 0, beam_width = 0;
    int64_t logprobs = LOGPROBS_OFF, prompt_logprobs = LOGPROBS_OFF;
    const char *logprobs_name = f->logprobs_name != NULL ? f->logprobs_name : "logprobs";
    const struct {
        const char *name;
        int64_t *to, said, lo, hi;
    } rows[] = {
        {"top_k", &top_k, f->top_k, -1, INT32_MAX},
        {"max_tokens", &max_tokens, f->max_tokens, 1, INT32_MAX},
        {"min_tokens", &min_tokens, f->min_tokens, 0, INT32_MAX},
        {"n", &n, f->n, 1, PARAMS_MAX_CHOICES},
        {"beam_width", &beam_width, f->beam_width, 0, PARAMS_MAX_BEAMS},
        {logprobs_name, &logprobs, f->logprobs, LOGPROBS_OFF, max_logprobs},
        {"prompt_logprobs", &prompt_logprobs, f->prompt_logprobs, LOGPROBS_OFF, max_logprobs},
        {"priority", &priority, f->priority, INT32_MIN, INT32_MAX},
        {"deadline_ms", &deadline_ms, f->deadline_ms, 0, MAX_DEADLINE_MS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].said == SAMPLING_UNSAID)
            continue;
        if (rows[i].said < rows[i].lo || rows[i].said > rows[i].hi) {
            error_set(err, ERROR_INPUT, "%s must be in [%lld, %lld], got %lld", rows[i].name,
                      (long long)rows[i].lo, (long long)rows[i].hi, (long long)rows[i].said);
            return error_param(err, rows[i].name);
        }
        *rows[i].to = rows[i].said;
    }
    p->top_k = (int32_t)top_k;
    p->max_tokens = (int32_t)max_tokens;
    p->min_tokens = (int32_t)min_tokens;
    p->beam_width = beam_width > 1 ? (int32_t)beam_width : 0;
    p->logprobs = (int32_t)logprobs;
    p->prompt_logprobs = (int32_t)prompt_logprobs;
    s->n_choices = (int)n;
    s->priority = (int)priority;
    s->deadline_ns = deadline_ms * NS_OF_MS;
    return true;
}

/* A seed that was said, or one that every JSON reader gets back whole: 53 bits. */
static bool read_seed(uint64_t *out, int64_t said, struct error *err)
{
    if (said != SAMPLING_UNSAID && said != -1) {
        *out = (uint64_t)said;
        return true;
    }
    if (!system_random(out, sizeof *out, err))
        return false;
    *out >>= 11;
    return true;
}

/* ---- lists ---- */

static bool at_most(const char *name, const char *what, size_t n, size_t most, struct error *err)
{
    if (n <= most)
        return true;
    error_set(err, ERROR_INPUT, "%s: at most %zu %s, got %zu", name, most, what, n);
    return error_param(err, name);
}

static bool is_token(const char *name, int64_t id, int vocab, struct error *err)
{
    if (id >= 0 && id < vocab)
        return true;
    error_set(err, ERROR_INPUT, "%s: %lld is no token of this model (0 .. %d)", name, (long long)id,
              vocab - 1);
    return error_param(err, name);
}

static bool read_stop_ids(struct sampling_params *p, const struct sampling_fields *f, int vocab,
                          struct error *err)
{
    const char *name = "stop_token_ids";
    if (!at_most(name, "ids", f->n_stop_token_ids, PARAMS_MAX_STOP_IDS, err))
        return false;
    for (size_t i = 0; i < f->n_stop_token_ids; i++) {
        if (!is_token(name, f->stop_token_ids[i], vocab, err))
            return false;
        p->stop_id[i] = (int32_t)f->stop_token_ids[i];
    }
    p->n_stop_ids = (int32_t)f->n_stop_token_ids;
    return true;
}

static bool read_allowed_ids(struct sampling *s, const struct sampling_fields *f, int vocab,
                             struct error *err)
{
    const char *name = "allowed_token_ids";
    if (f->allowed_token_ids != NULL && f->n_allowed_token_ids == 0) {
        error_set(err, ERROR_INPUT, "%s: an empty list allows no answer; leave it out", name);
        return error_param(err, name);
    }
    if (!at_most(name, "ids", f->n_allowed_token_ids, (size_t)vocab, err))
        return false;
    for (size_t i = 0; i < f->n_allowed_token_ids; i++) {
        if (!is_token(name, f->allowed_token_ids[i], vocab, err))
            return false;
        ids_add(&s->allowed_id, (int32_t)f->allowed_token_ids[i]);
    }
    s->params.allowed_id = s->allowed_id.data;
    s->params.n_allowed_ids = (int32_t)s->allowed_id.n;
    return true;
}

static bool read_biases(struct sampling *s, const struct sampling_fields *f, int vocab,
                        struct error *err)
{
    const char *name = "logit_bias";
    if (!at_most(name, "tokens", f->n_logit_bias, PARAMS_MAX_BIASES, err))
        return false;
    s->bias = memory_alloc(f->n_logit_bias, sizeof *s->bias);
    for (size_t i = 0; i < f->n_logit_bias; i++) {
        if (!is_token(name, f->logit_bias[i].token, vocab, err))
            return false;
        s->bias[i] =
            (struct token_bias){(int32_t)f->logit_bias[i].token, narrow(f->logit_bias[i].bias)};
    }
    s->params.bias = s->bias;
    s->params.n_biases = (int32_t)f->n_logit_bias;
    return true;
}

/* ---- texts ---- */

/* Half a character would be found inside others, and cut them. */
static bool check_texts(const char *name, const char *const *text, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        const size_t n_bytes = strnlen(text[i], SAMPLING_MAX_TEXT_BYTES + 1);
        if (n_bytes == 0)
            error_set(err, ERROR_INPUT, "%s cannot contain an empty string", name);
        else if (n_bytes > SAMPLING_MAX_TEXT_BYTES)
            error_set(err, ERROR_INPUT, "%s: a text of more than %d bytes", name,
                      SAMPLING_MAX_TEXT_BYTES);
        else if (utf8_valid_bytes(text[i], n_bytes) < n_bytes)
            error_set(err, ERROR_INPUT, "%s: the text is not UTF-8", name);
        else
            continue;
        return error_param(err, name);
    }
    return true;
}

static bool read_stops(struct sampling *s, const struct sampling_fields *f, struct error *err)
{
    if (f->n_stop > 0 && s->rules.no_text) {
        error_set(err, ERROR_INPUT,
                  "stop strings are only supported when detokenize is True. Set "
                  "`detokenize=True` to use stop.");
        return error_param(err, "stop");
    }
    if (!at_most("stop", "texts", f->n_stop, SAMPLING_MAX_STOPS, err) ||
        !check_texts("stop", f->stop, f->n_stop, err))
        return false;
    const char **copy = arena_alloc(&s->arena, f->n_stop, sizeof *copy);
    for (size_t i = 0; i < f->n_stop; i++)
        copy[i] = arena_copy_text(&s->arena, f->stop[i], strlen(f->stop[i]));
    s->rules.stop = copy;
    s->rules.n_stop = (int)f->n_stop;
    return true;
}

static bool read_bad_words(struct sampling *s, const struct sampling_fields *f,
                           struct intake *intake, struct error *err)
{
    const char *name = "bad_words";
    if (!at_most(name, "words", f->n_bad_words, PARAMS_MAX_BAD_WORDS, err) ||
        !check_texts(name, f->bad_words, f->n_bad_words, err))
        return false;
    if (!intake_bad_words(intake, f->bad_words, (int)f->n_bad_words, &s->bad_id, &s->bad_end,
                          err)) {
        error_in(err, "%s", name);
        return error_param(err, name);
    }
    s->params.bad_id = s->bad_id.data;
    s->params.bad_end = s->bad_end.data;
    s->params.n_bad_words = (int32_t)s->bad_end.n;
    return true;
}

static bool read_cache_salt(struct sampling *s, const char *salt, struct error *err)
{
    if (intake_cache_key(salt, &s->cache_key, err))
        return true;
    error_in(err, "cache_salt");
    return error_param(err, "cache_salt");
}

/* ---- all together ---- */

/* Beams end where the model ends, or at their length, and are all compared by the model's own
 * log-probabilities: what makes no sense with them is refused and not forgotten. */
static bool check_beams(const struct sampling *s, const struct sampling_fields *f,
                        struct error *err)
{
    const struct sampling_params *p = &s->params;
    const struct {
        const char *name;
        bool is_there; /* the value that changes nothing may be said */
    } others[] = {
        {"stop", f->n_stop > 0},
        {"stop_token_ids", p->n_stop_ids > 0},
        {"logprobs", p->logprobs >= 0},
        {"prompt_logprobs", p->prompt_logprobs >= 0},
        {"bad_words", p->n_bad_words > 0},
        {"logit_bias", p->n_biases > 0},
        {"allowed_token_ids", p->n_allowed_ids > 0},
        {"min_tokens", p->min_tokens > 0},
        {"repetition_penalty", !isnan(f->repetition_penalty) && p->repetition_penalty != 1},
        {"frequency_penalty", p->frequency_penalty != 0},
        {"presence_penalty", p->presence_penalty != 0},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].is_there) {
            error_set(err, ERROR_INPUT,
                      "%s: has no meaning with beam search (beam_width, num_beams); leave one of "
                      "the two out",
                      others[i].name);
            return error_param(err, others[i].name);
        }
    if (s->n_choices <= p->beam_width)
        return true;
    error_set(err, ERROR_INPUT, "n: %d answers of %d beams; ask for fewer, or for more beams",
              s->n_choices, p->beam_width);
    return error_param(err, "n");
}

static bool check_choices(const struct sampling *s, const struct sampling_fields *f,
                          struct error *err)
{
    if (s->params.beam_width > 0)
        return check_beams(s, f, err);
    if (s->params.temperature >= 1e-5f || s->n_choices == 1)
        return true;
    error_set(err, ERROR_INPUT, "n must be 1 when using greedy sampling, got %d.", s->n_choices);
    return error_param(err, "n");
}

bool sampling_make(struct sampling *out, const struct sampling_fields *f,
                   const struct sampling_model *model, int32_t default_max_tokens,
                   struct error *err)
{
    struct sampling_params *p = &out->params;
    *out = (struct sampling){.params = model->defaults,
                             .max_tokens_said = f->max_tokens != SAMPLING_UNSAID};
    if (p->max_tokens == 0)
        p->max_tokens = default_max_tokens;
    read_numbers(p, f);
    if (!read_counts(out, f, model->max_logprobs, err) || !read_seed(&p->seed, f->seed, err))
        return false;
    p->ignore_eos = f->ignore_eos > 0;
    p->penalize_prompt = f->penalize_prompt != 0;
    out->rules = (struct output_rules){.tokenizer = model->intake->tokenizer,
                                       .min_tokens = p->min_tokens,
                                       .no_text = f->detokenize == 0,
                                       .include_stop = f->include_stop_str_in_output > 0,
                                       .skip_special_tokens = f->skip_special_tokens != 0};
    return read_stop_ids(p, f, model->vocab, err) && read_allowed_ids(out, f, model->vocab, err) &&
           read_biases(out, f, model->vocab, err) && read_stops(out, f, err) &&
           read_bad_words(out, f, model->intake, err) && read_cache_salt(out, f->cache_salt, err) &&
           params_check(p, model->vocab, err) && check_choices(out, f, err);
}

int sampling_sequences(const struct sampling *s)
{
    return s->params.beam_width > s->n_choices ? s->params.beam_width : s->n_choices;
}

void sampling_release(struct sampling *sampling)
{
    bytes_release(&sampling->cache_key);
    ids_release(&sampling->allowed_id);
    ids_release(&sampling->bad_id);
    ids_release(&sampling->bad_end);
    memory_free(sampling->bias);
    arena_release(&sampling->arena);
    *sampling = (struct sampling){0};
}
