#include "runtime/forward/turns.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/device.h"
#include "parallel/ranks.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"

/* ---- memory ---- */

static void sizes_make(struct turns *out, const struct model *model, const struct ranks *ranks,
                       const struct plan_limits *limits)
{
    const struct row_counts most = forward_most_rows(limits);
    const size_t n_rows = (size_t)limits->max_logits, vocab = (size_t)limits->vocab;
    const size_t hidden = (size_t)limits->max_tokens * (size_t)model->config.hidden;
    const bool ends_here = model->share.is_last && ranks->tp_rank == 0;
    *out = (struct turns){.staged_bytes = step_rows_gpu_bytes(limits, &most)};
    if (ends_here) {
        out->logits_bytes = model->config.generates ? n_rows * vocab * sizeof(float) : 0;
        out->pick_bytes = n_rows * sizeof(struct pick_result);
        out->hidden_bytes = hidden * sizeof(float);
    }
}

size_t forward_pinned_bytes(const struct model *model, const struct ranks *ranks,
                            const struct plan_limits *limits)
{
    struct turns turns;
    sizes_make(&turns, model, ranks, limits);
    return TURNS * (turns.staged_bytes + turns.logits_bytes + turns.pick_bytes);
}

static bool alloc_pinned(struct device *device, void **out, size_t n_bytes, struct error *err)
{
    return n_bytes == 0 || device_alloc_host(device, out, n_bytes, err);
}

bool turns_init(struct forward *f, struct error *err)
{
    struct turns *turns = &f->turns;
    *turns = (struct turns){0};
    if (!f->on_gpu)
        return true;
    sizes_make(turns, f->model, f->ranks, &f->limits);
    for (int i = 0; i < TURNS; i++) {
        struct turn *turn = &turns->turn[i];
        void *logits = NULL, *hidden = NULL, *pick = NULL;
        const bool good = alloc_pinned(f->device, &turn->staged, turns->staged_bytes, err) &&
                          alloc_pinned(f->device, &logits, turns->logits_bytes, err) &&
                          alloc_pinned(f->device, &pick, turns->pick_bytes, err) &&
                          memory_map(&hidden, turns->hidden_bytes, err);
        turn->logits = logits;
        turn->hidden = hidden;
        turn->pick = pick;
        if (!good)
            return error_in(err, "memory of the host for steps");
    }
    return true;
}

void turns_release(struct forward *f)
{
    for (int i = 0; f->on_gpu && i < TURNS; i++) {
        struct turn *turn = &f->turns.turn[i];
        device_free_host(f->device, turn->staged, f->turns.staged_bytes);
        device_free_host(f->device, turn->logits, f->turns.logits_bytes);
        device_free_host(f->device, turn->pick, f->turns.pick_bytes);
        memory_unmap(turn->hidden, f->turns.hidden_bytes);
    }
    f->turns = (struct turns){0};
}

/* ---- a step ---- */

/* A step that was over long before tells nothing of how long it took. */
static bool wait_for(struct forward *f, const struct turn *turn, struct error *err)
{
    static const int64_t long_ns = 100 * 1000;
    const int64_t begin = clock_now_ns();
    if (!device_wait(f->device, turn->mark, err))
        return false;
    const int64_t now = clock_now_ns();
    if (f->on_gpu && turn->n_tokens > 0 && now - begin > long_ns)
        patience_learn(&f->patience, f->ranks, turn->n_tokens, f->limits.max_tokens,
                       now - turn->begin_ns);
    return true;
}

bool turns_begin(struct forward *f, int n_tokens, struct turn **out, struct error *err)
{
    struct turns *turns = &f->turns;
    struct turn *turn = &turns->turn[turns->n_begun % TURNS];
    const uint64_t most = f->on_gpu ? TURNS : 1;
    check(!has_results(f) || turns->n_begun - turns->n_collected < most);
    if (!wait_for(f, turn, err))
        return false;
    turns->n_begun++;
    turn->begin_ns = clock_now_ns();
    turn->n_tokens = n_tokens;
    turn->result = (struct step_result){.vocab = f->model->config.vocab,
                                        .hidden_size = f->model->config.hidden};
    *out = turn;
    return true;
}

static bool is_whole(const struct step_view *view, int i)
{
    return view->pick == NULL || view->pick[i].kind == PICK_ROW;
}

/* Rows that nothing is picked from, each in its place; false: that is all of them. */
static bool download_whole(const struct forward *f, const struct turn *turn,
                           const struct step_view *view, const float *logits, int n_rows)
{
    const size_t vocab = (size_t)f->model->config.vocab;
    bool any_picked = false;
    for (int i = 0, n; i < n_rows; i += n) {
        const size_t at = (size_t)i * vocab;
        for (n = 0; i + n < n_rows && is_whole(view, i + n);)
            n++;
        device_download(f->device, turn->logits + at, logits + at,
                        (size_t)n * vocab * sizeof *logits);
        for (; i + n < n_rows && !is_whole(view, i + n); any_picked = true)
            n++;
    }
    return any_picked;
}

static void take_from_gpu(struct forward *f, struct turn *turn, const struct step_view *view,
                          const float *logits, const float *hidden)
{
    struct step_result *result = &turn->result;
    const size_t n_hidden = (size_t)result->n_hidden * (size_t)result->hidden_size;
    result->logits = turn->logits;
    if (download_whole(f, turn, view, logits, result->n_logits)) {
        device_download(f->device, turn->pick, f->act.pick,
                        (size_t)result->n_logits * sizeof *turn->pick);
        result->pick = turn->pick;
    }
    device_download(f->device, turn->hidden, hidden, n_hidden * sizeof *hidden);
    result->hidden = turn->hidden;
}

void turns_end(struct forward *f, struct turn *turn, const struct step_plan *plan,
               const struct step_view *view, const struct step_rows *rows)
{
    struct step_result *result = &turn->result;
    if (has_results(f)) {
        result->n_logits = plan->n_logits;
        result->n_hidden = plan->n_hidden;
        if (f->on_gpu) {
            take_from_gpu(f, turn, view, logits_of(f, rows->n.n_logits), hidden_of(f));
        } else {
            result->logits = logits_of(f, rows->n.n_logits);
            result->hidden = hidden_of(f);
        }
    }
    turn->mark = device_mark(f->device);
}

bool forward_collect(struct forward *f, struct step_result *result, struct error *err)
{
    struct turns *turns = &f->turns;
    check(turns->n_collected < turns->n_begun);
    const struct turn *turn = &turns->turn[turns->n_collected++ % TURNS];
    if (!wait_for(f, turn, err))
        return false;
    *result = turn->result;
    return true;
}
