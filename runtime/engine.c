/* One step, from requests to new tokens: engine_step() is the program, everything else is one of
 * its lines. The halves of a step, submit and collect, have a ring of plans between them: with one
 * place, as on a CPU, whose forward pass is done when it returns, they simply alternate. */
#include "runtime/engine.h"

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "runtime/engine_link.h"
#include "runtime/forward/forward.h"
#include "runtime/plan_broadcast.h"
#include "runtime/sample/sampler.h"
#include "runtime/schedule/scheduler.h"

#include <errno.h>
#include <poll.h>

enum { RING = 1 };

/* A plan between submit and collect. */
struct flight {
    struct batch batch;
    struct step_result result;
};

struct engine {
    struct engine_settings is;
    struct scheduler *scheduler;
    struct sampler *sampler;
    struct flight ring[RING];
    int oldest, n_in_flight;
    bool stopping; /* the gateway said so, or is gone */

    /* of the step being collected, one for each row of its logits */
    struct sample_row *row;
    struct picked *picked;
    struct row_result *result;
    struct outcome *outcome;
    struct link_token *sent;
    struct link_logprob *logprob; /* [max_logits][LOGPROBS_MAX_ENTRIES] */
};

void engine_create(struct engine **out, const struct engine_settings *settings)
{
    const struct plan_limits *limits = &settings->limits;
    const size_t n_rows = (size_t)limits->max_logits;
    struct engine *e = memory_alloc(1, sizeof *e);
    e->is = *settings;
    scheduler_create(&e->scheduler,
                     &(struct scheduler_settings){.limits = *limits,
                                                  .eos_id = settings->eos_id,
                                                  .n_eos_ids = settings->n_eos_ids,
                                                  .max_requests = ENGINE_MAX_REQUESTS});
    sampler_create(&e->sampler, &(struct sampler_settings){.device = settings->device,
                                                           .vocab = limits->vocab,
                                                           .eos_id = settings->eos_id,
                                                           .n_eos_ids = settings->n_eos_ids});
    for (int i = 0; i < RING; i++)
        batch_init(&e->ring[i].batch, limits);
    e->row = memory_alloc(n_rows, sizeof *e->row);
    e->picked = memory_alloc(n_rows, sizeof *e->picked);
    e->result = memory_alloc(n_rows, sizeof *e->result);
    e->outcome = memory_alloc(n_rows, sizeof *e->outcome);
    e->sent = memory_alloc(n_rows, sizeof *e->sent);
    e->logprob = memory_alloc(n_rows * LOGPROBS_MAX_ENTRIES, sizeof *e->logprob);
    *out = e;
}

void engine_destroy(struct engine *e)
{
    if (e == NULL)
        return;
    for (int i = 0; i < RING; i++)
        batch_release(&e->ring[i].batch);
    sampler_destroy(e->sampler);
    scheduler_destroy(e->scheduler);
    memory_free(e->row);
    memory_free(e->picked);
    memory_free(e->result);
    memory_free(e->outcome);
    memory_free(e->sent);
    memory_free(e->logprob);
    memory_free(e);
}

/* ---- the link ---- */

/* The gateway is gone, or talks nonsense: without it there is nobody to work for. */
static void lose_link(struct engine *e, const struct error *why)
{
    if (!e->stopping)
        log_write(LOG_INFO, "engine", "the gateway is gone: %s", why->text);
    e->stopping = true;
}

static void send_event(struct engine *e, const struct link_event *event)
{
    struct error err = {0};
    if (!e->stopping && !link_send_event(e->is.link, event, &err))
        lose_link(e, &err);
}

static void send_failure(struct engine *e, uint64_t id, const struct error *why)
{
    send_event(e, &(struct link_event){.kind = LINK_FAILED, .failed_id = id, .failure = *why});
}

static void take_submit(struct engine *e, const struct link_submit *submit)
{
    struct error err = {0};
    const struct request_source source = {.id = submit->id,
                                          .prompt = submit->prompt,
                                          .n_prompt = submit->n_prompt,
                                          .output = submit->output,
                                          .n_output = submit->n_output,
                                          .params = &submit->params};
    if (!scheduler_submit(e->scheduler, &source, &err))
        send_failure(e, submit->id, &err);
}

static void take_commands(struct engine *e)
{
    struct link_command command;
    struct error err = {0};
    bool got = true;
    while (got && !e->stopping) {
        if (!link_receive_command(e->is.link, &command, &got, &err))
            lose_link(e, &err);
        else if (got && command.kind == LINK_SUBMIT)
            take_submit(e, &command.submit);
        else if (got && command.kind == LINK_CANCEL)
            scheduler_cancel(e->scheduler, command.cancel_id);
        else if (got && command.kind == LINK_STOP)
            e->stopping = true;
    }
}

/* Sends what waits, and without work sleeps until the link has something to say or can take more.
 */
static void serve_link(struct engine *e, bool has_work)
{
    struct error err = {0};
    bool all_sent = true;
    if (!link_flush(e->is.link, &all_sent, &err)) {
        lose_link(e, &err);
        return;
    }
    if (has_work)
        return;
    struct pollfd wait = {.fd = link_fd(e->is.link),
                          .events = (short)(POLLIN | (all_sent ? 0 : POLLOUT))};
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) {
        error_errno(&err, "waiting for the gateway");
        lose_link(e, &err);
    }
}

/* ---- one step ---- */

static bool engine_submit(struct engine *e, struct error *err)
{
    struct flight *flight = &e->ring[(e->oldest + e->n_in_flight) % RING];
    struct step_plan *plan = flight->batch.plan;
    struct step_view view;
    if (e->n_in_flight == RING ||
        !scheduler_choose(e->scheduler, &flight->batch)) /* requests -> plan */
        return true;
    scheduler_write(e->scheduler, &flight->batch);
    if (!plan_check(plan, plan->n_bytes, &e->is.limits, &view, err) ||
        !plan_broadcast(e->is.ranks, plan, err) ||                      /* plan -> all ranks */
        !forward_run(e->is.forward, plan, &view, &flight->result, err)) /* plan -> logits */
        return error_in(err, "step %llu", (unsigned long long)plan->step);
    e->n_in_flight++;
    return true;
}

static void make_rows(struct engine *e, const struct flight *flight)
{
    const struct step_result *result = &flight->result;
    check(result->n_logits == flight->batch.plan->n_logits && result->vocab == e->is.limits.vocab);
    for (int i = 0; i < result->n_logits; i++) {
        const struct request *request = flight->batch.row[i].request;
        e->row[i] =
            (struct sample_row){.logits = result->logits + (size_t)i * (size_t)result->vocab,
                                .params = &request->params,
                                .token = request->token,
                                .n_prompt = request->n_prompt,
                                .n_tokens = request->n_tokens};
    }
}

static void fail_without_token(struct engine *e, uint64_t id)
{
    struct error err = {0};
    error_set(&err, ERROR_SYSTEM,
              "non_finite_logits: the logits of this request have no finite maximum; the weights "
              "may be damaged (--check-weights tells)");
    log_write(LOG_ERROR, "engine", "request %llu: %s", (unsigned long long)id, err.text);
    send_failure(e, id, &err);
}

/* What became of the rows, in one message. */
static void outbox_push(struct engine *e, int n_rows)
{
    int n = 0;
    for (int i = 0; i < n_rows; i++) {
        const struct outcome *outcome = &e->outcome[i];
        const struct picked *picked = &e->picked[i];
        if (outcome->id == 0)
            continue;
        if (outcome->finish == FINISH_ERROR) {
            fail_without_token(e, outcome->id);
            continue;
        }
        struct link_logprob *logprob = e->logprob + (size_t)n * LOGPROBS_MAX_ENTRIES;
        for (int k = 0; k < picked->n_logprobs; k++)
            logprob[k] = (struct link_logprob){.token = picked->logprob[k].token,
                                               .logprob = picked->logprob[k].logprob,
                                               .rank = picked->logprob[k].rank};
        e->sent[n++] = (struct link_token){.id = outcome->id,
                                           .token = outcome->token,
                                           .logprob = logprob,
                                           .n_logprobs = picked->n_logprobs,
                                           .finish = outcome->finish,
                                           .stop_token = outcome->stop_token,
                                           .cached_tokens = outcome->cached_tokens};
    }
    if (n > 0)
        send_event(e, &(struct link_event){.kind = LINK_TOKENS, .token = e->sent, .n_tokens = n});
}

static void engine_collect(struct engine *e)
{
    struct flight *flight = &e->ring[e->oldest];
    const int n_rows = flight->batch.plan->n_logits;
    make_rows(e, flight);
    sampler_pick(e->sampler, e->row, n_rows, e->picked); /* logits -> tokens */
    for (int i = 0; i < n_rows; i++)
        e->result[i] = (struct row_result){.token = e->picked[i].token};
    scheduler_commit(e->scheduler, &flight->batch, e->result, e->outcome); /* tokens -> requests */
    outbox_push(e, n_rows);                                                /* tokens -> gateway */
    e->oldest = (e->oldest + 1) % RING;
    e->n_in_flight--;
}

static bool engine_step(struct engine *e, struct error *err)
{
    take_commands(e);
    if (e->stopping)
        return true;
    if (!engine_submit(e, err))
        return false;
    const bool has_work = e->n_in_flight > 0;
    if (has_work)
        engine_collect(e);
    serve_link(e, has_work);
    return true;
}

/* ---- life ---- */

static bool stop_workers(struct engine *e, struct error *err)
{
    struct batch *batch = &e->ring[0].batch;
    scheduler_write_stop(e->scheduler, batch);
    return plan_broadcast(e->is.ranks, batch->plan, err) || error_in(err, "the last step");
}

bool engine_run(struct engine *e, struct error *err)
{
    while (!e->stopping)
        if (!engine_step(e, err))
            return false;
    return stop_workers(e, err);
}
