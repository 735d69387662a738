#include "runtime/gateway/engine_stats.h"

#include <string.h>

static void add_counters(struct link_stats *sum, const struct link_stats *more)
{
    sum->cache_queries += more->cache_queries;
    sum->cache_hits += more->cache_hits;
    sum->preemptions += more->preemptions;
    sum->prompt_tokens += more->prompt_tokens;
    sum->generated_tokens += more->generated_tokens;
    sum->drafted += more->drafted;
    sum->accepted += more->accepted;
    sum->plans += more->plans;
    sum->busy_ns += more->busy_ns;
    sum->comm_calls += more->comm_calls;
    sum->comm_bytes += more->comm_bytes;
    sum->comm_ns += more->comm_ns;
}

void engine_stats_hear(struct engine_stats *stats, const struct link_stats *heard)
{
    stats->any = true;
    stats->now = *heard;
    add_counters(&stats->now, &stats->before);
    if (heard->n_ranks > 0)
        memcpy(stats->rank_work_ns, heard->rank_work_ns,
               (size_t)heard->n_ranks * sizeof *heard->rank_work_ns);
    stats->now.rank_work_ns = stats->rank_work_ns;
}

void engine_stats_lose(struct engine_stats *stats)
{
    stats->before = (struct link_stats){0};
    add_counters(&stats->before, &stats->now);
    stats->now = stats->before;
}
