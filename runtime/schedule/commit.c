/* Tokens become part of their requests. A request may have been cancelled or preempted while they
 * were computed: the first gets them no more, the second still does. The same where a token ends a
 * request whose next row is in a plan already: what that row gives is not looked at. */
#include "runtime/schedule/scheduler_state.h"

static struct outcome take_token(struct scheduler *s, struct request *r, int32_t token)
{
    struct outcome outcome = {.id = r->id,
                              .token = token,
                              .stop_token = -1,
                              .cached_tokens = r->n_cached,
                              .n_drafted = r->n_drafted,
                              .n_accepted = r->n_accepted};
    r->n_cached = 0; /* told once */
    outcome.finish =
        token < 0 ? FINISH_ERROR : request_append(r, token, &s->bounds, &outcome.stop_token);
    if (outcome.finish != FINISH_NONE)
        scheduler_finish(s, r);
    return outcome;
}

/* Is the draft that this row was followed by what the row gave? Then the next row counts too. */
static bool is_right(struct scheduler *s, const struct batch_row *row, int32_t token)
{
    struct request *r = row->request;
    if (r->token[row->position] != token)
        return false;
    r->n_accepted++;
    s->counts.n_accepted++;
    return true;
}

static struct outcome take_candidates(struct scheduler *s, struct request *r,
                                      const struct row_result *result)
{
    struct request *request = r->leader;
    struct outcome outcome = {.stop_token = -1};
    if (result->token < 0)
        outcome.finish = FINISH_ERROR;
    else if (!beam_report(&s->blocks, r, result, &s->bounds, &outcome))
        return outcome;
    outcome.id = request->id;
    outcome.token = -1;
    outcome.cached_tokens = request->n_cached;
    scheduler_finish(s, request);
    request->shows_beams = s->shows_beams = true;
    return outcome;
}

static void commit_logits(struct scheduler *s, const struct batch *batch,
                          const struct row_result *result, struct outcome *outcome)
{
    const struct request *astray = NULL; /* a draft of it was wrong, so are its next rows */
    const int n = batch->plan->n_logits;
    for (int i = 0; i < n; i++) {
        const struct batch_row *row = &batch->row[i];
        struct request *r = row->request;
        outcome[i] = (struct outcome){.stop_token = -1};
        if (r->leader->state == REQUEST_FINISHED || r == astray)
            continue;
        if (r->leader->beams != NULL) {
            outcome[i] = take_candidates(s, r, &result[i]);
            continue;
        }
        if (row->is_prompt) {
            outcome[i].id = r->id;
            outcome[i].token = r->token[row->position];
            continue;
        }
        const bool has_draft = i + 1 < n && batch->row[i + 1].request == r;
        if (has_draft && !is_right(s, row, result[i].token))
            astray = r;
        outcome[i] = take_token(s, r, result[i].token);
    }
}

static void commit_hidden(struct scheduler *s, const struct batch *batch)
{
    for (int i = 0; i < batch->plan->n_hidden; i++) {
        struct request *r = batch->hidden[i].request;
        if (batch->hidden[i].is_last && r->state != REQUEST_FINISHED)
            scheduler_finish(s, r);
    }
}

/* The last token is not in the cache, but where a plan has run ahead, and neither is what came
 * after a wrong draft. */
static void roll_back(struct request *r)
{
    r->n_awaited--;
    const int most = r->n_tokens + r->n_awaited - 1;
    r->n_computed = smaller(r->n_computed, most);
    r->n_draft_computed = smaller(r->n_draft_computed, most);
}

/* The last row of a sequence that samples: there are others before it where drafts were checked. */
static bool is_last_row(const struct batch *batch, int i)
{
    const struct batch_row *row = &batch->row[i];
    return !row->is_prompt && row->request->leader->beams == NULL &&
           (i + 1 == batch->plan->n_logits || batch->row[i + 1].request != row->request);
}

void scheduler_commit(struct scheduler *s, struct batch *batch, const struct row_result *result,
                      struct outcome *outcome)
{
    const int n_logits = batch->plan->n_logits;
    scheduler_begin_call(s);
    s->n_prompt_rows_in_flight -= batch->n_prompt_rows;
    for (int i = 0; i < batch->n_sequences; i++) {
        batch->sequence[i]->n_drafted += batch->n_drafts[i];
        s->counts.n_drafted += (uint64_t)batch->n_drafts[i];
    }
    commit_logits(s, batch, result, outcome);
    commit_hidden(s, batch);
    for (int i = 0; i < n_logits; i++)
        if (is_last_row(batch, i))
            roll_back(batch->row[i].request);
    for (int i = 0; i < batch->n_sequences; i++) {
        struct request *request = batch->sequence[i]->leader;
        request->n_in_flight--;
        scheduler_drop(s, request);
    }
}
