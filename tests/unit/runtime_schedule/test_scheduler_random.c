/* Random arrivals, cancels and pools, with one to three plans in flight, against a picture of
 * the KV cache: each slot remembers which token of whom was written there. So a plan that would
 * let a sequence read what is not its own, or not yet there, is seen. */
#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule/scheduler.h"
#include "tests/test.h"

#include <string.h>

enum { MAX_LIVE = 24, MAX_LEN = 96, MAX_BLOCKS = 64, MAX_IN_FLIGHT = 3, VOCAB = 40, EOS = 2 };

struct slot { /* of the KV cache */
    uint64_t id;
    int32_t position, token;
};

struct live { /* what a client knows of its request; id 0: nobody */
    uint64_t id;
    int32_t token[MAX_LEN];
    int n_tokens, n_prompt, max_tokens;
};

struct world {
    struct plan_limits limits;
    struct scheduler *scheduler;
    struct batch batch[MAX_IN_FLIGHT];
    int oldest, n_in_flight, depth;
    struct live live[MAX_LIVE];
    struct slot slot[MAX_BLOCKS * 16];
    uint64_t random, last_id;
    long n_submitted, n_refused, n_ended, n_cancelled, n_chunks;
};

static int below(struct world *w, int n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (int)((w->random >> 33) % (uint64_t)n);
}

static struct live *find(struct world *w, uint64_t id)
{
    for (int i = 0; i < MAX_LIVE; i++)
        if (w->live[i].id == id)
            return &w->live[i];
    return NULL;
}

static void open_world(struct world *w, uint64_t seed)
{
    static const int32_t eos_id = EOS;
    static const int block_tokens[] = {1, 4, 16};
    *w = (struct world){.random = seed};
    w->limits = (struct plan_limits){.max_tokens = 1 + below(w, 40),
                                     .max_sequences = 1 + below(w, 8),
                                     .block_tokens = block_tokens[below(w, 3)],
                                     .n_kv_blocks = 1 + below(w, MAX_BLOCKS),
                                     .n_kv_groups = 1,
                                     .max_model_len = 2 + below(w, MAX_LEN - 1),
                                     .vocab = VOCAB};
    w->limits.max_logits = w->limits.max_sequences;
    w->depth = 1 + below(w, MAX_IN_FLIGHT);
    scheduler_create(&w->scheduler, &(struct scheduler_settings){.limits = w->limits,
                                                                 .eos_id = &eos_id,
                                                                 .n_eos_ids = 1,
                                                                 .max_requests = MAX_LIVE});
    for (int i = 0; i < w->depth; i++)
        batch_init(&w->batch[i], &w->limits);
}

static void submit_one(struct world *w)
{
    struct live *live = find(w, 0);
    if (live == NULL)
        return;
    struct sampling_params params = params_default();
    params.max_tokens = 1 + below(w, 30);
    params.min_tokens = below(w, 4) == 0 ? below(w, params.max_tokens + 1) : 0;
    *live = (struct live){.n_prompt = 1 + below(w, w->limits.max_model_len)};
    live->n_tokens = live->n_prompt;
    live->max_tokens = params.max_tokens;
    for (int i = 0; i < live->n_prompt; i++)
        live->token[i] = below(w, VOCAB);
    struct error err = {0};
    const struct request_source source = {
        .id = ++w->last_id, .prompt = live->token, .n_prompt = live->n_prompt, .params = &params};
    if (scheduler_submit(w->scheduler, &source, &err)) {
        live->id = source.id;
        w->n_submitted++;
    } else {
        CHECK_EQ(err.kind, ERROR_INPUT); /* too long, for the model or for the pool */
        w->n_refused++;
    }
}

static void cancel_one(struct world *w)
{
    struct live *live = &w->live[below(w, MAX_LIVE)];
    if (live->id == 0)
        return;
    CHECK(scheduler_cancel(w->scheduler, live->id));
    live->id = 0;
    w->n_cancelled++;
}

/* The sequence reads slots of [0, n_computed) and writes those of its new rows. */
static void run_sequence(struct world *w, const struct batch *batch, const struct step_view *view,
                         int s)
{
    const uint64_t id = batch->sequence[s]->id;
    const int32_t *block = view->block + view->first_block[s];
    const int n_new = view->first_row[s + 1] - view->first_row[s];
    const int block_tokens = w->limits.block_tokens;
    const struct live *live = find(w, id);
    CHECK(live != NULL);
    CHECK(view->n_computed[s] + n_new <= live->n_tokens);
    for (int p = 0; p < view->n_computed[s] + n_new; p++) {
        struct slot *slot = &w->slot[block[p / block_tokens] * block_tokens + p % block_tokens];
        if (p >= view->n_computed[s])
            *slot = (struct slot){id, p, view->token[view->first_row[s] + p - view->n_computed[s]]};
        CHECK(slot->id == id && slot->position == p && slot->token == live->token[p]);
    }
}

static void submit_step(struct world *w)
{
    struct batch *batch = &w->batch[(w->oldest + w->n_in_flight) % w->depth];
    if (w->n_in_flight == w->depth || !scheduler_choose(w->scheduler, batch))
        return;
    scheduler_write(w->scheduler, batch);
    struct step_view view;
    struct error err = {0};
    if (!plan_check(batch->plan, batch->plan->n_bytes, &w->limits, &view, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    for (int s = 0; s < batch->plan->n_sequences; s++)
        run_sequence(w, batch, &view, s);
    w->n_chunks += batch->plan->n_sequences - batch->plan->n_logits;
    w->n_in_flight++;
}

static void collect_step(struct world *w)
{
    if (w->n_in_flight == 0)
        return;
    struct batch *batch = &w->batch[w->oldest];
    struct row_result result[8] = {{0}};
    struct outcome outcome[8];
    const int n_rows = batch->plan->n_logits;
    for (int i = 0; i < n_rows; i++)
        result[i].token = below(w, 50) == 0 ? -1 : below(w, VOCAB);
    scheduler_commit(w->scheduler, batch, result, outcome);
    for (int i = 0; i < n_rows; i++) {
        if (outcome[i].id == 0)
            continue;
        struct live *live = find(w, outcome[i].id);
        CHECK(live != NULL); /* nothing after the end */
        if (result[i].token >= 0)
            live->token[live->n_tokens++] = result[i].token;
        CHECK(live->n_tokens <= w->limits.max_model_len);
        CHECK(live->n_tokens - live->n_prompt <= live->max_tokens);
        if (outcome[i].finish != FINISH_NONE) {
            live->id = 0;
            w->n_ended++;
        }
    }
    w->oldest = (w->oldest + 1) % w->depth;
    w->n_in_flight--;
}

/* Everything must come to an end without new arrivals, and every block home. */
static void drain(struct world *w)
{
    for (int left = 20000; left > 0; left--) {
        const struct scheduler_counts counts = scheduler_counts(w->scheduler);
        if (counts.n_waiting + counts.n_running + w->n_in_flight == 0)
            break;
        submit_step(w);
        CHECK(w->n_in_flight > 0); /* else nobody can run any more: a stall */
        collect_step(w);
    }
    const struct scheduler_counts counts = scheduler_counts(w->scheduler);
    CHECK_EQ(counts.n_waiting + counts.n_running + w->n_in_flight, 0);
    CHECK_EQ(counts.n_free_blocks, w->limits.n_kv_blocks);
    CHECK_EQ(w->n_submitted, w->n_ended + w->n_cancelled);
}

TEST(random_requests_never_stall_never_leak_and_end_once)
{
    long n_steps = 0, n_ended = 0, n_cancelled = 0, n_refused = 0, n_chunks = 0;
    static struct world w;
    for (uint64_t seed = 1; n_steps < (SANITIZED ? 200000 : 1000000); seed++) {
        open_world(&w, seed);
        for (int step = 0; step < 1000; step++, n_steps++) {
            for (int n = below(&w, 3); n > 0; n--)
                submit_one(&w);
            if (below(&w, 8) == 0)
                cancel_one(&w);
            submit_step(&w);
            if (w.n_in_flight == w.depth || below(&w, 2) == 0)
                collect_step(&w);
            if (below(&w, 300) == 0)
                drain(&w);
        }
        drain(&w);
        n_ended += w.n_ended;
        n_cancelled += w.n_cancelled;
        n_refused += w.n_refused;
        n_chunks += w.n_chunks;
        for (int i = 0; i < w.depth; i++)
            batch_release(&w.batch[i]);
        scheduler_destroy(w.scheduler);
    }
    /* the test tested something */
    CHECK(n_ended > 10000 && n_cancelled > 1000 && n_refused > 1000 && n_chunks > 10000);
}
