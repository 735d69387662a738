/* /tokenize and /detokenize: the token ids that a prompt would have, and back. */
#include "base/error.h"
#include "proto/json_fields.h"
#include "proto/json_write.h"
#include "proto/openai_request.h"
#include "runtime/endpoints/endpoint.h"
#include "runtime/jinja/jinja.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/tokenizer.h"

static bool refuse(const char *key, const char *text, struct error *err)
{
    error_set(err, ERROR_INPUT, "%s: %s", key, text);
    return error_param(err, key);
}

static bool check_length(size_t n_bytes, const char *key, struct error *err)
{
    if (n_bytes <= API_MAX_TOKENIZE_BYTES)
        return true;
    refuse(key, "longer than 1 MB", err);
    return error_code(err, "too_large");
}

static bool read_text(struct ids *out, const struct api *api, const struct openai_request *body,
                      struct error *err)
{
    const json_t *text = field_find(body->body.json, "prompt");
    struct encode_options options = {.add_special_tokens = true, .special_as_text = true};
    if (!json_is_string(text))
        return refuse("prompt", "want a text, or messages in its place", err);
    return check_length(json_string_length(text), "prompt", err) &&
           field_bool(body->body.json, "add_special_tokens", &options.add_special_tokens, err) &&
           (encoder_encode(api->intake->encoder, json_string_value(text), json_string_length(text),
                           &options, out, err) ||
            error_param(err, "prompt"));
}

static bool read_chat(struct ids *out, const struct api *api, struct openai_request *body,
                      struct error *err)
{
    if (!openai_read_chat_prompt(body, err) ||
        !field_bool(body->body.json, "add_special_tokens", &body->add_special_tokens, err))
        return false;
    const struct chat_prompt_request chat = {
        .messages = body->messages,
        .tools = body->tools,
        .documents = body->documents,
        .variables = body->template_variables,
        .add_generation_prompt = body->add_generation_prompt,
        .continue_final_message = body->continue_final_message,
    };
    if (api->chat == NULL)
        return refuse("messages", "this model has no chat template; give a prompt", err);
    struct jinja_output text = {0};
    const bool good = chat_prompt_render(api->chat, &chat, &text, err) &&
                      check_length(text.text.len, "messages", err) &&
                      (intake_chat(api->intake, &text, body->add_special_tokens, out, err) ||
                       error_param(err, "messages"));
    jinja_output_release(&text);
    return good;
}

static void write_tokens(struct bytes *out, const struct api *api, const struct ids *ids,
                         bool with_texts)
{
    bytes_printf(out, "{\"count\":%zu,\"max_model_len\":%d,\"tokens\":", ids->n,
                 api->model.max_model_len);
    json_write_ids(out, ids->data, (int)ids->n);
    bytes_add_text(out, ",\"token_strs\":");
    for (size_t i = 0; with_texts && i < ids->n; i++) {
        struct json_text text = {0};
        text.data = tokenizer_token(api->intake->tokenizer, ids->data[i], &text.n_bytes);
        bytes_add_char(out, i > 0 ? ',' : '[');
        json_write_text(out, text);
    }
    bytes_add_text(out, !with_texts ? "null}" : ids->n > 0 ? "]}" : "[]}");
}

static bool tokenize(struct bytes *out, const struct api *api, struct openai_request *body,
                     struct error *err)
{
    struct ids ids = {0};
    bool with_texts = false;
    const json_t *json = body->body.json;
    const bool good = openai_read_model(&body->model, json, err) &&
                      api_check_model(api, body->model, err) &&
                      field_bool(json, "return_token_strs", &with_texts, err) &&
                      (field_find(json, "messages") != NULL ? read_chat(&ids, api, body, err)
                                                            : read_text(&ids, api, body, err));
    if (good)
        write_tokens(out, api, &ids, with_texts);
    ids_release(&ids);
    return good;
}

static bool read_ids(struct ids *out, const struct api *api, struct openai_request *body,
                     struct error *err)
{
    const int64_t *id = NULL;
    size_t n = 0;
    if (!field_ids(body->body.json, "tokens", &body->body.arena, &id, &n, err))
        return false;
    if (id == NULL)
        return refuse("tokens", "missing, want a list of token ids", err);
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0 || id[i] >= api->model.vocab) {
            error_set(err, ERROR_INPUT, "tokens: %lld is no token of this model (0 .. %d)",
                      (long long)id[i], api->model.vocab - 1);
            return error_param(err, "tokens");
        }
        ids_add(out, (int32_t)id[i]);
    }
    return true;
}

static bool detokenize(struct bytes *out, const struct api *api, struct openai_request *body,
                       struct error *err)
{
    struct ids ids = {0};
    struct bytes text = {.max = API_MAX_DETOKENIZE_BYTES};
    bool good = openai_read_model(&body->model, body->body.json, err) &&
                api_check_model(api, body->model, err) && read_ids(&ids, api, body, err);
    if (good && !detokenizer_decode(api->intake->tokenizer, ids.data, ids.n, false, &text))
        good = refuse("tokens", API_DETOKENIZE_REFUSED, err);
    if (good) {
        bytes_add_text(out, "{\"prompt\":");
        json_write_text(out, (struct json_text){text.data, text.len});
        bytes_add_char(out, '}');
    }
    ids_release(&ids);
    bytes_release(&text);
    return good;
}

static struct call *answer(const struct endpoints *e, const struct call_request *call,
                           const struct reply *reply,
                           bool (*make)(struct bytes *out, const struct api *api,
                                        struct openai_request *body, struct error *err))
{
    struct openai_request body = {0};
    struct bytes out = {0};
    struct error err = {0};
    if (request_body_read(&body.body, call->body, call->n_body, &err) &&
        make(&out, e->settings.api, &body, &err))
        endpoint_answer_json(reply, &out);
    else
        endpoint_refuse(e, reply, &err);
    bytes_release(&out);
    openai_request_release(&body);
    return NULL;
}

struct call *tokenize_call(const struct endpoints *e, const struct call_request *request,
                           const struct reply *reply)
{
    return answer(e, request, reply, tokenize);
}

struct call *detokenize_call(const struct endpoints *e, const struct call_request *request,
                             const struct reply *reply)
{
    return answer(e, request, reply, detokenize);
}
