/* The bytes of the plan. Its sections have their sizes by then: what runs was chosen before. */
#include "runtime/schedule/scheduler_state.h"

#include "base/check.h"

#include <string.h>

/* The sections of a plan that are being filled. */
struct sections {
    int32_t *token, *first_row, *n_computed, *first_block, *block, *logits_row, *hidden_row;
    struct plan_pick *pick; /* NULL: none are written */
};

static void begin(struct scheduler *s, struct step_plan *plan, const int32_t *copy,
                  struct sections *to)
{
    const struct choice *c = &s->choice;
    const size_t n = (size_t)c->n_sequences, size = sizeof(int32_t);
    const size_t n_blocks = (size_t)c->n_blocks * (size_t)s->is.limits.n_kv_groups;
    plan_begin(plan, ++s->step);
    plan->n_tokens = c->n_tokens;
    plan->n_sequences = c->n_sequences;
    plan->n_blocks = c->n_blocks;
    plan->n_logits = c->n_logits;
    plan->n_hidden = c->n_hidden;
    plan->n_copies = c->n_copies;
    to->token = plan_add(plan, PLAN_TOKEN, (size_t)c->n_tokens * size);
    to->first_row = plan_add(plan, PLAN_FIRST_ROW, (n + 1) * size);
    to->n_computed = plan_add(plan, PLAN_N_COMPUTED, n * size);
    to->first_block = plan_add(plan, PLAN_FIRST_BLOCK, (n + 1) * size);
    to->block = plan_add(plan, PLAN_BLOCK, n_blocks * size);
    to->logits_row = plan_add(plan, PLAN_LOGITS_ROW, (size_t)c->n_logits * size);
    if (c->n_hidden > 0)
        to->hidden_row = plan_add(plan, PLAN_HIDDEN_ROW, (size_t)c->n_hidden * size);
    if (s->is.picks_afar && c->n_logits > 0)
        to->pick = plan_add(plan, PLAN_PICK, (size_t)c->n_logits * sizeof *to->pick);
    if (c->n_copies > 0)
        memcpy(plan_add(plan, PLAN_COPY, 2 * (size_t)c->n_copies * size), copy,
               2 * (size_t)c->n_copies * size);
}

static void write_blocks(const struct scheduler *s, const struct sections *to, int at,
                         const struct request *r, int n_blocks)
{
    check(n_blocks <= r->n_blocks);
    for (int g = 0; g < s->is.limits.n_kv_groups; g++)
        memcpy(to->block + (size_t)g * (size_t)s->choice.n_blocks + at,
               r->block + (size_t)g * (size_t)r->n_blocks_limit,
               (size_t)n_blocks * sizeof *to->block);
}

static struct plan_pick pick_of(const struct batch_row *row)
{
    const struct sampling_params *p = &row->request->params;
    struct plan_pick pick = {.kind = PICK_SAMPLE,
                             .position = row->position,
                             .n_best = p->logprobs,
                             .seed = p->seed,
                             .temperature = p->temperature,
                             .top_k = p->top_k,
                             .top_p = p->top_p,
                             .min_p = p->min_p};
    if (row->is_prompt) {
        pick.kind = PICK_PROMPT;
        pick.token = row->request->token[row->position];
        pick.n_best = p->prompt_logprobs;
    } else if (p->beam_width > 0) {
        pick.kind = PICK_BEAM;
        pick.n_best = 2 * p->beam_width;
    } else if (params_edit_logits(p, row->position - row->request->n_prompt)) {
        pick.kind = PICK_ROW;
    }
    return pick;
}

/* Of a sequence that runs ahead, the one row is that of a token which the plan before gives. */
static void write_tokens(const struct request *r, int n_new, int32_t *to)
{
    if (r->n_computed == r->n_tokens)
        to[0] = -1 - r->asked_row;
    else
        memcpy(to, r->token + r->n_computed, (size_t)n_new * sizeof *to);
}

/* Rows that give something, in the order of the sequences, from those of the batch. */
struct cursor {
    int n_logits, n_hidden;
};

static void write_rows(const struct scheduler *s, const struct batch *batch,
                       const struct sections *to, struct cursor *at, int i)
{
    const struct choice *c = &s->choice;
    struct request *r = batch->sequence[i];
    const int first = to->first_row[i] - to->n_computed[i]; /* row of position 0 */
    for (; at->n_logits < c->n_logits && batch->row[at->n_logits].request == r; at->n_logits++) {
        to->logits_row[at->n_logits] = first + batch->row[at->n_logits].position - 1;
        if (to->pick != NULL)
            to->pick[at->n_logits] = pick_of(&batch->row[at->n_logits]);
        r->asked_row = at->n_logits;
        r->asked_step = s->step;
    }
    for (; at->n_hidden < c->n_hidden && batch->hidden[at->n_hidden].request == r; at->n_hidden++)
        to->hidden_row[at->n_hidden] = first + batch->hidden[at->n_hidden].position;
}

void scheduler_write(struct scheduler *s, struct batch *batch)
{
    const struct choice *c = &s->choice;
    struct sections to = {0};
    struct cursor at = {0};
    check(s->is_choosing);
    begin(s, batch->plan, batch->copy, &to);
    for (int i = 0; i < c->n_sequences; i++) {
        struct request *r = batch->sequence[i];
        const int n_new = batch->n_new[i];
        const int n_blocks = blocks_of(&s->blocks, r->n_computed + n_new);
        write_tokens(r, n_new, to.token + to.first_row[i]);
        write_blocks(s, &to, to.first_block[i], r, n_blocks);
        to.n_computed[i] = r->n_computed;
        to.first_row[i + 1] = to.first_row[i] + n_new;
        to.first_block[i + 1] = to.first_block[i] + n_blocks;
        write_rows(s, batch, &to, &at, i);
        r->n_computed += n_new;
    }
    check(at.n_logits == c->n_logits && at.n_hidden == c->n_hidden);
    s->n_prompt_rows_in_flight += batch->n_prompt_rows;
    s->is_choosing = false;
}

void scheduler_write_stop(struct scheduler *s, struct batch *batch)
{
    scheduler_begin_call(s);
    plan_begin(batch->plan, ++s->step);
    plan_add(batch->plan, PLAN_STOP, 0);
}

void scheduler_write_rest(struct scheduler *s, struct batch *batch, enum plan_rest rest)
{
    scheduler_begin_call(s);
    check(scheduler_counts(s).n_running == 0);
    for (int32_t block = 0; s->blocks.cache != NULL && block < s->is.limits.n_kv_blocks; block++)
        prefix_cache_forget(s->blocks.cache, block);
    plan_begin(batch->plan, ++s->step);
    *(int32_t *)plan_add(batch->plan, PLAN_REST, sizeof(int32_t)) = (int32_t)rest;
}
