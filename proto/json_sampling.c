/* Tables: a field is a line. */
#include "proto/json_sampling.h"

#include "base/error.h"
#include "base/memory.h"
#include "proto/json_fields.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct member {
    const char *key;
    enum { NUMBER, INTEGER, FLAG } kind;
    size_t offset; /* in struct sampling_fields */
};
#define AT(field) offsetof(struct sampling_fields, field)

static const struct member common[] = {
    /* all systems call them so */
    {"temperature", NUMBER, AT(temperature)},
    {"top_p", NUMBER, AT(top_p)},
    {"min_p", NUMBER, AT(min_p)},
    {"top_k", INTEGER, AT(top_k)},
    {"repetition_penalty", NUMBER, AT(repetition_penalty)},
    {"frequency_penalty", NUMBER, AT(frequency_penalty)},
    {"presence_penalty", NUMBER, AT(presence_penalty)},
    {"n", INTEGER, AT(n)},
    {"seed", INTEGER, AT(seed)},
    {"ignore_eos", FLAG, AT(ignore_eos)},
    {"skip_special_tokens", FLAG, AT(skip_special_tokens)},
};
static const struct member vllm[] = {
    {"length_penalty", NUMBER, AT(length_penalty)},
    {"max_tokens", INTEGER, AT(max_tokens)},
    {"max_completion_tokens", INTEGER, AT(max_tokens)}, /* OpenAI's newer name wins */
    {"min_tokens", INTEGER, AT(min_tokens)},
    {"priority", INTEGER, AT(priority)},
    {"deadline_ms", INTEGER, AT(deadline_ms)},
    {"include_stop_str_in_output", FLAG, AT(include_stop_str_in_output)},
};
static const struct member sglang[] = {
    {"max_new_tokens", INTEGER, AT(max_tokens)},
    {"min_new_tokens", INTEGER, AT(min_tokens)},
    {"sampling_seed", INTEGER, AT(seed)},
    {"no_stop_trim", FLAG, AT(include_stop_str_in_output)},
};
static const struct member tgi[] = {
    {"max_new_tokens", INTEGER, AT(max_tokens)},
};

static bool read_member(char *fields, const json_t *object, const struct member *member,
                        struct error *err)
{
    bool flag = false;
    switch (member->kind) {
    case NUMBER:
        return field_number(object, member->key, (double *)(void *)(fields + member->offset), err);
    case INTEGER:
        return field_int(object, member->key, (int64_t *)(void *)(fields + member->offset), err);
    case FLAG:
        if (field_find(object, member->key) == NULL)
            return true;
        if (!field_bool(object, member->key, &flag, err))
            return false;
        *(int8_t *)(fields + member->offset) = flag;
        return true;
    }
    return true;
}

static bool read_members(struct sampling_fields *out, const json_t *object,
                         const struct member *member, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!read_member((char *)out, object, &member[i], err))
            return false;
    return true;
}
#define READ(out, object, table, err) \
    read_members(out, object, table, sizeof(table) / sizeof *(table), err)

/* {"50256": -100}: ids are keys, so they are texts. */
static bool read_logit_bias(struct sampling_fields *out, const json_t *object, struct arena *arena,
                            struct error *err)
{
    static const char name[] = "logit_bias";
    const json_t *biases = NULL;
    const char *key;
    json_t *value;
    size_t n = 0;
    if (!field_object(object, name, &biases, err))
        return false;
    if (biases == NULL)
        return true;
    struct sampling_bias *bias = arena_alloc(arena, json_object_size(biases), sizeof *bias);
    json_object_foreach((json_t *)biases, key, value)
    {
        char *end;
        errno = 0;
        const long long token = strtoll(key, &end, 10);
        const bool begins_well = *key == '-' || (*key >= '0' && *key <= '9'); /* else spaces, + */
        if (!begins_well || errno != 0 || end == key || *end != '\0') {
            error_set(err, ERROR_INPUT, "logit_bias: the key \"%.40s\" is no token id", key);
            return error_param(err, name);
        }
        if (!json_is_number(value))
            return field_wrong(name, value, "a number for each token", err);
        bias[n++] = (struct sampling_bias){token, json_number_value(value)};
    }
    out->logit_bias = bias;
    out->n_logit_bias = n;
    return true;
}

static bool read_lists(struct sampling_fields *out, const json_t *object, struct arena *arena,
                       struct error *err)
{
    if (!field_texts(object, "stop", arena, &out->stop, &out->n_stop, err) ||
        !field_texts(object, "bad_words", arena, &out->bad_words, &out->n_bad_words, err) ||
        !field_ids(object, "stop_token_ids", arena, &out->stop_token_ids, &out->n_stop_token_ids,
                   err) ||
        !field_ids(object, "allowed_token_ids", arena, &out->allowed_token_ids,
                   &out->n_allowed_token_ids, err))
        return false;
    return read_logit_bias(out, object, arena, err);
}

static bool read_prompt_logprobs(struct sampling_fields *out, const json_t *object,
                                 struct error *err)
{
    int64_t n = out->prompt_logprobs;
    if (!field_int(object, "prompt_logprobs", &n, err))
        return false;
    if (n < 0 && n != out->prompt_logprobs) {
        error_set(err, ERROR_INPUT, "`prompt_logprobs` must be a positive value.");
        return error_param(err, "prompt_logprobs");
    }
    out->prompt_logprobs = n;
    return true;
}

/* vLLM takes n as the number of beams, and counts the prompt in their length. */
static bool read_beams(struct sampling_fields *out, const json_t *object, struct error *err)
{
    bool beams = false;
    const char *scope = "total";
    if (!field_bool(object, "use_beam_search", &beams, err) ||
        !field_text(object, "length_penalty_scope", &scope, err))
        return false;
    if (strcmp(scope, "total") != 0 && strcmp(scope, "generated") != 0) {
        error_set(err, ERROR_INPUT, "length_penalty_scope: want \"total\" or \"generated\"");
        return error_param(err, "length_penalty_scope");
    }
    if (!beams)
        return true;
    if (out->n != SAMPLING_UNSAID && out->n != 1)
        out->beam_width = out->n;
    else
        out->temperature = 0; /* one beam is the likeliest token each time */
    out->penalize_prompt = strcmp(scope, "total") == 0;
    return true;
}

static bool read_salt(struct sampling_fields *out, const json_t *object, struct error *err)
{
    if (!field_text(object, "cache_salt", &out->cache_salt, err))
        return false;
    if (out->cache_salt == NULL || *out->cache_salt != '\0')
        return true;
    error_set(err, ERROR_INPUT, "Parameter 'cache_salt' must be a non-empty string if provided.");
    return error_param(err, "cache_salt");
}

bool json_sampling_read(struct sampling_fields *out, const json_t *object, struct arena *arena,
                        struct error *err)
{
    return READ(out, object, common, err) && READ(out, object, vllm, err) &&
           read_lists(out, object, arena, err) && read_prompt_logprobs(out, object, err) &&
           read_beams(out, object, err) && read_salt(out, object, err);
}

static bool is_member(const char *key, const struct member *member, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(member[i].key, key) == 0)
            return true;
    return false;
}

bool json_sampling_knows(const char *key)
{
    static const char *const others[] = {
        "stop",       "bad_words",       "stop_token_ids",  "allowed_token_ids",
        "logit_bias", "prompt_logprobs", "use_beam_search", "length_penalty_scope",
        "cache_salt",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i], key) == 0)
            return true;
    return is_member(key, common, sizeof common / sizeof *common) ||
           is_member(key, vllm, sizeof vllm / sizeof *vllm);
}

bool json_sampling_read_sglang(struct sampling_fields *out, const json_t *object,
                               struct arena *arena, struct error *err)
{
    out->max_tokens = 128;
    if (!READ(out, object, common, err) || !READ(out, object, sglang, err) ||
        !read_lists(out, object, arena, err))
        return false;
    if (out->top_k == 1 << 30)
        out->top_k = 0;
    return true;
}

static bool refuse(const char *key, const char *text, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s is not supported: %s", key, text);
    return error_param(err, key);
}

/* There whatever only matters to who samples makes it sample, with do_sample or without. */
static bool tgi_samples(const struct sampling_fields *said, bool do_sample)
{
    return do_sample || (!isnan(said->temperature) && said->temperature != 1) ||
           (said->top_k != SAMPLING_UNSAID && said->top_k > 0) || said->top_p < 1;
}

/* What is known there and not here: an answer without it would not be what was asked for. */
static bool refuse_tgi(const json_t *object, struct error *err)
{
    bool is_marked = false, has_prefill = false;
    double typical_p = 1;
    int64_t n_top = 0;
    if (!field_bool(object, "watermark", &is_marked, err) ||
        !field_bool(object, "decoder_input_details", &has_prefill, err) ||
        !field_number(object, "typical_p", &typical_p, err) ||
        !field_int(object, "top_n_tokens", &n_top, err))
        return false;
    if (is_marked)
        return refuse("watermark", "answers have no marks", err);
    if (has_prefill)
        return refuse("decoder_input_details", "see prompt_logprobs of /v1/completions", err);
    if (n_top > 0)
        return refuse("top_n_tokens", "see logprobs of /v1/completions", err);
    return typical_p == 1 || refuse("typical_p", "use top_p or min_p", err);
}

bool json_sampling_read_tgi(struct sampling_fields *out, const json_t *object, struct arena *arena,
                            struct error *err)
{
    bool samples = false;
    out->max_tokens = 100;
    if (!refuse_tgi(object, err) || !READ(out, object, common, err) ||
        !READ(out, object, tgi, err) || !field_bool(object, "do_sample", &samples, err))
        return false;
    out->n = SAMPLING_UNSAID; /* it has one answer */
    if (!tgi_samples(out, samples))
        out->temperature = 0;
    return read_lists(out, object, arena, err);
}

/* ---- what is not there ---- */

static const struct {
    const char *key, *instead;
} absent[] = {
    {"structured_outputs", "answers are not bound to a grammar; ask for the form in the prompt"},
    {"guided_json", "answers are not bound to a schema; ask for the form in the prompt"},
    {"guided_regex", "answers are not bound to a pattern; ask for the form in the prompt"},
    {"guided_choice", "answers are not bound to choices; use allowed_token_ids"},
    {"guided_grammar", "answers are not bound to a grammar; ask for the form in the prompt"},
    {"structural_tag", "answers are not bound to a grammar; ask for the form in the prompt"},
    {"json_schema", "answers are not bound to a schema; ask for the form in the prompt"},
    {"regex", "answers are not bound to a pattern; ask for the form in the prompt"},
    {"ebnf", "answers are not bound to a grammar; ask for the form in the prompt"},
    {"grammar", "answers are not bound to a grammar; ask for the form in the prompt"},
    {"stop_regex", "only texts stop an answer; use stop"},
    {"logits_processors", "no code of a request is run; use logit_bias"},
    {"logprob_token_ids", "log-probabilities are of the likeliest tokens; use logprobs"},
    {"thinking_token_budget", "thinking has no budget of its own; use max_tokens"},
    {"repetition_detection", "repetition ends no answer; use repetition_penalty"},
    {"prompt_embeds", "a prompt is a text or token ids"},
    {"input_embeds", "a prompt is a text or token ids"},
    {"image_data", "only text is read"},
    {"audio", "only text is written"},
    {"chat_template", "the template is the server's: see --chat-template"},
    {"functions", "the older form of tools; use tools"},
    {"function_call", "the older form of tool_choice; use tool_choice"},
};

static bool refuse_response_format(const json_t *object, struct error *err)
{
    const json_t *format = NULL;
    const char *type = NULL;
    if (!field_object(object, "response_format", &format, err))
        return false;
    if (format == NULL)
        return true;
    if (!field_text(format, "type", &type, err))
        return error_in(err, "response_format");
    return (type != NULL && strcmp(type, "text") == 0) ||
           refuse("response_format", "only {\"type\": \"text\"} is; ask for the form in the prompt",
                  err);
}

bool json_sampling_refuse(const json_t *object, struct error *err)
{
    const char *suffix = "", *side = "left";
    int64_t best_of = 1, n = 1;
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (field_find(object, absent[i].key) != NULL)
            return refuse(absent[i].key, absent[i].instead, err);
    if (!refuse_response_format(object, err) || !field_text(object, "suffix", &suffix, err) ||
        !field_text(object, "truncation_side", &side, err) ||
        !field_int(object, "best_of", &best_of, err) || !field_int(object, "n", &n, err))
        return false;
    if (*suffix != '\0')
        return refuse("suffix", "text is only added at the end", err);
    if (strcmp(side, "left") != 0)
        return refuse("truncation_side", "a prompt is cut at its beginning: \"left\"", err);
    return best_of <= 1 || best_of == n || refuse("best_of", "all answers are given; use n", err);
}
