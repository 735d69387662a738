/* One step, from requests to new tokens: engine_step() is the program, everything else is one of
 * its lines. The halves of a step, submit and collect, have a ring of plans between them: with one
 * place they simply alternate; with more, the next plan is made before the last one's tokens are
 * there: of other sequences (stages), or of the same, by references to these tokens (ahead). */
#include "runtime/engine.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/draft_model.h"
#include "runtime/engine_state.h"
#include "runtime/link/engine_link.h"
#include "runtime/outbox.h"
#include "runtime/pipeline.h"
#include "runtime/plan_run.h"
#include "runtime/pooler.h"
#include "runtime/reporter.h"
#include "runtime/rest.h"
#include "runtime/row_picker.h"
#include "runtime/sample/sampler.h"

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
    engine_heed(e, reporter_tell_sleep(e->reporter, (enum link_sleep)e->rest, &lost), &lost);
    return true;
}

/* ---- submit ---- */

static void send_begun(struct engine *e, const struct batch *batch)
{
    struct error err = {0};
    if (!e->stopping)
        engine_heed(e, outbox_send_begun(e->outbox, batch, &err), &err);
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

/* ---- one step ---- */

static bool engine_step(struct engine *e, struct error *err)
{
    engine_take_commands(e);
    engine_expire_deadlines(e);
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
    engine_serve_link(e, has_work);
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
