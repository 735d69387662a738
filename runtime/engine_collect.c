/* Half of a step: what a plan has computed goes to the sampler, to the requests, to the gateway. */
#include "base/check.h"
#include "base/error.h"
#include "base/system.h"
#include "runtime/engine_state.h"
#include "runtime/outbox.h"
#include "runtime/pipeline.h"
#include "runtime/pooler.h"
#include "runtime/reporter.h"
#include "runtime/sample/sampler.h"

#include <math.h>

static enum row_kind kind_of(const struct batch_row *row)
{
    if (row->is_prompt)
        return ROW_PROMPT;
    return row->request->params.beam_width > 0 ? ROW_BEAM : ROW_SAMPLE;
}

/* What the last stage picked is there, the rest is to be picked here. */
static void make_rows(struct engine *e, const struct batch *batch, const struct step_home *home)
{
    const size_t vocab = (size_t)e->is.scheduler.limits.vocab;
    const float *logits = home->rows.logits;
    int n_rows = 0;
    for (int i = 0; i < batch->plan->n_logits; i++) {
        const struct request *request = batch->row[i].request;
        if (home->is_picked[i]) {
            e->picked[i] = home->picked[i];
            e->row[i] = (struct sample_row){.kind = ROW_PICKED};
            continue;
        }
        e->row[i] = (struct sample_row){.logits = logits + vocab * (size_t)n_rows++,
                                        .params = &request->params,
                                        .token = request->token,
                                        .n_prompt = request->n_prompt,
                                        .n_tokens = batch->row[i].position,
                                        .kind = kind_of(&batch->row[i])};
    }
    check(n_rows == home->rows.n_logits && (n_rows == 0 || home->rows.vocab == (int)vocab));
}

/* The gateway hears of beams only at their end. */
static void note_first(struct request *request)
{
    if (request->first_ns == 0)
        request->first_ns = clock_now_ns();
}

static void make_results(struct engine *e, const struct batch *batch)
{
    for (int i = 0; i < batch->plan->n_logits; i++) {
        const struct picked *picked = &e->picked[i];
        e->result[i] = (struct row_result){.token = picked->token};
        if (kind_of(&batch->row[i]) != ROW_BEAM)
            continue;
        note_first(batch->row[i].request->leader);
        struct beam_candidate *candidate = e->candidate + (size_t)i * LOGPROBS_MAX_ENTRIES;
        for (int k = 0; k < picked->n_logprobs; k++)
            candidate[k] = (struct beam_candidate){.token = picked->logprob[k].token,
                                                   .logprob = picked->logprob[k].logprob};
        e->result[i].candidate = candidate;
        e->result[i].n_candidates = picked->n_logprobs;
    }
}

/* A prompt whose log-probabilities are no numbers ends its request here; the batch still has it. */
static void send_prompts(struct engine *e, const struct batch *batch)
{
    struct error err = {0};
    for (int i = 0; i < batch->plan->n_logits; i++) {
        const struct request *request = batch->row[i].request;
        if (!batch->row[i].is_prompt || e->picked[i].n_logprobs > 0 ||
            request->state == REQUEST_FINISHED || e->stopping)
            continue;
        engine_heed(e, outbox_send_damage(e->outbox, request->id, &err), &err);
        scheduler_cancel(e->scheduler, request->id);
    }
    if (!e->stopping)
        engine_heed(e, outbox_send_prompts(e->outbox, batch, e->picked, &err), &err);
}

static bool are_finite(const float *value, int n)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(value[i]))
            return false;
    return true;
}

/* Vectors that are whole now. */
static void send_vectors(struct engine *e, const struct batch *batch, const struct step_home *home)
{
    for (int i = 0; i < home->rows.n_hidden && !e->stopping; i++) {
        const struct request *request = batch->hidden[i].request;
        struct error err = {0};
        int n = 0;
        const float *value = pooler_take(e->pooler, batch, &home->rows, i, &n);
        if (value == NULL || request->state == REQUEST_FINISHED)
            continue;
        engine_heed(e,
                    are_finite(value, n) ? outbox_send_pooled(e->outbox, request->id, value, n,
                                                              request->n_cached, &err)
                                         : outbox_send_damage(e->outbox, request->id, &err),
                    &err);
    }
}

static void send_outcomes(struct engine *e, const struct batch *batch)
{
    struct error err = {0};
    reporter_count_outcomes(e->reporter, batch, e->outcome);
    if (!e->stopping)
        engine_heed(e, outbox_send_outcomes(e->outbox, batch, e->outcome, e->picked, &err), &err);
}

bool engine_collect(struct engine *e, struct error *err)
{
    struct batch *batch = &e->ring[e->oldest];
    struct step_home home;
    if (!pipeline_collect(e->pipeline, &home, err)) /* logits, picks */
        return false;
    make_rows(e, batch, &home);
    sampler_pick(e->sampler, e->row, batch->plan->n_logits, e->picked); /* -> tokens */
    make_results(e, batch);
    send_prompts(e, batch);                                       /* log-probabilities, */
    send_vectors(e, batch, &home);                                /* vectors -> gateway */
    scheduler_commit(e->scheduler, batch, e->result, e->outcome); /* tokens -> requests */
    send_outcomes(e, batch);                                      /* tokens -> gateway */
    e->oldest = (e->oldest + 1) % e->is.n_flights;
    return true;
}
