/* A failure is noted where it is heard, from inside the dispatch, and the call is put into
 * api->ended. What else belongs to the end (to cancel the other choices, to tell the user) calls
 * the dispatch, and so waits for api_settle(). */
#include "runtime/api/call.h"

#include "base/check.h"
#include "base/system.h"
#include "runtime/api/admission.h"
#include "runtime/api/metrics.h"
#include "runtime/api/request_log.h"

#include <stdio.h>
#include <string.h>

static const double NS_PER_S = 1e9;

void call_init(struct api_call *call, struct api *api, const struct api_source *source,
               const struct call_hooks *hooks)
{
    call->api = api;
    call->hooks = hooks;
    call->source = *source;
    call->arrived_ns = clock_now_ns();
    if (source->record != NULL)
        memcpy(source->record->id, source->request_id, sizeof source->record->id);
    if (source->peer != NULL)
        call->source.peer = arena_copy_text(&call->arena, source->peer, strlen(source->peer));
}

bool call_admit(struct api_call *call, int n_prompts, struct error *err)
{
    const int64_t n = (int64_t)n_prompts * sampling_sequences(&call->sampling);
    if (!admission_enter(call->api->admission, n, err))
        return false;
    call->n_admitted = n;
    if (call->sampling.deadline_ns > 0)
        call->deadline_ns = call->arrived_ns + call->sampling.deadline_ns;
    call->n_prompts = n_prompts;
    call->prompt = arena_alloc(&call->arena, (size_t)n_prompts, sizeof *call->prompt);
    for (int i = 0; i < n_prompts; i++) {
        struct call_prompt *prompt = &call->prompt[i];
        prompt->call = call;
        prompt->choice =
            arena_alloc(&call->arena, (size_t)call->sampling.n_choices, sizeof *prompt->choice);
    }
    return true;
}

void call_keep_text(struct api_call *call, int prompt)
{
    const struct api_prompt *from = &call->from[prompt];
    if (from->text == NULL || from->is_rendered)
        return;
    call->prompt[prompt].text =
        call->owns_from ? from->text : arena_copy_text(&call->arena, from->text, from->n_bytes);
    call->prompt[prompt].n_bytes = from->n_bytes;
}

/* ---- ends ---- */

void call_enlist(struct api_call *call, struct api_calls *list)
{
    check(call->list == NULL);
    call->list = list;
    call->previous = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = call;
    list->last = call;
}

void call_unlist(struct api_call *call)
{
    struct api_calls *list = call->list;
    if (list == NULL)
        return;
    *(call->previous != NULL ? &call->previous->next : &list->first) = call->next;
    *(call->next != NULL ? &call->next->previous : &list->last) = call->previous;
    call->previous = call->next = NULL;
    call->list = NULL;
}

static void list_end(struct api_call *call)
{
    if (call->list == NULL) /* else it is there: what is sent is not read any more */
        call_enlist(call, &call->api->ended);
}

void call_fail(struct api_call *call, const struct error *why)
{
    if (call->failure.kind == ERROR_NONE)
        call->failure = *why;
    list_end(call);
}

bool call_is_late(const struct api_call *call)
{
    return call->deadline_ns > 0 && clock_now_ns() >= call->deadline_ns;
}

void call_fail_late(struct api_call *call)
{
    struct error why = {0};
    error_set(&why, ERROR_LIMIT,
              "the answer was not there after %lld ms, the deadline_ms of the "
              "request",
              (long long)(call->sampling.deadline_ns / 1000000));
    error_param(&why, "deadline_ms");
    error_code(&why, "deadline_exceeded");
    call_fail(call, &why);
}

/* ---- what is counted ---- */

static double seconds(int64_t from_ns, int64_t to_ns)
{
    return (double)(to_ns - from_ns) / NS_PER_S;
}

static void count_tokens(struct call_prompt *prompt, int i)
{
    struct api_metrics *metrics = prompt->call->api->metrics;
    struct call_choice *choice = &prompt->choice[i];
    const struct output *output = &prompt->completion.output[i];
    const size_t n_new = output->tokens.n - choice->n_tokens;
    const bool is_vector = prompt->completion.n_values > 0;
    if ((n_new == 0 && !is_vector) || metrics == NULL)
        return;
    const int64_t now_ns = clock_now_ns();
    metrics->generation_tokens += n_new;
    if (choice->first_ns == 0) {
        choice->first_ns = prompt->completion.beams_ns > 0 ? prompt->completion.beams_ns : now_ns;
        metrics->prompt_tokens += prompt->ids.n;
        metrics->prefix_queries += prompt->ids.n;
        metrics->prefix_hits += (uint64_t)output->cached_tokens;
        if (!is_vector)
            metrics_observe(&metrics->first_token_s, seconds(prompt->call->arrived_ns, now_ns));
    } else {
        metrics_observe(&metrics->inter_token_s, seconds(choice->last_ns, now_ns));
    }
    choice->n_tokens = output->tokens.n;
    choice->last_ns = now_ns;
}

/* It waited, then read its prompt until the first token was there, then wrote until the last one.
 * What it did before it was preempted, or at an engine that is gone, is no waiting. */
static void count_stages(struct api_metrics *metrics, const struct call_prompt *prompt, int i)
{
    const struct call_choice *choice = &prompt->choice[i];
    const int64_t begun_ns = prompt->completion.begun_ns[i];
    if (begun_ns == 0)
        return;
    metrics_observe(&metrics->queue_s, seconds(prompt->call->sent_ns, begun_ns));
    if (choice->first_ns == 0)
        return;
    metrics_observe(&metrics->prefill_s, seconds(begun_ns, choice->first_ns));
    if (prompt->call->sampling.params.pooling == POOLING_NONE)
        metrics_observe(&metrics->decode_s, seconds(choice->first_ns, choice->last_ns));
    metrics_observe(&metrics->inference_s, seconds(begun_ns, choice->last_ns));
}

static void count_choice(struct api_metrics *metrics, const struct call_prompt *prompt, int i,
                         enum finish_reason finish, int64_t now_ns)
{
    const struct output *output = &prompt->completion.output[i];
    const struct call_choice *choice = &prompt->choice[i];
    const size_t n = output->tokens.n;
    metrics->finished[finish]++;
    metrics->draft_tokens += (uint64_t)output->n_drafted;
    metrics->accepted_tokens += (uint64_t)output->n_accepted;
    metrics_observe(&metrics->prompt_length, (double)prompt->ids.n);
    metrics_observe(&metrics->generation_length, (double)n);
    metrics_observe(&metrics->total_s, seconds(prompt->call->arrived_ns, now_ns));
    if (n > 1 && choice->first_ns > 0)
        metrics_observe(&metrics->token_s,
                        seconds(choice->first_ns, choice->last_ns) / (double)(n - 1));
    count_stages(metrics, prompt, i);
}

static void count_end(struct api_call *call, bool was_cancelled, int64_t now_ns)
{
    struct api_metrics *metrics = call->api->metrics;
    const enum finish_reason forced = was_cancelled                      ? FINISH_ABORT
                                      : call->failure.kind != ERROR_NONE ? FINISH_ERROR
                                                                         : FINISH_NONE;
    if (metrics == NULL || !call->is_sent)
        return;
    for (int p = 0; p < call->n_prompts; p++)
        for (int i = 0; i < call->prompt[p].completion.n_choices; i++) {
            const enum finish_reason own = call->prompt[p].completion.output[i].finish;
            const bool pooled = call->sampling.params.pooling != POOLING_NONE;
            count_choice(metrics, &call->prompt[p], i,
                         forced != FINISH_NONE ? forced
                         : pooled              ? FINISH_STOP
                                               : own,
                         now_ns);
        }
}

struct api_usage call_usage(const struct api_call *call)
{
    struct api_usage usage = {0};
    for (int p = 0; p < call->n_prompts; p++) {
        const struct completion *completion = &call->prompt[p].completion;
        usage.prompt_tokens += (int64_t)call->prompt[p].ids.n;
        for (int i = 0; i < completion->n_choices; i++)
            usage.completion_tokens += (int64_t)completion->output[i].tokens.n;
        if (completion->n_choices > 0)
            usage.cached_tokens += completion->output[0].cached_tokens;
    }
    return usage;
}

/* ---- what is told of it ---- */

/* "stop,length": each reason once. */
static void write_finish(char out[REQUEST_RECORD_FINISH_BYTES], const struct api_call *call)
{
    bool seen[METRICS_FINISH_REASONS] = {false};
    size_t n = 0;
    for (int p = 0; p < call->n_prompts; p++)
        for (int i = 0; i < call->prompt[p].completion.n_choices; i++)
            seen[call->prompt[p].completion.output[i].finish] = true;
    for (int reason = FINISH_STOP; reason <= FINISH_ERROR; reason++)
        if (seen[reason])
            n += (size_t)snprintf(out + n, REQUEST_RECORD_FINISH_BYTES - n, "%s%s",
                                  n > 0 ? "," : "", finish_reason_name((enum finish_reason)reason));
}

/* 0 is none. */
static int64_t earlier(int64_t a_ns, int64_t b_ns) { return b_ns > 0 && b_ns < a_ns ? b_ns : a_ns; }

static int64_t since(int64_t from_ns, int64_t ns) { return ns == INT64_MAX ? -1 : ns - from_ns; }

/* Before its user hears of the end, and with it of the record. */
static void note_end(const struct api_call *call)
{
    struct request_record *record = call->source.record;
    int64_t begun_ns = INT64_MAX, first_ns = INT64_MAX;
    if (record == NULL)
        return;
    if (call->failure.kind != ERROR_NONE) /* else what its protocol said of it stands */
        record->failure = call->failure;
    record->was_sent = call->is_sent;
    if (!call->is_sent)
        return;
    for (int p = 0; p < call->n_prompts; p++) {
        const struct completion *completion = &call->prompt[p].completion;
        for (int i = 0; i < completion->n_choices; i++)
            begun_ns = earlier(begun_ns, completion->begun_ns[i]);
        first_ns = earlier(first_ns, completion->first_token_ns);
        record->n_choices += completion->n_choices;
    }
    const struct api_usage usage = call_usage(call);
    record->prompt_tokens = usage.prompt_tokens;
    record->cached_tokens = usage.cached_tokens;
    record->output_tokens = usage.completion_tokens;
    record->queue_ns = since(call->sent_ns, begun_ns);
    record->first_token_ns = since(call->arrived_ns, first_ns);
    write_finish(record->finish, call);
}

/* ---- the end ---- */

static void release(struct api_call *call, bool was_cancelled)
{
    const int64_t now_ns = clock_now_ns();
    count_end(call, was_cancelled, now_ns);
    call_unlist(call);
    prompt_reader_release(&call->reader);
    for (int i = 0; i < call->n_prompts; i++) {
        completion_close(&call->prompt[i].completion);
        ids_release(&call->prompt[i].ids);
    }
    admission_leave(call->api->admission, call->n_admitted);
    sampling_release(&call->sampling);
    arena_release(&call->arena);
    memory_free(call);
}

void call_refuse(struct api_call *call, const struct error *why)
{
    call->failure = *why;
    note_end(call);
    release(call, false);
}

void call_cancel(struct api_call *call)
{
    note_end(call);
    release(call, true);
}

void call_tell_end(struct api_call *call)
{
    call_unlist(call);
    note_end(call);
    call->hooks->ended(call);
    release(call, false);
}

/* ---- from the engine ---- */

static bool tell_choice(struct call_prompt *prompt, int choice)
{
    struct api_call *call = prompt->call;
    count_tokens(prompt, choice);
    if (call->failure.kind != ERROR_NONE) /* another choice has failed */
        return false;
    return call->hooks->progress == NULL || !call->is_sent ||
           call->hooks->progress(call, (int)(prompt - call->prompt), choice);
}

/* False: nobody wants more of the choice that failed. */
static bool take_progress(void *context, struct completion *completion, int choice)
{
    struct call_prompt *prompt = context;
    struct api_call *call = prompt->call;
    if (completion->failure[choice].kind != ERROR_NONE) {
        call_fail(call, &completion->failure[choice]);
        return false;
    }
    if (completion->output[choice].finish == FINISH_ABORT) { /* nobody else said so yet */
        call_fail_late(call);
        return false;
    }
    if (call->sampling.params.beam_width == 0)
        return tell_choice(prompt, choice);
    for (int i = 0; i < completion->n_choices; i++) /* beams come whole, and all at once */
        tell_choice(prompt, i);
    return true;
}

static void take_done(void *context, struct completion *completion)
{
    struct api_call *call = ((struct call_prompt *)context)->call;
    const struct error *failure = completion_failure(completion);
    if (failure != NULL)
        call_fail(call, failure);
    call->n_left--;
    if (call->n_left == 0)
        list_end(call);
}

void call_send(struct api_call *call)
{
    const struct sampling *sampling = &call->sampling;
    call->sent_ns = clock_now_ns();
    call->n_left = call->n_prompts;
    for (int i = 0; i < call->n_prompts; i++) {
        struct call_prompt *prompt = &call->prompt[i];
        const struct completion_request request = {
            .prompt = &prompt->ids,
            .sampling = sampling,
            .max_tokens = prompt->max_tokens,
            .priority = sampling->priority,
            .seed_offset = call->seed_said ? 0 : (uint64_t)i * (uint64_t)sampling->n_choices,
            .tenant = call->source.tenant,
            .deadline_ns = call->deadline_ns,
        };
        const struct completion_hooks hooks = {
            .progress = take_progress, .done = take_done, .context = prompt};
        completion_open(&prompt->completion, call->api->dispatch, &request, &hooks);
    }
    call->is_sent = true;
}
