/* What the engine tells the gateway about itself, and not about a request. */
#include "base/check.h"
#include "runtime/link/engine_link.h"
#include "runtime/link/messages.h"

typedef Phalanx__Engine__V1__Ready ready_message;
typedef Phalanx__Engine__V1__Stats stats_message;
typedef Phalanx__Engine__V1__FromEngine from_engine;

/* ---- sending ---- */

static void write_ready(ready_message *out, const struct link_ready *from)
{
    phalanx__engine__v1__ready__init(out);
    out->protocol = LINK_PROTOCOL;
    out->build = (char *)from->build;
    out->model = (char *)from->model;
    out->kernels = (char *)from->kernels;
    out->gpu = (char *)from->gpu;
    out->comm = (char *)from->comm;
    out->dtype = (char *)from->dtype;
    out->vocab = from->vocab;
    out->max_model_len = from->max_model_len;
    out->kv_tokens = from->kv_tokens;
    out->tp = from->tp;
    out->pp = from->pp;
    out->threads = from->threads;
    out->weight_bytes = from->weight_bytes;
    out->memory_bytes = from->memory_bytes;
    out->n_eos_ids = (size_t)from->n_eos_ids;
    out->eos_ids = (int32_t *)from->eos_id;
    out->hidden_size = from->hidden_size;
    out->n_labels = from->n_labels;
    out->max_num_seqs = from->max_num_seqs;
    out->model_mark = from->model_mark;
}

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
    ready_message ready;
    stats_message stats;
    Phalanx__Engine__V1__Pulse pulse = PHALANX__ENGINE__V1__PULSE__INIT;
    Phalanx__Engine__V1__Sleep asleep = PHALANX__ENGINE__V1__SLEEP__INIT;
    Phalanx__Engine__V1__Loading loading = PHALANX__ENGINE__V1__LOADING__INIT;
    switch (event->kind) {
    case LINK_READY:
        write_ready(&ready, &event->ready);
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_READY;
        message.ready = &ready;
        break;
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

/* The gateway multiplies: by the ranks, and by the replicas. */
static bool check_ready(const struct link_ready *r, struct error *err)
{
    const int64_t count[] = {r->tp,        r->pp,           r->threads,
                             r->kv_tokens, r->weight_bytes, r->memory_bytes,
                             r->n_labels,  r->hidden_size,  r->max_num_seqs};
    if (r->vocab <= 0 || r->max_model_len <= 0)
        return link_bad_message("an empty model", err);
    if (!link_check_counts(count, sizeof count / sizeof *count, err))
        return false;
    if (r->tp > LINK_MAX_RANKS || r->pp > LINK_MAX_RANKS ||
        (int64_t)r->tp * r->pp * r->threads > INT32_MAX)
        return link_bad_message("more ranks or threads than there can be", err);
    return (r->max_num_seqs <= LINK_MAX_SEQUENCES && r->memory_bytes <= LINK_MAX_MEMORY_BYTES) ||
           link_bad_message("more sequences or memory than there can be", err);
}

static bool read_ready(struct link_ready *out, const ready_message *from, struct error *err)
{
    if (from->protocol != LINK_PROTOCOL)
        return error_set(err, ERROR_PEER,
                         "the engine speaks link protocol %u, this gateway %d: the two programs "
                         "are of different builds",
                         from->protocol, LINK_PROTOCOL);
    *out = (struct link_ready){
        .build = from->build,
        .model = from->model,
        .kernels = from->kernels,
        .gpu = from->gpu,
        .comm = from->comm,
        .dtype = from->dtype,
        .vocab = from->vocab,
        .max_model_len = from->max_model_len,
        .kv_tokens = from->kv_tokens,
        .tp = from->tp,
        .pp = from->pp,
        .threads = from->threads,
        .weight_bytes = from->weight_bytes,
        .memory_bytes = from->memory_bytes,
        .eos_id = from->eos_ids,
        .n_eos_ids = (int)from->n_eos_ids,
        .hidden_size = from->hidden_size,
        .n_labels = from->n_labels,
        .max_num_seqs = from->max_num_seqs,
        .model_mark = from->model_mark,
    };
    return check_ready(out, err);
}

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
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_READY:
        out->kind = LINK_READY;
        return read_ready(&out->ready, from->ready, err);
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
    case PHALANX__ENGINE__V1__FROM_ENGINE__KIND_LOADING:
        out->kind = LINK_LOADING;
        out->loading = (struct link_loading){from->loading->done, from->loading->all};
        return out->loading.done <= out->loading.all ||
               link_bad_message("more loaded than there is", err);
    default:
        return link_bad_message("no kind that this gateway knows", err);
    }
}
