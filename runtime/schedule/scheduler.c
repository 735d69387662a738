/* Requests come and go. Not here: what a block id stands for (forward/), which token a row gives
 * (sample/), and when a sequence ends (request/). */
#include "runtime/schedule/scheduler.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule/scheduler_state.h"

#include <string.h>

enum { ID_BUCKETS = 4096 }; /* a power of two */

/* ---- lists ---- */

void request_list_insert(struct request_list *list, struct request *before, struct request *request)
{
    request->previous = before;
    request->next = before == NULL ? list->first : before->next;
    if (request->previous != NULL)
        request->previous->next = request;
    else
        list->first = request;
    if (request->next != NULL)
        request->next->previous = request;
    else
        list->last = request;
    list->n++;
}

void request_list_remove(struct request_list *list, struct request *request)
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

void scheduler_free(struct request *request)
{
    beam_group_destroy(request->beams);
    request_destroy(request);
}

static void list_destroy(struct request_list *list)
{
    while (list->first != NULL) {
        struct request *request = list->first;
        request_list_remove(list, request);
        scheduler_free(request);
    }
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
        .begun = memory_alloc(n_sequences, sizeof *batch->begun),
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
    memory_free(batch->begun);
    *batch = (struct batch){0};
}

void scheduler_create(struct scheduler **out, const struct scheduler_settings *settings)
{
    const struct plan_limits *limits = &settings->limits;
    const size_t n_eos_ids = (size_t)settings->n_eos_ids;
    check(limits->max_tokens > 0 && limits->max_sequences > 0 && limits->block_tokens > 0 &&
          limits->max_model_len > 0 && limits->max_logits >= limits->max_sequences &&
          limits->n_kv_groups > 0 && limits->n_kv_groups <= KV_MAX_GROUPS &&
          (limits->max_copies == 0 || limits->max_copies >= limits->n_kv_groups));
    check(!settings->runs_ahead || (settings->picks_afar && settings->drafter == DRAFTER_NONE));
    struct scheduler *s = memory_alloc(1, sizeof *s);
    s->is = *settings;
    s->eos_id = memory_alloc(n_eos_ids, sizeof *s->eos_id);
    if (n_eos_ids > 0)
        memcpy(s->eos_id, settings->eos_id, n_eos_ids * sizeof *s->eos_id);
    s->is.eos_id = s->eos_id;
    s->bounds = (struct request_bounds){.max_model_len = limits->max_model_len,
                                        .block_tokens = limits->block_tokens,
                                        .n_kv_groups = limits->n_kv_groups,
                                        .hidden_size = settings->hidden_size,
                                        .vocab = limits->vocab,
                                        .eos_id = s->eos_id,
                                        .n_eos_ids = settings->n_eos_ids};
    s->by_id = memory_alloc(ID_BUCKETS, sizeof(struct request *));
    sequence_blocks_init(&s->blocks, limits, settings->prefix_caching ? settings->secret : NULL);
    s->blocks.fills_at_once = settings->whole_prompts;
    queue_init(s);
    *out = s;
}

void scheduler_destroy(struct scheduler *s)
{
    if (s == NULL)
        return;
    queue_release(s);
    list_destroy(&s->running);
    list_destroy(&s->ended);
    sequence_blocks_release(&s->blocks);
    memory_free(s->eos_id);
    memory_free(s->by_id);
    memory_free(s);
}

struct scheduler_counts scheduler_counts(const struct scheduler *s)
{
    struct scheduler_counts counts = s->counts;
    counts.n_plans = s->step;
    counts.n_waiting = s->waiting.n;
    counts.n_running = s->running.n;
    counts.n_blocks = s->blocks.pool.n_blocks;
    counts.n_free_blocks = s->blocks.pool.n_free;
    return counts;
}

/* ---- requests come and go ---- */

/* The place that points to the request of this id, or where one would be added. */
static struct request **find_by_id(const struct scheduler *s, uint64_t id)
{
    struct request **at = &s->by_id[(id ^ id >> 32) & (ID_BUCKETS - 1)];
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next_by_id;
    return at;
}

/* Could it run if it were alone? */
static bool check_fit(const struct scheduler *s, const struct request *request, struct error *err)
{
    const int width = request->params.beam_width;
    if (width > s->is.limits.max_sequences)
        return error_set(err, ERROR_INPUT,
                         "beam_width must be at most %d, as many sequences run at once "
                         "(--max-num-seqs), got %d",
                         s->is.limits.max_sequences, width);
    if (width > 0 && s->is.limits.max_copies == 0)
        return error_set(err, ERROR_UNSUPPORTED, "this engine has no beam search");
    const int64_t needed = beams_need(&s->blocks, request, request->limit, width > 0 ? width : 1);
    if (needed <= s->blocks.pool.n_blocks)
        return true;
    return error_set(
        err, ERROR_INPUT,
        "prompt and max_tokens make %d tokens, which need %lld blocks of the KV cache, "
        "and it has %d: ask for less, or give the server more "
        "--kv-cache-memory-bytes",
        request->limit, (long long)needed, s->blocks.pool.n_blocks);
}

bool scheduler_submit(struct scheduler *s, const struct request_source *source, struct error *err)
{
    scheduler_begin_call(s);
    struct request **place = find_by_id(s, source->id);
    if (*place != NULL)
        return error_set(err, ERROR_INPUT, "request id %llu is in use",
                         (unsigned long long)source->id);
    if (s->waiting.n + s->running.n >= s->is.max_requests)
        return error_set(err, ERROR_LIMIT, "%d requests wait or run, more are not taken",
                         s->is.max_requests);
    struct request *request = NULL;
    if (!request_create(&request, source, &s->bounds, err))
        return false;
    if (!check_fit(s, request, err)) {
        request_destroy(request);
        return false;
    }
    if (request->params.beam_width > 0)
        request->beams = beam_group_create(request, &s->bounds);
    if (request->n_bytes > s->is.max_request_bytes - s->n_request_bytes) {
        scheduler_free(request);
        return error_set(err, ERROR_LIMIT,
                         "requests that wait or run take %zu bytes of memory already, more are "
                         "not taken",
                         s->n_request_bytes);
    }
    if (!s->is.by_priority)
        request->priority = 0;
    *place = request;
    s->n_request_bytes += request->n_bytes;
    queue_add(s, request);
    return true;
}

void scheduler_drop(struct scheduler *s, struct request *request)
{
    if (request->state != REQUEST_FINISHED || request->n_in_flight > 0 || request->shows_beams)
        return;
    request_list_remove(&s->ended, request);
    scheduler_free(request);
}

void scheduler_begin_call(struct scheduler *s)
{
    check(!s->is_choosing);
    struct request *next = s->shows_beams ? s->ended.first : NULL;
    for (struct request *request = next; request != NULL; request = next) {
        next = request->next;
        request->shows_beams = false;
        scheduler_drop(s, request);
    }
    s->shows_beams = false;
}

void scheduler_finish(struct scheduler *s, struct request *request)
{
    struct request **place = find_by_id(s, request->id);
    check(*place == request);
    *place = request->next_by_id;
    s->n_request_bytes -= request->n_bytes;
    queue_remove(s, request);
    request_list_insert(&s->ended, s->ended.last, request);
    request->state = REQUEST_FINISHED;
}

static void end_early(struct scheduler *s, struct request *request)
{
    scheduler_finish(s, request);
    scheduler_drop(s, request);
}

bool scheduler_cancel(struct scheduler *s, uint64_t id)
{
    scheduler_begin_call(s);
    struct request *request = *find_by_id(s, id);
    if (request == NULL)
        return false;
    end_early(s, request);
    return true;
}

uint64_t scheduler_expire(struct scheduler *s, int64_t now_ns)
{
    scheduler_begin_call(s);
    struct request *request = request_heap_first(&s->deadlines);
    if (request == NULL || request->deadline_ns > now_ns)
        return 0;
    const uint64_t id = request->id;
    end_early(s, request);
    return id;
}

int64_t scheduler_next_deadline(const struct scheduler *s)
{
    const struct request *request = request_heap_first(&s->deadlines);
    return request == NULL ? INT64_MAX : request->deadline_ns;
}
