/* Packing only reads, so that const is cast away where protobuf-c has none. */
#include "proto/inference_responses.h"

#include "proto/pack.h"
#include "proto/phalanx.pb-c.h"

#include <string.h>

typedef Phalanx__V1__Logprob logprob_message;
typedef Phalanx__V1__TokenLogprobs row_message;

static void set_text(protobuf_c_boolean *has, ProtobufCBinaryData *out, const char *text)
{
    *has = text != NULL;
    *out = pack_text(text == NULL ? (struct json_text){0} : (struct json_text){text, strlen(text)});
}

/* ---- generate ---- */

static row_message *write_row(struct arena *scratch, const struct json_logprob *entry, int n)
{
    row_message *row = arena_alloc(scratch, 1, sizeof *row);
    logprob_message *logprob = arena_alloc(scratch, (size_t)n, sizeof *logprob);
    phalanx__v1__token_logprobs__init(row);
    row->n_entries = (size_t)n;
    row->entries = arena_alloc(scratch, (size_t)n, sizeof *row->entries);
    for (int i = 0; i < n; i++) {
        phalanx__v1__logprob__init(&logprob[i]);
        logprob[i].has_token_id = logprob[i].has_logprob = true;
        logprob[i].has_rank = logprob[i].has_token = true;
        logprob[i].token_id = (uint32_t)entry[i].token;
        logprob[i].logprob = entry[i].logprob;
        logprob[i].rank = (uint32_t)entry[i].rank;
        logprob[i].token = pack_text(entry[i].decoded_token);
        row->entries[i] = &logprob[i];
    }
    return row;
}

static row_message **write_rows(struct arena *scratch, const struct json_logprob_rows *rows)
{
    row_message **list = arena_alloc(scratch, (size_t)rows->n_rows, sizeof *list);
    int begin = 0;
    for (int i = 0; i < rows->n_rows; i++) {
        list[i] = write_row(scratch, rows->entry + begin, rows->end[i] - begin);
        begin = rows->end[i];
    }
    return list;
}

static Phalanx__V1__PromptInfo *write_prompt(struct arena *scratch,
                                             const struct inference_response *from)
{
    Phalanx__V1__PromptInfo *prompt = arena_alloc(scratch, 1, sizeof *prompt);
    phalanx__v1__prompt_info__init(prompt);
    prompt->has_n_tokens = from->prompt.has_count;
    prompt->n_tokens = (uint32_t)from->prompt.n_tokens;
    if (from->prompt.token_ids != NULL) {
        prompt->token_ids = (uint32_t *)from->prompt.token_ids;
        prompt->n_token_ids = (size_t)from->prompt.n_tokens;
    }
    prompt->logprobs = write_rows(scratch, &from->prompt.logprobs);
    prompt->n_logprobs = (size_t)from->prompt.logprobs.n_rows;
    return prompt;
}

static Phalanx__V1__Finish *write_finish(struct arena *scratch,
                                         const struct inference_response *from)
{
    Phalanx__V1__Finish *finish = arena_alloc(scratch, 1, sizeof *finish);
    phalanx__v1__finish__init(finish);
    finish->has_reason = true;
    finish->reason = (Phalanx__V1__FinishReason)from->choice.finish;
    if (from->choice.stop_text != NULL) {
        finish->stop_case = PHALANX__V1__FINISH__STOP_STOP_TEXT;
        finish->stop_text =
            pack_text((struct json_text){from->choice.stop_text, strlen(from->choice.stop_text)});
    } else if (from->choice.stop_token >= 0) {
        finish->stop_case = PHALANX__V1__FINISH__STOP_STOP_TOKEN_ID;
        finish->stop_token_id = (uint32_t)from->choice.stop_token;
    }
    finish->has_cumulative_logprob = from->choice.has_cumulative;
    finish->cumulative_logprob = from->choice.cumulative_logprob;
    finish->has_score = from->choice.has_score;
    finish->score = from->choice.score;
    return finish;
}

static Phalanx__V1__ChoiceDelta *write_choice(struct arena *scratch,
                                              const struct inference_response *from)
{
    Phalanx__V1__ChoiceDelta *choice = arena_alloc(scratch, 1, sizeof *choice);
    phalanx__v1__choice_delta__init(choice);
    choice->has_index = choice->has_text = true;
    choice->index = (uint32_t)from->choice.index;
    choice->text = pack_text(from->choice.text);
    choice->token_ids = (uint32_t *)from->choice.token_ids;
    choice->n_token_ids = (size_t)from->choice.n_tokens;
    choice->logprobs = write_rows(scratch, &from->choice.logprobs);
    choice->n_logprobs = (size_t)from->choice.logprobs.n_rows;
    if (from->choice.finish != INFERENCE_GOES_ON)
        choice->finish = write_finish(scratch, from);
    return choice;
}

static Phalanx__V1__Usage usage_message(struct inference_usage from)
{
    Phalanx__V1__Usage usage = PHALANX__V1__USAGE__INIT;
    usage.has_prompt_tokens = usage.has_completion_tokens = usage.has_cached_tokens = true;
    usage.prompt_tokens = (uint64_t)from.prompt_tokens;
    usage.completion_tokens = (uint64_t)from.completion_tokens;
    usage.cached_tokens = (uint64_t)from.cached_tokens;
    return usage;
}

void inference_write_response(struct bytes *out, struct arena *scratch,
                              const struct inference_response *response)
{
    Phalanx__V1__GenerateResponse message = PHALANX__V1__GENERATE_RESPONSE__INIT;
    Phalanx__V1__Usage usage = usage_message(response->usage);
    set_text(&message.has_request_id, &message.request_id, response->request_id);
    if (response->has_prompt)
        message.prompt = write_prompt(scratch, response);
    if (response->has_choice)
        message.choice = write_choice(scratch, response);
    if (response->has_usage)
        message.usage = &usage;
    pack_message(out, &message.base);
}

/* ---- vectors ---- */

static Phalanx__V1__Vector **write_vectors(struct arena *scratch,
                                           const struct inference_vectors *vectors)
{
    const size_t n = (size_t)vectors->n_vectors;
    Phalanx__V1__Vector *vector = arena_alloc(scratch, n, sizeof *vector);
    Phalanx__V1__Vector **list = arena_alloc(scratch, n, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        phalanx__v1__vector__init(&vector[i]);
        vector[i].values = (float *)vectors->vector[i].value;
        vector[i].n_values = (size_t)vectors->vector[i].n_values;
        list[i] = &vector[i];
    }
    return list;
}

void inference_write_embeddings(struct bytes *out, struct arena *scratch,
                                const struct inference_vectors *vectors)
{
    Phalanx__V1__EmbedResponse message = PHALANX__V1__EMBED_RESPONSE__INIT;
    Phalanx__V1__Usage usage = usage_message(vectors->usage);
    set_text(&message.has_request_id, &message.request_id, vectors->request_id);
    message.embeddings = write_vectors(scratch, vectors);
    message.n_embeddings = (size_t)vectors->n_vectors;
    message.usage = &usage;
    pack_message(out, &message.base);
}

void inference_write_scores(struct bytes *out, struct arena *scratch,
                            const struct inference_vectors *vectors)
{
    Phalanx__V1__ScoreResponse message = PHALANX__V1__SCORE_RESPONSE__INIT;
    Phalanx__V1__Usage usage = usage_message(vectors->usage);
    set_text(&message.has_request_id, &message.request_id, vectors->request_id);
    message.scores = write_vectors(scratch, vectors);
    message.n_scores = (size_t)vectors->n_vectors;
    message.usage = &usage;
    pack_message(out, &message.base);
}

/* ---- tokens and texts ---- */

void inference_write_tokens(struct bytes *out, struct arena *scratch,
                            const struct inference_tokens *tokens)
{
    Phalanx__V1__TokenizeResponse message = PHALANX__V1__TOKENIZE_RESPONSE__INIT;
    message.token_ids = (uint32_t *)tokens->id;
    message.n_token_ids = tokens->n;
    if (tokens->text != NULL) {
        message.token_texts = arena_alloc(scratch, tokens->n, sizeof *message.token_texts);
        message.n_token_texts = tokens->n;
        for (size_t i = 0; i < tokens->n; i++)
            message.token_texts[i] = pack_text(tokens->text[i]);
    }
    message.has_max_model_len = true;
    message.max_model_len = (uint32_t)tokens->max_model_len;
    pack_message(out, &message.base);
}

void inference_write_text(struct bytes *out, struct json_text text)
{
    Phalanx__V1__DetokenizeResponse message = PHALANX__V1__DETOKENIZE_RESPONSE__INIT;
    message.has_text = true;
    message.text = pack_text(text);
    pack_message(out, &message.base);
}

/* ---- about the server ---- */

void inference_write_model(struct bytes *out, struct arena *scratch,
                           const struct inference_model *model)
{
    Phalanx__V1__GetModelInfoResponse message = PHALANX__V1__GET_MODEL_INFO_RESPONSE__INIT;
    const size_t n = (size_t)model->n_names;
    message.names = arena_alloc(scratch, n, sizeof *message.names);
    message.n_names = n;
    for (size_t i = 0; i < n; i++)
        message.names[i] = pack_text((struct json_text){model->name[i], strlen(model->name[i])});
    set_text(&message.has_root, &message.root, model->root);
    message.has_max_model_len = message.has_vocab = message.has_has_chat_template = true;
    message.max_model_len = (uint32_t)model->max_model_len;
    message.vocab = (uint32_t)model->vocab;
    message.has_chat_template = model->has_chat_template;
    pack_message(out, &message.base);
}

void inference_write_server(struct bytes *out, const struct inference_server *server)
{
    Phalanx__V1__GetServerInfoResponse message = PHALANX__V1__GET_SERVER_INFO_RESPONSE__INIT;
    set_text(&message.has_version, &message.version, server->version);
    set_text(&message.has_layout, &message.layout, server->layout);
    message.has_tensor_parallel_size = message.has_pipeline_parallel_size = true;
    message.has_data_parallel_size = message.has_kv_tokens = true;
    message.has_sequences_in_flight = message.has_is_ready = true;
    message.tensor_parallel_size = (uint32_t)server->tp;
    message.pipeline_parallel_size = (uint32_t)server->pp;
    message.data_parallel_size = (uint32_t)server->dp;
    message.kv_tokens = (uint64_t)server->kv_tokens;
    message.sequences_in_flight = (uint64_t)server->sequences_in_flight;
    message.is_ready = server->is_ready;
    pack_message(out, &message.base);
}

void inference_write_aborted(struct bytes *out, int n_aborted)
{
    Phalanx__V1__AbortResponse message = PHALANX__V1__ABORT_RESPONSE__INIT;
    message.has_n_aborted = true;
    message.n_aborted = (uint32_t)n_aborted;
    pack_message(out, &message.base);
}
