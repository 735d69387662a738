/* What the engine tells the gateway about itself, and not about a request. */
#include "base/check.h"
#include "runtime/link/engine_link.h"
#include "runtime/link/messages.h"

typedef Phalanx__Engine__V1__Stats stats_message;
typedef Phalanx__Engine__V1__FromEngine from_engine;

/* ---- sending ---- */

static void write_stats(stats_message *out, const struct link_stats *from)
{
    phalanx__engine__v1__stats__init(out);
    out->running = from->running;
    out->waiting = from->waiting;
    out->kv_blocks = from->kv_blocks;
    out->kv_blocks_used = from->kv_blocks_used;
    out->cache_queries = from->cache_queries;
    out->cache_hits = from->cache_hits;
    out->preemptions = from->preemptions;
    out->prompt_tokens = from->prompt_tokens;
    out->generated_tokens = from->generated_tokens;
    out->drafted = from->drafted;
    out->accepted = from->accepted;
    out->plans = from->plans;
    out->busy_ns = from->busy_ns;
    out->comm_calls = from->comm_calls;
    out->comm_bytes = from->comm_bytes;
    out->comm_ns = from->comm_ns;
    out->n_rank_work_ns = (size_t)from->n_ranks;
    out->rank_work_ns = (int64_t *)from->rank_work_ns;
}

bool link_send_state(struct link *link, const struct link_event *event, struct error *err)
{
    from_engine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    stats_message stats;
    Phalanx__Engine__V1__Pulse pulse = PHALANX__ENGINE__V1__PULSE__INIT;
    Phalanx__Engine__V1__Asleep asleep = PHALANX__ENGINE__V1__ASLEEP__INIT;
    Phalanx__Engine__V1__Awake awake = PHALANX__ENGINE__V1__AWAKE__INIT;
    Phalanx__Engine__V1__Loading loading = PHALANX__ENGINE__V1__LOADING__INIT;
    switch (event->kind) {
    case LINK_STATS:
        write_stats(&stats, &event->stats);
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_STATS;
        message.stats = &stats;
        break;
    case LINK_PULSE:
        pulse.progress_ns = event->progress_ns;
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_PULSE;
        message.pulse = &pulse;
        break;
    case LINK_ASLEEP:
        asleep.level = event->sleep;
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_ASLEEP;
        message.asleep = &asleep;
        break;
    case LINK_AWAKE:
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_AWAKE;
        message.awake = &awake;
        break;
    case LINK_LOADING:
        loading.done = event->loading.done;
        loading.all = event->loading.all;
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_LOADING;
        message.loading = &loading;
        break;
    default:
        check(false); /* a kind of a request */
    }
    return link_send_message(link, &message.base, err);
}

/* ---- receiving ---- */

static bool check_stats(const stats_message *from, struct error *err)
{
    if (from->running < 0 || from->waiting < 0 || from->kv_blocks < 0 || from->kv_blocks_used < 0)
        return link_bad_message("a count below 0", err);
    if (from->kv_blocks_used > from->kv_blocks)
        return link_bad_message("more KV blocks in use than there are", err);
    if (from->n_rank_work_ns > LINK_MAX_RANKS)
        return link_bad_message("too many ranks", err);
    for (size_t i = 0; i < from->n_rank_work_ns; i++)
        if (from->rank_work_ns[i] < 0)
            return link_bad_message("a time below 0", err);
    return true;
}

static bool read_stats(struct link_stats *out, const stats_message *from, struct error *err)
{
    if (!check_stats(from, err))
        return false;
    *out = (struct link_stats){
        .running = from->running,
        .waiting = from->waiting,
        .kv_blocks = from->kv_blocks,
        .kv_blocks_used = from->kv_blocks_used,
        .cache_queries = from->cache_queries,
        .cache_hits = from->cache_hits,
        .preemptions = from->preemptions,
        .prompt_tokens = from->prompt_tokens,
        .generated_tokens = from->generated_tokens,
        .drafted = from->drafted,
        .accepted = from->accepted,
        .plans = from->plans,
        .busy_ns = from->busy_ns,
        .comm_calls = from->comm_calls,
        .comm_bytes = from->comm_bytes,
        .comm_ns = from->comm_ns,
        .rank_work_ns = from->rank_work_ns,
        .n_ranks = (int)from->n_rank_work_ns,
    };
    return true;
}

bool link_read_state(struct link_event *out, const from_engine *from, struct error *err)
{
    switch (from->kind_case) {
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_STATS:
        out->kind = LINK_STATS;
        return read_stats(&out->stats, from->stats, err);
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_PULSE:
        out->kind = LINK_PULSE;
        out->progress_ns = from->pulse->progress_ns;
        return out->progress_ns >= 0 || link_bad_message("a time below 0", err);
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_ASLEEP:
        out->kind = LINK_ASLEEP;
        out->sleep = (enum link_sleep)from->asleep->level;
        return link_check_sleep(from->asleep->level, err);
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_AWAKE:
        out->kind = LINK_AWAKE;
        return true;
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_LOADING:
        out->kind = LINK_LOADING;
        out->loading = (struct link_loading){from->loading->done, from->loading->all};
        return out->loading.done <= out->loading.all ||
               link_bad_message("more loaded than there is", err);
    default:
        return link_bad_message("no kind that this gateway knows", err);
    }
}
