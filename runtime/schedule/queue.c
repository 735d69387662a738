/* Who is next. The order of the queue is one for those who wait and those who run: priority, start
 * tag of the fair share, arrival. It never changes for a request, so one that is preempted finds
 * its old place again.
 *
 * Who is admitted has room for all tokens that it has now, not only for those of its first step:
 * else two long prompts could take the pool in turns. */
#include "runtime/schedule/scheduler_state.h"

#include "runtime/schedule/drafts.h"

enum { RETRY_STEPS = 16 };

static bool runs_before(const struct request *a, const struct request *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    if (a->start_tag != b->start_tag)
        return a->start_tag < b->start_tag;
    return a->arrival < b->arrival;
}

static bool ends_before(const struct request *a, const struct request *b)
{
    return a->deadline_ns < b->deadline_ns;
}

/* ---- life ---- */

void queue_init(struct scheduler *s)
{
    request_heap_init(&s->waiting, s->is.max_requests, HEAP_QUEUE, runs_before);
    request_heap_init(&s->deadlines, s->is.max_requests, HEAP_DEADLINE, ends_before);
    fair_share_init(&s->fair);
}

void queue_release(struct scheduler *s)
{
    while (s->waiting.n > 0) {
        struct request *request = request_heap_first(&s->waiting);
        request_heap_remove(&s->waiting, request);
        scheduler_free(request);
    }
    request_heap_release(&s->waiting);
    request_heap_release(&s->deadlines);
    fair_share_release(&s->fair);
}

/* ---- who runs ---- */

static void run(struct scheduler *s, struct request *request)
{
    struct request *before = s->running.last;
    while (before != NULL && runs_before(request, before))
        before = before->previous;
    request_list_insert(&s->running, before, request);
    request->state = REQUEST_RUNNING;
    s->n_places += beams_most(request);
    fair_share_serve(&s->fair, request->start_tag);
}

static void leave_run(struct scheduler *s, struct request *request)
{
    request_list_remove(&s->running, request);
    s->n_places -= beams_most(request);
    beams_give(&s->blocks, request);
}

/* ---- come and go ---- */

void queue_add(struct scheduler *s, struct request *request)
{
    if (s->waiting.n + s->running.n == 0)
        fair_share_rest(&s->fair);
    request->arrival = ++s->n_arrivals;
    request->charged_tokens = fair_share_cost(
        request->n_prompt, (int64_t)beams_most(request) * (request->limit - request->n_prompt));
    request->start_tag = fair_share_queue(&s->fair, request->tenant, request->charged_tokens);
    request_heap_add(&s->waiting, request);
    if (request->deadline_ns != 0)
        request_heap_add(&s->deadlines, request);
}

/* Tokens that it had computed for it. */
static int count_used(const struct request *request)
{
    const int n_output = request_n_output(beam_at(request, 0));
    return request->was_admitted ? request->n_prompt + beams_most(request) * n_output : 0;
}

void queue_remove(struct scheduler *s, struct request *request)
{
    if (request->state == REQUEST_RUNNING)
        leave_run(s, request);
    else
        request_heap_remove(&s->waiting, request);
    if (request->deadline_ns != 0)
        request_heap_remove(&s->deadlines, request);
    fair_share_settle(&s->fair, request->tenant, request->charged_tokens, count_used(request));
}

/* ---- admission and preemption ---- */

static bool asks_all_rows(const struct request *request)
{
    const struct sampling_params *params = &request->params;
    return params->pooling == POOLING_MEAN || request_has_prompt_rows(request);
}

/* Takes what is cached, and returns how many blocks more than there are the rest of its tokens
 * needs.
 */
static int find_room(struct scheduler *s, struct request *request)
{
    struct request *first = beam_at(request, 0);
    int most = first->n_tokens - 1; /* a row must run */
    if (asks_all_rows(request) && request->n_asked < most)
        most = request->n_asked;
    if (!beams_are_parted(request))
        most = beams_common(&s->blocks, request);
    blocks_take_cached(&s->blocks, first, most);
    const int64_t needed = beams_need(&s->blocks, request, first->n_tokens, beams_now(request));
    return (int)needed - blocks_held(&s->blocks, first) - s->blocks.pool.n_free;
}

/* Tokens that one step has to take together, beside what is cached of them; 0: any do. */
static int tokens_at_once(const struct scheduler *s, struct request *request)
{
    const struct request *first = beam_at(request, 0);
    return scheduler_runs_whole(s, request) ? first->n_tokens - first->n_computed : 0;
}

static void count_admission(struct scheduler *s, struct request *request)
{
    if (request->was_admitted)
        return;
    request->was_admitted = true;
    if (s->blocks.cache == NULL || asks_all_rows(request))
        return;
    request->n_cached =
        request->n_computed < request->n_prompt ? request->n_computed : request->n_prompt;
    s->counts.n_cache_queries += (uint64_t)request->n_tokens;
    s->counts.n_cache_hits += (uint64_t)request->n_computed;
}

/* Looking for what is cached of a long prompt takes its time, so one that found no room is looked
 * at again when there is as much as it lacked, or after some steps: others may have computed more
 * of it. */
static bool was_refused(const struct scheduler *s, const struct request *request)
{
    const struct refusal *refused = &s->refused;
    return refused->arrival == request->arrival && s->step < refused->until_step &&
           (s->blocks.pool.n_free < refused->n_blocks || s->choice.tokens_left < refused->n_tokens);
}

static struct request *refuse(struct scheduler *s, struct request *request, int n_blocks,
                              int n_tokens)
{
    beams_give(&s->blocks, request);
    s->refused = (struct refusal){.arrival = request->arrival,
                                  .n_blocks = n_blocks,
                                  .n_tokens = n_tokens,
                                  .until_step = s->step + RETRY_STEPS};
    return NULL;
}

struct request *queue_admit(struct scheduler *s)
{
    struct request *request = request_heap_first(&s->waiting);
    if (request == NULL || beams_are_awaited(request) || s->blocks.pool.n_free == 0 ||
        s->n_places + beams_most(request) > s->is.limits.max_sequences)
        return NULL;
    if (was_refused(s, request))
        return NULL;
    const int n_lacking = find_room(s, request), n_at_once = tokens_at_once(s, request);
    if (n_lacking > 0)
        return refuse(s, request, s->blocks.pool.n_free + n_lacking, 0);
    if (n_at_once > s->choice.tokens_left) /* a later step has more for it */
        return refuse(s, request, 0, n_at_once);
    if (n_at_once > 0 && s->choice.logits_left == 0 && !request_pools(request)) {
        beams_give(&s->blocks, request);
        return NULL;
    }
    count_admission(s, request);
    drafts_admit(s, request);
    request_heap_remove(&s->waiting, request);
    run(s, request);
    return request;
}

bool queue_preempt_last(struct scheduler *s, const struct request *but)
{
    struct request *request = s->running.last;
    if (request == but)
        return false;
    leave_run(s, request);
    request->state = REQUEST_WAITING;
    request_heap_add(&s->waiting, request);
    s->counts.n_preemptions++;
    return true;
}
