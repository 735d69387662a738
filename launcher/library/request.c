/* A request from its making to its release, and the list of those whose end is to be told. */
#include "base/check.h"
#include "launcher/library/library.h"

#include <math.h>

struct phalanx_request *request_new(struct phalanx_model *model)
{
    struct phalanx_request *r = memory_alloc(1, sizeof *r);
    *r = (struct phalanx_request){.model = model, .next = model->first};
    if (model->first != NULL)
        model->first->previous = r;
    model->first = r;
    return r;
}

static void release_rows(struct library_rows *rows)
{
    memory_free(rows->entry);
    ids_release(&rows->end);
}

void request_free(struct phalanx_request *r)
{
    request_be_told(r);
    *(r->previous != NULL ? &r->previous->next : &r->model->first) = r->next;
    if (r->next != NULL)
        r->next->previous = r->previous;
    for (int i = 0; i < r->n_choices; i++) {
        bytes_release(&r->choice[i].text);
        ids_release(&r->choice[i].token);
        release_rows(&r->choice[i].logprobs);
    }
    release_rows(&r->prompt_logprobs);
    ids_release(&r->prompt);
    memory_free(r->choice);
    memory_free(r->value);
    arena_release(&r->arena);
    memory_free(r);
}

void request_be_open(struct phalanx_request *r, int n_choices, const struct bytes *echo)
{
    r->n_choices = n_choices;
    r->choice = memory_alloc((size_t)n_choices, sizeof *r->choice);
    for (int i = 0; i < n_choices; i++) {
        struct library_choice *choice = &r->choice[i];
        *choice = (struct library_choice){
            .n_echo = echo->len, .stop_token = -1, .cumulative_logprob = NAN, .score = NAN};
        bytes_add(&choice->text, echo->data, echo->len);
    }
    r->model->n_open++;
}

void request_be_done(struct phalanx_request *r)
{
    struct phalanx_model *model = r->model;
    r->generate = NULL;
    r->pool = NULL;
    model->n_open--;
    if (r->is_released)
        return;
    r->is_listed = true;
    r->done_previous = model->last_done;
    *(model->last_done != NULL ? &model->last_done->done_next : &model->first_done) = r;
    model->last_done = r;
}

void request_be_told(struct phalanx_request *r)
{
    struct phalanx_model *model = r->model;
    if (!r->is_listed)
        return;
    r->is_listed = false;
    *(r->done_previous != NULL ? &r->done_previous->done_next : &model->first_done) = r->done_next;
    *(r->done_next != NULL ? &r->done_next->done_previous : &model->last_done) = r->done_previous;
    r->done_previous = r->done_next = NULL;
}

/* ---- what is not wanted any more ---- */

void phalanx_cancel(struct phalanx_request *r)
{
    if (r == NULL || !model_is_ours(r->model))
        return;
    r->is_unwanted = true;
    if (phalanx_is_done(r))
        return;
    if (r->model->is_running) { /* answers are being looked at, maybe this one: after them */
        r->model->any_unwanted = true;
        return;
    }
    if (r->generate != NULL) {
        answer_take_usage(r, r->generate);
        generate_cancel(r->generate);
    } else {
        pool_cancel(r->pool);
    }
    answer_abort(r);
    request_be_done(r);
}

void phalanx_release(struct phalanx_request *r)
{
    if (r == NULL || !model_is_ours(r->model))
        return;
    phalanx_cancel(r);
    if (!r->model->is_running) {
        request_free(r);
        return;
    }
    r->is_released = r->model->any_unwanted = true;
    request_be_told(r);
}

void requests_end_unwanted(struct phalanx_model *model)
{
    struct phalanx_request *next;
    if (!model->any_unwanted)
        return;
    model->any_unwanted = false;
    for (struct phalanx_request *r = model->first; r != NULL; r = next) {
        next = r->next;
        if (r->is_unwanted)
            phalanx_cancel(r);
        if (r->is_released && !r->is_awaited)
            request_free(r);
    }
}

void *phalanx_context(const struct phalanx_request *r) { return r != NULL ? r->context : NULL; }

void phalanx_set_context(struct phalanx_request *r, void *context)
{
    if (r != NULL)
        r->context = context;
}
