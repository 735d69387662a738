/* What the gateway tells the engine. Packing only reads, so that const is cast away where
 * protobuf-c has none. */
#include "runtime/link/engine_link.h"

#include "base/memory.h"
#include "runtime/link/messages.h"
#include "runtime/request/request.h"

#include <string.h>

typedef Phalanx__Engine__V1__Params params_message;
typedef Phalanx__Engine__V1__Bias bias_message;
typedef Phalanx__Engine__V1__Submit submit_message;
typedef Phalanx__Engine__V1__ToEngine to_engine;

/* ---- sending ---- */

static bias_message **bias_messages(struct arena *arena, const struct token_bias *from, int n)
{
    bias_message *bias = arena_alloc(arena, (size_t)n, sizeof *bias);
    bias_message **list = arena_alloc(arena, (size_t)n, sizeof *list);
    for (int i = 0; i < n; i++) {
        phalanx__engine__v1__bias__init(&bias[i]);
        bias[i].token = from[i].token;
        bias[i].bias = from[i].bias;
        list[i] = &bias[i];
    }
    return list;
}

static void write_lists(params_message *out, struct arena *arena, const struct sampling_params *p)
{
    out->n_stop_token_ids = (size_t)p->n_stop_ids;
    out->stop_token_ids = (int32_t *)p->stop_id;
    out->n_allowed_token_ids = (size_t)p->n_allowed_ids;
    out->allowed_token_ids = (int32_t *)p->allowed_id;
    out->n_logit_bias = (size_t)p->n_biases;
    out->logit_bias = bias_messages(arena, p->bias, p->n_biases);
    out->n_bad_ends = (size_t)p->n_bad_words;
    out->bad_ends = (int32_t *)p->bad_end;
    out->n_bad_ids = p->n_bad_words > 0 ? (size_t)p->bad_end[p->n_bad_words - 1] : 0;
    out->bad_ids = (int32_t *)p->bad_id;
}

static void write_params(params_message *out, struct arena *arena, const struct sampling_params *p)
{
    phalanx__engine__v1__params__init(out);
    out->temperature = p->temperature;
    out->top_p = p->top_p;
    out->min_p = p->min_p;
    out->top_k = p->top_k;
    out->repetition_penalty = p->repetition_penalty;
    out->frequency_penalty = p->frequency_penalty;
    out->presence_penalty = p->presence_penalty;
    out->seed = p->seed;
    out->max_tokens = p->max_tokens;
    out->min_tokens = p->min_tokens;
    out->logprobs = p->logprobs;
    out->ignore_eos = p->ignore_eos;
    out->prompt_logprobs = p->prompt_logprobs;
    out->beam_width = p->beam_width;
    out->length_penalty = p->length_penalty;
    out->penalize_prompt = p->penalize_prompt;
    out->pooling = p->pooling;
    write_lists(out, arena, p);
}

static bool send_submit(struct link *link, const struct link_submit *from, struct error *err)
{
    to_engine message = PHALANX__ENGINE__V1__TO_ENGINE__INIT;
    submit_message submit = PHALANX__ENGINE__V1__SUBMIT__INIT;
    params_message params;
    write_params(&params, &link->sending, &from->params);
    submit.id = from->id;
    submit.n_prompt_ids = (size_t)from->n_prompt;
    submit.prompt_ids = (int32_t *)from->prompt;
    submit.n_output_ids = (size_t)from->n_output;
    submit.output_ids = (int32_t *)from->output;
    submit.choice = (uint32_t)from->choice;
    submit.params = &params;
    submit.priority = from->priority;
    submit.tenant = from->tenant;
    submit.deadline_ns = from->deadline_ns;
    submit.cache_key.len = (size_t)from->n_cache_key;
    submit.cache_key.data = (uint8_t *)from->cache_key;
    message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_SUBMIT;
    message.submit = &submit;
    return link_send_message(link, &message.base, err);
}

bool link_send_command(struct link *link, const struct link_command *command, struct error *err)
{
    to_engine message = PHALANX__ENGINE__V1__TO_ENGINE__INIT;
    Phalanx__Engine__V1__Cancel cancel = PHALANX__ENGINE__V1__CANCEL__INIT;
    Phalanx__Engine__V1__Stop stop = PHALANX__ENGINE__V1__STOP__INIT;
    Phalanx__Engine__V1__Ping ping = PHALANX__ENGINE__V1__PING__INIT;
    Phalanx__Engine__V1__Sleep sleep = PHALANX__ENGINE__V1__SLEEP__INIT;

    arena_reset(&link->sending);
    switch (command->kind) {
    case LINK_SUBMIT:
        return send_submit(link, &command->submit, err);
    case LINK_CANCEL:
        cancel.id = command->cancel_id;
        message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_CANCEL;
        message.cancel = &cancel;
        break;
    case LINK_STOP:
        message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_STOP;
        message.stop = &stop;
        break;
    case LINK_PING:
        message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_PING;
        message.ping = &ping;
        break;
    case LINK_SLEEP:
        sleep.level = command->sleep;
        message.kind_case = PHALANX__ENGINE__V1__TO_ENGINE__KIND_SLEEP;
        message.sleep = &sleep;
        break;
    }
    return link_send_message(link, &message.base, err);
}

/* ---- receiving ---- */

/* bad_ends cut bad_ids into words of at least one id. */
static bool check_bad_words(const params_message *from, struct error *err)
{
    if (from->n_bad_ends > PARAMS_MAX_BAD_WORDS || from->n_bad_ids > PARAMS_MAX_BAD_IDS)
        return link_bad_message("too many bad words", err);
    int32_t begin = 0;
    for (size_t i = 0; i < from->n_bad_ends; i++) {
        if (from->bad_ends[i] <= begin)
            return link_bad_message("a bad word without ids", err);
        begin = from->bad_ends[i];
    }
    return (size_t)begin == from->n_bad_ids ||
           link_bad_message("bad words that do not end with their ids", err);
}

static bool check_params(const params_message *from, struct error *err)
{
    if (from == NULL)
        return link_bad_message("a request without parameters", err);
    if (from->n_stop_token_ids > PARAMS_MAX_STOP_IDS)
        return link_bad_message("too many stop ids", err);
    if (from->n_logit_bias > PARAMS_MAX_BIASES)
        return link_bad_message("too many biases", err);
    if (from->pooling > POOLING_MEAN)
        return link_bad_message("an unknown way of pooling", err);
    return check_bad_words(from, err);
}

static const struct token_bias *read_biases(struct arena *arena, const params_message *from)
{
    struct token_bias *bias = arena_alloc(arena, from->n_logit_bias, sizeof *bias);
    for (size_t i = 0; i < from->n_logit_bias; i++)
        bias[i] = (struct token_bias){from->logit_bias[i]->token, from->logit_bias[i]->bias};
    return bias;
}

static void read_params(struct sampling_params *out, struct arena *arena,
                        const params_message *from)
{
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
        .prompt_logprobs = from->prompt_logprobs,
        .beam_width = from->beam_width,
        .length_penalty = from->length_penalty,
        .penalize_prompt = from->penalize_prompt,
        .pooling = (enum pooling)from->pooling,
        .allowed_id = from->allowed_token_ids,
        .n_allowed_ids = (int32_t)from->n_allowed_token_ids,
        .bias = read_biases(arena, from),
        .n_biases = (int32_t)from->n_logit_bias,
        .bad_id = from->bad_ids,
        .bad_end = from->bad_ends,
        .n_bad_words = (int32_t)from->n_bad_ends,
    };
    if (from->n_stop_token_ids > 0)
        memcpy(out->stop_id, from->stop_token_ids, from->n_stop_token_ids * sizeof *out->stop_id);
}

static bool read_submit(struct link_submit *out, struct arena *arena, const submit_message *from,
                        struct error *err)
{
    if (!check_params(from->params, err))
        return false;
    if (from->id == 0) /* that of the engine as a whole, where something fails */
        return link_bad_message("a request without an id", err);
    if (from->choice >= PARAMS_MAX_CHOICES)
        return link_bad_message("too many choices of a request", err);
    if (from->deadline_ns < 0)
        return link_bad_message("a deadline below 0", err);
    if (from->cache_key.len > REQUEST_MAX_CACHE_KEY)
        return link_bad_message("a cache key that is too long", err);
    *out = (struct link_submit){
        .id = from->id,
        .prompt = from->prompt_ids,
        .n_prompt = (int)from->n_prompt_ids,
        .output = from->output_ids,
        .n_output = (int)from->n_output_ids,
        .choice = (int)from->choice,
        .priority = from->priority,
        .tenant = from->tenant,
        .deadline_ns = from->deadline_ns,
        .cache_key = from->cache_key.data,
        .n_cache_key = (int)from->cache_key.len,
    };
    read_params(&out->params, arena, from->params);
    return true;
}

bool link_receive_command(struct link *link, struct link_command *out, bool *got, struct error *err)
{
    const ProtobufCMessage *message;
    *got = false;
    if (!link_receive_message(link, &phalanx__engine__v1__to_engine__descriptor, &message, err))
        return false;
    if (message == NULL)
        return true;
    const to_engine *from = (const to_engine *)message;
    *out = (struct link_command){0};
    switch (from->kind_case) {
    case PHALANX__ENGINE__V1__TO_ENGINE__KIND_SUBMIT:
        out->kind = LINK_SUBMIT;
        if (!read_submit(&out->submit, &link->received, from->submit, err))
            return false;
        break;
    case PHALANX__ENGINE__V1__TO_ENGINE__KIND_CANCEL:
        out->kind = LINK_CANCEL;
        out->cancel_id = from->cancel->id;
        break;
    case PHALANX__ENGINE__V1__TO_ENGINE__KIND_STOP:
        out->kind = LINK_STOP;
        break;
    case PHALANX__ENGINE__V1__TO_ENGINE__KIND_PING:
        out->kind = LINK_PING;
        break;
    case PHALANX__ENGINE__V1__TO_ENGINE__KIND_SLEEP:
        out->kind = LINK_SLEEP;
        if (!link_check_sleep(from->sleep->level, err))
            return false;
        out->sleep = (enum link_sleep)from->sleep->level;
        break;
    default:
        return link_bad_message("no kind that this engine knows", err);
    }
    *got = true;
    return true;
}
