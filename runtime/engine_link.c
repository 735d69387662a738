/* Converts between the plain structs of engine_link.h and the messages of proto/engine.proto.
 * What a message needs lives in an arena of its direction until the next message. */
#include "runtime/engine_link.h"

#include "base/check.h"
#include "base/memory.h"
#include "proto/engine.pb-c.h"

#include <stdio.h>
#include <string.h>

typedef Phalanx__Engine__V1__Params params_message;
typedef Phalanx__Engine__V1__Submit submit_message;
typedef Phalanx__Engine__V1__Token token_message;
typedef Phalanx__Engine__V1__Logprob logprob_message;
typedef Phalanx__Engine__V1__ToEngine to_engine;
typedef Phalanx__Engine__V1__FromEngine from_engine;

struct link {
    struct link_stream stream;
    struct arena sending, received;
    uint8_t *frame; /* a message while it is packed */
    size_t frame_bytes;
};

struct link *link_create(int fd)
{
    struct link *link = memory_alloc(1, sizeof *link);
    link_stream_init(&link->stream, fd);
    return link;
}

void link_destroy(struct link *link)
{
    if (link == NULL)
        return;
    link_stream_release(&link->stream);
    arena_release(&link->sending);
    arena_release(&link->received);
    memory_free(link->frame);
    memory_free(link);
}

int link_fd(const struct link *link) { return link->stream.fd; }

bool link_flush(struct link *link, bool *all_sent, struct error *err)
{
    return link_stream_flush(&link->stream, all_sent, err);
}

/* protobuf-c allocates from the arena and frees nothing one by one. */
static void *arena_alloc_message(void *arena, size_t n_bytes)
{
    return arena_alloc(arena, n_bytes, 1);
}
static void arena_free_message(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

static bool send_message(struct link *link, const ProtobufCMessage *message, struct error *err)
{
    const size_t n_bytes = protobuf_c_message_get_packed_size(message);
    if (n_bytes > LINK_MAX_FRAME_BYTES)
        return error_set(err, ERROR_LIMIT, "a message of %zu bytes for the link, at most %d",
                         n_bytes, LINK_MAX_FRAME_BYTES);
    if (n_bytes > link->frame_bytes) {
        link->frame = memory_resize(link->frame, n_bytes, 1);
        link->frame_bytes = n_bytes;
    }
    protobuf_c_message_pack(message, link->frame);
    return link_stream_send(&link->stream, link->frame, n_bytes, err);
}

static bool receive_message(struct link *link, const ProtobufCMessageDescriptor *descriptor,
                            ProtobufCMessage **out, struct error *err)
{
    const uint8_t *frame;
    size_t n_bytes;
    *out = NULL;
    if (!link_stream_receive(&link->stream, &frame, &n_bytes, err))
        return false;
    if (frame == NULL)
        return true;
    arena_release(&link->received);
    ProtobufCAllocator allocator = {.alloc = arena_alloc_message,
                                    .free = arena_free_message,
                                    .allocator_data = &link->received};
    *out = protobuf_c_message_unpack(descriptor, &allocator, n_bytes, frame);
    return *out != NULL || error_set(err, ERROR_PEER, "a frame of %zu bytes on the link is no %s",
                                     n_bytes, descriptor->short_name);
}

static bool bad_message(const char *what, struct error *err)
{
    return error_set(err, ERROR_PEER, "a message on the link has %s", what);
}

/* ---- gateway -> engine ---- */

bool link_send_command(struct link *link, const struct link_command *command, struct error *err)
{
    to_engine message = PHALANX__ENGINE__V1__TO_ENGINE__INIT;
    params_message params = PHALANX__ENGINE__V1__PARAMS__INIT;
    submit_message submit = PHALANX__ENGINE__V1__SUBMIT__INIT;
    Phalanx__Engine__V1__Cancel cancel = PHALANX__ENGINE__V1__CANCEL__INIT;
    Phalanx__Engine__V1__Stop stop = PHALANX__ENGINE__V1__STOP__INIT;

    if (command->kind == LINK_SUBMIT) {
        const struct link_submit *from = &command->submit;
        const struct sampling_params *p = &from->params;
        params.temperature = p->temperature;
        params.top_p = p->top_p;
        params.min_p = p->min_p;
        params.top_k = p->top_k;
        params.repetition_penalty = p->repetition_penalty;
        params.frequency_penalty = p->frequency_penalty;
        params.presence_penalty = p->presence_penalty;
        params.seed = p->seed;
        params.max_tokens = p->max_tokens;
        params.min_tokens = p->min_tokens;
        params.logprobs = p->logprobs;
        params.ignore_eos = p->ignore_eos;
        params.n_stop_token_ids = (size_t)p->n_stop_ids;
        params.stop_token_ids = (int32_t *)p->stop_id; /* packing only reads */
        submit.id = from->id;
        submit.n_prompt_ids = (size_t)from->n_prompt;
        submit.prompt_ids = (int32_t *)from->prompt;
        submit.n_output_ids = (size_t)from->n_output;
        submit.output_ids = (int32_t *)from->output;
        submit.choice = (uint32_t)from->choice;
        submit.params = &params;
        message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_SUBMIT;
        message.submit = &submit;
    } else if (command->kind == LINK_CANCEL) {
        cancel.id = command->cancel_id;
        message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_CANCEL;
        message.cancel = &cancel;
    } else {
        message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_STOP;
        message.stop = &stop;
    }
    return send_message(link, &message.base, err);
}

static bool read_params(struct sampling_params *out, const params_message *from, struct error *err)
{
    if (from == NULL)
        return bad_message("a request without parameters", err);
    if (from->n_stop_token_ids > PARAMS_MAX_STOP_IDS)
        return bad_message("too many stop ids", err);
    *out = (struct sampling_params){
        .temperature = from->temperature,
        .top_p = from->top_p,
        .min_p = from->min_p,
        .top_k = from->top_k,
        .repetition_penalty = from->repetition_penalty,
        .frequency_penalty = from->frequency_penalty,
        .presence_penalty = from->presence_penalty,
        .seed = from->seed,
        .max_tokens = from->max_tokens,
        .min_tokens = from->min_tokens,
        .logprobs = from->logprobs,
        .ignore_eos = from->ignore_eos,
        .n_stop_ids = (int32_t)from->n_stop_token_ids,
    };
    if (from->n_stop_token_ids > 0)
        memcpy(out->stop_id, from->stop_token_ids, from->n_stop_token_ids * sizeof *out->stop_id);
    return true;
}

bool link_receive_command(struct link *link, struct link_command *out, bool *got, struct error *err)
{
    ProtobufCMessage *message;
    *got = false;
    if (!receive_message(link, &phalanx__engine__v1__to_engine__descriptor, &message, err))
        return false;
    if (message == NULL)
        return true;
    const to_engine *from = (const to_engine *)message;
    *out = (struct link_command){0};
    switch (from->kind_case) {
    case PHALANX__ENGINE__V1__TO_ENGINE__KIND_SUBMIT:
        out->kind = LINK_SUBMIT;
        out->submit = (struct link_submit){
            .id = from->submit->id,
            .prompt = from->submit->prompt_ids,
            .n_prompt = (int)from->submit->n_prompt_ids,
            .output = from->submit->output_ids,
            .n_output = (int)from->submit->n_output_ids,
            .choice = (int)from->submit->choice,
        };
        if (!read_params(&out->submit.params, from->submit->params, err))
            return false;
        break;
    case PHALANX__ENGINE__V1__TO_ENGINE__KIND_CANCEL:
        out->kind = LINK_CANCEL;
        out->cancel_id = from->cancel->id;
        break;
    case PHALANX__ENGINE__V1__TO_ENGINE__KIND_STOP:
        out->kind = LINK_STOP;
        break;
    default:
        return bad_message("no kind that this engine knows", err);
    }
    *got = true;
    return true;
}

/* ---- engine -> gateway ---- */

static token_message **token_messages(struct arena *arena, const struct link_token *from, int n)
{
    token_message *token = arena_alloc(arena, (size_t)n, sizeof *token);
    token_message **list = arena_alloc(arena, (size_t)n, sizeof *list);
    for (int i = 0; i < n; i++) {
        const int n_logprobs = from[i].n_logprobs;
        phalanx__engine__v1__token__init(&token[i]);
        token[i].id = from[i].id;
        token[i].token = from[i].token;
        token[i].finish = from[i].finish;
        token[i].cached_tokens = from[i].cached_tokens;
        if (from[i].stop_token >= 0) {
            token[i].stop_case = PHALANX__ENGINE__V1__TOKEN__STOP_STOP_TOKEN;
            token[i].stop_token = from[i].stop_token;
        }
        logprob_message *logprob = arena_alloc(arena, (size_t)n_logprobs, sizeof *logprob);
        token[i].logprobs = arena_alloc(arena, (size_t)n_logprobs, sizeof *token[i].logprobs);
        token[i].n_logprobs = (size_t)n_logprobs;
        for (int k = 0; k < n_logprobs; k++) {
            phalanx__engine__v1__logprob__init(&logprob[k]);
            logprob[k].token = from[i].logprob[k].token;
            logprob[k].logprob = from[i].logprob[k].logprob;
            logprob[k].rank = from[i].logprob[k].rank;
            token[i].logprobs[k] = &logprob[k];
        }
        list[i] = &token[i];
    }
    return list;
}

static bool send_ready(struct link *link, const struct link_ready *from, struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Ready ready = PHALANX__ENGINE__V1__READY__INIT;
    ready.protocol = LINK_PROTOCOL;
    ready.build = (char *)from->build; /* packing only reads */
    ready.model = (char *)from->model;
    ready.kernels = (char *)from->kernels;
    ready.comm = (char *)from->comm;
    ready.dtype = (char *)from->dtype;
    ready.vocab = from->vocab;
    ready.max_model_len = from->max_model_len;
    ready.kv_tokens = from->kv_tokens;
    ready.tp = from->tp;
    ready.pp = from->pp;
    ready.threads = from->threads;
    ready.weight_bytes = from->weight_bytes;
    ready.n_eos_ids = (size_t)from->n_eos_ids;
    ready.eos_ids = (int32_t *)from->eos_id;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_READY;
    message.ready = &ready;
    return send_message(link, &message.base, err);
}

bool link_send_event(struct link *link, const struct link_event *event, struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Tokens tokens = PHALANX__ENGINE__V1__TOKENS__INIT;
    Phalanx__Engine__V1__Failed failed = PHALANX__ENGINE__V1__FAILED__INIT;

    arena_release(&link->sending);
    switch (event->kind) {
    case LINK_READY:
        return send_ready(link, &event->ready, err);
    case LINK_TOKENS:
        tokens.token = token_messages(&link->sending, event->token, event->n_tokens);
        tokens.n_token = (size_t)event->n_tokens;
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_TOKENS;
        message.tokens = &tokens;
        break;
    case LINK_FAILED:
        failed.id = event->failed_id;
        failed.kind = event->failure.kind;
        failed.text = (char *)event->failure.text;
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_FAILED;
        message.failed = &failed;
        break;
    }
    return send_message(link, &message.base, err);
}

static bool read_ready(struct link_ready *out, const Phalanx__Engine__V1__Ready *from,
                       struct error *err)
{
    if (from->protocol != LINK_PROTOCOL)
        return error_set(err, ERROR_PEER,
                         "the engine speaks link protocol %u, this gateway %d: the two programs "
                         "are of different builds",
                         from->protocol, LINK_PROTOCOL);
    *out = (struct link_ready){
        .build = from->build,
        .model = from->model,
        .kernels = from->kernels,
        .comm = from->comm,
        .dtype = from->dtype,
        .vocab = from->vocab,
        .max_model_len = from->max_model_len,
        .kv_tokens = from->kv_tokens,
        .tp = from->tp,
        .pp = from->pp,
        .threads = from->threads,
        .weight_bytes = from->weight_bytes,
        .eos_id = from->eos_ids,
        .n_eos_ids = (int)from->n_eos_ids,
    };
    return out->vocab > 0 && out->max_model_len > 0 ? true : bad_message("an empty model", err);
}

static bool read_tokens(struct arena *arena, struct link_event *out,
                        const Phalanx__Engine__V1__Tokens *from, struct error *err)
{
    struct link_token *token = arena_alloc(arena, from->n_token, sizeof *token);
    for (size_t i = 0; i < from->n_token; i++) {
        const token_message *t = from->token[i];
        if (t->finish > FINISH_ERROR)
            return bad_message("an unknown finish reason", err);
        struct link_logprob *logprob = arena_alloc(arena, t->n_logprobs, sizeof *logprob);
        for (size_t k = 0; k < t->n_logprobs; k++)
            logprob[k] = (struct link_logprob){t->logprobs[k]->token, t->logprobs[k]->logprob,
                                               t->logprobs[k]->rank};
        const bool by_id = t->stop_case == PHALANX__ENGINE__V1__TOKEN__STOP_STOP_TOKEN;
        token[i] = (struct link_token){
            .id = t->id,
            .token = t->token,
            .logprob = logprob,
            .n_logprobs = (int)t->n_logprobs,
            .finish = (enum finish_reason)t->finish,
            .stop_token = by_id ? t->stop_token : -1,
            .cached_tokens = t->cached_tokens,
        };
    }
    out->token = token;
    out->n_tokens = (int)from->n_token;
    return true;
}

static bool read_failure(struct error *out, const Phalanx__Engine__V1__Failed *from,
                         struct error *err)
{
    if (from->kind == ERROR_NONE || from->kind > ERROR_PEER)
        return bad_message("an unknown kind of error", err);
    out->kind = (enum error_kind)from->kind;
    snprintf(out->text, sizeof out->text, "%s", from->text);
    return true;
}

bool link_receive_event(struct link *link, struct link_event *out, bool *got, struct error *err)
{
    ProtobufCMessage *message;
    *got = false;
    if (!receive_message(link, &phalanx__engine__v1__from_engine__descriptor, &message, err))
        return false;
    if (message == NULL)
        return true;
    const from_engine *from = (const from_engine *)message;
    bool good = true;
    *out = (struct link_event){0};
    switch (from->kind_case) {
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_READY:
        out->kind = LINK_READY;
        good = read_ready(&out->ready, from->ready, err);
        break;
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_TOKENS:
        out->kind = LINK_TOKENS;
        good = read_tokens(&link->received, out, from->tokens, err);
        break;
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_FAILED:
        out->kind = LINK_FAILED;
        out->failed_id = from->failed->id;
        good = read_failure(&out->failure, from->failed, err);
        break;
    default:
        good = bad_message("no kind that this gateway knows", err);
    }
    *got = good;
    return good;
}
