/* Who runs in the next step. Running sequences are looked at in the order of the queue, so whoever
 * is preempted for one of them was not chosen yet, and nothing that is chosen is ever taken back.
 *
 * A chunk ends where a budget ends, unless prompts run whole: of tokens, of rows of logits (prompt
 * log-probabilities want one for each token), of blocks. Only for a sequence without a block for a
 * single row others give way.
 *
 * A block is listed in the prefix cache as soon as the step that fills it is chosen. Sequences that
 * are chosen after it may read it in the same step: every layer stores the keys and values of all
 * rows before any row looks at them.
 *
 * A sequence that runs ahead has no token for its last row yet, which so counts as one of those to
 * come. The prefix cache hears of it when it is there. */
#include "runtime/schedule/scheduler_state.h"

#include "base/check.h"
#include "runtime/schedule/drafts.h"

/* ---- rows that give something ---- */

/* Rows of the prompt, of [begin, end), whose logits are wanted: a range. */
struct range {
    int begin, end;
};

static struct range prompt_rows(const struct request *r, int begin, int end)
{
    if (!request_has_prompt_rows(r))
        return (struct range){0, 0};
    const struct range range = {larger(begin, r->n_asked), smaller(end, r->n_prompt - 1)};
    return range.begin < range.end ? range : (struct range){0, 0};
}

static int count_logits(const struct request *r, int n_new)
{
    const int end = r->n_computed + n_new;
    const struct range prompt = prompt_rows(r, r->n_computed, end);
    const bool samples = end == n_tokens_to_come(r) && !request_pools(r);
    return prompt.end - prompt.begin + (samples ? 1 : 0);
}

/* Rows of logits that the sequence may have now. One that wants them for its whole prompt leaves a
 * row for each of the others, as long as a quarter is left for it: they would all pause else. */
static int logits_for(const struct scheduler *s, const struct request *r)
{
    const struct choice *c = &s->choice;
    const int others = s->n_places - 1 - c->n_sequences;
    if (!request_has_prompt_rows(r) || others <= 0)
        return c->logits_left;
    return c->logits_left - smaller(others, c->logits_left / 4 * 3);
}

/* ---- a sequence ---- */

/* Blocks that must be copied before it runs: only beams share what they write to. */
static int count_copies(const struct scheduler *s, const struct request *r)
{
    return r->leader->beams == NULL ? 0 : blocks_shared_now(&s->blocks, r);
}

/* The next rows of the sequence that have blocks, or find free ones. */
static int rows_with_blocks(const struct scheduler *s, const struct request *r)
{
    const int n_free = s->blocks.pool.n_free - count_copies(s, r);
    const int n_blocks = r->n_blocks + n_free / s->is.limits.n_kv_groups;
    return n_free < 0 ? 0 : n_blocks * s->is.limits.block_tokens - r->n_computed;
}

/* For how many of the next n_new rows there are blocks. If not for `least`, others give way. */
static int make_room(struct scheduler *s, struct request *r, int n_new, int least)
{
    int n = rows_with_blocks(s, r);
    while (n < least && s->choice.may_preempt && queue_preempt_last(s, r->leader))
        n = rows_with_blocks(s, r);
    return smaller(n, n_new);
}

/* Takes the blocks of this step, and tells the prefix cache and the draft model. */
static void take_blocks(struct scheduler *s, struct batch *batch, struct request *r, int end)
{
    struct choice *c = &s->choice;
    if (count_copies(s, r) > 0)
        c->n_copies += blocks_part(&s->blocks, r, batch->copy + 2 * c->n_copies);
    blocks_extend(&s->blocks, r, end);
    blocks_list(&s->blocks, r, smaller(end, request_samples(r) ? r->n_tokens : r->n_prompt));
    drafts_follow(s, r, end);
}

/* Up to token[goal - 1], which may be one that is not there yet. */
static void choose(struct scheduler *s, struct batch *batch, struct request *r, int goal)
{
    struct choice *c = &s->choice;
    const int n_rest = goal - r->n_computed;
    const bool decodes = n_rest == 1, whole = scheduler_runs_whole(s, r);
    int *share = decodes ? &c->decodes_left : &c->prompt_rows_left;
    int n_new = smaller(n_rest, c->tokens_left);
    if (!whole || *share <= 0) /* the last whole prompt may exceed its share */
        n_new = smaller(n_new, *share);
    const int most_logits = logits_for(s, r);
    while (count_logits(r, n_new) > most_logits)
        n_new -= count_logits(r, n_new) - most_logits;
    if (c->n_copies + count_copies(s, r) > s->is.limits.max_copies || (whole && n_new < n_rest))
        return; /* in a later step */
    blocks_trim(&s->blocks, r);
    if (n_new > 0)
        n_new = make_room(s, r, n_new, whole ? n_new : 1);
    if (n_new <= 0 || (whole && n_new < n_rest))
        return;
    check(c->n_sequences < s->is.limits.max_sequences);
    take_blocks(s, batch, r, r->n_computed + n_new);
    batch->sequence[c->n_sequences] = r;
    batch->n_new[c->n_sequences] = n_new;
    batch->n_drafts[c->n_sequences] = 0;
    c->n_sequences++;
    c->tokens_left -= n_new;
    c->logits_left -= count_logits(r, n_new);
    *share -= n_new;
    c->n_prompt_rows += decodes ? 0 : n_new;
}

/* Is there a token for its next row, or will the plan before give it on the device? That must be
 * able to pick it without what was said before, and it must not be the last one. */
static bool is_ready(const struct scheduler *s, const struct request *r)
{
    if (r->n_awaited == 0)
        return true;
    return s->is.runs_ahead && request_samples(r) && r->n_awaited == 1 &&
           r->asked_step == s->step && r->n_tokens + 1 < r->limit &&
           !params_edit_logits(&r->params, request_n_output(r));
}

static void choose_request(struct scheduler *s, struct batch *batch, struct request *request)
{
    if (!beams_are_parted(request)) {
        struct request *first = beam_at(request, 0);
        const int common = beams_common(&s->blocks, request);
        if (first->n_computed < common) {
            choose(s, batch, first, common);
            return;
        }
        beams_part(&s->blocks, request);
    }
    for (int i = 0; i < beams_now(request) && s->choice.tokens_left > 0; i++) {
        struct request *r = beam_at(request, i);
        if (is_ready(s, r))
            choose(s, batch, r, n_tokens_to_come(r));
    }
}

static void choose_running(struct scheduler *s, struct batch *batch)
{
    s->choice.may_preempt = true;
    for (struct request *r = s->running.first; r != NULL && s->choice.tokens_left > 0; r = r->next)
        choose_request(s, batch, r);
}

static void choose_waiting(struct scheduler *s, struct batch *batch)
{
    s->choice.may_preempt = false;
    while (s->choice.tokens_left > 0 && s->choice.prompt_rows_left > 0) {
        struct request *r = queue_admit(s);
        if (r == NULL)
            return;
        choose_request(s, batch, r);
    }
}

/* ---- the batch ---- */

static void add_logits(struct choice *c, struct batch *batch, struct request *r, int n_new)
{
    const int end = r->n_computed + n_new;
    const struct range prompt = prompt_rows(r, r->n_computed, end);
    for (int row = prompt.begin; row < prompt.end; row++)
        batch->row[c->n_logits++] =
            (struct batch_row){.request = r, .position = row + 1, .is_prompt = true};
    r->n_asked = larger(r->n_asked, prompt.end);
    for (int row = larger(r->n_computed, n_tokens_to_come(r) - 1); row < end; row++)
        batch->row[c->n_logits++] = (struct batch_row){.request = r, .position = row + 1};
}

static void add_hidden(struct choice *c, struct batch *batch, struct request *r, int n_new)
{
    const int end = r->n_computed + n_new;
    const int wanted = r->params.pooling == POOLING_MEAN ? r->n_asked : r->n_prompt - 1;
    for (int row = larger(r->n_computed, wanted); row < end; row++)
        batch->hidden[c->n_hidden++] =
            (struct batch_hidden){.request = r, .position = row, .is_last = row + 1 == r->n_prompt};
    r->n_asked = larger(r->n_asked, end);
}

/* A request runs: for the first time? */
static void note_begin(struct batch *batch, struct request *request)
{
    if (!request->has_begun)
        batch->begun[batch->n_begun++] = request->id;
    request->has_begun = true;
}

static void make_rows(struct scheduler *s, struct batch *batch)
{
    struct choice *c = &s->choice;
    batch->n_begun = 0;
    for (int i = 0; i < c->n_sequences; i++) {
        struct request *r = batch->sequence[i];
        const int end = r->n_computed + batch->n_new[i];
        if (request_pools(r))
            add_hidden(c, batch, r, batch->n_new[i]);
        else
            add_logits(c, batch, r, batch->n_new[i]);
        c->n_tokens += batch->n_new[i];
        c->n_blocks += blocks_of(&s->blocks, end);
        if (end >= n_tokens_to_come(r)) {
            r->n_awaited++;
            if (r->leader->beams != NULL)
                beam_await(r);
        }
        r->leader->n_in_flight++;
        note_begin(batch, r->leader);
    }
}

bool scheduler_choose(struct scheduler *s, struct batch *batch)
{
    scheduler_begin_call(s);
    const struct plan_limits *limits = &s->is.limits;
    s->choice = (struct choice){.tokens_left = limits->max_tokens,
                                .logits_left = limits->max_logits,
                                .draft_tokens_left = limits->max_tokens + limits->max_sequences};
    flights_share(s, &s->choice);
    choose_running(s, batch);
    choose_waiting(s, batch);
    drafts_choose(s, batch);
    make_rows(s, batch);
    batch->n_sequences = s->choice.n_sequences;
    batch->n_copies = s->choice.n_copies;
    batch->n_prompt_rows = s->choice.n_prompt_rows;
    s->is_choosing = batch->n_sequences > 0;
    return s->is_choosing;
}
