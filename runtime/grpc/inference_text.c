/* Methods that are answered at once: texts and ids, what the server is, Abort. */
#include "base/error.h"
#include "proto/inference_responses.h"
#include "runtime/api/admission.h"
#include "runtime/grpc/inference.h"
#include "runtime/grpc/rpc.h"
#include "runtime/grpc/rpc_server.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/tokenizer.h"

enum { MAX_ABORTS = 1024 /* in one request */ };

/* The one answer of a call, or why there is none. */
static void answer(struct rpc *rpc, bool is_good, const struct bytes *buffer,
                   const struct error *err)
{
    if (is_good)
        rpc_send(rpc, buffer);
    rpc_end(rpc, is_good ? NULL : err);
}

/* ---- texts and ids ---- */

static bool tokenize(struct bytes *out, struct arena *arena, const struct api *api,
                     const struct inference_tokenize *from, struct error *err)
{
    const struct encode_options options = {.add_special_tokens = from->add_special_tokens != 0,
                                           .special_as_text = true};
    struct ids ids = {0};
    if (from->text.n_bytes > API_MAX_TOKENIZE_BYTES) {
        error_set(err, ERROR_INPUT, "text has %zu bytes, at most %d are taken", from->text.n_bytes,
                  API_MAX_TOKENIZE_BYTES);
        error_param(err, "text");
        return error_code(err, "too_large");
    }
    if (!encoder_encode(api->intake->encoder, from->text.data, from->text.n_bytes, &options, &ids,
                        err))
        return error_param(err, "text");
    struct inference_tokens tokens = {
        .id = ids.data, .n = ids.n, .max_model_len = api->model.max_model_len};
    if (from->return_token_texts == 1) {
        struct json_text *text = arena_alloc(arena, ids.n, sizeof *text);
        for (size_t i = 0; i < ids.n; i++)
            text[i].data = tokenizer_token(api->intake->tokenizer, ids.data[i], &text[i].n_bytes);
        tokens.text = text;
    }
    inference_write_tokens(out, arena, &tokens);
    ids_release(&ids);
    return true;
}

void inference_tokenize(struct rpc *rpc, const void *data, size_t n_bytes)
{
    struct inference_tokenize request;
    struct error err = {0};
    struct arena *arena = rpc_scratch(rpc);
    struct bytes *buffer = rpc_buffer(rpc);
    const bool is_good = inference_read_tokenize(&request, arena, data, n_bytes, &err) &&
                         tokenize(buffer, arena, rpc_api(rpc), &request, &err);
    answer(rpc, is_good, buffer, &err);
}

static bool detokenize(struct bytes *out, struct arena *arena, const struct api *api,
                       const struct inference_detokenize *from, struct error *err)
{
    int32_t *id = arena_alloc(arena, from->ids.n, sizeof *id);
    for (size_t i = 0; i < from->ids.n; i++) {
        if (from->ids.id[i] >= api->model.vocab) {
            error_set(err, ERROR_INPUT, "token_ids[%zu] is %lld, the vocabulary has 0 to %d", i,
                      (long long)from->ids.id[i], api->model.vocab - 1);
            return error_param(err, "token_ids");
        }
        id[i] = (int32_t)from->ids.id[i];
    }
    struct bytes text = {.max = API_MAX_DETOKENIZE_BYTES};
    const bool is_decoded = detokenizer_decode(api->intake->tokenizer, id, from->ids.n,
                                               from->skip_special_tokens == 1, &text);
    if (is_decoded)
        inference_write_text(out, (struct json_text){text.data, text.len});
    else
        error_set(err, ERROR_INPUT, "%s", API_DETOKENIZE_REFUSED);
    bytes_release(&text);
    return is_decoded;
}

void inference_detokenize(struct rpc *rpc, const void *data, size_t n_bytes)
{
    struct inference_detokenize request;
    struct error err = {0};
    struct arena *arena = rpc_scratch(rpc);
    struct bytes *buffer = rpc_buffer(rpc);
    const bool is_good = inference_read_detokenize(&request, arena, data, n_bytes, &err) &&
                         detokenize(buffer, arena, rpc_api(rpc), &request, &err);
    answer(rpc, is_good, buffer, &err);
}

/* ---- what the server is ---- */

void inference_model_info(struct rpc *rpc, const void *data, size_t n_bytes)
{
    const struct api *api = rpc_api(rpc);
    struct error err = {0};
    struct arena *arena = rpc_scratch(rpc);
    struct bytes *buffer = rpc_buffer(rpc);
    const struct inference_model model = {.name = api->model.name,
                                          .n_names = api->model.n_names,
                                          .root = api->model.root,
                                          .max_model_len = api->model.max_model_len,
                                          .vocab = api->model.vocab,
                                          .has_chat_template = api->chat != NULL};
    const bool is_good = inference_read_nothing(arena, data, n_bytes, &err);
    if (is_good)
        inference_write_model(buffer, arena, &model);
    answer(rpc, is_good, buffer, &err);
}

void inference_server_info(struct rpc *rpc, const void *data, size_t n_bytes)
{
    const struct api *api = rpc_api(rpc);
    const struct rpc_settings *settings = rpc_settings_of(rpc);
    struct error err = {0};
    struct arena *arena = rpc_scratch(rpc);
    struct bytes *buffer = rpc_buffer(rpc);
    const struct inference_server server = {
        .version = settings->version,
        .layout = api->model.about,
        .tp = api->model.tp,
        .pp = api->model.pp,
        .dp = api->model.dp,
        .kv_tokens = api->model.kv_tokens,
        .sequences_in_flight = api->admission->n_in_flight,
        .is_ready = settings->is_ready(settings->context),
    };
    const bool is_good = inference_read_nothing(arena, data, n_bytes, &err);
    if (is_good)
        inference_write_server(buffer, &server);
    answer(rpc, is_good, buffer, &err);
}

void inference_abort_calls(struct rpc *rpc, const void *data, size_t n_bytes)
{
    struct inference_abort request;
    struct error err = {0};
    struct arena *arena = rpc_scratch(rpc);
    bool is_good = inference_read_abort(&request, arena, data, n_bytes, &err);
    if (is_good && request.n > MAX_ABORTS) {
        is_good = error_set(&err, ERROR_INPUT, "request_ids has %zu entries, at most %d are taken",
                            request.n, MAX_ABORTS);
        error_param(&err, "request_ids");
    }
    int n_aborted = 0;
    for (size_t i = 0; is_good && i < request.n; i++)
        n_aborted += inference_abort(rpc, request.request_id[i]);
    struct bytes *buffer = rpc_buffer(rpc);
    if (is_good)
        inference_write_aborted(buffer, n_aborted);
    answer(rpc, is_good, buffer, &err);
}
