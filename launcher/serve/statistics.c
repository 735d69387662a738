#include "launcher/serve/statistics.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/serve/notify.h"
#include "launcher/service.h"

#include <event2/event.h>
#include <stdint.h>

enum { EVERY_S = 10 };

struct sums { /* over all engines */
    uint64_t prompt_tokens, generated_tokens, cache_queries, cache_hits, busy_ns;
    int64_t running, waiting, kv_blocks, kv_blocks_used;
};

struct statistics {
    const struct service *service;
    struct event *tick, *heartbeat;
    struct sums before;
    int64_t before_ns;
};

static struct sums sum_up(const struct service *service)
{
    struct sums sums = {0};
    for (int i = 0; i < service->session.n_replicas; i++) {
        const struct link_stats *stats = dispatch_stats(service->session.dispatch, i);
        if (stats == NULL)
            continue;
        sums.prompt_tokens += stats->prompt_tokens;
        sums.generated_tokens += stats->generated_tokens;
        sums.cache_queries += stats->cache_queries;
        sums.cache_hits += stats->cache_hits;
        sums.busy_ns += stats->busy_ns;
        sums.running += stats->running;
        sums.waiting += stats->waiting;
        sums.kv_blocks += stats->kv_blocks;
        sums.kv_blocks_used += stats->kv_blocks_used;
    }
    return sums;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void tell(const struct sums *now, const struct sums *before, double seconds)
{
    log_write(
        LOG_INFO, "serve",
        "%.1f prompt tokens/s, %.1f generated tokens/s, %lld running, %lld waiting, KV cache "
        "%.1f %%, prefix cache hits %.1f %%",
        (double)(now->prompt_tokens - before->prompt_tokens) / seconds,
        (double)(now->generated_tokens - before->generated_tokens) / seconds,
        (long long)now->running, (long long)now->waiting,
        percent((uint64_t)now->kv_blocks_used, (uint64_t)now->kv_blocks),
        percent(now->cache_hits - before->cache_hits, now->cache_queries - before->cache_queries));
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct statistics *s = context;
    (void)fd, (void)what;
    const struct sums now = sum_up(s->service);
    const int64_t now_ns = clock_now_ns();
    if (now.busy_ns != s->before.busy_ns || now.running + now.waiting > 0)
        tell(&now, &s->before, (double)(now_ns - s->before_ns) / 1e9);
    s->before = now;
    s->before_ns = now_ns;
}

/* The thread of the gateway turns: what systemd asks. Ranks that hang are ended by their own. */
static void on_heartbeat(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what, (void)context;
    notify_send("WATCHDOG=1");
}

static struct event *every(struct event_base *base, int64_t ns, event_callback_fn call,
                           struct statistics *statistics)
{
    const struct timeval wait = clock_timeval(ns);
    struct event *event = event_new(base, -1, EV_PERSIST, call, statistics);
    evtimer_add(event, &wait);
    return event;
}

struct statistics *statistics_create(struct event_base *base, const struct service *service,
                                     bool in_log)
{
    struct statistics *s = memory_alloc(1, sizeof *s);
    const int64_t heartbeat_ns = notify_watchdog_ns();
    s->service = service;
    s->before_ns = clock_now_ns();
    if (in_log)
        s->tick = every(base, (int64_t)EVERY_S * 1000000000, on_tick, s);
    if (heartbeat_ns > 0)
        s->heartbeat = every(base, heartbeat_ns, on_heartbeat, s);
    return s;
}

void statistics_destroy(struct statistics *s)
{
    if (s == NULL)
        return;
    if (s->tick != NULL)
        event_free(s->tick);
    if (s->heartbeat != NULL)
        event_free(s->heartbeat);
    memory_free(s);
}
