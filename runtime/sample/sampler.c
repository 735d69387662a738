#include "runtime/sample/sampler.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/team.h"
#include "kernels/device.h"
#include "kernels/ops.h"
#include "runtime/sample/filter.h"
#include "runtime/sample/pick.h"

#include <math.h>
#include <string.h>

enum { LSE_ROWS = 256 }; /* in one call of the operation */

/* Working memory of one thread. */
struct scratch {
    float *value;                               /* [vocab] the row as it is edited */
    int32_t *count;                             /* [vocab] zero between two rows */
    float *raw_max, *edited_max, *tempered_max; /* [blocks] of struct row, struct tempered */
    struct filter_scratch filter;
};

struct sampler {
    struct device *device;
    int vocab;
    int32_t *eos_id; /* [n_eos_ids] */
    int n_eos_ids;
    bool processed_logprobs;
    struct scratch *scratch; /* [threads] */
};

static void scratch_init(struct scratch *scratch, int vocab)
{
    const size_t n_blocks = (size_t)row_count_blocks(vocab);
    scratch->value = memory_alloc((size_t)vocab, sizeof *scratch->value);
    scratch->count = memory_alloc((size_t)vocab, sizeof *scratch->count);
    scratch->raw_max = memory_alloc(n_blocks, sizeof *scratch->raw_max);
    scratch->edited_max = memory_alloc(n_blocks, sizeof *scratch->edited_max);
    scratch->tempered_max = memory_alloc(n_blocks, sizeof *scratch->tempered_max);
    filter_scratch_init(&scratch->filter, vocab);
}

static void scratch_release(struct scratch *scratch)
{
    memory_free(scratch->value);
    memory_free(scratch->count);
    memory_free(scratch->raw_max);
    memory_free(scratch->edited_max);
    memory_free(scratch->tempered_max);
    filter_scratch_release(&scratch->filter);
}

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
        scratch_init(&s->scratch[i], s->vocab);
    *out = s;
}

void sampler_destroy(struct sampler *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < team_size(s->device->team); i++)
        scratch_release(&s->scratch[i]);
    memory_free(s->scratch);
    memory_free(s->eos_id);
    memory_free(s);
}

/* ---- one row ---- */

static void edit(const struct sampler *s, struct scratch *scratch, const struct sample_row *row)
{
    rules_copy_allowed(scratch->value, row, s->vocab);
    rules_mask_bad_words(scratch->value, row);
    rules_mask_ends(scratch->value, row, s->eos_id, s->n_eos_ids);
    rules_add_biases(scratch->value, row);
    rules_penalize(scratch->value, row, scratch->count);
}

/* The token of an edited row, and `t`, which is the row that it was picked from. */
static int32_t pick(struct scratch *scratch, const struct row *edited, struct tempered *t,
                    const struct sample_row *row)
{
    const struct sampling_params *params = row->params;
    const bool greedy = rules_are_greedy(params);
    tempered_init(t, edited, greedy ? 1 : params->temperature, scratch->tempered_max);
    if (greedy)
        return edited->peak;
    if (t->max == -INFINITY) /* so far below 0 that the quotient has no number */
        return -1;
    filter_apply(t, &scratch->filter, params);
    return pick_token(t, params->seed, row->n_tokens);
}

static bool gives_logprobs(const struct sample_row *row)
{
    return row->kind == ROW_SAMPLE && row->params->logprobs != LOGPROBS_OFF;
}

static void sample(const struct sampler *s, struct scratch *scratch, const struct sample_row *row,
                   const struct row *raw, struct picked *picked)
{
    struct row edited = *raw, processed;
    struct tempered t;
    if (rules_edit_logits(row)) {
        edit(s, scratch, row);
        row_open(&edited, scratch->value, s->vocab, scratch->edited_max);
        if (edited.peak < 0)
            return;
    }
    picked->token = pick(scratch, &edited, &t, row);
    if (picked->token < 0 || !gives_logprobs(row))
        return;
    if (s->processed_logprobs) {
        processed = edited;
        picked->lse = filter_log_sum_exp(&t, &scratch->filter);
        tempered_write(&t, scratch->value);
        processed.logits = scratch->value;
        processed.block_max = t.block_max;
    }
    picked->n_logprobs = logprobs_make(picked->logprob, s->processed_logprobs ? &processed : raw,
                                       picked->lse, picked->token, row->params->logprobs);
}

static void look_at_prompt(const struct sample_row *row, const struct row *raw,
                           struct picked *picked)
{
    picked->token = row->token[row->n_tokens];
    picked->n_logprobs = logprobs_make(picked->logprob, raw, picked->lse, picked->token,
                                       row->params->prompt_logprobs);
}

static void list_candidates(const struct sample_row *row, const struct row *raw,
                            struct picked *picked)
{
    picked->n_logprobs =
        logprobs_make_best(picked->logprob, raw, picked->lse, 2 * row->params->beam_width);
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
    struct row raw;
    if (row->kind == ROW_PICKED)
        return;
    picked->token = -1;
    picked->n_logprobs = 0;
    row_open(&raw, row->logits, s->vocab, s->scratch[thread].raw_max);
    picked->is_finite = raw.peak >= 0;
    if (!picked->is_finite)
        return;
    if (row->kind == ROW_SAMPLE || row->kind == ROW_GUESS)
        sample(s, &s->scratch[thread], row, &raw, picked);
    else if (row->kind == ROW_PROMPT)
        look_at_prompt(row, &raw, picked);
    else
        list_candidates(row, &raw, picked);
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
