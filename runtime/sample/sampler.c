#include "runtime/sample/sampler.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/team.h"
#include "kernels/device.h"
#include "kernels/ops.h"
#include "runtime/sample/pick.h"
#include "runtime/sample/row.h"

#include <string.h>

struct sampler {
    struct device *device;
    int vocab;
    int32_t *eos_id; /* [n_eos_ids] */
    int n_eos_ids;
    struct rules_scratch *scratch; /* [threads] */
};

void sampler_create(struct sampler **out, struct device *device, int vocab, const int32_t *eos_id,
                    int n_eos_ids)
{
    const int n_threads = team_size(device->team);
    for (int i = 0; i < n_eos_ids; i++)
        check(eos_id[i] >= 0 && eos_id[i] < vocab);
    struct sampler *s = memory_alloc(1, sizeof *s);
    s->device = device;
    s->vocab = vocab;
    s->n_eos_ids = n_eos_ids;
    s->eos_id = memory_alloc((size_t)n_eos_ids, sizeof *s->eos_id);
    if (n_eos_ids > 0)
        memcpy(s->eos_id, eos_id, (size_t)n_eos_ids * sizeof *s->eos_id);
    s->scratch = memory_alloc((size_t)n_threads, sizeof *s->scratch);
    for (int i = 0; i < n_threads; i++)
        rules_scratch_init(&s->scratch[i], vocab);
    *out = s;
}

void sampler_destroy(struct sampler *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < team_size(s->device->team); i++)
        rules_scratch_release(&s->scratch[i]);
    memory_free(s->scratch);
    memory_free(s->eos_id);
    memory_free(s);
}

static int32_t pick(const struct sampler *s, struct rules_scratch *scratch,
                    const struct sample_row *row)
{
    const struct sampling_params *params = row->params;
    const bool greedy = rules_are_greedy(params);
    const struct row_peak raw = row_find_peak(row->logits, s->vocab);
    if (raw.token < 0 || (greedy && !rules_edit_logits(row)))
        return raw.token;

    memcpy(scratch->value, row->logits, (size_t)s->vocab * sizeof *scratch->value);
    rules_mask_ends(scratch->value, row, s->eos_id, s->n_eos_ids);
    rules_penalize(scratch->value, row, scratch->count);
    if (greedy)
        return row_find_peak(scratch->value, s->vocab).token;
    rules_temper(scratch->value, s->vocab, params);
    rules_filter(scratch, s->vocab, params);
    return pick_token(scratch->value, s->vocab, params->seed, row->n_tokens);
}

struct pick_job {
    const struct sampler *sampler;
    const struct sample_row *row;
    struct picked *picked;
};

static void pick_row(void *context, int i, int thread)
{
    const struct pick_job *job = context;
    const struct sampler *s = job->sampler;
    const struct sample_row *row = &job->row[i];
    struct picked *picked = &job->picked[i];
    picked->token = pick(s, &s->scratch[thread], row);
    picked->n_logprobs = 0;
    if (picked->token >= 0 && row->params->logprobs != LOGPROBS_OFF)
        picked->n_logprobs = logprobs_make(picked->logprob, row->logits, s->vocab, picked->lse,
                                           picked->token, row->params->logprobs);
}

void sampler_pick(struct sampler *s, const struct sample_row *row, int n_rows,
                  struct picked *picked)
{
    float max;
    for (int i = 0; i < n_rows; i++) /* here, because the operation uses the team itself */
        if (row[i].params->logprobs != LOGPROBS_OFF)
            op_log_sum_exp(s->device, &(struct log_sum_exp_args){.max = &max,
                                                                 .lse = &picked[i].lse,
                                                                 .logits = row[i].logits,
                                                                 .n_rows = 1,
                                                                 .n_columns = s->vocab,
                                                                 .row_stride = s->vocab});
    team_run(s->device->team, pick_row,
             &(struct pick_job){.sampler = s, .row = row, .picked = picked}, n_rows);
}
