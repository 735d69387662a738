/* Tokens become part of their requests. A request may have been cancelled or preempted while they
 * were computed: the first gets them no more, the second still does. */
#include "runtime/schedule/scheduler_state.h"

static struct outcome take_token(struct scheduler *s, struct request *r, int32_t token)
{
    struct outcome outcome = {.id = r->id, .token = token, .stop_token = -1};
    outcome.cached_tokens = r->n_cached;
    r->n_cached = 0; /* told once */
    outcome.finish =
        token < 0 ? FINISH_ERROR : request_append(r, token, &s->bounds, &outcome.stop_token);
    if (outcome.finish != FINISH_NONE)
        scheduler_finish(s, r);
    return outcome;
}

static struct outcome commit_row(struct scheduler *s, const struct batch_row *row,
                                 const struct row_result *result)
{
    struct request *r = row->request;
    if (r->state == REQUEST_FINISHED)
        return (struct outcome){.stop_token = -1};
    if (row->is_prompt)
        return (struct outcome){.id = r->id, .token = r->token[row->position], .stop_token = -1};
    r->awaits_token = false;
    return take_token(s, r, result->token);
}

void scheduler_commit(struct scheduler *s, struct batch *batch, const struct row_result *result,
                      struct outcome *outcome)
{
    for (int i = 0; i < batch->plan->n_logits; i++)
        outcome[i] = commit_row(s, &batch->row[i], &result[i]);
    for (int i = 0; i < batch->plan->n_hidden; i++) {
        struct request *r = batch->hidden[i].request;
        if (batch->hidden[i].is_last && r->state != REQUEST_FINISHED)
            scheduler_finish(s, r);
    }
    for (int i = 0; i < batch->n_sequences; i++) {
        batch->sequence[i]->n_in_flight--;
        scheduler_drop(s, batch->sequence[i]);
    }
}
