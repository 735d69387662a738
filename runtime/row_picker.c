#include "runtime/row_picker.h"

#include "base/memory.h"
#include "kernels/ops.h"
#include "runtime/forward/forward.h"
#include "runtime/sample/sampler.h"
#include "runtime/step_plan.h"

_Static_assert((int)LOGPROBS_MAX_ENTRIES == (int)PLAN_MAX_BEST &&
                   (int)PICK_MAX_BEST == (int)PLAN_MAX_BEST,
               "as many as a plan may ask for");

struct row_picker {
    struct sampler *sampler;
    /* [max_logits] */
    struct sampling_params *params; /* the defaults, and of each row what its pick says */
    struct sample_row *row;
    struct picked *picked;
};

void row_picker_create(struct row_picker **out, const struct row_picker_settings *settings)
{
    const size_t n_rows = (size_t)settings->limits->max_logits;
    struct row_picker *p = memory_alloc(1, sizeof *p);
    /* without EOS ids: a row whose rules look at them is picked from at rank 0 */
    sampler_create(&p->sampler,
                   &(struct sampler_settings){.device = settings->device,
                                              .vocab = settings->limits->vocab,
                                              .processed_logprobs = settings->processed_logprobs});
    p->params = memory_alloc(n_rows, sizeof *p->params);
    p->row = memory_alloc(n_rows, sizeof *p->row);
    p->picked = memory_alloc(n_rows, sizeof *p->picked);
    for (size_t i = 0; i < n_rows; i++)
        p->params[i] = params_default();
    *out = p;
}

void row_picker_destroy(struct row_picker *p)
{
    if (p == NULL)
        return;
    sampler_destroy(p->sampler);
    memory_free(p->params);
    memory_free(p->row);
    memory_free(p->picked);
    memory_free(p);
}

static void set_params(struct sampling_params *params, const struct plan_pick *pick)
{
    params->seed = pick->seed;
    params->temperature = pick->temperature;
    params->top_k = pick->top_k;
    params->top_p = pick->top_p;
    params->min_p = pick->min_p;
    params->logprobs = params->prompt_logprobs = pick->n_best;
    params->beam_width = pick->n_best / 2;
}

/* A sequence of which no more is known than its length, all of it prompt; the token of a prompt is
 * its first. */
static struct sample_row row_of(const struct plan_pick *pick, const struct sampling_params *params,
                                const float *logits)
{
    static const enum row_kind kinds[PICK_KINDS] = {[PICK_ROW] = ROW_PICKED,
                                                    [PICK_SAMPLE] = ROW_SAMPLE,
                                                    [PICK_PROMPT] = ROW_PROMPT,
                                                    [PICK_BEAM] = ROW_BEAM};
    const int n_tokens = pick->kind == PICK_PROMPT ? 0 : pick->position;
    return (struct sample_row){.logits = logits,
                               .params = params,
                               .token = &pick->token,
                               .n_prompt = n_tokens,
                               .n_tokens = n_tokens,
                               .kind = kinds[pick->kind]};
}

/* What a device picked, in the words of the sampler. */
static void take_pick(struct picked *out, const struct pick_result *pick)
{
    *out = (struct picked){.token = pick->token,
                           .is_finite = pick->is_finite != 0,
                           .lse = pick->lse,
                           .n_logprobs = pick->n_entries};
    for (int i = 0; i < pick->n_entries; i++)
        out->logprob[i] = (struct token_logprob){.token = pick->entry[i].token,
                                                 .logprob = pick->entry[i].logprob,
                                                 .rank = pick->entry[i].rank};
}

const struct picked *row_picker_run(struct row_picker *p, const struct step_view *view,
                                    const struct step_result *result)
{
    if (view->pick == NULL)
        return p->picked;
    if (result->pick != NULL) {
        for (int i = 0; i < result->n_logits; i++)
            take_pick(&p->picked[i], &result->pick[i]);
        return p->picked;
    }
    for (int i = 0; i < result->n_logits; i++) {
        set_params(&p->params[i], &view->pick[i]);
        p->row[i] = row_of(&view->pick[i], &p->params[i],
                           result->logits + (size_t)i * (size_t)result->vocab);
    }
    sampler_pick(p->sampler, p->row, result->n_logits, p->picked);
    return p->picked;
}
