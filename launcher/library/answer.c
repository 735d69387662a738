/* What is kept of an answer: taken as it comes, looked at whenever. */
#include "base/check.h"
#include "launcher/library/library.h"
#include "runtime/gateway/token_rows.h"

#include <math.h>
#include <string.h>

/* ---- log-probabilities ---- */

static void add_entry(struct library_rows *rows, const struct phalanx_logprob *entry)
{
    if (rows->n_entries == rows->capacity) {
        rows->capacity = 2 * rows->capacity + 8;
        rows->entry = memory_resize(rows->entry, rows->capacity, sizeof *rows->entry);
    }
    rows->entry[rows->n_entries++] = *entry;
}

/* One row: the token itself is among the best, too, and is there once. */
static void add_row(struct phalanx_request *r, struct library_rows *rows,
                    const struct link_logprob *from, int32_t n)
{
    const struct tokenizer *tokenizer = r->model->service.session.intake.tokenizer;
    for (int32_t i = 0; i < n; i++) {
        if (i > 0 && from[i].token == from[0].token)
            continue;
        const struct json_text text = token_text(&r->arena, tokenizer, from[i].token, false);
        add_entry(rows, &(struct phalanx_logprob){.token = from[i].token,
                                                  .rank = from[i].rank,
                                                  .logprob = from[i].logprob,
                                                  .text = text.data,
                                                  .n_bytes = text.n_bytes});
    }
    ids_add(&rows->end, (int32_t)rows->n_entries);
}

/* The rows that are new. */
static void take_rows(struct phalanx_request *r, struct library_rows *rows,
                      const struct logprob_rows *from)
{
    for (; rows->n_taken < from->end.n; rows->n_taken++) {
        const int32_t begin = rows->n_taken > 0 ? from->end.data[rows->n_taken - 1] : 0;
        add_row(r, rows, from->entry + begin, from->end.data[rows->n_taken] - begin);
    }
}

static const struct phalanx_logprob *row_of(const struct library_rows *rows, size_t index,
                                            size_t *n)
{
    const size_t begin = index > 0 && index < rows->end.n ? (size_t)rows->end.data[index - 1] : 0;
    const size_t count = index < rows->end.n ? (size_t)rows->end.data[index] - begin : 0;
    if (n != NULL)
        *n = count;
    return count > 0 ? rows->entry + begin : NULL;
}

/* ---- what comes ---- */

static void take_numbers(struct phalanx_request *r, struct library_choice *choice,
                         const struct output *output)
{
    ids_add_all(&choice->token, output->tokens.data + choice->token.n,
                output->tokens.n - choice->token.n);
    if (r->has_logprobs) {
        take_rows(r, &choice->logprobs, &output->logprobs);
        choice->cumulative_logprob = output->cumulative_logprob;
    }
    if (r->is_beam && output->finish != FINISH_NONE) {
        choice->cumulative_logprob = output->cumulative_logprob;
        choice->score = output->score;
    }
    choice->finish = finish_reason_name(output->finish);
    choice->stop_token = output->stop_text == NULL ? output->stop_token : -1;
    if (output->stop_text != NULL && choice->stop_text == NULL)
        choice->stop_text =
            arena_copy_text(&r->arena, output->stop_text, strlen(output->stop_text));
}

/* Tells what is new of the text, or that a token came without. */
static void tell(struct phalanx_request *r, int i)
{
    struct library_choice *choice = &r->choice[i];
    const size_t begin = choice->n_told;
    choice->n_told = choice->text.len;
    if (r->on_text == NULL)
        return;
    const char *text = choice->text.len > 0 ? choice->text.data + begin : "";
    const locale_t ours = uselocale(r->model->theirs);
    const bool is_wanted = r->on_text(r->context, r, i, text, choice->text.len - begin);
    r->model->theirs = uselocale(ours); /* it may have set another one */
    if (!is_wanted)
        phalanx_cancel(r);
}

/* What is new of a choice; of a beam all of it comes at its end. False: it is not wanted, and
 * nothing was taken: an answer that is cancelled is what its text function has seen. */
static bool take_choice(struct phalanx_request *r, const struct generate_call *call, int i,
                        size_t n_text)
{
    if (r->is_unwanted)
        return false;
    const struct output *output = generate_output(call, 0, i);
    struct library_choice *choice = &r->choice[i];
    const size_t n_tokens = choice->token.n, n_had = choice->text.len - choice->n_echo;
    const bool went_on = choice->finish == NULL;
    take_rows(r, &r->prompt_logprobs, &generate_output(call, 0, 0)->prompt);
    take_numbers(r, choice, output);
    if (n_text > n_had)
        bytes_add(&choice->text, output->text.data + n_had, n_text - n_had);
    if (n_text > n_had || choice->token.n > n_tokens || (went_on && choice->finish != NULL))
        tell(r, i);
    return !r->is_unwanted;
}

void answer_take_usage(struct phalanx_request *r, const struct generate_call *call)
{
    r->usage = generate_usage(call);
    r->n_drafted = r->n_accepted = 0;
    for (int i = 0; i < generate_choices(call); i++) {
        r->n_drafted += generate_output(call, 0, i)->n_drafted;
        r->n_accepted += generate_output(call, 0, i)->n_accepted;
    }
}

void answer_abort(struct phalanx_request *r)
{
    for (int i = 0; i < r->n_choices; i++)
        if (r->choice[i].finish == NULL)
            r->choice[i].finish = finish_reason_name(FINISH_ABORT);
}

static bool on_progress(void *context, struct generate_call *call, int prompt, int choice)
{
    check(prompt == 0);
    return take_choice(context, call, choice, generate_output(call, 0, choice)->n_released);
}

static void on_done(void *context, struct generate_call *call)
{
    struct phalanx_request *r = context;
    answer_take_usage(r, call);
    for (int i = 0; i < r->n_choices; i++)
        take_choice(r, call, i, generate_output(call, 0, i)->text.len);
    answer_abort(r);
    request_be_done(r);
}

/* Each choice that has not ended is told of it: who reads a stream may wait for that. */
static void fail(struct phalanx_request *r, const struct error *why)
{
    r->failure = *why;
    for (int i = 0; i < r->n_choices && !r->is_unwanted; i++) {
        if (r->choice[i].finish != NULL)
            continue;
        r->choice[i].finish = finish_reason_name(FINISH_ERROR);
        tell(r, i);
    }
}

static void on_failed(void *context, struct generate_call *call, const struct error *why)
{
    struct phalanx_request *r = context;
    answer_take_usage(r, call);
    if (!r->is_unwanted)
        fail(r, why);
    answer_abort(r);
    request_be_done(r);
}

const struct generate_listener answer_listener = {
    .progress = on_progress, .done = on_done, .failed = on_failed};

static void on_values(void *context, struct pool_call *call)
{
    struct phalanx_request *r = context;
    const struct pool_result result = pool_result(call, 0);
    r->n_values = (size_t)result.n_values;
    r->value = memory_alloc(r->n_values, sizeof *r->value);
    memcpy(r->value, result.value, r->n_values * sizeof *r->value);
    r->usage = pool_usage(call);
    request_be_done(r);
}

static void on_no_values(void *context, struct pool_call *call, const struct error *why)
{
    struct phalanx_request *r = context;
    (void)call;
    r->failure = *why;
    request_be_done(r);
}

const struct pool_listener answer_values_listener = {.done = on_values, .failed = on_no_values};

/* ---- what there is ---- */

int phalanx_choices(const struct phalanx_request *r) { return r != NULL ? r->n_choices : 0; }

static const struct library_choice *choice_of(const struct phalanx_request *r, int i)
{
    static const struct library_choice none = {
        .stop_token = -1, .cumulative_logprob = NAN, .score = NAN};
    return i >= 0 && i < phalanx_choices(r) ? &r->choice[i] : &none;
}

static const int32_t *give(const struct ids *ids, size_t *n)
{
    if (n != NULL)
        *n = ids->n;
    return ids->data;
}

const char *phalanx_text(const struct phalanx_request *r, int choice, size_t *n_bytes)
{
    const struct bytes *text = &choice_of(r, choice)->text;
    if (n_bytes != NULL)
        *n_bytes = text->len;
    return text->data != NULL ? text->data : "";
}

const int32_t *phalanx_tokens(const struct phalanx_request *r, int choice, size_t *n)
{
    return give(&choice_of(r, choice)->token, n);
}

const int32_t *phalanx_prompt_tokens(const struct phalanx_request *r, size_t *n)
{
    static const struct ids none;
    return give(r != NULL ? &r->prompt : &none, n);
}

const char *phalanx_finish_reason(const struct phalanx_request *r, int choice)
{
    return choice_of(r, choice)->finish;
}

const char *phalanx_stop_text(const struct phalanx_request *r, int choice)
{
    return choice_of(r, choice)->stop_text;
}

int32_t phalanx_stop_token(const struct phalanx_request *r, int choice)
{
    return choice_of(r, choice)->stop_token;
}

const struct phalanx_logprob *phalanx_logprobs(const struct phalanx_request *r, int choice,
                                               size_t index, size_t *n)
{
    return row_of(&choice_of(r, choice)->logprobs, index, n);
}

/* Before the first row there would be that of the first token, which has none. */
const struct phalanx_logprob *phalanx_prompt_logprobs(const struct phalanx_request *r, size_t index,
                                                      size_t *n)
{
    static const struct library_rows none;
    return row_of(r != NULL && index > 0 ? &r->prompt_logprobs : &none, index - 1, n);
}

double phalanx_cumulative_logprob(const struct phalanx_request *r, int choice)
{
    return choice_of(r, choice)->cumulative_logprob;
}

double phalanx_beam_score(const struct phalanx_request *r, int choice)
{
    return choice_of(r, choice)->score;
}

uint64_t phalanx_seed(const struct phalanx_request *r) { return r != NULL ? r->seed : 0; }

const float *phalanx_values(const struct phalanx_request *r, size_t *n)
{
    if (n != NULL)
        *n = r != NULL ? r->n_values : 0;
    return r != NULL ? r->value : NULL;
}

int64_t phalanx_usage(const struct phalanx_request *r, enum phalanx_count count)
{
    if (r == NULL)
        return -1;
    switch (count) {
    case PHALANX_PROMPT_TOKENS:
        return r->usage.prompt_tokens;
    case PHALANX_COMPLETION_TOKENS:
        return r->usage.completion_tokens;
    case PHALANX_CACHED_TOKENS:
        return r->usage.cached_tokens;
    case PHALANX_DRAFTED_TOKENS:
        return r->n_drafted;
    case PHALANX_ACCEPTED_TOKENS:
        return r->n_accepted;
    }
    return -1;
}
