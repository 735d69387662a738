#include "runtime/pipeline.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "parallel/ranks.h"
#include "runtime/plan_broadcast.h"
#include "runtime/plan_record.h"
#include "runtime/plan_run.h"
#include "runtime/row_picker.h"
#include "runtime/sample/sampler.h"

/* A plan between submit and collect. */
struct flight {
    const struct step_plan *plan;
    struct step_view view;
    struct home_memory memory; /* without pointers where the rows are forward's */
    struct step_home home;
};

struct pipeline {
    struct pipeline_settings is;
    const struct ranks *ranks;
    struct plan_limits limits;
    struct result_receiver *receiver; /* NULL: rank 0 has the last stage */
    struct row_picker *picker;        /* NULL: nothing is picked here */
    struct flight *ring;              /* [n_flights] */
    int32_t *carried;                 /* [max_logits] tokens of the last plan, of the picker */
    int n_carried;                    /* rows of it that the next one may refer to */
    bool *none_picked;                /* [max_logits] false */
    bool is_queued;                   /* plans are run while the host goes on */
    int oldest, n_in_flight;
    int n_behind; /* of these, the latest: in stages behind the first one */
};

/* ---- life ---- */

static bool keeps_rows(const struct pipeline *p)
{
    return p->receiver != NULL || p->picker != NULL || p->is.n_flights > 1;
}

void pipeline_create(struct pipeline **out, const struct pipeline_settings *settings)
{
    const struct plan_models *models = settings->models;
    struct pipeline *p = memory_alloc(1, sizeof *p);
    check(settings->n_flights >= 1 && models->limits[settings->model].max_tokens > 0);
    p->is = *settings;
    p->ranks = models->ranks[settings->model];
    p->is_queued = models->forward[settings->model] != NULL &&
                   forward_is_queued(models->forward[settings->model]);
    p->limits = models->limits[settings->model];
    const int hidden_size = models->hidden_size[settings->model];
    if (p->ranks->pp_stages > 1)
        result_receiver_create(&p->receiver, p->ranks, &p->limits, hidden_size);
    else if (settings->picks != NULL)
        row_picker_create(&p->picker, settings->picks);
    p->carried = memory_alloc((size_t)p->limits.max_logits, sizeof *p->carried);
    p->none_picked = memory_alloc((size_t)p->limits.max_logits, sizeof *p->none_picked);
    p->ring = memory_alloc((size_t)settings->n_flights, sizeof *p->ring);
    for (int i = 0; keeps_rows(p) && i < settings->n_flights; i++)
        home_memory_init(&p->ring[i].memory, &p->limits, hidden_size);
    *out = p;
}

void pipeline_destroy(struct pipeline *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < p->is.n_flights; i++)
        home_memory_release(&p->ring[i].memory);
    memory_free(p->ring);
    memory_free(p->carried);
    memory_free(p->none_picked);
    row_picker_destroy(p->picker);
    result_receiver_destroy(p->receiver);
    memory_free(p);
}

int pipeline_n_flights(const struct pipeline *p) { return p->n_in_flight; }

/* ---- submit ---- */

static struct flight *flight_at(const struct pipeline *p, int i)
{
    return &p->ring[(p->oldest + i) % p->is.n_flights];
}

/* What one stage gave: picked from, where that is asked for. The rows belong to forward until its
 * next run; with several plans in flight that is too short. */
static bool take_rows(struct pipeline *p, struct flight *flight, struct error *err)
{
    struct step_result result;
    const struct picked *picked = NULL;
    if (!plan_models_collect(p->is.models, p->is.model, &result, err))
        return false;
    flight->home.rows = result;
    if (p->picker != NULL)
        picked = row_picker_run(p->picker, &flight->view, &result);
    for (int i = 0; picked != NULL && !p->is_queued && i < p->n_carried; i++)
        p->carried[i] = picked[i].token;
    if (flight->memory.logits != NULL)
        home_memory_keep(&flight->memory, flight->plan, &flight->view, &result, picked,
                         &flight->home);
    return true;
}

/* The oldest plan behind the first stage comes home. */
static bool take_home(struct pipeline *p, struct error *err)
{
    struct flight *flight = flight_at(p, p->n_in_flight - p->n_behind);
    p->n_behind--;
    return result_receiver_run(p->receiver, flight->plan, &flight->view, &flight->memory,
                               &flight->home, err);
}

/* To the stages behind, if there are any. The plan is not in flight yet. */
static bool pass_on(struct pipeline *p, const struct flight *flight, struct error *err)
{
    if (p->receiver == NULL)
        return true;
    if (p->n_behind >= p->ranks->pp_stages - 1 && !take_home(p, err))
        return false;
    return plan_models_pass_on(p->is.models, flight->plan, &flight->view, err);
}

/* To the record, and to the other ranks of the stage. */
static bool send(struct pipeline *p, const struct flight *flight, struct step_plan *plan,
                 struct error *err)
{
    if (p->is.recorder != NULL && !plan_recorder_add(p->is.recorder, plan, err))
        return false;
    if (p->picker != NULL && !p->is_queued)
        plan_resolve(plan, &flight->view, p->carried);
    return plan_broadcast(p->ranks, plan, err);
}

static bool run(struct pipeline *p, struct flight *flight, struct step_plan *plan,
                struct error *err)
{
    const struct plan_models *models = p->is.models;
    flight->plan = plan;
    flight->home = (struct step_home){.is_picked = p->none_picked};
    if (!plan_models_check(models, plan, plan->n_bytes, p->n_carried, &flight->view, err) ||
        !send(p, flight, plan, err))
        return false;
    p->n_carried = p->receiver == NULL ? plan_n_carried(plan, &flight->view) : 0;
    return (!view_has_rows(&flight->view) || plan_models_run(models, plan, &flight->view, err)) &&
           pass_on(p, flight, err);
}

bool pipeline_submit(struct pipeline *p, struct step_plan *plan, struct error *err)
{
    check(p->n_in_flight < p->is.n_flights && plan->model == (int32_t)p->is.model);
    struct flight *flight = flight_at(p, p->n_in_flight);
    const bool good =
        run(p, flight, plan, err) && (!view_has_rows(&flight->view) || p->receiver != NULL ||
                                      p->is_queued || take_rows(p, flight, err));
    if (!good)
        return error_in(err, "step %llu", (unsigned long long)plan->step);
    if (!view_has_rows(&flight->view)) {
        check(p->n_in_flight == 0);
        return true;
    }
    p->n_behind += p->receiver != NULL;
    p->n_in_flight++;
    return true;
}

/* ---- collect ---- */

bool pipeline_collect(struct pipeline *p, struct step_home *out, struct error *err)
{
    check(p->n_in_flight > 0);
    struct flight *flight = flight_at(p, 0);
    if (p->n_behind == p->n_in_flight && !take_home(p, err))
        return false;
    if (p->receiver == NULL && p->is_queued && !take_rows(p, flight, err))
        return error_in(err, "step %llu", (unsigned long long)flight->plan->step);
    *out = flight->home;
    p->oldest = (p->oldest + 1) % p->is.n_flights;
    p->n_in_flight--;
    return true;
}
