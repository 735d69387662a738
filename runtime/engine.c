/* One step, from requests to new tokens: engine_step() is the program, everything else is one of
 * its lines. The halves of a step, submit and collect, have a ring of plans between them: with one
 * place they simply alternate; with more, the next plan is made before the last one's tokens are
 * there: of other sequences (stages), or of the same, by references to these tokens (ahead). */
#include "runtime/engine.h"

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/draft_model.h"
#include "runtime/link/engine_link.h"
#include "runtime/outbox.h"
#include "runtime/pipeline.h"
#include "runtime/plan_run.h"
#include "runtime/pooler.h"
#include "runtime/reporter.h"
#include "runtime/rest.h"
#include "runtime/row_picker.h"
#include "runtime/sample/sampler.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <string.h>

enum { WATCH_MS = 250 }; /* between two looks whether another rank is lost, without work */

struct engine {
    struct engine_settings is;
    const struct ranks *ranks;
    struct scheduler *scheduler;
    struct sampler *sampler;
    struct draft_model *draft; /* NULL: none */
    struct pooler *pooler;
    struct outbox *outbox;
    struct reporter *reporter;
    struct pipeline *pipeline;
    struct batch *ring; /* [n_flights] from submit to collect */
    int oldest;
    bool stopping;                    /* the gateway said so, or is gone */
    enum plan_rest rest, wanted_rest; /* of all ranks: now, and what the gateway asked for last */
    bool owes_rest;                   /* an answer to that */

    /* of the step being collected, one for each row of its logits */
    struct sample_row *row;
    struct picked *picked;
    struct row_result *result;
    struct outcome *outcome;
    struct beam_candidate *candidate; /* [max_logits, LOGPROBS_MAX_ENTRIES] */
};

/* ---- life ---- */

/* Drafts are guesses of what comes after the last token, which must be there for that. */
static void choose_flights(struct engine *e, const struct engine_settings *settings)
{
    struct scheduler_settings *schedule = &e->is.scheduler;
    const bool has_stages = e->ranks->pp_stages > 1;
    e->is.runs_ahead = settings->runs_ahead && !has_stages && schedule->drafter == DRAFTER_NONE;
    e->is.n_flights = e->is.runs_ahead ? 2 : settings->n_flights;
    schedule->max_requests = ENGINE_MAX_REQUESTS;
    schedule->max_request_bytes = (size_t)ENGINE_MAX_REQUEST_MIB << 20;
    schedule->n_flights = e->is.n_flights;
    schedule->runs_ahead = e->is.runs_ahead;
    schedule->picks_afar = has_stages || settings->runs_ahead;
}

static void create_pipeline(struct engine *e)
{
    const struct row_picker_settings picks = {.device = e->is.device,
                                              .limits = &e->is.scheduler.limits,
                                              .processed_logprobs = e->is.processed_logprobs};
    pipeline_create(&e->pipeline, &(struct pipeline_settings){
                                      .models = e->is.models,
                                      .model = PLAN_TARGET,
                                      .n_flights = e->is.n_flights,
                                      .recorder = e->is.recorder,
                                      .picks = e->is.scheduler.picks_afar ? &picks : NULL});
}

void engine_create(struct engine **out, const struct engine_settings *settings)
{
    struct engine *e = memory_alloc(1, sizeof *e);
    e->is = *settings;
    e->ranks = settings->models->ranks[PLAN_TARGET];
    choose_flights(e, settings);
    const struct scheduler_settings *schedule = &e->is.scheduler;
    const size_t n_rows = (size_t)schedule->limits.max_logits;
    scheduler_create(&e->scheduler, schedule);
    sampler_create(&e->sampler,
                   &(struct sampler_settings){.device = settings->device,
                                              .vocab = schedule->limits.vocab,
                                              .eos_id = schedule->eos_id,
                                              .n_eos_ids = schedule->n_eos_ids,
                                              .processed_logprobs = settings->processed_logprobs});
    if (schedule->drafter == DRAFTER_MODEL)
        draft_model_create(&e->draft, &(struct draft_settings){.models = settings->models,
                                                               .recorder = settings->recorder,
                                                               .sampler = e->sampler,
                                                               .scheduler = e->scheduler});
    pooler_create(&e->pooler, settings->device, settings->model);
    outbox_create(&e->outbox, settings->link, &schedule->limits);
    reporter_create(&e->reporter, settings->link, e->ranks, e->scheduler);
    create_pipeline(e);
    e->ring = memory_alloc((size_t)e->is.n_flights, sizeof *e->ring);
    for (int i = 0; i < e->is.n_flights; i++)
        batch_init(&e->ring[i], &schedule->limits);
    e->row = memory_alloc(n_rows, sizeof *e->row);
    e->picked = memory_alloc(n_rows, sizeof *e->picked);
    e->result = memory_alloc(n_rows, sizeof *e->result);
    e->outcome = memory_alloc(n_rows, sizeof *e->outcome);
    e->candidate = memory_alloc(n_rows * LOGPROBS_MAX_ENTRIES, sizeof *e->candidate);
    *out = e;
}

void engine_destroy(struct engine *e)
{
    if (e == NULL)
        return;
    for (int i = 0; i < e->is.n_flights; i++)
        batch_release(&e->ring[i]);
    memory_free(e->ring);
    pipeline_destroy(e->pipeline);
    reporter_destroy(e->reporter);
    outbox_destroy(e->outbox);
    pooler_destroy(e->pooler);
    draft_model_destroy(e->draft);
    sampler_destroy(e->sampler);
    scheduler_destroy(e->scheduler);
    memory_free(e->row);
    memory_free(e->picked);
    memory_free(e->result);
    memory_free(e->outcome);
    memory_free(e->candidate);
    memory_free(e);
}

struct scheduler_counts engine_counts(const struct engine *e)
{
    return scheduler_counts(e->scheduler);
}

/* ---- the link ---- */

/* After an operation on the link that failed (`good` is false): the gateway is gone, or talks
 * nonsense, and without it there is nobody to work for. */
static void heed_link(struct engine *e, bool good, const struct error *why)
{
    if (good || e->stopping)
        return;
    log_write(LOG_INFO, "engine", "the gateway is gone: %s", why->text);
    e->stopping = true;
}

static void take_submit(struct engine *e, const struct link_submit *submit)
{
    struct error err = {0}, lost = {0};
    const struct request_source source = {.id = submit->id,
                                          .prompt = submit->prompt,
                                          .n_prompt = submit->n_prompt,
                                          .output = submit->output,
                                          .n_output = submit->n_output,
                                          .params = &submit->params,
                                          .priority = submit->priority,
                                          .tenant = submit->tenant,
                                          .deadline_ns = submit->deadline_ns,
                                          .cache_key = submit->cache_key,
                                          .n_cache_key = submit->n_cache_key};
    if (!pooler_check(e->pooler, &submit->params, &err) ||
        !scheduler_submit(e->scheduler, &source, &err))
        heed_link(e, outbox_send_failure(e->outbox, submit->id, &err, &lost), &lost);
}

static void ask_rest(struct engine *e, enum plan_rest rest)
{
    e->wanted_rest = rest;
    e->owes_rest = true;
}

static void take_command(struct engine *e, const struct link_command *command)
{
    struct error err = {0};
    switch (command->kind) {
    case LINK_SUBMIT:
        take_submit(e, &command->submit);
        break;
    case LINK_CANCEL:
        scheduler_cancel(e->scheduler, command->cancel_id);
        break;
    case LINK_STOP:
        e->stopping = true;
        break;
    case LINK_PING:
        heed_link(e, reporter_answer(e->reporter, &err), &err);
        break;
    case LINK_SLEEP: /* nobody half awakes */
        ask_rest(e, (int)command->sleep > (int)e->rest ? (enum plan_rest)command->sleep : e->rest);
        break;
    case LINK_WAKE:
        ask_rest(e, PLAN_AWAKE);
        break;
    }
}

static void take_commands(struct engine *e)
{
    bool got = true;
    while (got && !e->stopping) {
        struct link_command command;
        struct error err = {0};
        heed_link(e, link_receive_command(e->is.link, &command, &got, &err), &err);
        if (!got || e->stopping)
            return;
        take_command(e, &command);
    }
}

static void expire_deadlines(struct engine *e)
{
    if (scheduler_next_deadline(e->scheduler) == INT64_MAX)
        return;
    const int64_t now = clock_now_ns();
    for (uint64_t id; (id = scheduler_expire(e->scheduler, now)) != 0;) {
        struct error err = {0};
        heed_link(e, outbox_send_abort(e->outbox, id, &err), &err);
    }
}

/* For poll(): -1 for ever, but with other ranks, one of which may be lost meanwhile. */
static int ms_to_next_look(const struct engine *e)
{
    const int64_t deadline = scheduler_next_deadline(e->scheduler);
    const int most = e->ranks->watchdog != NULL ? WATCH_MS : INT_MAX;
    if (deadline == INT64_MAX)
        return most < INT_MAX ? most : -1;
    const int64_t left = deadline - clock_now_ns();
    const int64_t ms = left > 0 ? left / 1000000 + 1 : 0;
    return ms < most ? (int)ms : most;
}

/* Says how it goes, sends what waits, and without work sleeps until the link has something to say
 * or can take more, or a deadline passes. */
static void serve_link(struct engine *e, bool has_work)
{
    struct error err = {0};
    bool all_sent = true;
    const bool good =
        reporter_tell(e->reporter, has_work, &err) && link_flush(e->is.link, &all_sent, &err);
    heed_link(e, good, &err);
    if (has_work || e->stopping)
        return;
    struct pollfd wait = {.fd = link_fd(e->is.link),
                          .events = (short)(POLLIN | (all_sent ? 0 : POLLOUT))};
    if (poll(&wait, 1, ms_to_next_look(e)) < 0 && errno != EINTR) {
        error_errno(&err, "waiting for the gateway");
        heed_link(e, false, &err);
    }
}

/* ---- sleep ---- */

_Static_assert((int)PLAN_AWAKE == (int)LINK_NOT_ASLEEP &&
                   (int)PLAN_NO_CACHE == (int)LINK_NO_CACHE &&
                   (int)PLAN_NO_WEIGHTS == (int)LINK_NO_WEIGHTS,
               "the gateway's levels are those of the ranks");

/* Whether no rank needs what it would give back. Who sleeps has no plans, whatever waits. */
static bool may_rest(const struct engine *e)
{
    const struct scheduler_counts counts = scheduler_counts(e->scheduler);
    return e->rest != PLAN_AWAKE ||
           (pipeline_n_flights(e->pipeline) == 0 && counts.n_running == 0 && counts.n_waiting == 0);
}

static bool change_rest(struct engine *e, struct error *err)
{
    struct batch *batch = &e->ring[e->oldest];
    scheduler_write_rest(e->scheduler, batch, e->wanted_rest);
    if (!pipeline_submit(e->pipeline, batch->plan, err) ||
        !rest_run(e->is.models, e->wanted_rest, err))
        return false;
    e->rest = e->wanted_rest;
    return true;
}

/* Asleep, or awake, when the gateway asked for it and nothing runs any more. */
static bool engine_rest(struct engine *e, struct error *err)
{
    struct error lost = {0};
    if (!e->owes_rest || (e->wanted_rest != e->rest && !may_rest(e)))
        return true;
    if (e->wanted_rest != e->rest && !change_rest(e, err))
        return false;
    e->owes_rest = false;
    heed_link(e, reporter_tell_sleep(e->reporter, (enum link_sleep)e->rest, &lost), &lost);
    return true;
}

/* ---- submit ---- */

static void send_begun(struct engine *e, const struct batch *batch)
{
    struct error err = {0};
    if (!e->stopping)
        heed_link(e, outbox_send_begun(e->outbox, batch, &err), &err);
}

static bool engine_submit(struct engine *e, struct error *err)
{
    const int n_flights = e->is.n_flights, n = pipeline_n_flights(e->pipeline);
    struct batch *batch = &e->ring[(e->oldest + n) % n_flights];
    if (e->rest != PLAN_AWAKE || n == n_flights ||
        !scheduler_choose(e->scheduler, batch)) /* requests, */
        return true;
    send_begun(e, batch);
    if (e->draft != NULL && !draft_model_guess(e->draft, batch, err)) /* drafts -> */
        return false;
    reporter_count_batch(e->reporter, batch);
    scheduler_write(e->scheduler, batch);                  /* plan -> */
    return pipeline_submit(e->pipeline, batch->plan, err); /* all ranks */
}

/* ---- collect ---- */

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

static void make_results(struct engine *e, const struct batch *batch)
{
    for (int i = 0; i < batch->plan->n_logits; i++) {
        const struct picked *picked = &e->picked[i];
        e->result[i] = (struct row_result){.token = picked->token};
        if (kind_of(&batch->row[i]) != ROW_BEAM)
            continue;
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
        heed_link(e, outbox_send_damage(e->outbox, request->id, &err), &err);
        scheduler_cancel(e->scheduler, request->id);
    }
    if (!e->stopping)
        heed_link(e, outbox_send_prompts(e->outbox, batch, e->picked, &err), &err);
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
        heed_link(e,
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
        heed_link(e, outbox_send_outcomes(e->outbox, batch, e->outcome, e->picked, &err), &err);
}

static bool engine_collect(struct engine *e, struct error *err)
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

/* ---- one step ---- */

static bool engine_step(struct engine *e, struct error *err)
{
    take_commands(e);
    expire_deadlines(e);
    if (e->stopping)
        return true;
    if (!engine_rest(e, err))
        return false;
    const int64_t begin_ns = clock_now_ns();
    const int n_before = pipeline_n_flights(e->pipeline);
    if (!engine_submit(e, err))
        return false;
    const int n = pipeline_n_flights(e->pipeline);
    const bool has_work = n > 0;
    if (has_work && (n == n_before || n == e->is.n_flights) && !engine_collect(e, err))
        return false;
    if (has_work)
        reporter_count_time(e->reporter, clock_now_ns() - begin_ns);
    serve_link(e, has_work);
    return true;
}

static bool stop_workers(struct engine *e, struct error *err)
{
    struct batch *batch = &e->ring[e->oldest];
    scheduler_write_stop(e->scheduler, batch);
    return pipeline_submit(e->pipeline, batch->plan, err) || error_in(err, "the last step");
}

bool engine_run(struct engine *e, struct error *err)
{
    while (!e->stopping)
        if (!watchdog_check(e->ranks->watchdog, err) || !engine_step(e, err))
            return false;
    while (pipeline_n_flights(e->pipeline) > 0) /* nobody hears of it, but requests that ended */
        if (!engine_collect(e, err))            /* are freed */
            return false;
    return stop_workers(e, err);
}
