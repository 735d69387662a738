/* A step is planned in two passes: who runs and with how many tokens, then the bytes of the plan,
 * whose sections have their sizes by then.
 *
 * Not here: what a block id stands for (forward/), which token a row gives (sample/), and when a
 * sequence ends (request/). */
#include "runtime/schedule/scheduler.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule/block_pool.h"

#include <string.h>

enum { ID_BUCKETS = 4096 }; /* a power of two */

struct request_list {
    struct request *first, *last;
    int n;
};

/* Who runs, so far. */
struct choice {
    int n_sequences, n_tokens, n_blocks, n_logits;
    int budget; /* tokens left in this step */
};

struct scheduler {
    struct plan_limits limits;
    struct choice choice; /* of the batch that was chosen last */
    struct request_bounds bounds;
    int max_requests;
    struct request_list waiting, running; /* in order of arrival, of admission */
    struct block_pool pool;
    uint64_t step;          /* of the last plan */
    int32_t *eos_id;        /* behind bounds.eos_id */
    struct request **by_id; /* [ID_BUCKETS] chains of waiting and running requests */
};

/* ---- lists ---- */

static void list_push(struct request_list *list, struct request *request)
{
    request->previous = list->last;
    request->next = NULL;
    if (list->last != NULL)
        list->last->next = request;
    else
        list->first = request;
    list->last = request;
    list->n++;
}

static void list_remove(struct request_list *list, struct request *request)
{
    if (request->previous != NULL)
        request->previous->next = request->next;
    else
        list->first = request->next;
    if (request->next != NULL)
        request->next->previous = request->previous;
    else
        list->last = request->previous;
    request->previous = request->next = NULL;
    list->n--;
}

/* The place that points to the request of this id, or where one would be added. */
static struct request **find_by_id(const struct scheduler *s, uint64_t id)
{
    struct request **at = &s->by_id[(id ^ id >> 32) & (ID_BUCKETS - 1)];
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next_by_id;
    return at;
}

/* ---- life ---- */

void batch_init(struct batch *batch, const struct plan_limits *limits)
{
    const size_t n_sequences = (size_t)limits->max_sequences;
    *batch = (struct batch){
        .plan = memory_alloc(1, plan_max_bytes(limits)),
        .sequence = memory_alloc(n_sequences, sizeof(struct request *)),
        .n_new = memory_alloc(n_sequences, sizeof *batch->n_new),
        .n_drafts = memory_alloc(n_sequences, sizeof *batch->n_drafts),
        .row = memory_alloc((size_t)limits->max_logits, sizeof *batch->row),
        .hidden = memory_alloc((size_t)limits->max_tokens, sizeof *batch->hidden),
        .copy = memory_alloc(2 * (size_t)limits->max_copies, sizeof *batch->copy),
    };
}

void batch_release(struct batch *batch)
{
    memory_free(batch->plan);
    memory_free(batch->sequence);
    memory_free(batch->n_new);
    memory_free(batch->n_drafts);
    memory_free(batch->row);
    memory_free(batch->hidden);
    memory_free(batch->copy);
    *batch = (struct batch){0};
}

void scheduler_create(struct scheduler **out, const struct scheduler_settings *settings)
{
    const struct plan_limits *limits = &settings->limits;
    const size_t n_eos_ids = (size_t)settings->n_eos_ids;
    check(limits->max_tokens > 0 && limits->max_sequences > 0 && limits->block_tokens > 0 &&
          limits->max_model_len > 0 && limits->max_logits >= limits->max_sequences);
    struct scheduler *s = memory_alloc(1, sizeof *s);
    s->limits = *limits;
    s->max_requests = settings->max_requests;
    s->eos_id = memory_alloc(n_eos_ids, sizeof *s->eos_id);
    if (n_eos_ids > 0)
        memcpy(s->eos_id, settings->eos_id, n_eos_ids * sizeof *s->eos_id);
    s->bounds = (struct request_bounds){.max_model_len = limits->max_model_len,
                                        .block_tokens = limits->block_tokens,
                                        .vocab = limits->vocab,
                                        .eos_id = s->eos_id,
                                        .n_eos_ids = settings->n_eos_ids};
    s->by_id = memory_alloc(ID_BUCKETS, sizeof(struct request *));
    block_pool_init(&s->pool, limits->n_kv_blocks);
    *out = s;
}

static void list_destroy(struct request_list *list)
{
    while (list->first != NULL) {
        struct request *request = list->first;
        list_remove(list, request);
        request_destroy(request);
    }
}

void scheduler_destroy(struct scheduler *s)
{
    if (s == NULL)
        return;
    list_destroy(&s->waiting);
    list_destroy(&s->running);
    block_pool_release(&s->pool);
    memory_free(s->eos_id);
    memory_free(s->by_id);
    memory_free(s);
}

struct scheduler_counts scheduler_counts(const struct scheduler *s)
{
    return (struct scheduler_counts){.n_waiting = s->waiting.n,
                                     .n_running = s->running.n,
                                     .n_blocks = s->pool.n_blocks,
                                     .n_free_blocks = s->pool.n_free};
}

/* ---- requests come and go ---- */

bool scheduler_submit(struct scheduler *s, const struct request_source *source, struct error *err)
{
    struct request **place = find_by_id(s, source->id);
    if (*place != NULL)
        return error_set(err, ERROR_INPUT, "request id %llu is in use",
                         (unsigned long long)source->id);
    if (s->waiting.n + s->running.n >= s->max_requests)
        return error_set(err, ERROR_LIMIT, "%d requests wait or run, more are not taken",
                         s->max_requests);
    struct request *request = NULL;
    if (!request_create(&request, source, &s->bounds, err))
        return false;
    if (request->n_blocks_limit > s->pool.n_blocks) {
        error_set(err, ERROR_INPUT,
                  "prompt and max_tokens make %d tokens, and the KV cache has room for %lld: "
                  "ask for less, or give the server more --kv-cache-memory-bytes",
                  request->limit, (long long)s->pool.n_blocks * s->limits.block_tokens);
        request_destroy(request);
        return false;
    }
    *place = request;
    list_push(&s->waiting, request);
    return true;
}

/* Frees what a request holds, once no plan in flight has rows of it. */
static void drop(struct scheduler *s, struct request *request)
{
    if (request->n_in_flight > 0)
        return;
    block_pool_give(&s->pool, request->block, request->n_blocks);
    request_destroy(request);
}

/* Takes a request out of everything but the plans in flight. */
static void finish(struct scheduler *s, struct request *request)
{
    struct request **place = find_by_id(s, request->id);
    check(*place == request);
    *place = request->next_by_id;
    list_remove(request->state == REQUEST_RUNNING ? &s->running : &s->waiting, request);
    request->state = REQUEST_FINISHED;
}

bool scheduler_cancel(struct scheduler *s, uint64_t id)
{
    struct request *request = *find_by_id(s, id);
    if (request == NULL)
        return false;
    finish(s, request);
    drop(s, request);
    return true;
}

/* ---- plan ---- */

static int blocks_of(const struct scheduler *s, int positions)
{
    return (positions + s->limits.block_tokens - 1) / s->limits.block_tokens;
}

static void choose(const struct scheduler *s, struct batch *batch, struct choice *c,
                   struct request *request)
{
    const int wanted = request->n_tokens - request->n_computed;
    const int n_new = wanted < c->budget ? wanted : c->budget;
    check(n_new > 0 && c->n_sequences < s->limits.max_sequences);
    batch->sequence[c->n_sequences] = request;
    batch->n_new[c->n_sequences] = n_new;
    c->n_sequences++;
    c->n_tokens += n_new;
    c->budget -= n_new;
    c->n_blocks += blocks_of(s, request->n_computed + n_new);
    if (n_new == wanted) {
        batch->row[c->n_logits++] =
            (struct batch_row){.request = request, .position = request->n_tokens};
        request->awaits_token = true;
    }
}

static void choose_running(const struct scheduler *s, struct batch *batch, struct choice *c)
{
    for (struct request *r = s->running.first; r != NULL && c->budget > 0; r = r->next)
        if (!r->awaits_token)
            choose(s, batch, c, r);
}

static bool admit_first(struct scheduler *s)
{
    struct request *request = s->waiting.first;
    if (request == NULL || s->running.n == s->limits.max_sequences ||
        !block_pool_take(&s->pool, request->n_blocks_limit, request->block))
        return false;
    request->n_blocks = request->n_blocks_limit;
    list_remove(&s->waiting, request);
    request->state = REQUEST_RUNNING;
    list_push(&s->running, request);
    return true;
}

static void choose_waiting(struct scheduler *s, struct batch *batch, struct choice *c)
{
    while (c->budget > 0 && admit_first(s))
        choose(s, batch, c, s->running.last);
}

void scheduler_write(struct scheduler *s, struct batch *batch)
{
    const struct choice *c = &s->choice;
    struct step_plan *plan = batch->plan;
    const size_t n = (size_t)c->n_sequences;
    plan_begin(plan, ++s->step);
    plan->n_tokens = c->n_tokens;
    plan->n_sequences = c->n_sequences;
    plan->n_blocks = c->n_blocks;
    plan->n_logits = c->n_logits;
    int32_t *token = plan_add(plan, PLAN_TOKEN, (size_t)c->n_tokens * sizeof *token);
    int32_t *first_row = plan_add(plan, PLAN_FIRST_ROW, (n + 1) * sizeof *first_row);
    int32_t *n_computed = plan_add(plan, PLAN_N_COMPUTED, n * sizeof *n_computed);
    int32_t *first_block = plan_add(plan, PLAN_FIRST_BLOCK, (n + 1) * sizeof *first_block);
    int32_t *block = plan_add(plan, PLAN_BLOCK, (size_t)c->n_blocks * sizeof *block);
    int32_t *logits_row = plan_add(plan, PLAN_LOGITS_ROW, (size_t)c->n_logits * sizeof *logits_row);

    int n_logits = 0;
    for (int i = 0; i < c->n_sequences; i++) {
        struct request *r = batch->sequence[i];
        const int n_new = batch->n_new[i];
        const int n_blocks = blocks_of(s, r->n_computed + n_new);
        check(n_blocks <= r->n_blocks);
        memcpy(token + first_row[i], r->token + r->n_computed, (size_t)n_new * sizeof *token);
        memcpy(block + first_block[i], r->block, (size_t)n_blocks * sizeof *block);
        n_computed[i] = r->n_computed;
        first_row[i + 1] = first_row[i] + n_new;
        first_block[i + 1] = first_block[i] + n_blocks;
        r->n_computed += n_new;
        r->n_in_flight++;
        if (n_logits < c->n_logits && batch->row[n_logits].request == r)
            logits_row[n_logits++] = first_row[i + 1] - 1;
    }
    check(n_logits == c->n_logits);
}

bool scheduler_choose(struct scheduler *s, struct batch *batch)
{
    s->choice = (struct choice){.budget = s->limits.max_tokens};
    choose_running(s, batch, &s->choice);
    choose_waiting(s, batch, &s->choice);
    batch->n_sequences = s->choice.n_sequences;
    return s->choice.n_sequences > 0;
}

void scheduler_write_stop(struct scheduler *s, struct batch *batch)
{
    plan_begin(batch->plan, ++s->step);
    plan_add(batch->plan, PLAN_STOP, 0);
}

/* ---- commit ---- */

static struct outcome take_token(struct scheduler *s, struct request *request, int32_t token)
{
    struct outcome outcome = {.token = token, .stop_token = -1};
    request->awaits_token = false;
    if (request->state == REQUEST_FINISHED)
        return outcome; /* cancelled while it was computed */
    outcome.id = request->id;
    outcome.finish =
        token < 0 ? FINISH_ERROR : request_append(request, token, &s->bounds, &outcome.stop_token);
    if (outcome.finish != FINISH_NONE)
        finish(s, request);
    return outcome;
}

void scheduler_commit(struct scheduler *s, struct batch *batch, const struct row_result *result,
                      struct outcome *outcome)
{
    for (int i = 0; i < batch->plan->n_logits; i++)
        outcome[i] = take_token(s, batch->row[i].request, result[i].token);
    for (int i = 0; i < batch->plan->n_sequences; i++) {
        struct request *request = batch->sequence[i];
        request->n_in_flight--;
        if (request->state == REQUEST_FINISHED)
            drop(s, request);
    }
}
