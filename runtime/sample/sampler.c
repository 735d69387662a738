#include "runtime/sample/sampler.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/team.h"
#include "kernels/device.h"
#include "kernels/ops.h"
#include "runtime/sample/pick.h"
#include "runtime/sample/row.h"

#include <math.h>
#include <string.h>

enum { LSE_ROWS = 256 }; /* in one call of the operation */

struct sampler {
    struct device *device;
    int vocab;
    int32_t *eos_id; /* [n_eos_ids] */
    int n_eos_ids;
    bool processed_logprobs;
    struct rules_scratch *scratch; /* [threads] */
};

void sampler_create(struct sampler **out, const struct sampler_settings *settings)
{
    const int n_threads = team_size(settings->device->team), n_eos_ids = settings->n_eos_ids;
    for (int i = 0; i < n_eos_ids; i++)
        check(settings->eos_id[i] >= 0 && settings->eos_id[i] < settings->vocab);
    struct sampler *s = memory_alloc(1, sizeof *s);
    s->device = settings->device;
    s->vocab = settings->vocab;
    s->processed_logprobs = settings->processed_logprobs;
    s->n_eos_ids = n_eos_ids;
    s->eos_id = memory_alloc((size_t)n_eos_ids, sizeof *s->eos_id);
    if (n_eos_ids > 0)
        memcpy(s->eos_id, settings->eos_id, (size_t)n_eos_ids * sizeof *s->eos_id);
    s->scratch = memory_alloc((size_t)n_threads, sizeof *s->scratch);
    for (int i = 0; i < n_threads; i++)
        rules_scratch_init(&s->scratch[i], s->vocab);
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

/* ---- one row ---- */

/* The row after its rules, which is the row itself where there are none, and the token. */
static const float *pick(const struct sampler *s, struct rules_scratch *scratch,
                         const struct sample_row *row, int32_t *token)
{
    const struct sampling_params *params = row->params;
    const bool greedy = rules_are_greedy(params);
    float *value = scratch->value;
    *token = row_find_peak(row->logits, s->vocab).token;
    if (*token < 0 || (greedy && !rules_edit_logits(row)))
        return row->logits;

    rules_copy_allowed(value, row, s->vocab);
    rules_mask_bad_words(value, row);
    rules_mask_ends(value, row, s->eos_id, s->n_eos_ids);
    rules_add_biases(value, row);
    rules_penalize(value, row, scratch->count);
    if (greedy) {
        *token = row_find_peak(value, s->vocab).token;
        return value;
    }
    rules_temper(value, s->vocab, params);
    rules_filter(scratch, s->vocab, params);
    *token = pick_token(value, s->vocab, params->seed, row->n_tokens);
    return value;
}

static bool gives_logprobs(const struct sample_row *row)
{
    return row->kind == ROW_SAMPLE && row->params->logprobs != LOGPROBS_OFF;
}

static void sample(const struct sampler *s, struct rules_scratch *scratch,
                   const struct sample_row *row, struct picked *picked)
{
    const float *processed = pick(s, scratch, row, &picked->token);
    if (picked->token < 0 || !gives_logprobs(row))
        return;
    if (s->processed_logprobs)
        picked->lse = rules_log_sum_exp(scratch, processed, s->vocab);
    picked->n_logprobs =
        logprobs_make(picked->logprob, s->processed_logprobs ? processed : row->logits, s->vocab,
                      picked->lse, picked->token, row->params->logprobs);
}

static void look_at_prompt(const struct sampler *s, const struct sample_row *row,
                           struct picked *picked)
{
    picked->token = row->token[row->n_tokens];
    picked->n_logprobs = logprobs_make(picked->logprob, row->logits, s->vocab, picked->lse,
                                       picked->token, row->params->prompt_logprobs);
}

static void list_candidates(const struct sampler *s, const struct sample_row *row,
                            struct picked *picked)
{
    picked->n_logprobs = logprobs_make_best(picked->logprob, row->logits, s->vocab, picked->lse,
                                            2 * row->params->beam_width);
    picked->token = picked->logprob[0].token;
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
    picked->token = -1;
    picked->n_logprobs = 0;
    if (row->kind == ROW_SAMPLE || row->kind == ROW_GUESS)
        sample(s, &s->scratch[thread], row, picked);
    else if (!isfinite(picked->lse)) /* a NaN, a +inf, or nothing above -inf */
        return;
    else if (row->kind == ROW_PROMPT)
        look_at_prompt(s, row, picked);
    else
        list_candidates(s, row, picked);
}

/* ---- all rows ---- */

static bool needs_raw_lse(const struct sampler *s, const struct sample_row *row)
{
    return row->kind == ROW_PROMPT || row->kind == ROW_BEAM ||
           (gives_logprobs(row) && !s->processed_logprobs);
}

/* Of the rows from row[0] on that need it and are next to each other in memory; how many. */
static int find_lse(const struct sampler *s, const struct sample_row *row, int n_rows,
                    struct picked *picked)
{
    float max[LSE_ROWS], lse[LSE_ROWS];
    int n = 1;
    while (n < n_rows && n < LSE_ROWS && needs_raw_lse(s, &row[n]) &&
           row[n].logits == row[n - 1].logits + s->vocab)
        n++;
    op_log_sum_exp(s->device, &(struct log_sum_exp_args){.max = max,
                                                         .lse = lse,
                                                         .logits = row->logits,
                                                         .n_rows = n,
                                                         .n_columns = s->vocab,
                                                         .row_stride = s->vocab});
    for (int i = 0; i < n; i++)
        picked[i].lse = lse[i];
    return n;
}

void sampler_pick(struct sampler *s, const struct sample_row *row, int n_rows,
                  struct picked *picked)
{
    /* here and not in pick_row(), because the operation uses the team itself */
    for (int i = 0; i < n_rows;)
        i += needs_raw_lse(s, &row[i]) ? find_lse(s, row + i, n_rows - i, picked + i) : 1;
    team_run(s->device->team, pick_row,
             &(struct pick_job){.sampler = s, .row = row, .picked = picked}, n_rows);
}
