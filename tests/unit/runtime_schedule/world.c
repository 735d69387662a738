#include "tests/unit/runtime_schedule/world.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule/scheduler.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/allocations.h"
#include "tests/unit/runtime_schedule/kv_picture.h"
#include "tests/unit/runtime_schedule/oracle.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_LIVE = 24,
    MAX_LEN = 160,
    MAX_OUTPUT = 40,
    MAX_BLOCKS = 96,
    MAX_SEQUENCES = 12,
    MAX_LOGITS = 40,
    MAX_IN_FLIGHT = 3,
    MAX_CANDIDATES = 2 * PARAMS_MAX_BEAMS,
    N_PROMPTS = 4, /* that many requests have in common */
    HIDDEN = 4,
    MAX_EOS_IDS = 20, /* then beams end often, and few are left */
};

struct live { /* what a user knows of his request; id 0: nobody */
    uint64_t id, key;
    struct sampling_params params;
    int32_t token[MAX_LEN];
    int n_tokens, n_prompt, limit;
    int n_prompt_rows; /* positions of prompt log-probabilities that came */
    int n_pooled;      /* rows of hidden states */
    bool has_outcome;
    int64_t deadline_ns;
};

struct flight {
    struct batch batch;
    uint64_t key[MAX_SEQUENCES];
    int32_t given[MAX_LOGITS]; /* by each row that is picked by the numbers of the plan */
};

struct world {
    struct plan_limits limits;
    struct scheduler_settings settings;
    struct scheduler *scheduler;
    struct flight flight[MAX_IN_FLIGHT];
    int oldest, n_in_flight, depth;
    const struct flight *last;
    int n_carried; /* rows of it that the next plan may refer to */
    struct live live[MAX_LIVE];
    struct kv_picture kv, draft_kv;
    struct step_plan *draft_plan;
    int32_t prompt[N_PROMPTS][MAX_LEN], eos_id[MAX_EOS_IDS];
    uint64_t random, last_id;
    int64_t now;
    struct world_counts *counts;
};

static int below(struct world *w, int n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (int)((w->random >> 33) % (uint64_t)n);
}

static int smaller(int a, int b) { return a < b ? a : b; }

static bool one_in(struct world *w, int n) { return below(w, n) == 0; }

static struct live *find(struct world *w, uint64_t id)
{
    for (int i = 0; i < MAX_LIVE; i++)
        if (w->live[i].id == id)
            return &w->live[i];
    return NULL;
}

/* ---- life ---- */

static void choose_limits(struct world *w)
{
    static const int block_tokens[] = {1, 4, 16}, window[] = {1, 5, 33, 70};
    struct plan_limits *l = &w->limits;
    *l = (struct plan_limits){.max_tokens = 1 + below(w, 60),
                              .max_sequences = 1 + below(w, MAX_SEQUENCES),
                              .block_tokens = block_tokens[below(w, 3)],
                              .n_kv_blocks = 1 + below(w, MAX_BLOCKS),
                              .n_kv_groups = one_in(w, 2) ? 1 : 1 + below(w, 3),
                              .max_model_len = 2 + below(w, MAX_LEN - 1),
                              .vocab = ORACLE_VOCAB};
    l->max_logits = l->max_sequences + below(w, MAX_LOGITS - MAX_SEQUENCES);
    l->max_copies = l->n_kv_groups + below(w, 4);
    for (int g = 0; g < l->n_kv_groups; g++) /* the first one sees furthest */
        l->kv_window[g] = g == 0 && one_in(w, 2) ? 0 : window[below(w, 4 - (g > 0))];
    if (l->n_kv_groups > 1 && l->kv_window[0] > 0)
        l->kv_window[0] = 70;
    w->settings.whole_prompts = one_in(w, 4);
    if (w->settings.whole_prompts && l->max_tokens < l->max_model_len)
        l->max_tokens = l->max_model_len;
}

static void open_world(struct world *w, uint64_t seed, struct world_counts *counts)
{
    *w = (struct world){.random = seed, .counts = counts, .now = 1};
    choose_limits(w);
    for (int i = 0; i < MAX_EOS_IDS; i++)
        w->eos_id[i] = ORACLE_EOS + i;
    w->depth = 1 + below(w, MAX_IN_FLIGHT);
    w->settings = (struct scheduler_settings){.limits = w->limits,
                                              .eos_id = w->eos_id,
                                              .n_eos_ids = one_in(w, 4) ? MAX_EOS_IDS : 1,
                                              .max_requests = MAX_LIVE,
                                              .max_request_bytes = SIZE_MAX,
                                              .hidden_size = HIDDEN,
                                              .n_flights = one_in(w, 4) ? 1 : w->depth,
                                              .picks_afar = one_in(w, 2),
                                              .by_priority = one_in(w, 2),
                                              .prefix_caching = !one_in(w, 3),
                                              .whole_prompts = w->settings.whole_prompts,
                                              .drafter = (enum drafter)below(w, 3),
                                              .max_drafts = 1 + below(w, 5),
                                              .ngram_min = 1,
                                              .ngram_max = 3};
    w->settings.runs_ahead = w->settings.drafter == DRAFTER_NONE && !one_in(w, 3);
    w->settings.picks_afar |= w->settings.runs_ahead;
    scheduler_create(&w->scheduler, &w->settings);
    for (int i = 0; i < w->depth; i++)
        batch_init(&w->flight[i].batch, &w->limits);
    const struct plan_limits draft = scheduler_draft_limits(&w->limits);
    w->draft_plan = memory_alloc(1, plan_max_bytes(&draft));
    kv_picture_init(&w->kv, &w->limits);
    kv_picture_init(&w->draft_kv, &draft);
    for (int i = 0; i < N_PROMPTS; i++)
        for (int p = 0; p < MAX_LEN; p++)
            w->prompt[i][p] = below(w, ORACLE_VOCAB);
}

static void close_world(struct world *w)
{
    for (int i = 0; i < w->depth; i++)
        batch_release(&w->flight[i].batch);
    scheduler_destroy(w->scheduler);
    memory_free(w->draft_plan);
    kv_picture_release(&w->kv);
    kv_picture_release(&w->draft_kv);
}

/* ---- users ---- */

static void choose_params(struct world *w, struct sampling_params *params)
{
    *params = params_default();
    params->max_tokens = 1 + below(w, MAX_OUTPUT);
    params->min_tokens = one_in(w, 4) ? below(w, params->max_tokens + 1) : 0;
    if (one_in(w, 5))
        params->prompt_logprobs = below(w, 3);
    else if (one_in(w, 6))
        params->pooling = one_in(w, 2) ? POOLING_LAST : POOLING_MEAN;
    else if (one_in(w, 6))
        params->beam_width = 1 + below(w, 5);
    params->ignore_eos = one_in(w, 5);
    params->penalize_prompt = one_in(w, 2);
}

/* A prompt of its own, or the begin of one that others have too. Some come with output, as after a
 * restart of the engine. */
static void choose_prompt(struct world *w, struct live *live)
{
    live->n_prompt = 1 + below(w, one_in(w, 3) ? w->limits.max_model_len : 20);
    if (live->n_prompt > w->limits.max_model_len)
        live->n_prompt = w->limits.max_model_len;
    const int n_common = one_in(w, 3) ? below(w, live->n_prompt + 1) : live->n_prompt;
    const int32_t *common = w->prompt[below(w, N_PROMPTS)];
    live->n_tokens = live->n_prompt;
    if (one_in(w, 4) && live->n_prompt < MAX_LEN)
        live->n_tokens += below(w, smaller(MAX_OUTPUT, MAX_LEN - live->n_prompt));
    for (int i = 0; i < live->n_tokens; i++)
        live->token[i] = i < n_common ? common[i] : below(w, ORACLE_VOCAB);
}

static void submit_one(struct world *w)
{
    static const uint8_t key[2] = {1, 2};
    struct live *live = find(w, 0);
    if (live == NULL)
        return;
    *live = (struct live){.key = (uint64_t)below(w, 3)};
    choose_params(w, &live->params);
    choose_prompt(w, live);
    live->limit = w->limits.max_model_len;
    if (live->n_prompt + live->params.max_tokens < live->limit)
        live->limit = live->n_prompt + live->params.max_tokens;
    live->n_prompt_rows = 1;
    live->deadline_ns = one_in(w, 6) ? w->now + 1 + below(w, 100) : 0;
    struct error err = {0};
    const struct request_source source = {.id = ++w->last_id,
                                          .prompt = live->token,
                                          .n_prompt = live->n_prompt,
                                          .output = live->token + live->n_prompt,
                                          .n_output = live->n_tokens - live->n_prompt,
                                          .params = &live->params,
                                          .priority = below(w, 3),
                                          .tenant = (uint64_t)below(w, 4),
                                          .deadline_ns = live->deadline_ns,
                                          .cache_key = key,
                                          .n_cache_key = (int)live->key};
    if (scheduler_submit(w->scheduler, &source, &err)) {
        live->id = source.id;
        w->counts->n_submitted++;
        w->counts->n_replayed += source.n_output > 0;
    } else {
        CHECK_EQ(err.kind, ERROR_INPUT); /* too long or too wide, for the model or for the pool */
        w->counts->n_refused++;
    }
}

static void cancel_one(struct world *w)
{
    struct live *live = &w->live[below(w, MAX_LIVE)];
    if (live->id == 0)
        return;
    CHECK(scheduler_cancel(w->scheduler, live->id));
    live->id = 0;
    w->counts->n_cancelled++;
}

static void expire(struct world *w)
{
    w->now++;
    int64_t next = INT64_MAX;
    for (int i = 0; i < MAX_LIVE; i++)
        if (w->live[i].id != 0 && w->live[i].deadline_ns != 0 && w->live[i].deadline_ns < next)
            next = w->live[i].deadline_ns;
    CHECK_EQ(scheduler_next_deadline(w->scheduler), next);
    for (uint64_t id; (id = scheduler_expire(w->scheduler, w->now)) != 0;) {
        struct live *live = find(w, id);
        CHECK(live != NULL && live->deadline_ns != 0 && live->deadline_ns <= w->now);
        live->id = 0;
        w->counts->n_expired++;
    }
}

/* ---- submit ---- */

static struct step_view check_plan(const struct step_plan *plan, const struct plan_limits *limits,
                                   int n_carried)
{
    struct step_view view;
    struct error err = {0};
    if (!plan_check(plan, plan->n_bytes, limits, n_carried, &view, &err))
        test_fail(__FILE__, __LINE__, "step %d: %s", (int)plan->step, err.text);
    return view;
}

/* The draft model runs its passes over the chosen batch. */
static void run_drafts(struct world *w, struct flight *flight)
{
    const struct batch *batch = &flight->batch;
    struct request *sequence[MAX_SEQUENCES];
    struct batch_row row[MAX_LOGITS];
    uint64_t key[MAX_SEQUENCES];
    for (int pass = 0;; pass++) {
        int n = 0;
        for (int i = 0; i < batch->n_sequences; i++)
            if (pass == 0 ? batch->sequence[i]->n_draft_new > 0 : batch->n_drafts[i] > pass) {
                sequence[n] = batch->sequence[i];
                key[n++] = flight->key[i];
            }
        const long before = allocations();
        const bool runs = scheduler_write_draft(w->scheduler, batch, pass, w->draft_plan, row);
        w->counts->n_allocations += allocations() - before;
        CHECK_EQ(runs, n > 0);
        if (!runs)
            return;
        const struct step_view view = check_plan(w->draft_plan, &w->draft_kv.limits, 0);
        CHECK_EQ(w->draft_plan->model, PLAN_DRAFT);
        CHECK_EQ(w->draft_plan->n_sequences, n);
        kv_picture_run(&w->draft_kv, w->draft_plan, &view, sequence, key);
        for (int i = 0; i < w->draft_plan->n_logits; i++) {
            struct request *r = row[i].request;
            const uint64_t salt = (uint64_t)r->n_cache_key;
            CHECK(row[i].position == r->n_tokens + pass && row[i].position < r->limit - 1);
            r->token[row[i].position] = oracle_guess(oracle_hash(salt, r->token, row[i].position),
                                                     r->token[row[i].position - 1]);
        }
    }
}

static void check_batch(struct world *w, const struct batch *batch, const struct step_view *view)
{
    const struct step_plan *plan = batch->plan;
    int row = 0, hidden = 0;
    for (int s = 0; s < plan->n_sequences; s++) {
        const struct request *r = batch->sequence[s];
        const int end = view->first_row[s + 1], first = view->first_row[s] - view->n_computed[s];
        CHECK(batch->n_drafts[s] <= w->settings.max_drafts);
        CHECK(r->n_tokens + batch->n_drafts[s] < r->limit || !request_samples(r));
        for (; row < plan->n_logits && view->logits_row[row] < end; row++) {
            CHECK(batch->row[row].request == r);
            CHECK_EQ(batch->row[row].position, view->logits_row[row] - first + 1);
        }
        for (; hidden < plan->n_hidden && view->hidden_row[hidden] < end; hidden++) {
            CHECK(batch->hidden[hidden].request == r);
            CHECK_EQ(batch->hidden[hidden].position, view->hidden_row[hidden] - first);
        }
        const bool is_chunk = end - first < r->n_tokens;
        w->counts->n_chunks += is_chunk;
        CHECK(!is_chunk || !w->settings.whole_prompts || request_has_prompt_rows(r) ||
              r->leader->beams != NULL);
        for (int g = 0; g < w->limits.n_kv_groups; g++)
            w->counts->n_given_early += r->first_block[g] > 0;
    }
}

static struct row_result sample(const struct batch_row *row, struct beam_candidate *candidate)
{
    const struct request *r = row->request;
    const int width = r->params.beam_width;
    const uint64_t hash = oracle_hash((uint64_t)r->n_cache_key, r->token, row->position);
    if (width == 0)
        return (struct row_result){.token = oracle_token(hash, r->token[row->position - 1])};
    const int n = 2 * width < ORACLE_VOCAB ? 2 * width : ORACLE_VOCAB;
    oracle_candidates(candidate, n, hash);
    return (struct row_result){.candidate = candidate, .n_candidates = n};
}

/* What a device does that has the tokens of the plan before, when the scheduler has not. */
static void resolve(struct world *w, struct flight *flight, const struct step_view *view)
{
    const struct batch *batch = &flight->batch;
    if (!plan_has_references(batch->plan, view))
        return;
    CHECK(w->settings.runs_ahead && w->n_in_flight > 0);
    for (int s = 0; s < batch->n_sequences; s++) {
        const int row = view->first_row[s], from = -1 - view->token[row];
        struct request *r = batch->sequence[s];
        if (from < 0)
            continue;
        CHECK_EQ(view->first_row[s + 1], row + 1);
        CHECK(w->last->batch.row[from].request == r);
        CHECK(w->last->batch.row[from].position == r->n_tokens && r->n_tokens + 1 < r->limit);
        r->token[r->n_tokens] = w->last->given[from] < 0 ? 0 : w->last->given[from];
        w->counts->n_ahead++;
    }
    plan_resolve(batch->plan, view, w->last->given);
}

static void find_given(struct flight *flight, const struct step_view *view)
{
    const struct batch *batch = &flight->batch;
    for (int i = 0; view->pick != NULL && i < batch->plan->n_logits; i++)
        if (view->pick[i].kind == PICK_SAMPLE)
            flight->given[i] = sample(&batch->row[i], NULL).token;
}

static void submit_step(struct world *w)
{
    struct flight *flight = &w->flight[(w->oldest + w->n_in_flight) % w->depth];
    struct batch *batch = &flight->batch;
    if (w->n_in_flight == w->depth)
        return;
    const long before = allocations();
    const bool runs = scheduler_choose(w->scheduler, batch);
    w->counts->n_allocations += allocations() - before;
    if (!runs)
        return;
    for (int s = 0; s < batch->n_sequences; s++) {
        const struct live *live = find(w, batch->sequence[s]->leader->id);
        CHECK(live != NULL);
        flight->key[s] = live->key;
    }
    if (w->settings.drafter == DRAFTER_MODEL)
        run_drafts(w, flight);
    const long before_write = allocations();
    scheduler_write(w->scheduler, batch);
    w->counts->n_allocations += allocations() - before_write;
    const struct step_view view = check_plan(batch->plan, &w->limits, w->n_carried);
    CHECK_EQ(batch->plan->n_sequences, batch->n_sequences);
    check_batch(w, batch, &view);
    resolve(w, flight, &view);
    find_given(flight, &view);
    w->last = flight;
    w->n_carried = plan_n_carried(batch->plan, &view);
    kv_picture_run(&w->kv, batch->plan, &view, batch->sequence, flight->key);
    w->counts->n_copies += batch->plan->n_copies;
    w->n_in_flight++;
}

/* ---- collect ---- */

static void end(struct live *live, long *count)
{
    live->id = 0;
    ++*count;
}

static void check_beams(struct world *w, struct live *live, const struct outcome *outcome)
{
    static int32_t token[PARAMS_MAX_BEAMS * MAX_OUTPUT];
    struct beam want[PARAMS_MAX_BEAMS];
    const int n = oracle_beams(want, token, MAX_OUTPUT, live->key, live->token, live->n_prompt,
                               live->limit - live->n_prompt, w->settings.n_eos_ids, &live->params);
    CHECK_EQ(outcome->n_beams, n);
    for (int i = 0; i < n; i++) {
        const struct beam *got = &outcome->beam[i];
        CHECK_EQ(got->n_tokens, want[i].n_tokens);
        CHECK(memcmp(got->token, want[i].token, (size_t)got->n_tokens * sizeof *token) == 0);
        CHECK(got->cumulative_logprob == want[i].cumulative_logprob);
        CHECK(got->score == want[i].score);
        CHECK_EQ(got->finish, want[i].finish);
    }
    end(live, &w->counts->n_beams);
    w->counts->n_ended++;
}

static void check_token(struct world *w, struct live *live, const struct outcome *outcome)
{
    const uint64_t hash = oracle_hash(live->key, live->token, live->n_tokens);
    CHECK_EQ(outcome->token, oracle_token(hash, live->token[live->n_tokens - 1]));
    CHECK(outcome->n_accepted <= outcome->n_drafted);
    CHECK(outcome->cached_tokens < live->n_tokens && outcome->cached_tokens <= live->n_prompt);
    CHECK(outcome->cached_tokens == 0 || !live->has_outcome);
    if (live->params.prompt_logprobs != LOGPROBS_OFF) {
        CHECK_EQ(live->n_prompt_rows, live->n_prompt);
        CHECK_EQ(outcome->cached_tokens, 0);
    }
    live->has_outcome = true;
    if (outcome->finish == FINISH_ERROR) {
        CHECK(outcome->token < 0);
        end(live, &w->counts->n_failed);
        return;
    }
    live->token[live->n_tokens++] = outcome->token;
    const bool may_stop =
        !live->params.ignore_eos && live->n_tokens - live->n_prompt >= live->params.min_tokens;
    const enum finish_reason want = may_stop && oracle_is_eos(outcome->token, w->settings.n_eos_ids)
                                        ? FINISH_STOP
                                    : live->n_tokens == live->limit ? FINISH_LENGTH
                                                                    : FINISH_NONE;
    CHECK_EQ(outcome->finish, want);
    if (want != FINISH_NONE)
        end(live, &w->counts->n_ended);
}

static void check_outcome(struct world *w, const struct batch_row *row,
                          const struct outcome *outcome)
{
    if (outcome->id == 0)
        return;
    struct live *live = find(w, outcome->id);
    CHECK(live != NULL); /* nothing after the end */
    CHECK_EQ(live->params.pooling, POOLING_NONE);
    if (live->params.beam_width > 0) {
        check_beams(w, live, outcome);
    } else if (row->is_prompt) {
        CHECK(live->params.prompt_logprobs != LOGPROBS_OFF);
        CHECK_EQ(row->position, live->n_prompt_rows++);
        CHECK_EQ(outcome->token, live->token[row->position]);
        CHECK_EQ(outcome->finish, FINISH_NONE);
        w->counts->n_prompt_rows++;
    } else {
        check_token(w, live, outcome);
    }
}

static void take_hidden(struct world *w, const struct batch_hidden *hidden)
{
    if (hidden->request->state == REQUEST_FINISHED)
        return;
    struct live *live = find(w, hidden->request->id);
    CHECK(live != NULL);
    const bool is_last = hidden->position == live->n_prompt - 1;
    if (live->params.pooling == POOLING_MEAN)
        CHECK_EQ(hidden->position, live->n_pooled++);
    else
        CHECK(live->params.pooling == POOLING_LAST && is_last);
    CHECK_EQ(hidden->is_last, is_last);
    CHECK(hidden->request->pooled[HIDDEN - 1] == 0);
    if (is_last) {
        end(live, &w->counts->n_pooled);
        w->counts->n_ended++;
    }
}

static void collect_step(struct world *w)
{
    static struct beam_candidate candidate[MAX_LOGITS][MAX_CANDIDATES];
    if (w->n_in_flight == 0)
        return;
    struct batch *batch = &w->flight[w->oldest].batch;
    struct row_result result[MAX_LOGITS];
    struct batch_row row[MAX_LOGITS];
    struct outcome outcome[MAX_LOGITS];
    const int n_rows = batch->plan->n_logits;
    for (int i = 0; i < n_rows; i++) {
        row[i] = batch->row[i];
        result[i] = sample(&row[i], candidate[i]);
        w->counts->n_dropped += row[i].request->leader->state == REQUEST_FINISHED;
    }
    for (int i = 0; i < batch->plan->n_hidden; i++)
        take_hidden(w, &batch->hidden[i]);
    const long before = allocations();
    scheduler_commit(w->scheduler, batch, result, outcome);
    w->counts->n_allocations += allocations() - before;
    for (int i = 0; i < n_rows; i++)
        check_outcome(w, &row[i], &outcome[i]);
    w->oldest = (w->oldest + 1) % w->depth;
    w->n_in_flight--;
}

/* ---- the whole ---- */

/* Everything must come to an end without new arrivals, and every block home. */
static void drain(struct world *w)
{
    struct scheduler_counts counts = scheduler_counts(w->scheduler);
    for (int left = 20000; left > 0; left--) {
        if (counts.n_waiting + counts.n_running + w->n_in_flight == 0)
            break;
        submit_step(w);
        CHECK(w->n_in_flight > 0); /* else nobody can run any more: a stall */
        collect_step(w);
        counts = scheduler_counts(w->scheduler);
    }
    CHECK_EQ(counts.n_waiting + counts.n_running + w->n_in_flight, 0);
    CHECK_EQ(counts.n_free_blocks, w->limits.n_kv_blocks);
    for (int i = 0; i < MAX_LIVE; i++)
        CHECK_EQ(w->live[i].id, 0);
}

static void count(struct world *w)
{
    const struct scheduler_counts counts = scheduler_counts(w->scheduler);
    CHECK(counts.n_cache_hits <= counts.n_cache_queries);
    CHECK(counts.n_accepted <= counts.n_drafted);
    w->counts->n_preempted += (long)counts.n_preemptions;
    w->counts->n_hits += (long)counts.n_cache_hits;
    w->counts->n_right_drafts += (long)counts.n_accepted;
    w->counts->n_wrong_drafts += (long)(counts.n_drafted - counts.n_accepted);
}

void world_live(struct world_counts *counts, uint64_t seed, long n_steps)
{
    static struct world w;
    open_world(&w, seed, counts);
    for (long step = 0; step < n_steps; step++, counts->n_steps++) {
        for (int n = below(&w, 3); n > 0; n--)
            submit_one(&w);
        if (one_in(&w, 8))
            cancel_one(&w);
        expire(&w);
        submit_step(&w);
        if (w.n_in_flight == w.depth || one_in(&w, 2))
            collect_step(&w);
        if (one_in(&w, 300))
            drain(&w);
    }
    drain(&w);
    count(&w);
    close_world(&w);
}
