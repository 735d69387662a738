#include "runtime/outbox.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "runtime/link/engine_link.h"
#include "runtime/sample/sampler.h"
#include "runtime/schedule/scheduler.h"

struct outbox {
    struct link *link;
    struct link_token *token;     /* [max_logits] */
    struct link_logprob *logprob; /* [max_logits, LOGPROBS_MAX_ENTRIES] */
    int32_t *end;                 /* [OUTBOX_POSITIONS] */
    struct link_beam beam[PARAMS_MAX_BEAMS];
};

void outbox_create(struct outbox **out, struct link *link, const struct plan_limits *limits)
{
    const size_t n_rows = (size_t)limits->max_logits;
    struct outbox *o = memory_alloc(1, sizeof *o);
    o->link = link;
    o->token = memory_alloc(n_rows, sizeof *o->token);
    o->logprob = memory_alloc(n_rows * LOGPROBS_MAX_ENTRIES, sizeof *o->logprob);
    o->end = memory_alloc(OUTBOX_POSITIONS, sizeof *o->end);
    *out = o;
}

void outbox_destroy(struct outbox *o)
{
    if (o == NULL)
        return;
    memory_free(o->token);
    memory_free(o->logprob);
    memory_free(o->end);
    memory_free(o);
}

/* Appends the entries of a row at logprob[n]; the new n. */
static int add_logprobs(struct outbox *o, int n, const struct picked *picked)
{
    for (int k = 0; k < picked->n_logprobs; k++)
        o->logprob[n++] = (struct link_logprob){.token = picked->logprob[k].token,
                                                .logprob = picked->logprob[k].logprob,
                                                .rank = picked->logprob[k].rank};
    return n;
}

/* ---- before the step ---- */

bool outbox_send_begun(struct outbox *o, const struct batch *batch, struct error *err)
{
    const struct link_event event = {
        .kind = LINK_BEGUN, .begun_id = batch->begun, .n_begun = batch->n_begun};
    return batch->n_begun == 0 || link_send_event(o->link, &event, err);
}

/* ---- before the commit ---- */

/* Rows [first, first + n) are prompt rows of one request, end to end. */
static bool send_piece(struct outbox *o, const struct batch *batch, const struct picked *picked,
                       int first, int n, struct error *err)
{
    int n_entries = 0;
    for (int i = 0; i < n; i++)
        o->end[i] = n_entries = add_logprobs(o, n_entries, &picked[first + i]);
    const struct link_prompt_logprobs piece = {.id = batch->row[first].request->id,
                                               .position = batch->row[first].position,
                                               .logprob = o->logprob,
                                               .end = o->end,
                                               .n_positions = n};
    return link_send_event(
        o->link, &(struct link_event){.kind = LINK_PROMPT_LOGPROBS, .prompt_logprobs = piece}, err);
}

static bool is_wanted(const struct batch_row *row)
{
    return row->is_prompt && row->request->state != REQUEST_FINISHED;
}

bool outbox_send_prompts(struct outbox *o, const struct batch *batch, const struct picked *picked,
                         struct error *err)
{
    const int n_rows = batch->plan->n_logits;
    for (int first = 0, n; first < n_rows; first += n) {
        const struct batch_row *row = batch->row;
        n = 1;
        if (!is_wanted(&row[first]))
            continue;
        while (n < OUTBOX_POSITIONS && first + n < n_rows && is_wanted(&row[first + n]) &&
               row[first + n].request == row[first].request)
            n++;
        if (!send_piece(o, batch, picked, first, n, err))
            return false;
    }
    return true;
}

/* ---- after the commit ---- */

static bool is_for_somebody(const struct batch *batch, const struct outcome *outcome, int i)
{
    return outcome[i].id != 0 && !batch->row[i].is_prompt;
}

static bool send_tokens(struct outbox *o, const struct batch *batch, const struct outcome *outcome,
                        const struct picked *picked, struct error *err)
{
    int n = 0, n_entries = 0;
    for (int i = 0; i < batch->plan->n_logits; i++) {
        const struct outcome *from = &outcome[i];
        if (!is_for_somebody(batch, outcome, i) || from->finish == FINISH_ERROR ||
            from->beam != NULL)
            continue;
        o->token[n++] = (struct link_token){.id = from->id,
                                            .token = from->token,
                                            .logprob = o->logprob + n_entries,
                                            .n_logprobs = picked[i].n_logprobs,
                                            .finish = from->finish,
                                            .stop_token = from->stop_token,
                                            .cached_tokens = from->cached_tokens,
                                            .n_drafted = from->n_drafted,
                                            .n_accepted = from->n_accepted};
        n_entries = add_logprobs(o, n_entries, &picked[i]);
    }
    const struct link_event event = {.kind = LINK_TOKENS, .token = o->token, .n_tokens = n};
    return n == 0 || link_send_event(o->link, &event, err);
}

static bool send_beams(struct outbox *o, const struct outcome *outcome, int64_t first_ns,
                       struct error *err)
{
    for (int i = 0; i < outcome->n_beams; i++)
        o->beam[i] = (struct link_beam){.token = outcome->beam[i].token,
                                        .n_tokens = outcome->beam[i].n_tokens,
                                        .cumulative_logprob = outcome->beam[i].cumulative_logprob,
                                        .score = outcome->beam[i].score,
                                        .finish = outcome->beam[i].finish};
    const struct link_beams beams = {.id = outcome->id,
                                     .beam = o->beam,
                                     .n_beams = outcome->n_beams,
                                     .cached_tokens = outcome->cached_tokens,
                                     .first_ns = first_ns};
    return link_send_event(o->link, &(struct link_event){.kind = LINK_BEAMS, .beams = beams}, err);
}

/* A row that gave no token: the model's numbers, or the rules of the request, left none. */
static bool send_without_token(struct outbox *o, uint64_t id, const struct picked *picked,
                               struct error *err)
{
    struct error why = {0};
    if (!picked->is_finite)
        return outbox_send_damage(o, id, err);
    error_set(&why, ERROR_INPUT,
              "no token is left to pick: allowed_token_ids, bad_words, logit_bias and min_tokens "
              "rule out all of them");
    return outbox_send_failure(o, id, &why, err);
}

bool outbox_send_outcomes(struct outbox *o, const struct batch *batch,
                          const struct outcome *outcome, const struct picked *picked,
                          struct error *err)
{
    bool good = send_tokens(o, batch, outcome, picked, err);
    for (int i = 0; good && i < batch->plan->n_logits; i++) {
        if (!is_for_somebody(batch, outcome, i))
            continue;
        if (outcome[i].finish == FINISH_ERROR)
            good = send_without_token(o, outcome[i].id, &picked[i], err);
        else if (outcome[i].beam != NULL)
            good = send_beams(o, &outcome[i], batch->row[i].request->leader->first_ns, err);
    }
    return good;
}

/* ---- ends ---- */

bool outbox_send_pooled(struct outbox *o, uint64_t id, const float *value, int n_values,
                        int cached_tokens, struct error *err)
{
    const struct link_pooled pooled = {
        .id = id, .value = value, .n_values = n_values, .cached_tokens = cached_tokens};
    return link_send_event(o->link, &(struct link_event){.kind = LINK_POOLED, .pooled = pooled},
                           err);
}

bool outbox_send_damage(struct outbox *o, uint64_t id, struct error *err)
{
    struct error why = {0};
    error_set(&why, ERROR_SYSTEM,
              "non_finite_logits: what the model computed for this request is no finite number; "
              "the weights may be damaged (--check-weights tells)");
    error_code(&why, "non_finite_logits");
    log_write(LOG_ERROR, "engine", "request %llu: %s", (unsigned long long)id, why.text);
    return outbox_send_failure(o, id, &why, err);
}

bool outbox_send_abort(struct outbox *o, uint64_t id, struct error *err)
{
    const struct link_token end = {.id = id, .token = -1, .finish = FINISH_ABORT, .stop_token = -1};
    return link_send_event(
        o->link, &(struct link_event){.kind = LINK_TOKENS, .token = &end, .n_tokens = 1}, err);
}

bool outbox_send_failure(struct outbox *o, uint64_t id, const struct error *why, struct error *err)
{
    return link_send_event(
        o->link, &(struct link_event){.kind = LINK_FAILED, .failed_id = id, .failure = *why}, err);
}
