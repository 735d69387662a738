#include "proto/openai_pool.h"

#include "base/error.h"
#include "base/memory.h"
#include "proto/json_fields.h"
#include "proto/openai_request.h"
#include "proto/openai_response.h"

#include <string.h>

/* ---- requests ---- */

static bool refuse(const char *key, const char *text, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s: %s", key, text);
    return error_param(err, key);
}

/* What is known and not there: see json_sampling_refuse(). */
static bool refuse_absent(const json_t *body, enum openai_pool_kind kind, struct error *err)
{
    const char *endianness = "little", *side = "right";
    int64_t n_query = 0, n_document = 0;
    if (!field_text(body, "endianness", &endianness, err) ||
        !field_text(body, "truncation_side", &side, err) ||
        !field_int(body, "max_tokens_per_query", &n_query, err) ||
        !field_int(body, "max_tokens_per_doc", &n_document, err))
        return false;
    if (kind != OPENAI_REWARD && field_find(body, "messages") != NULL)
        return refuse("messages", "not supported: an input is a text or token ids", err);
    if (field_find(body, "instruction") != NULL)
        return refuse("instruction", "not supported: write it into the query", err);
    if (strcmp(endianness, "little") != 0 && strcmp(endianness, "native") != 0)
        return refuse("endianness", "want \"little\"", err);
    if (strcmp(side, "right") != 0)
        return refuse("truncation_side", "texts are cut at their end: \"right\"", err);
    if (n_query != 0 || n_document != 0)
        return refuse(n_query != 0 ? "max_tokens_per_query" : "max_tokens_per_doc",
                      "not supported: use truncate_prompt_tokens", err);
    return true;
}

static bool read_form(struct openai_pool_request *out, struct error *err)
{
    const json_t *body = out->body.json;
    const char *format = "float", *dtype = "float32";
    if (!field_text(body, "encoding_format", &format, err) ||
        !field_text(body, "embed_dtype", &dtype, err) ||
        !field_int(body, "dimensions", &out->dimensions, err))
        return false;
    if (field_find(body, "dimensions") != NULL && out->dimensions < 1)
        return refuse("dimensions", "want at least 1", err);
    if (strcmp(dtype, "float32") != 0)
        return refuse("embed_dtype", "want \"float32\"", err);
    out->base64 = strcmp(format, "base64") == 0;
    return out->base64 || strcmp(format, "float") == 0 ||
           refuse("encoding_format", "want \"float\" or \"base64\"", err);
}

static bool read_task(struct openai_pool_request *out, struct error *err)
{
    if (out->kind != OPENAI_POOLING)
        return true;
    if (!field_text(out->body.json, "task", &out->task, err))
        return false;
    return out->task == NULL || strcmp(out->task, "embed") == 0 ||
           strcmp(out->task, "classify") == 0 ||
           refuse("task",
                  "want \"embed\" or \"classify\": a vector of each text, not of each "
                  "token",
                  err);
}

/* Under the first of these names that is there. */
static const char *name_of(const json_t *body, const char *const name[3])
{
    for (int i = 0; i < 3; i++)
        if (field_find(body, name[i]) != NULL)
            return name[i];
    return name[0];
}

/* {"text": …} is a document too. */
static bool read_documents(struct json_prompts *out, const json_t *body, const char *key,
                           struct arena *arena, struct error *err)
{
    const json_t *list = field_find(body, key);
    if (!json_is_object(json_array_get(list, 0)))
        return json_prompts_read(out, body, key, arena, err);
    if (!json_prompts_check_count(json_array_size(list), key, err))
        return false;
    struct json_prompt *prompt = arena_alloc(arena, json_array_size(list), sizeof *prompt);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *text = json_object_get(json_array_get(list, i), "text");
        if (json_string_length(text) == 0)
            return refuse(key, "want texts, or objects with a \"text\"", err);
        prompt[i].text = json_string_value(text);
        prompt[i].n_bytes = json_string_length(text);
    }
    *out = (struct json_prompts){.prompt = prompt, .n = json_array_size(list), .key = key};
    return true;
}

/* One query to all documents, or one to each. */
static bool read_pairs(struct openai_pool_request *out, const char *const first[3],
                       const char *const second[3], struct error *err)
{
    struct arena *arena = &out->body.arena;
    const json_t *body = out->body.json;
    const char *query_key = name_of(body, first), *key = name_of(body, second);
    struct json_prompts query;
    if (!json_prompts_read(&query, body, query_key, arena, err) ||
        !read_documents(&out->pairs, body, key, arena, err))
        return false;
    if (query.n != 1 && query.n != out->pairs.n)
        return refuse(key, "Input lengths must be either 1:1, 1:N or N:N", err);
    struct json_prompt *prompt = arena_alloc(arena, out->pairs.n, sizeof *prompt);
    for (size_t i = 0; i < out->pairs.n; i++)
        prompt[i] = query.prompt[query.n == 1 ? 0 : i];
    out->prompts = (struct json_prompts){.prompt = prompt, .n = out->pairs.n, .key = query_key};
    return true;
}

/* What Text Embeddings Inference calls otherwise. */
static bool read_tei(struct openai_pool_request *out, struct error *err)
{
    const json_t *body = out->body.json;
    bool is_raw = false, truncates = false;
    out->return_documents = false;
    if (!field_bool(body, "return_text", &out->return_documents, err) ||
        !field_bool(body, "raw_scores", &is_raw, err) ||
        !field_bool(body, "truncate", &truncates, err))
        return false;
    out->normalize = !is_raw;
    if (truncates)
        out->truncate_prompt_tokens = -1;
    return true;
}

static bool read_rerank(struct openai_pool_request *out, struct error *err)
{
    static const char *const query[] = {"query", "query", "query"};
    static const char *const documents[] = {"documents", "texts", "documents"};
    const json_t *body = out->body.json;
    out->return_documents = true;
    out->is_tei = field_find(body, "documents") == NULL && field_find(body, "texts") != NULL;
    if (!field_int(body, "top_n", &out->top_n, err) ||
        !field_bool(body, "return_documents", &out->return_documents, err) ||
        (out->is_tei && !read_tei(out, err)) || !read_pairs(out, query, documents, err))
        return false;
    return out->top_n >= 0 || refuse("top_n", "want at least 0", err);
}

static bool read_inputs(struct openai_pool_request *out, struct error *err)
{
    static const char *const first[] = {"text_1", "data_1", "queries"};
    static const char *const second[] = {"text_2", "data_2", "documents"};
    static const char *const items[] = {"text_2", "data_2", "items"};
    const json_t *body = out->body.json;
    switch (out->kind) {
    case OPENAI_SCORE:
        return read_pairs(out, first, field_find(body, "items") != NULL ? items : second, err);
    case OPENAI_RERANK:
        return read_rerank(out, err);
    case OPENAI_REWARD:
        out->add_special_tokens = out->normalize = false; /* as there */
        return json_prompts_read(&out->prompts, body, "messages", &out->body.arena, err);
    default:
        return json_prompts_read(&out->prompts, body, "input", &out->body.arena, err);
    }
}

bool openai_pool_read(struct openai_pool_request *out, enum openai_pool_kind kind, const char *text,
                      size_t n_bytes, struct error *err)
{
    *out = (struct openai_pool_request){.kind = kind,
                                        .add_special_tokens = true,
                                        .normalize = true,
                                        .truncate_prompt_tokens = SAMPLING_UNSAID,
                                        .priority = SAMPLING_UNSAID,
                                        .deadline_ms = SAMPLING_UNSAID};
    if (!request_body_read(&out->body, text, n_bytes, err))
        return false;
    const json_t *body = out->body.json;
    return openai_read_model(&out->model, body, err) &&
           openai_read_request_id(&out->request_id, body, err) && refuse_absent(body, kind, err) &&
           read_form(out, err) && read_task(out, err) && read_inputs(out, err) &&
           openai_read_truncation(&out->truncate_prompt_tokens, body, err) &&
           field_bool(body, "add_special_tokens", &out->add_special_tokens, err) &&
           field_bool(body, "use_activation", &out->normalize, err) &&
           field_bool(body, "normalize", &out->normalize, err) &&
           field_int(body, "priority", &out->priority, err) &&
           field_int(body, "deadline_ms", &out->deadline_ms, err);
}

void openai_pool_request_release(struct openai_pool_request *request)
{
    request_body_release(&request->body);
}

/* ---- answers ---- */

static void add_numbers(struct bytes *out, const float *value, int n)
{
    bytes_add_char(out, '[');
    for (int i = 0; i < n; i++) {
        bytes_add_text(out, i > 0 ? "," : "");
        json_write_float(out, (double)value[i]);
    }
    bytes_add_char(out, ']');
}

/* RFC 4648, section 4. */
static void add_base64(struct bytes *out, const unsigned char *data, size_t n)
{
    static const char letter[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes_add_char(out, '"');
    for (size_t at = 0; at < n; at += 3) {
        const unsigned b1 = at + 1 < n ? data[at + 1] : 0, b2 = at + 2 < n ? data[at + 2] : 0;
        const unsigned bits = (unsigned)data[at] << 16 | b1 << 8 | b2;
        const char four[] = {letter[bits >> 18], letter[bits >> 12 & 63],
                             at + 1 < n ? letter[bits >> 6 & 63] : '=',
                             at + 2 < n ? letter[bits & 63] : '='};
        bytes_add(out, four, sizeof four);
    }
    bytes_add_char(out, '"');
}

static void add_usage(struct bytes *out, const struct openai_pool_answer *answer)
{
    const struct openai_usage usage = {.prompt_tokens = answer->prompt_tokens,
                                       .cached_tokens = OPENAI_NOT_SAID};
    bytes_add_text(out, ",\"usage\":");
    openai_write_usage(out, &usage);
}

static float score_of(const struct openai_pool_result *result)
{
    return result->n_values > 0 ? result->value[0] : 0;
}

static void add_vector(struct bytes *out, const struct openai_pool_request *request,
                       const struct openai_pool_result *result)
{
    if (request->base64)
        add_base64(out, (const unsigned char *)result->value,
                   (size_t)result->n_values * sizeof *result->value);
    else
        add_numbers(out, result->value, result->n_values);
}

static void add_result(struct bytes *out, const struct openai_pool_request *request,
                       const struct openai_pool_result *result, size_t index)
{
    bytes_printf(out, "%s{\"index\":%zu,", index > 0 ? "," : "", index);
    switch (request->kind) {
    case OPENAI_EMBEDDINGS:
        bytes_add_text(out, "\"object\":\"embedding\",\"embedding\":");
        add_vector(out, request, result);
        break;
    case OPENAI_POOLING:
        bytes_add_text(out, "\"object\":\"pooling\",\"data\":");
        add_vector(out, request, result);
        break;
    case OPENAI_CLASSIFY:
        bytes_add_text(out, "\"label\":");
        json_write_string(out, result->label);
        bytes_add_text(out, ",\"probs\":");
        add_numbers(out, result->value, result->n_values);
        bytes_printf(out, ",\"num_classes\":%d", result->n_values);
        break;
    default:
        bytes_add_text(out, "\"object\":\"score\",\"score\":");
        json_write_float(out, (double)score_of(result));
    }
    bytes_add_char(out, '}');
}

static void write_list(struct bytes *out, const struct openai_pool_request *request,
                       const struct openai_pool_answer *answer)
{
    bytes_add_text(out, "{\"id\":");
    json_write_string(out, answer->id);
    bytes_add_text(out, ",\"object\":\"list\",\"created\":");
    json_write_int(out, answer->created_s);
    bytes_add_text(out, ",\"model\":");
    json_write_string(out, answer->model);
    bytes_add_text(out, ",\"data\":[");
    for (size_t i = 0; i < request->prompts.n; i++)
        add_result(out, request, &answer->result[i], i);
    bytes_add_char(out, ']');
    add_usage(out, answer);
    bytes_add_char(out, '}');
}

/* The best one that is not written yet; of equals the first. n is at most 2048. */
static size_t best_left(const struct openai_pool_answer *answer, const bool *is_written, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (!is_written[i] &&
            (best == n || score_of(&answer->result[i]) > score_of(&answer->result[best])))
            best = i;
    return best;
}

static void add_document_text(struct bytes *out, const struct json_prompt *document)
{
    if (document->text != NULL)
        json_write_text(out, (struct json_text){document->text, document->n_bytes});
    else
        bytes_add_text(out, "null");
}

static void add_rank(struct bytes *out, const struct openai_pool_request *request,
                     const struct openai_pool_answer *answer, size_t i)
{
    bytes_printf(out, "{\"index\":%zu", i);
    if (request->return_documents) {
        bytes_add_text(out, request->is_tei ? ",\"text\":" : ",\"document\":{\"text\":");
        add_document_text(out, &request->pairs.prompt[i]);
        bytes_add_text(out, request->is_tei ? "" : ",\"multi_modal\":null}");
    }
    bytes_add_text(out, request->is_tei ? ",\"score\":" : ",\"relevance_score\":");
    json_write_float(out, (double)score_of(&answer->result[i]));
    bytes_add_char(out, '}');
}

static void add_ranks(struct bytes *out, const struct openai_pool_request *request,
                      const struct openai_pool_answer *answer)
{
    const size_t n = request->prompts.n;
    const size_t top =
        request->top_n > 0 && (size_t)request->top_n < n ? (size_t)request->top_n : n;
    bool *is_written = memory_alloc(n, sizeof *is_written);
    bytes_add_char(out, '[');
    for (size_t k = 0; k < top; k++) {
        const size_t i = best_left(answer, is_written, n);
        is_written[i] = true;
        bytes_add_text(out, k > 0 ? "," : "");
        add_rank(out, request, answer, i);
    }
    bytes_add_char(out, ']');
    memory_free(is_written);
}

static void write_rerank(struct bytes *out, const struct openai_pool_request *request,
                         const struct openai_pool_answer *answer)
{
    if (request->is_tei) {
        add_ranks(out, request, answer);
        return;
    }
    bytes_add_text(out, "{\"id\":");
    json_write_string(out, answer->id);
    bytes_add_text(out, ",\"model\":");
    json_write_string(out, answer->model);
    bytes_printf(out, ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld},\"results\":",
                 (long long)answer->prompt_tokens, (long long)answer->prompt_tokens);
    add_ranks(out, request, answer);
    bytes_add_char(out, '}');
}

static void write_reward(struct bytes *out, const struct openai_pool_request *request,
                         const struct openai_pool_answer *answer)
{
    bytes_add_text(out, "{\"id\":");
    json_write_string(out, answer->id);
    bytes_add_text(out, ",\"object\":\"score.evaluation\",\"model\":");
    json_write_string(out, answer->model);
    bytes_add_text(out, ",\"scores\":[");
    for (size_t i = 0; i < request->prompts.n; i++) {
        bytes_add_text(out, i > 0 ? "," : "");
        json_write_float(out, (double)score_of(&answer->result[i]));
    }
    bytes_add_text(out, "]}");
}

void openai_pool_write(struct bytes *out, const struct openai_pool_request *request,
                       const struct openai_pool_answer *answer)
{
    if (request->kind == OPENAI_RERANK)
        write_rerank(out, request, answer);
    else if (request->kind == OPENAI_REWARD)
        write_reward(out, request, answer);
    else
        write_list(out, request, answer);
}
