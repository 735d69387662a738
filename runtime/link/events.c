/* What the engine tells the gateway of its requests. Packing only reads, so that const is cast away
 * where protobuf-c has none. */
#include "runtime/link/engine_link.h"

#include "base/check.h"
#include "base/memory.h"
#include "runtime/link/messages.h"

#include <stdio.h>

typedef Phalanx__Engine__V1__Token token_message;
typedef Phalanx__Engine__V1__Logprob logprob_message;
typedef Phalanx__Engine__V1__LogprobList logprob_list;
typedef Phalanx__Engine__V1__Beam beam_message;
typedef Phalanx__Engine__V1__FromEngine from_engine;

/* ---- sending ---- */

static logprob_message **logprob_messages(struct arena *arena, const struct link_logprob *from,
                                          int n)
{
    logprob_message *logprob = arena_alloc(arena, (size_t)n, sizeof *logprob);
    logprob_message **list = arena_alloc(arena, (size_t)n, sizeof *list);
    for (int i = 0; i < n; i++) {
        phalanx__engine__v1__logprob__init(&logprob[i]);
        logprob[i].token = from[i].token;
        logprob[i].logprob = from[i].logprob;
        logprob[i].rank = from[i].rank;
        list[i] = &logprob[i];
    }
    return list;
}

static bool send_begun(struct link *link, const uint64_t *id, int n, struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Begun begun = PHALANX__ENGINE__V1__BEGUN__INIT;
    begun.n_id = (size_t)n;
    begun.id = (uint64_t *)id;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_BEGUN;
    message.begun = &begun;
    return link_send_message(link, &message.base, err);
}

static void write_token(token_message *out, struct arena *arena, const struct link_token *from)
{
    phalanx__engine__v1__token__init(out);
    out->id = from->id;
    out->token = from->token;
    out->finish = from->finish;
    out->cached_tokens = from->cached_tokens;
    out->n_drafted = from->n_drafted;
    out->n_accepted = from->n_accepted;
    if (from->stop_token >= 0) {
        out->stop_case = PHALANX__ENGINE__V1__TOKEN__STOP_STOP_TOKEN;
        out->stop_token = from->stop_token;
    }
    out->n_logprobs = (size_t)from->n_logprobs;
    out->logprobs = logprob_messages(arena, from->logprob, from->n_logprobs);
}

static bool send_tokens(struct link *link, const struct link_token *from, int n, struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Tokens tokens = PHALANX__ENGINE__V1__TOKENS__INIT;
    token_message *token = arena_alloc(&link->sending, (size_t)n, sizeof *token);
    token_message **list = arena_alloc(&link->sending, (size_t)n, sizeof *list);
    for (int i = 0; i < n; i++) {
        write_token(&token[i], &link->sending, &from[i]);
        list[i] = &token[i];
    }
    tokens.token = list;
    tokens.n_token = (size_t)n;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_TOKENS;
    message.tokens = &tokens;
    return link_send_message(link, &message.base, err);
}

static bool send_failure(struct link *link, uint64_t id, const struct error *from,
                         struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Failed failed = PHALANX__ENGINE__V1__FAILED__INIT;
    failed.id = id;
    failed.kind = from->kind;
    failed.text = (char *)from->text;
    failed.param = (char *)from->param;
    failed.code = (char *)from->code;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_FAILED;
    message.failed = &failed;
    return link_send_message(link, &message.base, err);
}

static bool send_prompt_logprobs(struct link *link, const struct link_prompt_logprobs *from,
                                 struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__PromptLogprobs prompt = PHALANX__ENGINE__V1__PROMPT_LOGPROBS__INIT;
    const size_t n = (size_t)from->n_positions;
    logprob_list *position = arena_alloc(&link->sending, n, sizeof *position);
    logprob_list **list = arena_alloc(&link->sending, n, sizeof *list);
    for (int i = 0; i < from->n_positions; i++) {
        const int begin = i > 0 ? from->end[i - 1] : 0, n_logprobs = from->end[i] - begin;
        check(n_logprobs > 0);
        phalanx__engine__v1__logprob_list__init(&position[i]);
        position[i].n_logprobs = (size_t)n_logprobs;
        position[i].logprobs = logprob_messages(&link->sending, from->logprob + begin, n_logprobs);
        list[i] = &position[i];
    }
    prompt.id = from->id;
    prompt.position = from->position;
    prompt.n_list = n;
    prompt.list = list;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_PROMPT_LOGPROBS;
    message.prompt_logprobs = &prompt;
    return link_send_message(link, &message.base, err);
}

static bool send_beams(struct link *link, const struct link_beams *from, struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Beams beams = PHALANX__ENGINE__V1__BEAMS__INIT;
    beam_message beam[PARAMS_MAX_BEAMS], *list[PARAMS_MAX_BEAMS];
    check(from->n_beams >= 0 && from->n_beams <= PARAMS_MAX_BEAMS);
    for (int i = 0; i < from->n_beams; i++) {
        phalanx__engine__v1__beam__init(&beam[i]);
        beam[i].n_token_ids = (size_t)from->beam[i].n_tokens;
        beam[i].token_ids = (int32_t *)from->beam[i].token;
        beam[i].cumulative_logprob = from->beam[i].cumulative_logprob;
        beam[i].score = from->beam[i].score;
        beam[i].finish = from->beam[i].finish;
        list[i] = &beam[i];
    }
    beams.id = from->id;
    beams.n_beam = (size_t)from->n_beams;
    beams.beam = list;
    beams.cached_tokens = from->cached_tokens;
    beams.first_ns = from->first_ns;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_BEAMS;
    message.beams = &beams;
    return link_send_message(link, &message.base, err);
}

static bool send_pooled(struct link *link, const struct link_pooled *from, struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Pooled pooled = PHALANX__ENGINE__V1__POOLED__INIT;
    check(from->n_values > 0 && from->n_values <= LINK_MAX_VALUES);
    pooled.id = from->id;
    pooled.n_value = (size_t)from->n_values;
    pooled.value = (float *)from->value;
    pooled.cached_tokens = from->cached_tokens;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_POOLED;
    message.pooled = &pooled;
    return link_send_message(link, &message.base, err);
}

bool link_send_event(struct link *link, const struct link_event *event, struct error *err)
{
    arena_reset(&link->sending);
    switch (event->kind) {
    case LINK_BEGUN:
        return send_begun(link, event->begun_id, event->n_begun, err);
    case LINK_TOKENS:
        return send_tokens(link, event->token, event->n_tokens, err);
    case LINK_FAILED:
        return send_failure(link, event->failed_id, &event->failure, err);
    case LINK_PROMPT_LOGPROBS:
        return send_prompt_logprobs(link, &event->prompt_logprobs, err);
    case LINK_BEAMS:
        return send_beams(link, &event->beams, err);
    case LINK_POOLED:
        return send_pooled(link, &event->pooled, err);
    case LINK_READY:
    case LINK_STATS:
    case LINK_PULSE:
    case LINK_ASLEEP:
    case LINK_LOADING:
        return link_send_state(link, event, err);
    }
    check(false); /* a kind without a case */
}

/* ---- receiving ---- */

static bool check_finish(uint32_t finish, struct error *err)
{
    return finish <= FINISH_ERROR || link_bad_message("an unknown finish reason", err);
}

static bool check_n_logprobs(size_t n, struct error *err)
{
    return n <= PARAMS_MAX_LOGPROBS + 1 ||
           link_bad_message("too many log-probabilities of a token", err);
}

static void read_logprobs(struct link_logprob *out, logprob_message *const *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (struct link_logprob){from[i]->token, from[i]->logprob, from[i]->rank};
}

/* -1 is none, and that is an end: nothing else is without a token. */
static bool check_token(const token_message *from, struct error *err)
{
    return from->token >= 0 || (from->token == -1 && from->finish != FINISH_NONE) ||
           link_bad_message("a token that is none", err);
}

static bool read_token(struct link_token *out, struct arena *arena, const token_message *from,
                       struct error *err)
{
    if (!check_finish(from->finish, err) || !check_token(from, err) ||
        !check_n_logprobs(from->n_logprobs, err) ||
        !link_check_counts(
            (const int64_t[]){from->cached_tokens, from->n_drafted, from->n_accepted}, 3, err))
        return false;
    struct link_logprob *logprob = arena_alloc(arena, from->n_logprobs, sizeof *logprob);
    read_logprobs(logprob, from->logprobs, from->n_logprobs);
    const bool by_id = from->stop_case == PHALANX__ENGINE__V1__TOKEN__STOP_STOP_TOKEN;
    *out = (struct link_token){
        .id = from->id,
        .token = from->token,
        .logprob = logprob,
        .n_logprobs = (int)from->n_logprobs,
        .finish = (enum finish_reason)from->finish,
        .stop_token = by_id ? from->stop_token : -1,
        .cached_tokens = from->cached_tokens,
        .n_drafted = from->n_drafted,
        .n_accepted = from->n_accepted,
    };
    return true;
}

static bool read_tokens(struct link_event *out, struct arena *arena,
                        const Phalanx__Engine__V1__Tokens *from, struct error *err)
{
    struct link_token *token = arena_alloc(arena, from->n_token, sizeof *token);
    for (size_t i = 0; i < from->n_token; i++)
        if (!read_token(&token[i], arena, from->token[i], err))
            return false;
    out->token = token;
    out->n_tokens = (int)from->n_token;
    return true;
}

static bool read_failure(struct link_event *out, const Phalanx__Engine__V1__Failed *from,
                         struct error *err)
{
    if (from->kind == ERROR_NONE || from->kind > ERROR_PEER)
        return link_bad_message("an unknown kind of error", err);
    out->failed_id = from->id;
    out->failure.kind = (enum error_kind)from->kind;
    snprintf(out->failure.text, sizeof out->failure.text, "%s", from->text);
    snprintf(out->failure.param, sizeof out->failure.param, "%s", from->param);
    snprintf(out->failure.code, sizeof out->failure.code, "%s", from->code);
    return true;
}

static bool read_prompt_logprobs(struct link_prompt_logprobs *out, struct arena *arena,
                                 const Phalanx__Engine__V1__PromptLogprobs *from, struct error *err)
{
    size_t n_logprobs = 0;
    if (from->position < 1)
        return link_bad_message("log-probabilities of a prompt before its second token", err);
    if (from->n_list > (size_t)(INT32_MAX - from->position))
        return link_bad_message("log-probabilities of a prompt longer than any", err);
    for (size_t i = 0; i < from->n_list; i++) {
        if (from->list[i]->n_logprobs == 0)
            return link_bad_message("a token of a prompt without log-probability", err);
        if (!check_n_logprobs(from->list[i]->n_logprobs, err))
            return false;
        n_logprobs += from->list[i]->n_logprobs;
    }
    struct link_logprob *logprob = arena_alloc(arena, n_logprobs, sizeof *logprob);
    int32_t *end = arena_alloc(arena, from->n_list, sizeof *end);
    int32_t n = 0;
    for (size_t i = 0; i < from->n_list; i++) {
        const logprob_list *list = from->list[i];
        read_logprobs(logprob + n, list->logprobs, list->n_logprobs);
        n += (int32_t)list->n_logprobs;
        end[i] = n;
    }
    *out = (struct link_prompt_logprobs){.id = from->id,
                                         .position = from->position,
                                         .logprob = logprob,
                                         .end = end,
                                         .n_positions = (int)from->n_list};
    return true;
}

static bool read_beams(struct link_beams *out, struct arena *arena,
                       const Phalanx__Engine__V1__Beams *from, struct error *err)
{
    if (from->n_beam > PARAMS_MAX_BEAMS)
        return link_bad_message("too many beams", err);
    if (!link_check_counts((const int64_t[]){from->cached_tokens, from->first_ns}, 2, err))
        return false;
    struct link_beam *beam = arena_alloc(arena, from->n_beam, sizeof *beam);
    for (size_t i = 0; i < from->n_beam; i++) {
        const beam_message *b = from->beam[i];
        if (!check_finish(b->finish, err))
            return false;
        beam[i] = (struct link_beam){.token = b->token_ids,
                                     .n_tokens = (int)b->n_token_ids,
                                     .cumulative_logprob = b->cumulative_logprob,
                                     .score = b->score,
                                     .finish = (enum finish_reason)b->finish};
    }
    *out = (struct link_beams){.id = from->id,
                               .beam = beam,
                               .n_beams = (int)from->n_beam,
                               .cached_tokens = from->cached_tokens,
                               .first_ns = from->first_ns};
    return true;
}

static bool read_pooled(struct link_pooled *out, const Phalanx__Engine__V1__Pooled *from,
                        struct error *err)
{
    if (from->n_value == 0 || from->n_value > LINK_MAX_VALUES)
        return link_bad_message("a vector that is empty or too long", err);
    *out = (struct link_pooled){.id = from->id,
                                .value = from->value,
                                .n_values = (int)from->n_value,
                                .cached_tokens = from->cached_tokens};
    return link_check_counts((const int64_t[]){from->cached_tokens}, 1, err);
}

static bool read_event(struct link_event *out, struct arena *arena, const from_engine *from,
                       struct error *err)
{
    *out = (struct link_event){0};
    switch (from->kind_case) {
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_BEGUN:
        out->kind = LINK_BEGUN;
        out->begun_id = from->begun->id;
        out->n_begun = (int)from->begun->n_id;
        return true;
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_TOKENS:
        out->kind = LINK_TOKENS;
        return read_tokens(out, arena, from->tokens, err);
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_FAILED:
        out->kind = LINK_FAILED;
        return read_failure(out, from->failed, err);
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_PROMPT_LOGPROBS:
        out->kind = LINK_PROMPT_LOGPROBS;
        return read_prompt_logprobs(&out->prompt_logprobs, arena, from->prompt_logprobs, err);
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_BEAMS:
        out->kind = LINK_BEAMS;
        return read_beams(&out->beams, arena, from->beams, err);
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_POOLED:
        out->kind = LINK_POOLED;
        return read_pooled(&out->pooled, from->pooled, err);
    default:
        return link_read_state(out, from, err);
    }
}

bool link_receive_event(struct link *link, struct link_event *out, bool *got, struct error *err)
{
    const ProtobufCMessage *message;
    *got = false;
    if (!link_receive_message(link, &phalanx__engine__v1__from_engine__descriptor, &message, err))
        return false;
    if (message == NULL)
        return true;
    *got = read_event(out, &link->received, (const from_engine *)message, err);
    return *got;
}
