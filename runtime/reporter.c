#include "runtime/reporter.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/heart.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/schedule/scheduler.h"

static const int64_t STATS_NS = 500000000, PULSE_NS = HEART_MS * 1000000LL;

struct reporter {
    struct link *link;
    const struct ranks *ranks;
    const struct scheduler *scheduler;
    struct link_stats stats; /* what is counted here */
    int64_t *rank_work_ns;
    int64_t told_ns, pulse_ns;    /* last; clock_now_ns */
    bool has_news;                /* something was counted since the last statistics */
    struct scheduler_counts told; /* then: what is cancelled later changes them without a step */
    uint64_t n_ticks;             /* of all ranks of this host, at */
    int64_t moved_ns;             /* when this number was last new */
};

/* ---- progress ---- */

static uint64_t ticks_of(const struct watchdog *dog)
{
    uint64_t n = 0;
    for (int rank = 0; rank < watchdog_n_ranks(dog); rank++)
        n += watchdog_progress(dog, rank);
    return n;
}

static bool sees_all(const struct ranks *ranks)
{
    return ranks->watchdog != NULL && ranks->local_size == ranks->world_size;
}

/* Until when every rank has made progress. waits: for another rank. */
static int64_t progress_ns(struct reporter *r, bool waits)
{
    const struct watchdog *dog = r->ranks->watchdog;
    const int64_t heard_ns = watchdog_heard_ns(dog);
    const uint64_t n_ticks = ticks_of(dog);
    if (!waits || !sees_all(r->ranks) || n_ticks != r->n_ticks)
        r->moved_ns = clock_now_ns();
    r->n_ticks = n_ticks;
    return heard_ns < r->moved_ns ? heard_ns : r->moved_ns;
}

static bool send_pulse(struct reporter *r, bool waits, struct error *err)
{
    const struct link_event event = {.kind = LINK_PULSE, .progress_ns = progress_ns(r, waits)};
    r->pulse_ns = clock_now_ns();
    return link_send_event(r->link, &event, err);
}

/* A link that is gone says so again between two steps. */
static void beat(void *context, bool waits)
{
    struct error told_later = {0};
    send_pulse(context, waits, &told_later);
}

bool reporter_answer(struct reporter *r, struct error *err) { return send_pulse(r, false, err); }

bool reporter_tell_sleep(struct reporter *r, enum link_sleep sleep, struct error *err)
{
    const struct link_event event = {.kind = LINK_ASLEEP, .sleep = sleep};
    return link_send_event(r->link, &event, err);
}

/* ---- statistics ---- */

static struct comm_spent spent_by(const struct ranks *ranks)
{
    const struct comm_spent *stage = &ranks->tp->spent, *world = &ranks->world->spent;
    return (struct comm_spent){.n_calls = stage->n_calls + world->n_calls,
                               .n_bytes = stage->n_bytes + world->n_bytes,
                               .ns = stage->ns + world->ns};
}

void reporter_count_batch(struct reporter *r, const struct batch *batch)
{
    for (int i = 0; i < batch->n_sequences; i++) {
        const struct request *request = batch->sequence[i];
        const int left = request->n_prompt - request->n_computed, n_new = batch->n_new[i];
        if (left > 0)
            r->stats.prompt_tokens += (uint64_t)(left < n_new ? left : n_new);
    }
}

/* Tokens of beams when their search has ended. */
void reporter_count_outcomes(struct reporter *r, const struct batch *batch,
                             const struct outcome *outcome)
{
    for (int i = 0; i < batch->plan->n_logits; i++) {
        if (outcome[i].id == 0 || batch->row[i].is_prompt)
            continue;
        r->stats.generated_tokens += outcome[i].token >= 0;
        for (int k = 0; outcome[i].beam != NULL && k < outcome[i].n_beams; k++)
            r->stats.generated_tokens += (uint64_t)outcome[i].beam[k].n_tokens;
    }
}

void reporter_count_time(struct reporter *r, int64_t busy_ns)
{
    r->stats.busy_ns += (uint64_t)busy_ns;
    r->has_news = true;
}

static int blocks_used(const struct scheduler_counts *counts)
{
    return counts->n_blocks - counts->n_free_blocks;
}

static bool send_stats(struct reporter *r, struct error *err)
{
    const struct scheduler_counts counts = r->told;
    const struct comm_spent spent = spent_by(r->ranks);
    struct link_event event = {.kind = LINK_STATS, .stats = r->stats};
    struct link_stats *stats = &event.stats;
    stats->running = counts.n_running;
    stats->waiting = counts.n_waiting;
    stats->kv_blocks = counts.n_blocks;
    stats->kv_blocks_used = blocks_used(&counts);
    stats->cache_queries = counts.n_cache_queries;
    stats->cache_hits = counts.n_cache_hits;
    stats->preemptions = counts.n_preemptions;
    stats->drafted = counts.n_drafted;
    stats->accepted = counts.n_accepted;
    stats->plans = counts.n_plans;
    stats->comm_calls = spent.n_calls;
    stats->comm_bytes = spent.n_bytes;
    stats->comm_ns = (uint64_t)spent.ns;
    stats->n_ranks = watchdog_n_ranks(r->ranks->watchdog);
    stats->rank_work_ns = r->rank_work_ns;
    for (int rank = 0; rank < stats->n_ranks; rank++)
        r->rank_work_ns[rank] = watchdog_work_ns(r->ranks->watchdog, rank);
    return link_send_event(r->link, &event, err);
}

static bool has_news(const struct reporter *r)
{
    const struct scheduler_counts now = scheduler_counts(r->scheduler);
    return r->has_news || now.n_waiting != r->told.n_waiting ||
           now.n_running != r->told.n_running || blocks_used(&now) != blocks_used(&r->told);
}

bool reporter_tell(struct reporter *r, bool has_work, struct error *err)
{
    const int64_t now = clock_now_ns();
    if (has_work && now - r->pulse_ns >= PULSE_NS && !send_pulse(r, false, err))
        return false;
    if ((has_work && now - r->told_ns < STATS_NS) || !has_news(r))
        return true;
    r->told_ns = now;
    r->has_news = false;
    r->told = scheduler_counts(r->scheduler);
    return send_stats(r, err);
}

/* ---- life ---- */

void reporter_create(struct reporter **out, struct link *link, const struct ranks *ranks,
                     const struct scheduler *scheduler)
{
    struct reporter *r = memory_alloc(1, sizeof *r);
    const int n_ranks = watchdog_n_ranks(ranks->watchdog);
    *r = (struct reporter){.link = link,
                           .ranks = ranks,
                           .scheduler = scheduler,
                           .moved_ns = clock_now_ns(),
                           .rank_work_ns = memory_alloc((size_t)n_ranks, sizeof(int64_t))};
    if (ranks->settings.heart != NULL)
        *ranks->settings.heart = (struct heart){.beat = beat, .context = r};
    *out = r;
}

void reporter_destroy(struct reporter *r)
{
    if (r == NULL)
        return;
    if (r->ranks->settings.heart != NULL)
        *r->ranks->settings.heart = (struct heart){0};
    memory_free(r->rank_work_ns);
    memory_free(r);
}
