#include "runtime/draft_model.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/pipeline.h"
#include "runtime/plan_run.h"
#include "runtime/sample/sampler.h"
#include "runtime/schedule/scheduler.h"

struct draft_model {
    struct draft_settings is;
    struct pipeline *pipeline;
    struct step_plan *plan;

    /* of a pass, one for each row of its logits */
    struct batch_row *row;
    struct sample_row *sample;
    struct picked *picked;
};

void draft_model_create(struct draft_model **out, const struct draft_settings *settings)
{
    const struct plan_limits *limits = &settings->models->limits[PLAN_DRAFT];
    const size_t n_rows = (size_t)limits->max_logits;
    check(settings->models->forward[PLAN_DRAFT] != NULL);
    struct draft_model *d = memory_alloc(1, sizeof *d);
    d->is = *settings;
    pipeline_create(&d->pipeline, &(struct pipeline_settings){.models = settings->models,
                                                              .model = PLAN_DRAFT,
                                                              .n_flights = 1,
                                                              .recorder = settings->recorder});
    d->plan = memory_alloc(1, plan_max_bytes(limits));
    d->row = memory_alloc(n_rows, sizeof *d->row);
    d->sample = memory_alloc(n_rows, sizeof *d->sample);
    d->picked = memory_alloc(n_rows, sizeof *d->picked);
    *out = d;
}

void draft_model_destroy(struct draft_model *d)
{
    if (d == NULL)
        return;
    pipeline_destroy(d->pipeline);
    memory_free(d->plan);
    memory_free(d->row);
    memory_free(d->sample);
    memory_free(d->picked);
    memory_free(d);
}

/* A row without a pick (no finite logits) guesses token 0: a guess need not be right. */
static void take_guesses(struct draft_model *d, const struct step_result *result)
{
    const int n = result->n_logits;
    for (int i = 0; i < n; i++) {
        const struct request *request = d->row[i].request;
        d->sample[i] =
            (struct sample_row){.logits = result->logits + (size_t)i * (size_t)result->vocab,
                                .params = &request->params,
                                .token = request->token,
                                .n_prompt = request->n_prompt,
                                .n_tokens = d->row[i].position,
                                .kind = ROW_GUESS};
    }
    sampler_pick(d->is.sampler, d->sample, n, d->picked);
    for (int i = 0; i < n; i++) {
        const int32_t token = d->picked[i].token;
        d->row[i].request->token[d->row[i].position] = token >= 0 ? token : 0;
    }
}

bool draft_model_guess(struct draft_model *d, const struct batch *batch, struct error *err)
{
    for (int pass = 0; scheduler_write_draft(d->is.scheduler, batch, pass, d->plan, d->row);
         pass++) {
        struct step_home home;
        if (!pipeline_submit(d->pipeline, d->plan, err) ||
            !pipeline_collect(d->pipeline, &home, err))
            return error_in(err, "draft model, pass %d", pass);
        check(home.rows.n_logits == d->plan->n_logits);
        take_guesses(d, &home.rows);
    }
    return true;
}
