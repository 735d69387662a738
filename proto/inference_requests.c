#include "proto/inference_requests.h"

#include "base/error.h"
#include "base/json.h"
#include "proto/phalanx.pb-c.h"
#include "proto/unpack.h"

#include <math.h>
#include <string.h>

typedef Phalanx__V1__Sampling sampling_message;
typedef Phalanx__V1__Scheduling scheduling_message;
typedef Phalanx__V1__ChatMessage chat_message;

static const struct json_limits tool_limits = {
    .max_bytes = 4 << 20, .max_depth = 64, .max_values = 100000};

/* Where a field has presence, how it is not there: */
static double number_or_unsaid(bool has, double value) { return has ? value : (double)NAN; }
static int64_t int_or_unsaid(bool has, int64_t value)
{
    if (!has)
        return INFERENCE_UNSAID;
    return value == INFERENCE_UNSAID ? value + 1 : value; /* its neighbour is judged the same */
}
static int8_t flag_or_unsaid(bool has, bool value) { return has ? (int8_t)value : (int8_t)-1; }

/* A list without entries is one that is not set. */
static struct inference_ids read_ids(struct arena *arena, const uint32_t *id, size_t n)
{
    if (n == 0)
        return (struct inference_ids){0};
    int64_t *wide = arena_alloc(arena, n, sizeof *wide);
    for (size_t i = 0; i < n; i++)
        wide[i] = id[i];
    return (struct inference_ids){.id = wide, .n = n};
}

/* ---- what several requests have ---- */

/* NaN stands for what is not set, so a client may not write it; infinity is in no range. */
static bool check_numbers(const sampling_message *m, struct error *err)
{
    const struct {
        const char *name;
        bool has;
        double value;
    } row[] = {
        {"temperature", m->has_temperature, m->temperature},
        {"top_p", m->has_top_p, m->top_p},
        {"min_p", m->has_min_p, m->min_p},
        {"repetition_penalty", m->has_repetition_penalty, m->repetition_penalty},
        {"frequency_penalty", m->has_frequency_penalty, m->frequency_penalty},
        {"presence_penalty", m->has_presence_penalty, m->presence_penalty},
        {"length_penalty", m->has_length_penalty, m->length_penalty},
    };
    const char *wrong = NULL;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].has && !isfinite(row[i].value))
            wrong = row[i].name;
    for (size_t i = 0; i < m->n_logit_bias; i++)
        if (!isfinite(m->logit_bias[i]->value))
            wrong = "logit_bias";
    if (wrong == NULL)
        return true;
    error_set(err, ERROR_INPUT, "%s must be a finite number", wrong);
    return error_param(err, wrong);
}

static bool read_sampling(struct inference_sampling *out, struct arena *arena,
                          const sampling_message *from, struct error *err)
{
    static const sampling_message nothing = PHALANX__V1__SAMPLING__INIT;
    const sampling_message *m = from == NULL ? &nothing : from;
    *out = (struct inference_sampling){
        .temperature = number_or_unsaid(m->has_temperature, m->temperature),
        .top_p = number_or_unsaid(m->has_top_p, m->top_p),
        .min_p = number_or_unsaid(m->has_min_p, m->min_p),
        .repetition_penalty = number_or_unsaid(m->has_repetition_penalty, m->repetition_penalty),
        .frequency_penalty = number_or_unsaid(m->has_frequency_penalty, m->frequency_penalty),
        .presence_penalty = number_or_unsaid(m->has_presence_penalty, m->presence_penalty),
        .length_penalty = number_or_unsaid(m->has_length_penalty, m->length_penalty),
        .top_k = int_or_unsaid(m->has_top_k, m->top_k),
        .n = int_or_unsaid(m->has_n, m->n),
        .seed = int_or_unsaid(m->has_seed, m->seed),
        .max_tokens = int_or_unsaid(m->has_max_tokens, m->max_tokens),
        .min_tokens = int_or_unsaid(m->has_min_tokens, m->min_tokens),
        .logprobs = int_or_unsaid(m->has_logprobs, m->logprobs),
        .prompt_logprobs = int_or_unsaid(m->has_prompt_logprobs, m->prompt_logprobs),
        .beam_width = int_or_unsaid(m->has_beam_width, m->beam_width),
        .ignore_eos = flag_or_unsaid(m->has_ignore_eos, m->ignore_eos),
        .include_stop_str_in_output =
            flag_or_unsaid(m->has_include_stop_str_in_output, m->include_stop_str_in_output),
        .skip_special_tokens = flag_or_unsaid(m->has_skip_special_tokens, m->skip_special_tokens),
        .n_stop = m->n_stop,
        .n_bad_words = m->n_bad_words,
        .stop_token_ids = read_ids(arena, m->stop_token_ids, m->n_stop_token_ids),
        .allowed_token_ids = read_ids(arena, m->allowed_token_ids, m->n_allowed_token_ids),
        .n_logit_bias = m->n_logit_bias,
    };
    struct inference_bias *bias = arena_alloc(arena, m->n_logit_bias, sizeof *bias);
    for (size_t i = 0; i < m->n_logit_bias; i++)
        bias[i] = (struct inference_bias){.token = m->logit_bias[i]->key,
                                          .bias = m->logit_bias[i]->value};
    out->logit_bias = m->n_logit_bias > 0 ? bias : NULL;
    return check_numbers(m, err) &&
           unpack_texts(&out->stop, arena, m->stop, m->n_stop, "stop", err) &&
           unpack_texts(&out->bad_words, arena, m->bad_words, m->n_bad_words, "bad_words", err);
}

static bool read_scheduling(struct inference_scheduling *out, struct arena *arena,
                            const scheduling_message *from, struct error *err)
{
    static const scheduling_message nothing = PHALANX__V1__SCHEDULING__INIT;
    const scheduling_message *m = from == NULL ? &nothing : from;
    out->priority = int_or_unsaid(m->has_priority, m->priority);
    out->deadline_ms = int_or_unsaid(m->has_deadline_ms, m->deadline_ms);
    return unpack_optional(&out->cache_salt, arena, m->has_cache_salt, m->cache_salt, "cache_salt",
                           err);
}

static bool no_prompt(const char *field, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s has neither text nor token_ids: set one of them", field);
    return error_param(err, field);
}

static bool read_prompt_text(struct inference_prompt *out, struct arena *arena,
                             ProtobufCBinaryData text, const char *field, struct error *err)
{
    *out = (struct inference_prompt){.text.n_bytes = text.len};
    return unpack_text(&out->text.data, arena, text, field, err);
}
static void read_prompt_ids(struct inference_prompt *out, struct arena *arena,
                            const Phalanx__V1__TokenIds *from)
{
    const struct inference_ids ids = read_ids(arena, from->ids, from->n_ids);
    *out = (struct inference_prompt){.id = ids.id, .n_ids = ids.n};
}

static bool read_prompt(struct inference_prompt *out, struct arena *arena,
                        const Phalanx__V1__Prompt *from, const char *field, struct error *err)
{
    if (from->kind_case == PHALANX__V1__PROMPT__KIND_TEXT)
        return read_prompt_text(out, arena, from->text, field, err);
    if (from->kind_case != PHALANX__V1__PROMPT__KIND_TOKEN_IDS)
        return no_prompt(field, err);
    read_prompt_ids(out, arena, from->token_ids);
    return true;
}

static bool read_prompts(struct inference_pool *out, struct arena *arena,
                         Phalanx__V1__Prompt *const *from, size_t n, const char *field,
                         struct error *err)
{
    struct inference_prompt *list = arena_alloc(arena, n, sizeof *list);
    for (size_t i = 0; i < n; i++)
        if (!read_prompt(&list[i], arena, from[i], field, err))
            return false;
    out->input = list;
    out->n_inputs = n;
    return true;
}

/* ---- generate and chat ---- */

bool inference_read_generate(struct inference_generate *out, struct arena *arena, const void *data,
                             size_t n_bytes, struct error *err)
{
    *out = (struct inference_generate){.add_generation_prompt = -1, .continue_final_message = -1};
    const Phalanx__V1__GenerateRequest *m =
        unpack_message(&phalanx__v1__generate_request__descriptor, arena, data, n_bytes, err);
    if (m == NULL ||
        !unpack_optional(&out->request_id, arena, m->has_request_id, m->request_id, "request_id",
                         err) ||
        !unpack_optional(&out->model, arena, m->has_model, m->model, "model", err) ||
        !read_sampling(&out->sampling, arena, m->sampling, err) ||
        !read_scheduling(&out->scheduling, arena, m->scheduling, err))
        return false;
    out->truncate_prompt_tokens =
        int_or_unsaid(m->has_truncate_prompt_tokens, m->truncate_prompt_tokens);
    out->add_special_tokens = flag_or_unsaid(m->has_add_special_tokens, m->add_special_tokens);
    out->return_prompt_token_ids =
        flag_or_unsaid(m->has_return_prompt_token_ids, m->return_prompt_token_ids);
    if (m->prompt_case == PHALANX__V1__GENERATE_REQUEST__PROMPT_TEXT)
        return read_prompt_text(&out->prompt, arena, m->text, "prompt", err);
    if (m->prompt_case != PHALANX__V1__GENERATE_REQUEST__PROMPT_TOKEN_IDS)
        return no_prompt("prompt", err);
    read_prompt_ids(&out->prompt, arena, m->token_ids);
    return true;
}

/* JSON that a client wrote into a text; NULL where it wrote none. */
static bool read_json(json_t **out, bool has, ProtobufCBinaryData text, json_type type,
                      const char *field, struct error *err)
{
    *out = NULL;
    if (!has)
        return true;
    if (!json_parse(out, (const char *)text.data, text.len, &tool_limits, err)) {
        error_in(err, "%s", field);
        return error_param(err, field);
    }
    if (json_typeof(*out) != type) {
        error_set(err, ERROR_INPUT, "%s must be a JSON %s", field,
                  type == JSON_ARRAY ? "list" : "object");
        return error_param(err, field);
    }
    return true;
}

static bool set_text(json_t *object, const char *key, struct arena *arena, bool has,
                     ProtobufCBinaryData text, struct error *err)
{
    const char *copy;
    if (!has)
        return true;
    if (!unpack_text(&copy, arena, text, "messages", err))
        return false;
    json_object_set_new(object, key, json_stringn_nocheck(copy, text.len));
    return true;
}

static bool read_chat_message(json_t *list, struct arena *arena, const chat_message *m,
                              struct error *err)
{
    json_t *object = json_object();
    json_t *calls;
    json_array_append_new(list, object);
    if (!set_text(object, "role", arena, m->has_role, m->role, err) ||
        !set_text(object, "content", arena, m->has_content, m->content, err) ||
        !set_text(object, "name", arena, m->has_name, m->name, err) ||
        !set_text(object, "tool_call_id", arena, m->has_tool_call_id, m->tool_call_id, err) ||
        !set_text(object, "reasoning", arena, m->has_reasoning, m->reasoning, err))
        return false;
    const bool is_json =
        read_json(&calls, m->has_tool_calls_json, m->tool_calls_json, JSON_ARRAY, "messages", err);
    if (calls != NULL)
        json_object_set_new(object, "tool_calls", calls);
    return is_json;
}

bool inference_read_chat(struct inference_generate *out, struct arena *arena, const void *data,
                         size_t n_bytes, struct error *err)
{
    *out = (struct inference_generate){.add_special_tokens = -1, .messages = json_array()};
    const Phalanx__V1__ChatRequest *m =
        unpack_message(&phalanx__v1__chat_request__descriptor, arena, data, n_bytes, err);
    if (m == NULL)
        return false;
    for (size_t i = 0; i < m->n_messages; i++)
        if (!read_chat_message(out->messages, arena, m->messages[i], err))
            return error_in(err, "messages[%zu]", i);
    out->truncate_prompt_tokens =
        int_or_unsaid(m->has_truncate_prompt_tokens, m->truncate_prompt_tokens);
    out->return_prompt_token_ids =
        flag_or_unsaid(m->has_return_prompt_token_ids, m->return_prompt_token_ids);
    out->add_generation_prompt =
        flag_or_unsaid(m->has_add_generation_prompt, m->add_generation_prompt);
    out->continue_final_message =
        flag_or_unsaid(m->has_continue_final_message, m->continue_final_message);
    return unpack_optional(&out->request_id, arena, m->has_request_id, m->request_id, "request_id",
                           err) &&
           unpack_optional(&out->model, arena, m->has_model, m->model, "model", err) &&
           read_sampling(&out->sampling, arena, m->sampling, err) &&
           read_scheduling(&out->scheduling, arena, m->scheduling, err) &&
           read_json(&out->tools, m->has_tools_json, m->tools_json, JSON_ARRAY, "tools_json",
                     err) &&
           read_json(&out->documents, m->has_documents_json, m->documents_json, JSON_ARRAY,
                     "documents_json", err) &&
           read_json(&out->template_variables, m->has_chat_template_kwargs_json,
                     m->chat_template_kwargs_json, JSON_OBJECT, "chat_template_kwargs_json", err);
}

void inference_generate_release(struct inference_generate *request)
{
    json_decref(request->messages);
    json_decref(request->tools);
    json_decref(request->documents);
    json_decref(request->template_variables);
    *request = (struct inference_generate){0};
}

/* ---- the others ---- */

bool inference_read_embed(struct inference_pool *out, struct arena *arena, const void *data,
                          size_t n_bytes, struct error *err)
{
    *out = (struct inference_pool){0};
    const Phalanx__V1__EmbedRequest *m =
        unpack_message(&phalanx__v1__embed_request__descriptor, arena, data, n_bytes, err);
    if (m == NULL)
        return false;
    out->dimensions = int_or_unsaid(m->has_dimensions, m->dimensions);
    out->normalize = flag_or_unsaid(m->has_normalize, m->normalize);
    out->add_special_tokens = flag_or_unsaid(m->has_add_special_tokens, m->add_special_tokens);
    out->truncate_prompt_tokens =
        int_or_unsaid(m->has_truncate_prompt_tokens, m->truncate_prompt_tokens);
    return unpack_optional(&out->request_id, arena, m->has_request_id, m->request_id, "request_id",
                           err) &&
           unpack_optional(&out->model, arena, m->has_model, m->model, "model", err) &&
           read_scheduling(&out->scheduling, arena, m->scheduling, err) &&
           read_prompts(out, arena, m->inputs, m->n_inputs, "inputs", err);
}

bool inference_read_score(struct inference_pool *out, struct arena *arena, const void *data,
                          size_t n_bytes, struct error *err)
{
    *out = (struct inference_pool){.dimensions = INFERENCE_UNSAID, .normalize = -1};
    const Phalanx__V1__ScoreRequest *m =
        unpack_message(&phalanx__v1__score_request__descriptor, arena, data, n_bytes, err);
    if (m == NULL)
        return false;
    out->add_special_tokens = flag_or_unsaid(m->has_add_special_tokens, m->add_special_tokens);
    out->truncate_prompt_tokens =
        int_or_unsaid(m->has_truncate_prompt_tokens, m->truncate_prompt_tokens);
    if (m->query != NULL) {
        struct inference_prompt *query = arena_alloc(arena, 1, sizeof *query);
        if (!read_prompt(query, arena, m->query, "query", err))
            return false;
        out->query = query;
    }
    return unpack_optional(&out->request_id, arena, m->has_request_id, m->request_id, "request_id",
                           err) &&
           unpack_optional(&out->model, arena, m->has_model, m->model, "model", err) &&
           read_scheduling(&out->scheduling, arena, m->scheduling, err) &&
           read_prompts(out, arena, m->documents, m->n_documents, "documents", err);
}

bool inference_read_tokenize(struct inference_tokenize *out, struct arena *arena, const void *data,
                             size_t n_bytes, struct error *err)
{
    *out = (struct inference_tokenize){0};
    const Phalanx__V1__TokenizeRequest *m =
        unpack_message(&phalanx__v1__tokenize_request__descriptor, arena, data, n_bytes, err);
    if (m == NULL)
        return false;
    out->add_special_tokens = flag_or_unsaid(m->has_add_special_tokens, m->add_special_tokens);
    out->return_token_texts = flag_or_unsaid(m->has_return_token_texts, m->return_token_texts);
    out->text.n_bytes = m->text.len;
    if (m->has_text)
        return unpack_text(&out->text.data, arena, m->text, "text", err);
    error_set(err, ERROR_INPUT, "text is not set");
    return error_param(err, "text");
}

bool inference_read_detokenize(struct inference_detokenize *out, struct arena *arena,
                               const void *data, size_t n_bytes, struct error *err)
{
    *out = (struct inference_detokenize){0};
    const Phalanx__V1__DetokenizeRequest *m =
        unpack_message(&phalanx__v1__detokenize_request__descriptor, arena, data, n_bytes, err);
    if (m == NULL)
        return false;
    out->ids = read_ids(arena, m->token_ids, m->n_token_ids);
    out->skip_special_tokens = flag_or_unsaid(m->has_skip_special_tokens, m->skip_special_tokens);
    return true;
}

bool inference_read_abort(struct inference_abort *out, struct arena *arena, const void *data,
                          size_t n_bytes, struct error *err)
{
    *out = (struct inference_abort){0};
    const Phalanx__V1__AbortRequest *m =
        unpack_message(&phalanx__v1__abort_request__descriptor, arena, data, n_bytes, err);
    if (m == NULL)
        return false;
    out->n = m->n_request_ids;
    return unpack_texts(&out->request_id, arena, m->request_ids, m->n_request_ids, "request_ids",
                        err);
}

bool inference_read_nothing(struct arena *arena, const void *data, size_t n_bytes,
                            struct error *err)
{
    return unpack_message(&phalanx__v1__get_model_info_request__descriptor, arena, data, n_bytes,
                          err) != NULL;
}
