/* What a block of the draft model's cache holds is known by a flag beside the pool: a block that
 * comes out of the prefix cache may or may not have been computed by the draft model too. */
#include "runtime/schedule/drafts.h"

#include "base/check.h"
#include "runtime/schedule/ngram.h"

#include <string.h>

/* ---- how far the draft model is ---- */

void drafts_admit(struct scheduler *s, struct request *r)
{
    const int first = r->first_block[0]; /* what was given back counts as computed */
    int n = first;
    while (n < r->n_blocks && s->blocks.has_draft[r->block[n]])
        n++;
    r->n_draft_computed = n * s->is.limits.block_tokens;
}

void drafts_follow(struct scheduler *s, struct request *r, int end)
{
    if (s->is.drafter != DRAFTER_MODEL || !request_samples(r))
        return;
    const int block_tokens = s->is.limits.block_tokens;
    const int first = r->first_block[0] * block_tokens;
    r->n_draft_computed = larger(r->n_draft_computed, first);
    r->n_draft_new = smaller(end - r->n_draft_computed, s->choice.draft_tokens_left);
    s->choice.draft_tokens_left -= r->n_draft_new;
    const int done = r->n_draft_computed + r->n_draft_new;
    /* of what is in its cache already, right drafts of the last step may have filled a block */
    const int begin = larger(first, r->n_draft_computed - s->is.max_drafts);
    for (int i = begin / block_tokens; i < done / block_tokens; i++)
        s->blocks.has_draft[r->block[i]] = true;
}

/* ---- drafts of a step ---- */

/* The most that sequence i may have. */
static int most_drafts(const struct scheduler *s, const struct batch *batch, int i)
{
    const struct request *r = batch->sequence[i];
    const int end = r->n_computed + batch->n_new[i];
    if (end < r->n_tokens || !request_samples(r))
        return 0;
    if (s->is.drafter == DRAFTER_MODEL && r->n_draft_computed + r->n_draft_new < end)
        return 0;
    /* not the blocks that somebody's next token may need */
    const int spare = s->blocks.pool.n_free / s->is.limits.n_kv_groups - s->n_places;
    const int blocks_left = larger(spare, 0);
    const int places = (r->n_blocks + blocks_left) * s->is.limits.block_tokens - end;
    const int budget = smaller(s->choice.tokens_left, s->choice.logits_left);
    return smaller(smaller(s->is.max_drafts, r->limit - r->n_tokens - 1), smaller(budget, places));
}

void drafts_choose(struct scheduler *s, struct batch *batch)
{
    for (int i = 0; s->is.drafter != DRAFTER_NONE && i < s->choice.n_sequences; i++) {
        struct request *r = batch->sequence[i];
        int n = most_drafts(s, batch, i);
        if (n > 0 && s->is.drafter == DRAFTER_NGRAM)
            n = ngram_propose(r->token + r->n_tokens, n, r->token, r->n_tokens, s->is.ngram_min,
                              s->is.ngram_max);
        if (n <= 0)
            continue;
        blocks_extend(&s->blocks, r, r->n_tokens + n);
        batch->n_drafts[i] = n;
        batch->n_new[i] += n;
        s->choice.tokens_left -= n;
        s->choice.logits_left -= n;
    }
}

/* ---- plans of the draft model ---- */

struct plan_limits scheduler_draft_limits(const struct plan_limits *limits)
{
    struct plan_limits draft = *limits;
    draft.max_tokens += limits->max_sequences;
    draft.n_kv_groups = 1;
    draft.max_copies = 0;
    return draft;
}

/* Tokens of sequence i in this pass. */
static int count_new(const struct batch *batch, int i, int pass)
{
    if (pass == 0)
        return batch->sequence[i]->n_draft_new;
    return batch->n_drafts[i] > pass ? 1 : 0;
}

static bool begin(struct scheduler *s, const struct batch *batch, int pass, struct step_plan *plan)
{
    int n_tokens = 0, n_sequences = 0, n_blocks = 0, n_logits = 0;
    for (int i = 0; i < batch->n_sequences; i++) {
        const int n = count_new(batch, i, pass);
        if (n == 0)
            continue;
        n_sequences++;
        n_tokens += n;
        n_blocks += blocks_of(&s->blocks, batch->sequence[i]->n_draft_computed + n);
        n_logits += batch->n_drafts[i] > 0;
    }
    if (n_sequences == 0)
        return false;
    plan_begin(plan, ++s->step);
    plan->model = PLAN_DRAFT;
    plan->n_tokens = n_tokens;
    plan->n_sequences = n_sequences;
    plan->n_blocks = n_blocks;
    plan->n_logits = n_logits;
    return true;
}

bool scheduler_write_draft(struct scheduler *s, const struct batch *batch, int pass,
                           struct step_plan *plan, struct batch_row *row)
{
    check(s->is_choosing && s->is.drafter == DRAFTER_MODEL);
    if (!begin(s, batch, pass, plan))
        return false;
    const size_t n = (size_t)plan->n_sequences, size = sizeof(int32_t);
    int32_t *token = plan_add(plan, PLAN_TOKEN, (size_t)plan->n_tokens * size);
    int32_t *first_row = plan_add(plan, PLAN_FIRST_ROW, (n + 1) * size);
    int32_t *n_computed = plan_add(plan, PLAN_N_COMPUTED, n * size);
    int32_t *first_block = plan_add(plan, PLAN_FIRST_BLOCK, (n + 1) * size);
    int32_t *block = plan_add(plan, PLAN_BLOCK, (size_t)plan->n_blocks * size);
    int32_t *logits_row = plan_add(plan, PLAN_LOGITS_ROW, (size_t)plan->n_logits * size);
    int at = 0, n_logits = 0;
    for (int i = 0; i < batch->n_sequences; i++) {
        struct request *r = batch->sequence[i];
        const int n_new = count_new(batch, i, pass);
        if (n_new == 0)
            continue;
        const int n_blocks = blocks_of(&s->blocks, r->n_draft_computed + n_new);
        memcpy(token + first_row[at], r->token + r->n_draft_computed, (size_t)n_new * size);
        memcpy(block + first_block[at], r->block, (size_t)n_blocks * size);
        n_computed[at] = r->n_draft_computed;
        first_row[at + 1] = first_row[at] + n_new;
        first_block[at + 1] = first_block[at] + n_blocks;
        r->n_draft_computed += n_new;
        at++;
        if (batch->n_drafts[i] > 0) {
            row[n_logits] = (struct batch_row){.request = r, .position = r->n_draft_computed};
            logits_row[n_logits++] = first_row[at] - 1;
        }
    }
    return true;
}
