#include "runtime/replay.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/pipeline.h"
#include "runtime/plan_record.h"
#include "runtime/plan_run.h"
#include "runtime/rest.h"
#include "runtime/row_picker.h"
#include "runtime/sample/sampler.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int compare_times(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void fill_times(struct replay_report *report, int64_t *step_ns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        report->total_ns += step_ns[i];
    if (n == 0)
        return;
    qsort(step_ns, n, sizeof *step_ns, compare_times);
    report->median_ns = step_ns[n / 2];
    report->p90_ns = step_ns[n * 9 / 10];
}

static void hash_result(XXH3_state_t *hash, const struct step_result *result)
{
    const size_t n_logits = (size_t)result->n_logits * (size_t)result->vocab;
    const size_t n_hidden = (size_t)result->n_hidden * (size_t)result->hidden_size;
    if (n_logits > 0)
        XXH3_64bits_update(hash, result->logits, n_logits * sizeof *result->logits);
    if (n_hidden > 0)
        XXH3_64bits_update(hash, result->hidden, n_hidden * sizeof *result->hidden);
}

/* A plan is run in its own memory, because every row must come home, whatever was wanted of it. */
static void want_all_rows(struct step_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_sections; i++) {
        const struct plan_section *section = &plan->section[i];
        struct plan_pick *pick = (struct plan_pick *)((char *)plan + section->offset);
        for (int k = 0; section->tag == PLAN_PICK && k < plan->n_logits; k++)
            pick[k].kind = PICK_ROW;
    }
}

/* What replays: a pipeline for each model that there is. */
struct player {
    struct pipeline *pipeline[PLAN_MODELS];
    const struct plan_models *models;
    struct step_plan *memory; /* room for any plan of the record, and for a stop */
    int64_t *step_ns;         /* [n_plans] */
    XXH3_state_t *hash;

    /* what the next plan may refer to: the last one, as it was recorded, and its rows */
    struct row_picker *picker;
    struct step_view last;
    struct step_result rows;
    int n_carried;
    int32_t *carried; /* [max_logits] */
};

static void player_init(struct player *p, const struct plan_record *record,
                        const struct plan_models *models, struct device *device)
{
    const struct plan_limits *limits = &models->limits[PLAN_TARGET];
    *p = (struct player){.models = models,
                         .memory = memory_alloc(1, record->max_bytes + sizeof *p->memory),
                         .step_ns = memory_alloc(record->n_plans, sizeof *p->step_ns),
                         .hash = XXH3_createState()};
    for (int m = 0; m < PLAN_MODELS; m++)
        if (models->limits[m].max_tokens > 0)
            pipeline_create(&p->pipeline[m], &(struct pipeline_settings){
                                                 .models = models, .model = m, .n_flights = 1});
    XXH3_64bits_reset(p->hash);
    row_picker_create(&p->picker,
                      &(struct row_picker_settings){.device = device, .limits = limits});
    p->carried = memory_alloc((size_t)limits->max_logits, sizeof *p->carried);
}

static void player_release(struct player *p)
{
    for (int m = 0; m < PLAN_MODELS; m++)
        pipeline_destroy(p->pipeline[m]);
    XXH3_freeState(p->hash);
    row_picker_destroy(p->picker);
    memory_free(p->carried);
    memory_free(p->step_ns);
    memory_free(p->memory);
}

/* A copy of the plan that can be run by itself. *view is of the plan as it was recorded. */
static bool prepare(struct player *p, const struct step_plan *plan, struct step_view *view,
                    struct error *err)
{
    struct step_view copy;
    memcpy(p->memory, plan, plan->n_bytes);
    if (!plan_models_check(p->models, plan, plan->n_bytes, p->n_carried, view, err) ||
        !plan_models_check(p->models, p->memory, plan->n_bytes, p->n_carried, &copy, err))
        return false;
    if (plan_has_references(plan, view)) {
        const struct picked *picked = row_picker_run(p->picker, &p->last, &p->rows);
        for (int i = 0; i < p->n_carried; i++)
            p->carried[i] = picked[i].token;
        plan_resolve(p->memory, &copy, p->carried);
    }
    want_all_rows(p->memory);
    return true;
}

static bool run_plan(struct player *p, const struct step_plan *plan, int64_t *step_ns,
                     struct error *err)
{
    struct pipeline *pipeline = p->pipeline[plan->model];
    struct step_view view;
    struct step_home home;
    if (!prepare(p, plan, &view, err))
        return false;
    const int64_t begin = clock_now_ns();
    if (!pipeline_submit(pipeline, p->memory, err) || !pipeline_collect(pipeline, &home, err))
        return false;
    *step_ns = clock_now_ns() - begin;
    hash_result(p->hash, &home.rows);
    p->last = view;
    p->rows = home.rows;
    p->n_carried = plan_n_carried(plan, &view);
    return true;
}

/* The ranks sleep and wake where they did. */
static bool run_rest(struct player *p, const struct step_plan *plan, struct error *err)
{
    struct step_view view;
    memcpy(p->memory, plan, plan->n_bytes);
    return plan_models_check(p->models, p->memory, plan->n_bytes, 0, &view, err) &&
           pipeline_submit(p->pipeline[PLAN_TARGET], p->memory, err) &&
           rest_run(p->models, (enum plan_rest) * view.rest, err);
}

/* Every step but the stop, which a record need not have, and then one. */
static bool run_all(struct player *p, struct plan_record *record, struct replay_report *report,
                    struct error *err)
{
    uint64_t step = 0;
    for (const struct step_plan *plan; (plan = plan_record_next(record)) != NULL;) {
        if (plan->n_sections > 0 && plan->section[0].tag == PLAN_STOP)
            break;
        step = plan->step;
        if (plan->n_sections > 0 && plan->section[0].tag == PLAN_REST) {
            if (!run_rest(p, plan, err))
                return false;
            continue;
        }
        if (!run_plan(p, plan, &p->step_ns[report->n_steps++], err))
            return false;
        if (plan->model == PLAN_TARGET)
            report->n_tokens += plan->n_tokens;
    }
    plan_begin(p->memory, step + 1);
    plan_add(p->memory, PLAN_STOP, 0);
    return pipeline_submit(p->pipeline[PLAN_TARGET], p->memory, err);
}

bool replay_run(struct plan_record *record, const struct plan_models *models, struct device *device,
                struct replay_report *out, struct error *err)
{
    struct replay_report report = {0};
    struct player player;
    player_init(&player, record, models, device);
    const bool good = run_all(&player, record, &report, err);
    if (good) {
        fill_times(&report, player.step_ns, (size_t)report.n_steps);
        report.hash = XXH3_64bits_digest(player.hash);
        *out = report;
    }
    player_release(&player);
    return good;
}
